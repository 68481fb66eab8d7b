//! Code that runs in the throwaway server of a test restore, with somebody of this host outside who works with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{System, unique};

/// How long a process is waited for that does what it was told.
const LIMIT: Duration = Duration::from_secs(25);

/// A database that runs a command in the throwaway server, as the user of that server, and nowhere else.
fn running(command: &str) -> System {
    let system = System::with_numbers(5);
    system.sql(&format!(
        "CREATE FUNCTION public.run(integer) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
            IF current_setting('data_directory') = '/server/data' THEN COPY (SELECT 1) TO PROGRAM $c${command}$c$; END IF;
            RETURN true; END $f$;
         CREATE TABLE public.t (id integer PRIMARY KEY, CHECK (public.run(id))); INSERT INTO public.t VALUES (1)"
    ));
    system.create();
    system
}

fn begin_test(system: &System, folder: &Path) -> std::process::Child {
    let mut command = system.command(&["verify", "latest", "--test-restore"]);
    command.env("TMPDIR", folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

/// Whether a process of this host has that in its arguments.
fn runs(argument: &str) -> bool {
    let lines = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let mut lines = lines.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.any(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
}

fn wait_until(is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "it never came to that");
        std::thread::yield_now();
    }
}

/// Anybody on the host found the folder of the server, which its code could open to him: he read the rows, and took a program
/// with the rights of its user along. Code that stopped the server kept the test from ending when it was told to.
#[test]
fn a_server_is_closed_to_the_host_and_ends_when_that_is_asked_for() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mark = unique("6").replace(|char: char| !char.is_ascii_digit(), "");
    let system = running(&format!(
        "chmod -R a+rX /server/data; kill -STOP $(head -n 1 /server/data/postmaster.pid); exec sleep {mark}"
    ));
    let folder = system.beside("temporary");
    fs::create_dir(&folder).expect("the folder is ours");
    let mut child = begin_test(&system, &folder);
    wait_until(|| runs(&mark));
    let mode = |entry: fs::DirEntry| entry.metadata().expect("it is there").permissions().mode() & 0o777;
    let modes: Vec<u32> = fs::read_dir(&folder).expect("it is there").flatten().map(mode).collect();
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a number")).expect("a process");
    kill_process(pid, Signal::TERM).expect("it is ours");
    let mut status = None;
    let began = Instant::now();
    while status.is_none() && began.elapsed() < LIMIT {
        std::thread::yield_now();
        status = child.try_wait().expect("it is ours");
    }
    // Harmless where it has ended.
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    assert!(!modes.is_empty() && modes.iter().all(|mode| *mode == 0o700), "{modes:?}");
    assert_eq!(status.and_then(|status| status.code()), Some(130), "it did not end");
    assert!(!runs(&mark), "what was started in the server goes on");
    assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 0, "something was left");
}

/// A folder that was too deep for whoever removed it stayed, with the rows, and nobody said so.
#[test]
fn nothing_that_code_made_stays() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let system = running(
        "cd /server/data; i=0; while [ $i -lt 3000 ]; do mkdir -p d/d/d/d/d/d/d/d/d/d; cd -P d/d/d/d/d/d/d/d/d/d; i=$((i+10)); done",
    );
    let folder = system.beside("temporary");
    fs::create_dir(&folder).expect("the folder is ours");
    let mut command = system.command(&["verify", "latest", "--test-restore"]);
    let status = command.env("TMPDIR", &folder).stdout(Stdio::null()).status().expect("the program starts");
    assert!(status.success());
    assert_eq!(fs::read_dir(&folder).expect("it is there").count(), 0, "something was left");
}

/// What is not needed to run PostgreSQL is not to be seen: sockets of servers can be used where nothing can be written.
#[test]
fn code_finds_neither_the_password_nor_other_servers() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let system = running("if ls /server/settings/password || ls -d /opt; then exit 7; fi");
    system.larder(&["verify", "latest", "--test-restore"]).exits(0);
}
