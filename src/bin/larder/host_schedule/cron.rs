//! A schedule as a file of `/etc/cron.d`: a lock for each command, a moment of waiting at random, and a log.
//!
//! The locks lie where only root gets in, so that nobody else can hold one.

use std::path::Path;

use super::job::{JITTER_MINUTES, Job, Planned, Schedule};

pub(super) const FOLDER: &str = "etc/cron.d";
/// Where the locks are. It goes when the machine is started, so each run makes it.
const LOCKS: &str = "/run/larder";
/// What `flock` ends with when somebody else has the lock; no command of Larder does.
const IS_LOCKED: u8 = 75;

/// One line for each job.
pub(super) fn file(root: &Path, schedule: &Schedule) -> Planned {
    let lines: Vec<String> = schedule.jobs.iter().map(|job| line(schedule, job)).collect();
    let text = format!(
        "# Written by `larder schedule install` for {}.\nSHELL=/bin/bash\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n{}\n",
        schedule.base.display(),
        lines.join("\n")
    );
    Planned { path: root.join(FOLDER).join(&schedule.name), text }
}

fn line(schedule: &Schedule, job: &Job) -> String {
    let day = job.when.weekday.map_or("*".to_owned(), |day| day.to_string());
    let words: Vec<String> = job.words.iter().map(|word| quoted(word)).collect();
    let (name, job_name) = (&schedule.name, job.name);
    let command = format!(
        "sleep $((RANDOM % {})); exec >>/var/log/{name}.log 2>&1; install -d -m 0700 -o root -g root {LOCKS} && \
         flock --nonblock --conflict-exit-code {IS_LOCKED} {LOCKS}/{name}-{job_name} {}; status=$?; \
         [ $status != {IS_LOCKED} ] || echo \"$(date --rfc-3339=seconds) {job_name} is left out: the last one still runs\"; \
         exit $status",
        JITTER_MINUTES * 60,
        words.join(" ")
    );
    // A percent sign is a line feed to cron.
    let command = command.replace('%', "\\%");
    format!("{} {} * * {day} root umask 077; {command}", job.when.minute, job.when.hour)
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
