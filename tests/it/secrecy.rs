//! What is in memory stays there: a crash leaves no core dump.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{System, watch};

/// A crash could leave passwords, and contents of files, in a file of the directory in which Larder was started.
#[test]
fn a_crash_leaves_no_core_dump() {
    let system = System::with_model("one");
    let larder = system.command(&["create", "--stdin", "kept"]);
    // It reads its standard input for as long as that is open. Whoever starts it would have core dumps.
    let mut shell = Command::new("bash");
    shell
        .args(["-c", r#"ulimit -Sc "$(ulimit -Hc)"; exec "$0" "$@""#])
        .arg(larder.get_program())
        .args(larder.get_args());
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(system.path(""));
    let mut child = shell.spawn().expect("it starts");
    let limits = format!("/proc/{}/limits", child.id());
    watch(&mut child, "it had its limits", || system.exists("backups/locks"));
    let limits = fs::read_to_string(limits).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{limits}");
    kill_process(Pid::from_child(&child), Signal::ABORT).expect("it runs");
    let status = child.wait().expect("it ends");
    assert!(status.signal() == Some(Signal::ABORT.as_raw()) && !status.core_dumped(), "{status:?}");
}

/// Programs that are started have passwords in their environment.
#[test]
fn nor_does_one_of_a_program_that_is_started() {
    let system = System::with_model("one");
    system.ok(&["create", "--command", "limit", "--", "bash", "-c", "ulimit -Hc; ulimit -Sc"]);
    assert_eq!(system.ok(&["cat", "latest:limit"]).stdout, "0\n0\n");
}
