//! Live restores that have not come to their end, and others that come beside or after them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use super::support::{PARTIAL, Run, System, files_below, noise, watch};

/// The status of a command that others keep from working.
const LOCKED: i32 = 5;
/// The status of a command that was used in a way that cannot work.
const USAGE: i32 = 2;

/// What a killed restore left keeps another one from writing all of a folder.
fn leave_something(system: &System, folder: &str) {
    system.write(format!("{folder}/.larder-restore-1-1/new/precious"), "left by one that was killed");
    let left = system.path(format!("{folder}/.larder-restore-1-1"));
    fs::set_permissions(left, fs::Permissions::from_mode(0o700)).expect("ours");
}

fn take_it_away(system: &System, folder: &str) {
    fs::remove_dir_all(system.path(format!("{folder}/.larder-restore-1-1"))).expect("ours");
}

/// The notes of what is half-restored.
fn notes(system: &System) -> Vec<PathBuf> {
    let all = files_below(&system.path("state")).into_iter();
    all.filter(|path| path.to_string_lossy().contains("/restoring/")).collect()
}

fn run(system: &System, arguments: &[&str]) -> Run {
    Run::of(system.command(arguments).env("STATE_DIRECTORY", system.path("state")))
}

fn create(system: &System) -> String {
    run(system, &["create", "--json"]).ended(0).json()["name"].as_str().expect("a name").to_owned()
}

/// A restore that ended well took away what another one was just writing, and its note: half of it was complete.
#[test]
fn no_two_restores_write_into_one_another() {
    let system = System::new();
    system.write("larder.toml", "[directories]\nmodels = \"data/models\"\nconfig = \"config\"\n");
    for number in 0..200 {
        system.write(format!("data/models/{number:03}"), noise(200_000, number));
    }
    system.write("config/one", "x");
    let name = create(&system);
    for number in 0..200 {
        system.write(format!("data/models/{number:03}"), noise(200_000, number + 1_000));
    }
    let arguments = ["restore", name.as_str(), "--force", "--no-snapshot", "--components", "models"];
    let mut restore = system.command(&arguments);
    let mut child =
        restore.env("STATE_DIRECTORY", system.path("state")).stderr(Stdio::null()).spawn().expect("it starts");
    let first = noise(200_000, 0);
    watch(&mut child, "something is restored", || system.read("data/models/000") == first);
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process id");
    kill_process(pid, Signal::STOP).expect("signal");
    run(&system, &arguments).ended(LOCKED).says("another restore writes");
    run(&system, &["create"]).ended(PARTIAL).says("writes it now");
    // Others are free, and what has the one in it is not.
    run(&system, &["restore", &name, "--force", "--no-snapshot", "--components", "config"]).ended(0);
    system.write("larder.toml", "[directories]\nmodels = \"data\"\n");
    run(&system, &arguments).ended(LOCKED).says("another restore writes");
    kill_process(pid, Signal::CONT).expect("signal");
    assert!(child.wait().expect("it ends").success());
    assert!(notes(&system).is_empty());
    system.write("larder.toml", "[directories]\nmodels = \"data/models\"\nconfig = \"config\"\n");
    run(&system, &arguments).ended(0);
}

/// A component that was called otherwise, or moved, or became a part of another one was complete with what a restore had left in it.
#[test]
fn what_is_half_restored_is_known_under_another_name() {
    let system = System::new();
    system.write("larder.toml", "[directories]\nconfig = \"data/config\"\n");
    (0..30).for_each(|number| system.write(format!("data/config/{number}"), "old"));
    let name = create(&system);
    system.write("data/config/1", "new");
    leave_something(&system, "data/config");
    run(&system, &["restore", &name, "--force", "--no-snapshot"]).ended(PARTIAL);
    take_it_away(&system, "data/config");
    for (setting, folder) in [("data = \"data\"", "config"), ("config = \"data/config.d\"", "config.d")] {
        if folder != "config" {
            fs::rename(system.path("data/config"), system.path("data").join(folder)).expect("ours");
        }
        system.write("larder.toml", format!("[directories]\n{setting}\n"));
        let given = ["create", "--drop", "config", "--accept", "config"];
        let given = if folder == "config" { &given[..3] } else { &[given[0], given[3], given[4]][..] };
        run(&system, given).ended(PARTIAL).says("has not ended well");
        run(&system, &["plan"]).ended(PARTIAL).says("has not ended well");
    }
    // Written again where it is now, it is whole.
    run(&system, &["restore", &name, "--force", "--no-snapshot", "--components", "config"]).ended(0);
    assert!(notes(&system).is_empty());
}

/// A restore went on where it could not be noted, and nobody knew that it was killed.
#[test]
fn a_restore_that_cannot_be_noted_does_not_begin() {
    let system = System::with_model("mine");
    let name = create(&system);
    system.write("models/one", "new");
    let mut restore = system.command(&["restore", &name, "--force", "--no-snapshot"]);
    let run = Run::of(restore.env("STATE_DIRECTORY", system.path("models/one")));
    run.ended(USAGE).says("cannot be noted").says("STATE_DIRECTORY").says("nothing was restored");
    assert_eq!(system.read("models/one"), b"new");
}

/// A note that was cut short was a warning, and what it was about was complete.
#[test]
fn a_note_that_cannot_be_read_is_about_everything() {
    let system = System::with_model("mine");
    let name = create(&system);
    system.write("models/one", "new");
    leave_something(&system, "models");
    run(&system, &["restore", &name, "--force", "--no-snapshot"]).ended(PARTIAL);
    let [note] = notes(&system).try_into().expect("one");
    fs::write(&note, "").expect("ours");
    run(&system, &["plan"]).ended(PARTIAL).says("cannot be read").says("remove it");
    run(&system, &["create"]).ended(PARTIAL).says("cannot be read");
    fs::remove_file(&note).expect("ours");
    take_it_away(&system, "models");
    run(&system, &["create"]).ended(0);
}

/// `prune` deleted the snapshot from which a message said to restore again.
#[test]
fn a_snapshot_that_is_needed_again_stays() {
    let system = System::with_model("mine");
    let name = create(&system);
    let later: Vec<String> = (0..2)
        .map(|number| {
            system.write("models/one", format!("{number}"));
            create(&system)
        })
        .collect();
    leave_something(&system, "models");
    run(&system, &["restore", &name, "--force", "--no-snapshot"]).ended(PARTIAL);
    let prune = ["prune", "--keep-last", "1", "--daily", "0", "--weekly", "0", "--monthly", "0", "--force"];
    run(&system, &prune).ended(0).shows("has not ended well").shows("no rule keeps it");
    let left = |name: &str| run(&system, &["list"]).ended(0).stdout.contains(name);
    assert!(left(&name) && !left(&later[0]) && left(&later[1]));
    run(&system, &["forget", &name]).ended(USAGE).says("needs it again");
    take_it_away(&system, "models");
    run(&system, &["restore", &name, "--force", "--no-snapshot"]).ended(0);
    run(&system, &prune).ended(0);
    assert!(!left(&name));
}
