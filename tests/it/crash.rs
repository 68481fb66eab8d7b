//! Backups that are killed or interrupted: what stood before still stands, and the next run goes on from there.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::support::{Run, System, is_temporary, noise, watch};

const FILES: u64 = 8;
const FILE_BYTES: usize = 20 << 20;
/// More than a pack, and much less than everything.
const PACK_BYTES: u64 = 32 << 20;

/// A snapshot of something small, and much more to back up then.
fn much_to_do() -> (System, String) {
    let system = System::with_model("small");
    let first = system.create();
    for number in 0..FILES {
        system.write(format!("outputs/{number}"), noise(FILE_BYTES, number + 10));
    }
    (system, first)
}

fn start(system: &System) -> Child {
    system.command(&["create"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start")
}

fn number(report: &Value, field: &str) -> u64 {
    report[field].as_u64().unwrap_or_else(|| panic!("no {field}: {report}"))
}

fn assert_as_before(system: &System, first: &str) {
    system.ok(&["verify", "--all", "--read-data"]);
    let target = system.path("out").to_string_lossy().into_owned();
    system.ok(&["restore", first, "--target", &target]);
    assert_eq!(system.read("out/models/one"), b"small");
    assert_eq!(system.json(&["list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn killed_again_and_again_it_goes_on_where_it_stopped() {
    let (system, first) = much_to_do();
    // Killed at the first byte, and then each time when one pack more stands.
    let mut packs = system.packs().len();
    for round in 0..3 {
        let mut child = start(&system);
        if round == 0 {
            watch(&mut child, "its first byte", || system.objects("packs/").iter().any(|path| is_temporary(path)));
        } else {
            watch(&mut child, "a pack stood", || system.packs().len() > packs);
        }
        child.kill().expect("kill");
        assert_eq!(child.wait().expect("wait").signal(), Some(9));
        packs = system.packs().len();
        assert_as_before(&system, &first);
    }
    let report = system.json(&["create"]);
    assert_eq!(report["status"], "complete");
    let all = FILES * FILE_BYTES as u64;
    assert!(number(&report, "adopted_bytes") >= PACK_BYTES, "{report}");
    assert!(number(&report, "bytes_added") < all - PACK_BYTES, "what stood is not stored again: {report}");
    let left: Vec<_> = system.objects("").into_iter().filter(|path| is_temporary(path)).collect();
    assert!(left.is_empty(), "{left:?}");
    system.ok(&["verify", "--all", "--read-data"]);
    let target = system.path("out").to_string_lossy().into_owned();
    system.ok(&["restore", "latest", "--target", &target]);
    for number in 0..FILES {
        assert!(system.read(format!("out/outputs/{number}")) == noise(FILE_BYTES, number + 10), "file {number}");
    }
}

#[test]
fn interrupted_it_ends_well_and_keeps_what_was_stored() {
    for signal in [Signal::TERM, Signal::INT] {
        let (system, first) = much_to_do();
        let before = system.packs().len();
        let mut child = start(&system);
        watch(&mut child, "a pack stood", || system.packs().len() > before);
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("signal");
        let run = Run::from_output(&child.wait_with_output().expect("wait"));
        run.ended(130).says("interrupted");
        let left: Vec<_> = system.objects("").into_iter().filter(|path| is_temporary(path)).collect();
        assert!(left.is_empty(), "an interrupted run tidies up: {left:?}");
        assert_as_before(&system, &first);
        let report = system.json(&["create"]);
        assert!(number(&report, "bytes_added") < FILES * FILE_BYTES as u64 - PACK_BYTES / 2, "{report}");
        system.ok(&["verify", "--all"]);
    }
}
