//! A schedule as units of systemd, which never runs a service a second time while it runs, and keeps what it says in the journal.

use std::path::Path;

use super::{JITTER_MINUTES, Job, Planned, Schedule, When};

pub(super) const FOLDER: &str = "etc/systemd/system";
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A service and a timer for each job.
pub(super) fn files(root: &Path, schedule: &Schedule) -> Vec<Planned> {
    let units = schedule.jobs.iter().flat_map(|job| {
        let unit = format!("{}-{}", schedule.name, job.name);
        [(format!("{unit}.service"), service(schedule, job)), (format!("{unit}.timer"), timer(schedule, job))]
    });
    units.map(|(name, text)| Planned { path: root.join(FOLDER).join(name), text }).collect()
}

fn service(schedule: &Schedule, job: &Job) -> String {
    let words: Vec<String> = job.words.iter().map(|word| quoted(word)).collect();
    format!(
        "# Written by `larder schedule install`.\n[Unit]\nDescription=larder {} of {}\nAfter=docker.service postgresql.service\n\n\
         [Service]\nType=oneshot\nExecStart={}\nNice=10\nIOSchedulingClass=idle\n",
        job.name,
        schedule.base.display().to_string().replace('%', "%%"),
        words.join(" ")
    )
}

fn timer(schedule: &Schedule, job: &Job) -> String {
    format!(
        "# Written by `larder schedule install`.\n[Unit]\nDescription=larder {} of {}\n\n[Timer]\nOnCalendar={}\n\
         RandomizedDelaySec={JITTER_MINUTES}min\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n",
        job.name,
        schedule.base.display().to_string().replace('%', "%%"),
        calendar(job.when)
    )
}

fn calendar(when: When) -> String {
    let day = when.weekday.and_then(|day| WEEKDAYS.get(day)).map_or(String::new(), |day| format!("{day} "));
    format!("{day}*-*-* {:02}:{:02}:00", when.hour, when.minute)
}

fn quoted(word: &str) -> String {
    let mut quoted = String::from("\"");
    for char in word.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            '%' | '$' => quoted.extend([char, char]),
            char => quoted.push(char),
        }
    }
    quoted + "\""
}
