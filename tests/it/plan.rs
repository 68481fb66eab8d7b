//! What `plan` says before: it ends as `create` does then.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::strangers::as_stranger;
use super::support::{PARTIAL, Run, System, is_root};

/// Runs `plan` and then `create`, which have to end alike, and gives what the first one says.
fn both(run: impl Fn(&[&str]) -> Run, status: i32) -> String {
    let planned = run(&["plan"]);
    planned.ended(status);
    run(&["create"]).ended(status);
    planned.stderr
}

/// It was planned as if nothing were wrong, and `create` failed.
#[test]
fn a_repository_that_cannot_be_made_or_opened_is_named() {
    let system = System::with_model("one");
    system.write("file", "no folder");
    symlink("/dev/null", system.path("null")).expect("nothing is there");
    for (place, why) in [("file", "Not a directory"), ("file/x", "Not a directory"), ("null", "Not a directory")] {
        let place = system.path(place).to_string_lossy().into_owned();
        for command in ["plan", "create"] {
            system.run(&[command, "--backup-dir", &place]).ended(1).says(why);
        }
    }
    system.run(&["plan"]).ended(0);
    assert!(!system.exists("backups"), "nothing is made");
}

/// A disk that is read-only, and files of root in the repository of a user, were noticed when it was too late.
#[test]
fn a_repository_that_cannot_be_written_is_named() {
    if !is_root() {
        return;
    }
    let system = System::with_model("one");
    let read_only = &|words: &[&str]| {
        let (mut command, program) = (Command::new("unshare"), system.command(words));
        let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(system.path(""));
        Run::of(command.arg(program.get_program()).args(program.get_args()))
    };
    assert!(both(read_only, 1).contains("Read-only file system"));
    system.create();
    assert!(both(read_only, 1).contains("Read-only file system"));
    let as_user = &|words: &[&str]| as_stranger(&system, words);
    assert!(both(as_user, 1).contains("Permission denied"));
    let owned = Command::new("chown").args(["-R", "61999:61999"]).arg(system.path("")).status();
    assert!(owned.is_ok_and(|status| status.success()));
    both(as_user, 0);
    for path in system.objects("index") {
        std::os::unix::fs::chown(path, Some(0), Some(0)).expect("root");
    }
    assert!(both(as_user, 1).contains("Permission denied"));
}

/// What an earlier snapshot has and is gone was not in the plan at all, and a file was not there.
#[test]
fn a_directory_that_create_fails_on_is_named() {
    let system = System::with_model("one");
    system.write("outputs/x", "x");
    system.create();
    fs::remove_dir_all(system.path("outputs")).expect("remove");
    assert!(both(|words| system.run(words), PARTIAL).contains("outputs is not there"));
    symlink("/nowhere", system.path("outputs")).expect("nothing is there");
    assert!(both(|words| system.run(words), PARTIAL).contains("outputs is not there"));
    fs::remove_file(system.path("outputs")).expect("remove");
    system.write("outputs", "a file");
    assert!(both(|words| system.run(words), PARTIAL).contains("outputs is not a directory"));
}

#[test]
fn nothing_to_back_up_is_what_create_says_it_is() {
    let system = System::new();
    assert!(both(|words| system.run(words), 2).contains("nothing to back up"));
}
