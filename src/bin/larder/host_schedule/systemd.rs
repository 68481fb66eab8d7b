//! A schedule as units of systemd, which never runs a service a second time while it runs, and keeps what it says in the journal.

use std::path::Path;

use super::job::{JITTER_MINUTES, Job, Planned, Schedule, When};

pub(super) const FOLDER: &str = "etc/systemd/system";
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Places that `ProtectHome` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// Places that `PrivateTmp` hides.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Reads files of everybody.
const READS: &str = "CAP_DAC_READ_SEARCH";
/// Also starts and ends programs as a user without rights.
const STARTS_PROGRAMS: &str = "CAP_DAC_READ_SEARCH CAP_SETUID CAP_SETGID CAP_KILL";
/// What a service cannot do. `docs/safety.md` says why it is this, and what of Larder needs more.
const SANDBOX: &str = include_str!("sandbox.conf");

/// A service and a timer for each job.
pub(super) fn files(root: &Path, schedule: &Schedule) -> Vec<Planned> {
    let units = schedule.jobs.iter().flat_map(|job| {
        let unit = format!("{}-{}", schedule.name, job.name);
        [(format!("{unit}.service"), service(schedule, job)), (format!("{unit}.timer"), timer(schedule, job))]
    });
    units.map(|(name, text)| Planned { path: root.join(FOLDER).join(name), text }).collect()
}

fn service(schedule: &Schedule, job: &Job) -> String {
    let words: Vec<String> = job.words.iter().map(|word| quoted(word).replace('$', "$$")).collect();
    let repository = quoted(&schedule.repository);
    format!(
        "# Written by `larder schedule install`.\n[Unit]\nDescription={}\nAfter=docker.service postgresql.service\n\
         RequiresMountsFor={repository}\n\n[Service]\nType=oneshot\nExecStart={}\nNice=10\nIOSchedulingClass=idle\n\n\
         # It can read everything, and write the repository and its state.\nReadWritePaths={repository}\nProtectHome={}\nPrivateTmp={}\n\
         CapabilityBoundingSet={}\n{SANDBOX}",
        description(schedule, job),
        words.join(" "),
        if schedule.reaches(&HOMES) { "read-only" } else { "yes" },
        if schedule.reaches(&TEMPORARY) { "no" } else { "yes" },
        if job.starts_programs { STARTS_PROGRAMS } else { READS },
    )
}

/// A description has no quotes: its last character must not have the line go on.
fn description(schedule: &Schedule, job: &Job) -> String {
    let base = schedule.base.display().to_string().replace('%', "%%").replace('\\', "\\\\");
    format!("larder {} of {base}", job.name)
}

fn timer(schedule: &Schedule, job: &Job) -> String {
    format!(
        "# Written by `larder schedule install`.\n[Unit]\nDescription={}\n\n[Timer]\nOnCalendar={}\n\
         RandomizedDelaySec={JITTER_MINUTES}min\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n",
        description(schedule, job),
        calendar(job.when)
    )
}

fn calendar(when: When) -> String {
    let day = when.weekday.and_then(|day| WEEKDAYS.get(day)).map_or(String::new(), |day| format!("{day} "));
    format!("{day}*-*-* {:02}:{:02}:00", when.hour, when.minute)
}

/// A word in which nothing has a meaning but a dollar sign in a command.
fn quoted(word: &str) -> String {
    let mut quoted = String::from("\"");
    for char in word.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '%' => quoted.extend([char, char]),
            char => quoted.push(char),
        }
    }
    quoted + "\""
}
