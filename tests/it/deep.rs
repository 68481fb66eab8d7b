//! Directories as deep as whoever owns them likes.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::fs::{Mode, OFlags, mkdirat, openat};

use super::support::{PARTIAL, System, within_limit};

/// A directory that lay deeper than any reader goes was saved, and no command could walk through the snapshot.
#[test]
fn what_lies_too_deep_is_an_error_and_the_rest_can_be_read() {
    with_room(too_deep);
}

fn too_deep() {
    let system = System::with_model("one");
    let first = system.create();
    deepen(&system.path("models"), 33_000);
    let run = system.run(&["create", "--json"]);
    run.ended(PARTIAL).says("more than 32000 directories");
    let second = run.json()["name"].as_str().expect("a name").to_owned();
    within_limit(&system, &["verify", "--all", "--read-data"]).ended(0);
    within_limit(&system, &["diff", &first, &second, "--json"]).ended(0);
    within_limit(&system, &["prune", "--force"]).ended(0);
    let removed = Command::new("rm").arg("-rf").arg(system.path("models")).status();
    assert!(removed.is_ok_and(|status| status.success()));
}

/// A directory with that many below it, each in the one before, and a file in the last.
fn deepen(from: &Path, levels: usize) {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut deepest = rustix::fs::open(from, flags, Mode::empty()).expect("a folder");
    for _ in 0..levels {
        mkdirat(&deepest, "d", Mode::RWXU).expect("create");
        deepest = openat(&deepest, "d", flags, Mode::empty()).expect("a folder");
    }
    openat(&deepest, "file", OFlags::CREATE, Mode::RWXU).expect("a file");
}

/// Six thousand levels took half a minute, and twenty thousand ended a restore in its middle with an overflow of the stack.
#[test]
fn directories_as_deep_as_somebody_likes_are_saved_restored_and_removed() {
    with_room(deep);
}

fn deep() {
    const LEVELS: usize = 20_000;
    let system = System::new();
    fs::create_dir(system.path("models")).expect("create");
    deepen(&system.path("models"), LEVELS);
    let first = system.create();
    assert_eq!(system.json(&["show", &first])["components"][0]["files"], 1);
    within_limit(&system, &["verify", "latest"]).ended(0);
    fs::rename(system.path("models"), system.path("saved")).expect("rename");
    system.write("models/one", "x");
    let second = system.create();
    within_limit(&system, &["restore", &first, "--force", "--no-snapshot"]).ended(0);
    assert!(!system.exists("models/one") && system.exists("models/d/d/d"));
    within_limit(&system, &["restore", &second, "--force", "--no-snapshot"]).ended(0);
    assert!(system.exists("models/one") && !system.exists("models/d"));
    let removed = Command::new("rm").arg("-rf").arg(system.path("saved")).status();
    assert!(removed.is_ok_and(|status| status.success()));
}

/// Runs a test with more stack than others: when it fails, the folder with all these levels is removed by recursion.
fn with_room(test: fn()) {
    const STACK_BYTES: usize = 1 << 30;
    let running = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(test).expect("a thread");
    if let Err(panic) = running.join() {
        std::panic::resume_unwind(panic);
    }
}
