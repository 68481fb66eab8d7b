//! A schedule as a file of `/etc/cron.d`: a lock for each command, a moment of waiting at random, and a log.

use std::path::Path;

use super::{JITTER_MINUTES, Job, Planned, Schedule};

pub(super) const FOLDER: &str = "etc/cron.d";

/// One line for each job.
pub(super) fn file(root: &Path, schedule: &Schedule) -> Planned {
    let lines: Vec<String> = schedule.jobs.iter().map(|job| line(schedule, job)).collect();
    let text = format!(
        "# Written by `larder schedule install` for {}.\nSHELL=/bin/bash\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n{}\n",
        schedule.base.display().to_string().replace('\n', " "),
        lines.join("\n")
    );
    Planned { path: root.join(FOLDER).join(&schedule.name), text }
}

fn line(schedule: &Schedule, job: &Job) -> String {
    let day = job.when.weekday.map_or("*".to_owned(), |day| day.to_string());
    let words: Vec<String> = job.words.iter().map(|word| quoted(word)).collect();
    let name = &schedule.name;
    let seconds = JITTER_MINUTES * 60;
    // A percent sign is a line feed to cron.
    format!(
        "{} {} * * {day} root sleep $((RANDOM \\% {seconds})); flock --nonblock /run/lock/{name}-{} {} >>/var/log/{name}.log 2>&1",
        job.when.minute,
        job.when.hour,
        job.name,
        words.join(" ").replace('%', "\\%")
    )
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
