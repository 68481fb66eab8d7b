//! What `larder schedule` writes, by running the lines themselves, and what `larder setup` installs.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::process::Command;

use serde_json::Value;

use super::import::names;
use super::support::{Run, System, copy_binary};

/// Runs a line as cron would, at once and in this folder: its locks and logs are not those of the host. What is in the log then.
fn run_line(system: &System, line: &str) -> (Option<i32>, String) {
    let (_, command) = line.split_once(" root ").expect("a line of cron");
    // Cron ends a command at a percent sign that is not escaped.
    assert!(!command.replace(r"\%", "").contains('%'), "{line}");
    let command = command.replace(r"\%", "%").replace("sleep $((RANDOM % 600)); ", "");
    let (locks, logs) = (system.path("locks of cron"), system.path("logs of cron"));
    fs::create_dir_all(&logs).expect("our own folder");
    let log = logs.join("log");
    let command = command.replace("/run/larder", &format!("'{}'", locks.display()));
    let (begin, rest) = command.split_once(">>/var/log/").expect("a log");
    let (_, rest) = rest.split_once(' ').expect("more of it");
    let command = format!("{begin}>>'{}' {rest}", log.display());
    let command = if rustix::process::geteuid().is_root() { command } else { command.replace(" -o root -g root", "") };
    let status = Command::new("bash").args(["-c", &command]).status().expect("bash runs");
    (status.code(), fs::read_to_string(log).unwrap_or_default())
}

/// What is installed for cron, line by line.
fn lines_of_cron(system: &System) -> Vec<String> {
    let root = system.path("etc for cron");
    let root = root.to_string_lossy();
    let report = system.json(&["schedule", "install", "--with", "cron", "--root", &root]);
    let text = fs::read_to_string(report["files"][0].as_str().expect("a file")).expect("it is there");
    text.lines().filter(|line| line.contains(" root ")).map(str::to_owned).collect()
}

/// The lock lay where everybody writes, under a name that can be guessed: any user kept all backups from running, and nothing
/// told of it.
#[test]
fn a_lock_of_cron_is_for_root_alone_and_a_run_that_is_left_out_is_told() {
    let system = System::with_model("one");
    let line = lines_of_cron(&system).swap_remove(0);
    let (status, _) = run_line(&system, &line);
    assert_eq!(status, Some(0));
    let folder = system.path("locks of cron");
    assert_eq!(fs::metadata(&folder).expect("a folder").permissions().mode() & 0o777, 0o700);
    let lock = fs::read_dir(&folder).expect("a folder").next().expect("a lock").expect("an entry").path();
    assert!(fs::read_dir(&folder).expect("a folder").count() == 1 && lock.to_string_lossy().ends_with("-create"));
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(system.path(""), fs::Permissions::from_mode(0o755)).expect("our own folder");
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "flock", "--nonblock"]);
        let output = other.arg(&lock).arg("true").output().expect("setpriv runs");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Permission denied"), "{output:?}");
    }
    let held = fs::File::open(&lock).expect("it is ours");
    rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).expect("nobody has it");
    let (status, log) = run_line(&system, &line);
    assert_eq!(status, Some(75));
    let last = log.lines().last().expect("a line");
    assert!(last.ends_with("create is left out: the last one still runs") && last.starts_with("20"), "{log}");
    assert_eq!(names(&system).len(), 1);
    drop(held);
    assert_eq!(run_line(&system, &line).0, Some(0));
    assert_eq!(names(&system).len(), 2);
}

/// A line feed in a word made a line of cron, or a setting of a unit, of its own.
#[test]
fn no_word_of_a_schedule_has_a_control_character() {
    let system = System::with_model("one");
    let root = system.path("root");
    let root = root.to_string_lossy();
    for runner in ["cron", "systemd"] {
        let install = ["schedule", "install", "--with", runner, "--root", &root];
        for dry_run in [&["--dry-run"][..], &[]] {
            let refused = |what: &str, command: &mut Command| {
                let run = Run::of(command);
                run.ended(2).says("has a control character").says(what);
                assert_eq!(run.stdout, "", "{what}");
                assert!(!system.exists("root"), "{what}");
            };
            let arguments = [&install[..], dry_run].concat();
            for bad in ["/b\n* * * * * root id", "/b\rx", "/b\u{1b}[2J", "/b\u{7f}", "/b\u{9b}2J", "/b\tc"] {
                refused("--backup-dir", system.command(&arguments).args(["--backup-dir", bad]));
                refused("LARDER_BACKUP_DIR", system.command(&arguments).env("LARDER_BACKUP_DIR", bad));
                let config = format!("larder{}", bad.replace('/', ""));
                system.write(&config, "");
                refused("--config", system.command(&arguments).arg("--config").arg(system.path(&config)));
                let text = format!("backup_dir = {bad:?}\n").replace("\\u{", "\\u00").replace('}', "");
                system.write("larder.toml", text);
                refused("the path of the repository", &mut system.command(&arguments));
                fs::remove_file(system.path("larder.toml")).expect("it is there");
                let base = format!("base{}", bad.replace('/', ""));
                fs::create_dir_all(system.path(&base).join("models")).expect("our own folder");
                refused("-C", system.command(&arguments).arg("-C").arg(system.path(&base)));
            }
            for time in ["--create", "--prune", "--verify"] {
                system.run(&[&arguments[..], &[time, "02:00\n"]].concat()).ended(2);
            }
        }
    }
}

/// Files of others are read, and the repository is written, with the capabilities that a unit gives and no others.
#[test]
fn a_unit_has_what_its_command_needs() {
    let system = System::with_model("one");
    system.write("models/closed/two", "two");
    let root = system.path("root");
    let root = root.to_string_lossy();
    let report = system.json(&["schedule", "install", "--with", "systemd", "--root", &root]);
    let files: Vec<&str> = report["files"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(files.len(), 6, "{report}");
    if Command::new("systemd-analyze").arg("--version").output().is_ok() {
        let output = Command::new("systemd-analyze").arg("verify").args(&files).output().expect("it runs");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("larder"), "{output:?}");
    }
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for (path, mode) in [("models/closed/two", 0o000), ("models/closed", 0o700)] {
        lchown(system.path(path), Some(65_534), Some(65_534)).expect("root may");
        fs::set_permissions(system.path(path), fs::Permissions::from_mode(mode)).expect("root may");
    }
    for file in files.iter().filter(|file| file.ends_with(".service")) {
        let unit = fs::read_to_string(file).expect("it is there");
        let setting = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)).expect("a setting").to_owned();
        let capabilities = setting("CapabilityBoundingSet=").to_lowercase().replace("cap_", "+").replace(' ', ",");
        let command = setting("ExecStart=").replace("%%", "%");
        let words = command.trim_matches('"').split("\" \"");
        let mut limited = Command::new("setpriv");
        limited.arg(format!("--bounding-set=-all,{capabilities}")).args(["--inh-caps=-all", "--no-new-privs", "--"]);
        let run = Run::of(limited.args(words).env_remove("DATABASE_URL").env_remove("DOCKER_HOST"));
        assert_eq!(run.code, 0, "{file}: {run:?}");
    }
    let shown = system.json(&["show", "latest"]);
    assert_eq!(shown["status"], "complete", "{shown}");
}

#[test]
fn what_cron_would_run_backs_up_checks_and_prunes() {
    let system = System::with_model("a model");
    system.write("larder.toml", "[docker]\nenabled = false\n");
    let root = system.path("root % of 'all'");
    let root = root.to_string_lossy();
    let install = ["schedule", "install", "--with", "cron", "--create", "1:30", "--root", &root];
    system.ok(&install);
    let report = system.json(&["schedule", "show", "--root", &root]);
    let file = report["files"][0].as_str().expect("one file").to_owned();
    assert!(file.contains("/etc/cron.d/larder-") && report["files"].as_array().map(Vec::len) == Some(1), "{report}");
    let text = fs::read_to_string(&file).expect("the file");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" root ")).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("30 1 * * * "), "{text}");
    for line in lines {
        let (status, log) = run_line(&system, line);
        assert_eq!(status, Some(0), "{line}: {log}");
    }
    assert_eq!(names(&system).len(), 1);
    // Installing again replaces what was there, by whatever runs it.
    system.ok(&["schedule", "install", "--with", "systemd", "--prune", "none", "--root", &root]);
    assert!(!fs::exists(&file).expect("it can be asked"));
    let shown = system.ok(&["schedule", "show", "--root", &root]);
    shown.shows("OnCalendar=*-*-* 02:00:00");
    let report = system.json(&["schedule", "remove", "--root", &root]);
    assert_eq!(report["removed"].as_array().map(Vec::len), Some(4), "{report}");
    system.ok(&["schedule", "show", "--root", &root]).shows("Nothing is installed");

    let dry = system.ok(&["schedule", "install", "--dry-run", "--with", "systemd", "--root", &root]);
    dry.shows("[Timer]");
    system.ok(&["schedule", "show", "--root", &root]).shows("Nothing is installed");
    for wrong in [&["--create", "25:00"][..], &["--prune", "noday 03:00"], &["--subset", "0%"]] {
        let arguments = [&["schedule", "install", "--root", &root][..], wrong].concat();
        assert_eq!(system.run(&arguments).code, 2, "{wrong:?}");
    }
    system.write("larder.toml", "[nothing]\n");
    system.run(&["schedule", "install", "--root", &root]).ended(2).says("larder.toml");
}

#[test]
fn pages_and_scripts_are_installed_and_removed() {
    let system = System::new();
    let prefix = system.path("prefix").to_string_lossy().into_owned();
    let report = system.json(&["setup", "--prefix", &prefix]);
    let installed = report["files"].as_array().expect("a list").len();
    assert!(installed > 25, "{report}");
    let page = fs::read_to_string(system.path("prefix/share/man/man1/larder-restore.1")).expect("a page");
    assert!(page.contains("larder restore") || page.contains("larder\\-restore"), "{page}");
    let script = system.path("prefix/share/bash-completion/completions/larder");
    let check = "source \"$0\" && complete -p larder";
    let output = Command::new("bash").args(["-c", check]).arg(&script).output().expect("bash runs");
    assert!(output.status.success(), "{output:?}");
    let report = system.json(&["setup", "--prefix", &prefix, "--remove"]);
    assert_eq!(report["files"].as_array().map(Vec::len), Some(installed), "{report}");
    assert_eq!(fs::read_dir(system.path("prefix/share/man/man1")).expect("a folder").count(), 0, "no page is left");
}

/// Whoever owned the directory renamed `larder.toml` away: the runs of root did without what it said, and pruned what it had kept.
#[test]
fn a_schedule_names_its_configuration() {
    let system = System::with_model("one");
    assert!(lines_of_cron(&system).iter().all(|line| !line.contains("--config")));
    system.write("larder.toml", "[retention]\nlast = 400\n");
    let lines = lines_of_cron(&system);
    assert!(lines.iter().all(|line| line.contains("--config") && line.contains("larder.toml")), "{lines:?}");
    assert_eq!(run_line(&system, &lines[0]).0, Some(0));
    fs::rename(system.path("larder.toml"), system.path("away")).expect("ours");
    let (status, log) = run_line(&system, &lines[0]);
    assert!(status == Some(2) && log.contains("larder.toml"), "{log}");
    assert_eq!(names(&system).len(), 1);
}

/// A program in the home of a user became one that root runs every night.
#[test]
fn a_schedule_runs_no_program_of_somebody_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let system = System::with_model("one");
    fs::create_dir(system.path("bin")).expect("ours");
    let program = system.path("bin/larder");
    copy_binary(&program);
    let root = system.path("root").to_string_lossy().into_owned();
    let install = |options: &[&str]| {
        let command =
            system.command(&[&["schedule", "install", "--with", "cron", "--root", &root][..], options].concat());
        let mut other = Command::new(&program);
        Run::of(other.args(command.get_args()))
    };
    for (path, options) in [("bin", &[][..]), ("bin/larder", &["--dry-run"])] {
        lchown(system.path("bin"), Some(0), None).expect("root");
        lchown(system.path(path), Some(61_990), None).expect("root");
        install(options)
            .ended(2)
            .says("root would run a program that somebody else may exchange")
            .says("install -o root");
        assert!(!system.exists("root"));
        install(&["--trust-user", "61990", "--dry-run"]).ended(0);
    }
}
