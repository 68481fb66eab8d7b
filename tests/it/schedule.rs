//! What `larder schedule` writes, by running the lines themselves, and what `larder setup` installs.

use std::fs;
use std::process::Command;

use super::import::names;
use super::support::System;

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
        // Cron ends a command at a percent sign that is not escaped. Locks and logs of the host are not ours to touch.
        let (_, line) = line.split_once("; flock --nonblock ").expect("a lock");
        let (_, line) = line.split_once(' ').expect("the command");
        let (line, _) = line.split_once(" >>/var/log/").expect("a log");
        assert!(!line.replace(r"\%", "").contains('%'), "{line}");
        let output = Command::new("bash").args(["-c", &line.replace(r"\%", "%")]).output().expect("bash runs");
        assert!(output.status.success(), "{line}: {output:?}");
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
        assert_eq!(system.run(&arguments).code, Some(2), "{wrong:?}");
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
