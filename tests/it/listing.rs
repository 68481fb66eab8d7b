//! What a folder of the repository has while others write to it.

use std::fs;
use std::process::{Command, Stdio};

use super::support::{System, noise, watch};

/// A segment that was merged away between the reading of its name and the look at it left a listing without either, and a
/// check told of chunks that were lost.
#[test]
fn segments_that_are_merged_while_they_are_listed_are_found() {
    let system = System::with_model(noise(40_000, 1));
    for night in 0..4 {
        system.write("models/new.bin", noise(30_000, 2 + night));
        system.create();
    }
    let trace = system.path("trace");
    let verify = system.command(&["verify", "--all"]);
    let mut strace = Command::new("strace");
    strace.arg("-f").arg("-o").arg(&trace).arg("-P").arg(system.path("backups/index"));
    for segment in system.objects("index") {
        strace.arg("-P").arg(segment);
    }
    strace.args(["-e", "trace=%file,getdents64", "-e", "inject=statx:delay_enter=2s:when=1"]);
    strace.arg(verify.get_program()).args(verify.get_args());
    for (name, value) in verify.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checking = strace.spawn().expect("needs strace, as tests/run installs it");
    watch(&mut checking, "list the segments", || {
        fs::read_to_string(&trace).is_ok_and(|text| text.contains("getdents64("))
    });
    let before = system.objects("index");
    system.write("models/new.bin", noise(30_000, 9));
    system.create();
    assert!(system.objects("index").len() < before.len(), "segments were merged");
    let checked = checking.wait_with_output().expect("it is ours");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(0), "{said}");
}
