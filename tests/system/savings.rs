//! Simulated systems with a real PostgreSQL of their own: its nights are real ones, and nothing of it is left.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::support::run;

/// A folder for temporary files that the server's user can reach.
fn temporary() -> TempDir {
    tempfile::Builder::new().prefix("lt-").permissions(Permissions::from_mode(0o755)).tempdir().expect("a folder")
}

fn simulation(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.env_remove("LARDER_BACKUP_DIR").env("TMPDIR", temporary).current_dir(temporary);
    command.args(["savings", "--simulate"]).args(arguments);
    command
}

/// Nothing is left in the folder, and no process that was started with something in it.
fn assert_nothing_is_left(temporary: &Path) {
    let left: Vec<_> = fs::read_dir(temporary).expect("our own folder").collect();
    assert!(left.is_empty(), "{left:?}");
    let name = temporary.to_str().expect("text");
    for process in fs::read_dir("/proc").expect("processes").flatten() {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        assert!(!arguments.contains(name), "{arguments}");
    }
}

#[test]
fn a_simulated_system_has_a_real_database() {
    let temporary = temporary();
    let arguments = ["3", "--rows", "2000", "--update", "3", "--json", "--quiet"];
    let run = run(&mut simulation(temporary.path(), &arguments)).exits(0);
    assert_eq!(run.stderr, "");
    let savings = run.json();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    assert!(text(&savings["simulation"]["postgres"]).starts_with(|first: char| first.is_ascii_digit()), "{savings}");
    assert_eq!(savings["simulation"]["rows_end"], 2060);
    assert_eq!(savings["damage"], Value::Array(Vec::new()));
    let bytes = |night: usize, key: &str| savings["nights"][night]["components"][0][key].as_u64().expect("bytes");
    for night in 1..3 {
        assert!(bytes(night, "bytes") > bytes(night - 1, "bytes"), "rows are inserted: {savings}");
        assert!(bytes(night, "stored_bytes") * 3 < bytes(night, "compressed_bytes"), "{savings}");
        assert!(bytes(night, "compressed_bytes") <= bytes(night, "copies_bytes"), "{savings}");
    }
    assert_nothing_is_left(temporary.path());
}

#[test]
fn an_interrupted_simulation_leaves_nothing() {
    // In the middle of making rows, and of the nights.
    for phase in ["making up a system", "night 1 of 300", "night 3 of 300"] {
        let temporary = temporary();
        let mut command = simulation(temporary.path(), &["300", "--rows", "4000"]);
        // A terminal interrupts everything that runs in it, the programs of PostgreSQL too.
        command.process_group(0);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("the errors are piped")).lines();
        let said = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(phase)));
        assert!(said.is_some(), "it never said '{phase}'");
        // Twice, as somebody does who is impatient.
        for _ in 0..2 {
            run(Command::new("kill").args(["-INT", "--", &format!("-{}", child.id())])).exits(0);
        }
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest:?}");
        assert!(rest.iter().any(|line| line == "error: interrupted"), "{rest:?}");
        assert_nothing_is_left(temporary.path());
    }
}

#[test]
fn where_no_server_can_be_started_the_dump_is_written_without_one() {
    // A socket in this folder has a longer path than sockets may have.
    let temporary = temporary();
    let deep = temporary.path().join("long".repeat(30));
    fs::create_dir(&deep).expect("our own folder");
    let run = run(&mut simulation(&deep, &["2", "--rows", "200", "--json"])).exits(0);
    assert!(run.stderr.contains("no PostgreSQL could be started"), "{}", run.stderr);
    assert!(run.json()["simulation"]["postgres"].is_null());
    assert_nothing_is_left(&deep);
}
