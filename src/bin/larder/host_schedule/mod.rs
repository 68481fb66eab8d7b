//! What runs regularly: which commands, when, and the files that have systemd or cron run them. Nothing of ours runs in between.

mod cron;
mod job;
mod systemd;

use std::path::{Path, PathBuf};

pub(crate) use job::{Job, Planned, Schedule, When};

/// Who runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    Systemd,
    Cron,
}

impl Runner {
    /// Systemd where it runs, else cron.
    pub(crate) fn of_this_host() -> Self {
        if Path::new("/run/systemd/system").is_dir() { Self::Systemd } else { Self::Cron }
    }

    /// The files of a schedule, below `root`.
    pub(crate) fn files(self, root: &Path, schedule: &Schedule) -> Vec<Planned> {
        match self {
            Self::Systemd => systemd::files(root, schedule),
            Self::Cron => vec![cron::file(root, schedule)],
        }
    }
}

/// The files that are there below `root`, of whatever runner.
pub(crate) fn standing(root: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [systemd::FOLDER, cron::FOLDER] {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| {
            let file = entry.file_name();
            let rest = file.to_str().and_then(|file| file.strip_prefix(name));
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            is_file && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        found.extend(ours.map(|entry| entry.path()));
    }
    found.sort();
    found
}

/// The timers among the files of a schedule.
pub(crate) fn timers(files: &[PathBuf]) -> Vec<String> {
    let timers = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "timer"));
    timers.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        let job = |name, when, words: &[&str]| Job {
            name,
            when: When::parse(when).expect("a time"),
            starts_programs: name == "create",
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let jobs = vec![
            job("create", "02:00", &["/usr/bin/larder", "-C", "/srv/my app", "create"]),
            job("verify", "sat 4:30", &["/usr/bin/larder", "-C", "/srv/my app", "verify", "--subset", "10%"]),
        ];
        let (name, repository) = ("larder-my-app-0".to_owned(), r"/mnt/$b %a\ckups".to_owned());
        Schedule { name, base: "/srv/my app\\".into(), repository, reads: vec!["/var/lib".into()], jobs }
    }

    #[test]
    fn a_line_of_cron_has_its_time_its_user_and_escapes() {
        let [file] = Runner::Cron.files(Path::new("/"), &schedule()).try_into().expect("one file");
        assert_eq!(file.path, Path::new("/etc/cron.d/larder-my-app-0"));
        let lines: Vec<&str> =
            file.text.lines().filter(|line| line.contains("larder -") || line.contains("'-C'")).collect();
        assert!(lines[0].starts_with("0 2 * * * root "), "{}", file.text);
        assert!(lines[1].starts_with("30 4 * * 6 root "), "{}", file.text);
        assert!(lines[1].contains(r"'10\%'") && lines[1].contains("'/srv/my app'"), "{}", file.text);
        assert!(lines[1].replace(r"\%", "").chars().all(|char| char != '%'), "{}", lines[1]);
    }

    #[test]
    fn a_timer_and_a_service_for_each_command() {
        let files = Runner::Systemd.files(Path::new("/stage"), &schedule());
        let names: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
        assert_eq!(names.len(), 4);
        assert_eq!(names[0], "/stage/etc/systemd/system/larder-my-app-0-create.service");
        let verify = &files[2].text;
        assert!(
            verify.contains(r#"ExecStart="/usr/bin/larder" "-C" "/srv/my app" "verify" "--subset" "10%%""#),
            "{verify}"
        );
        assert!(verify.contains("\nDescription=larder verify of /srv/my app\\\\\n"), "{verify}");
        assert!(verify.contains("\nReadWritePaths=\"/mnt/$b %%a\\\\ckups\"\n"), "{verify}");
        assert!(verify.contains("\nProtectHome=yes\nPrivateTmp=yes\n"), "{verify}");
        assert!(files[3].text.contains("OnCalendar=Sat *-*-* 04:30:00"), "{}", files[3].text);
        assert!(files[1].text.contains("OnCalendar=*-*-* 02:00:00"), "{}", files[1].text);
    }

    /// It takes `openat2` away, because its modes cannot be looked at, and without that nothing is read.
    #[test]
    fn a_service_can_open_files() {
        let files = Runner::Systemd.files(Path::new("/"), &schedule());
        assert!(files.iter().all(|file| !file.text.contains("RestrictSUIDSGID")));
    }

    #[test]
    fn what_has_to_be_reached_is_not_hidden() {
        let service = |path: &str| {
            let schedule = Schedule { reads: vec![path.into()], ..schedule() };
            Runner::Systemd.files(Path::new("/"), &schedule).swap_remove(0).text
        };
        for (path, shown) in [
            ("/home/app/models", "ProtectHome=read-only\nPrivateTmp=yes\n"),
            ("/homes", "ProtectHome=yes\nPrivateTmp=yes\n"),
            ("/tmp", "ProtectHome=yes\nPrivateTmp=no\n"),
            ("/var", "ProtectHome=yes\nPrivateTmp=no\n"),
            ("/run/user/1000/docker.sock", "ProtectHome=read-only\nPrivateTmp=yes\n"),
            ("/", "ProtectHome=read-only\nPrivateTmp=no\n"),
        ] {
            let service = service(path);
            assert!(service.contains(shown), "{path}: {service}");
        }
    }
}
