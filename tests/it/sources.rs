//! What a backup takes from a directory and what it leaves out, and what it does when something cannot be read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::support::{PARTIAL, Run, System, copy_binary, is_root, noise};

/// On most machines one on a disk, and one in memory.
const KINDS_OF_FOLDERS: [&str; 2] = ["/var/tmp", "/dev/shm"];
/// A tick of the kernel's clock.
const TICK: Duration = Duration::from_millis(10);
const CACHE_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# by a test\n";

/// The paths of the newest snapshot.
fn paths(system: &System) -> Vec<String> {
    let list = system.json(&["ls", "--recursive", "latest"]);
    let list = list.as_array().expect("a list").iter();
    list.map(|entry| entry["path"].as_str().expect("a path").to_owned()).collect()
}

fn has(paths: &[String], path: &str) -> bool {
    paths.iter().any(|candidate| candidate.trim_end_matches('/') == path)
}

#[test]
fn a_missing_folder_makes_the_snapshot_partial() {
    let system = System::with_model("one");
    system.write("larder.toml", "[directories]\nmodels = \"models\"\nmedia = \"media\"\n");
    let run = system.run(&["create", "--json"]);
    run.ended(PARTIAL).says("media");
    let report = run.json();
    assert_eq!(report["status"], "partial");
    let list = system.json(&["list"]);
    assert_eq!(list[0]["status"], "partial", "{list}");
    system.ok(&["list"]).shows("partial");
    let out = system.path("out").to_string_lossy().into_owned();
    system.run(&["restore", "latest", "--target", &out]).ended(PARTIAL).says("media");
    assert_eq!(system.read("out/models/one"), b"one");
    assert!(!system.exists("out/media"), "what was not saved is not made");
}

#[test]
fn without_any_folder_there_is_no_snapshot() {
    let system = System::new();
    system.write("larder.toml", "[directories]\nmodels = \"models\"\nmedia = \"media\"\n");
    system.run(&["create"]).ended(1).says("models").says("media").says("nothing");
    assert_eq!(system.json(&["list"]).as_array().map(Vec::len), Some(0));
    system.write("models", "a file");
    system.run(&["create"]).ended(1).says("not a directory");
}

#[test]
fn a_default_folder_that_vanished_is_noticed() {
    let system = System::with_model("one");
    system.write("config/settings", "a");
    system.create();
    fs::remove_dir_all(system.path("config")).expect("remove");
    system.run(&["create"]).ended(PARTIAL).says("config");
}

fn set_mode(system: &System, path: &str, mode: u32) {
    fs::set_permissions(system.path(path), fs::Permissions::from_mode(mode)).expect("mode");
}

/// A backup by somebody who may read neither `models/secret` nor what is in `models/closed`, but `models/one`.
fn backup_with_unreadable(system: &System) -> Run {
    system.write("models/secret", "nobody reads this");
    system.write("models/closed/inner", "nor this");
    let mut command = system.command(&["create", "--json"]);
    if is_root() {
        // Nothing is unreadable for root, so the binary runs as somebody else, from a place where they find it.
        for path in ["", "models", "models/one", "models/secret", "models/closed"] {
            std::os::unix::fs::chown(system.path(path), Some(65_534), Some(65_534)).expect("owner");
        }
        let binary = system.path("larder");
        copy_binary(&binary);
        let mut other = std::process::Command::new(binary);
        other.arg("-C").arg(system.path("")).args(["create", "--json"]).env_clear().stdin(Stdio::null());
        other.uid(65_534).gid(65_534);
        command = other;
    }
    set_mode(system, "models/secret", 0o000);
    set_mode(system, "models/closed", 0o000);
    let run = Run::of(&mut command);
    set_mode(system, "models/secret", 0o600);
    set_mode(system, "models/closed", 0o700);
    if is_root() {
        // What is looked at from now on belongs to whoever looks.
        let owned = std::process::Command::new("chown").args(["-R", "0:0"]).arg(system.path("backups")).status();
        assert!(owned.expect("chown runs").success());
    }
    run
}

#[test]
fn unreadable_files_and_folders_are_told_and_the_rest_is_saved() {
    let system = System::with_model("one");
    let run = backup_with_unreadable(&system);
    run.ended(PARTIAL).says("models/secret").says("models/closed").says("Permission denied");
    assert_eq!(run.json()["components"][0]["errors_count"], 2, "{run:?}");
    assert_eq!(system.ok(&["cat", "latest:models/one"]).stdout, "one");
    assert!(!has(&paths(&system), "models/secret"));
}

/// A partial snapshot does not say that what it lacks was not there.
#[test]
fn a_live_restore_does_not_remove_what_could_not_be_saved() {
    let system = System::with_model("one");
    backup_with_unreadable(&system).ended(PARTIAL);
    system.write("models/one", "changed");
    system.run(&["restore", "latest", "--force", "--no-snapshot"]);
    assert_eq!(system.read("models/one"), b"one");
    assert!(system.exists("models/secret"), "it could not be read, and is no extra file");
    assert!(system.exists("models/closed/inner"), "it could not be read, and is no extra file");
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_told() {
    let system = System::with_model("one");
    let len = 64 << 20;
    system.write("models/log", noise(len, 5));
    let file = fs::File::options().write(true).open(system.path("models/log")).expect("open");
    let stop = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        let (started, begun) = std::sync::mpsc::channel();
        let (stop, file) = (&stop, &file);
        scope.spawn(move || {
            let mut len = len as u64;
            while !stop.load(Ordering::Relaxed) && len > 1 {
                len -= 1;
                file.set_len(len).expect("cut");
                // The receiver hears the first one only.
                let _ = started.send(());
            }
        });
        begun.recv().expect("the file shrinks already");
        drop(begun);
        let run = system.run(&["create", "--json"]);
        stop.store(true, Ordering::Relaxed);
        run
    });
    run.ended(PARTIAL).says("models/log").says("changed while it was read");
    assert_eq!(system.ok(&["cat", "latest:models/one"]).stdout, "one");
    system.ok(&["verify", "--all", "--read-data"]);
    // When it holds still it is read again, although its size and time may be those that were seen.
    let len = system.path("models/log").metadata().expect("metadata").len();
    let report = system.json(&["create"]);
    assert_eq!(report["status"], "complete");
    assert_eq!(report["bytes"], len + 3, "{report}");
    let out = system.path("out").to_string_lossy().into_owned();
    system.ok(&["restore", "latest", "--target", &out]);
    assert!(system.read("out/models/log") == system.read("models/log"));
}

#[test]
fn caches_and_excludes_are_left_out_and_left_alone() {
    let system = System::with_model("one");
    let toml = "[directories.models]\npath = \"models\"\nexclude = [\"*.tmp\", \"/scratch\", \"sub/**/x\"]\n";
    system.write("larder.toml", toml);
    system.write("models/.gitignore", "one\n");
    let left_out = ["a.tmp", "sub/b.tmp", "scratch/c", "sub/deep/er/x", "cache/data"];
    for name in left_out {
        system.write(format!("models/{name}"), "left out");
    }
    system.write("models/cache/CACHEDIR.TAG", CACHE_TAG);
    system.write("models/no-cache/CACHEDIR.TAG", "no signature");
    let kept = ["one", ".gitignore", "sub/scratch", "no-cache/CACHEDIR.TAG", "no-cache/data"];
    for name in ["sub/scratch", "no-cache/data"] {
        system.write(format!("models/{name}"), "kept");
    }
    system.run(&["create", "--dry-run"]).ended(0).says("models/cache: it has a CACHEDIR.TAG");
    system.create();
    let paths = paths(&system);
    for name in left_out {
        assert!(!has(&paths, &format!("models/{name}")), "{name}");
    }
    for name in kept {
        assert!(has(&paths, &format!("models/{name}")), "{name} in {paths:?}");
    }
    // A new folder with something that is left out in it: the folder has to stay for that.
    system.write("models/new/extra", "extra");
    system.write("models/new/d.tmp", "left out");
    system.write("models/newer/cache/CACHEDIR.TAG", CACHE_TAG);
    system.ok(&["restore", "latest", "--force"]);
    for name in left_out.iter().chain(&["new/d.tmp", "newer/cache/CACHEDIR.TAG", "cache/CACHEDIR.TAG"]) {
        assert!(system.exists(format!("models/{name}")), "{name}");
    }
    assert!(!system.exists("models/new/extra"));
}

/// A directory in the way was swapped out with everything in it, what backups leave out included.
#[test]
fn a_directory_in_the_way_stays_whole_when_something_in_it_is_left_out() {
    let system = System::with_model("one");
    system.write("larder.toml", "[directories.models]\npath = \"models\"\nexclude = [\"*.keep\"]\n");
    fs::hard_link(system.path("models/one"), system.path("models/other")).expect("link");
    std::os::unix::fs::symlink("one", system.path("models/pointer")).expect("link");
    system.create();
    for name in ["one", "other", "pointer"] {
        fs::remove_file(system.path(format!("models/{name}"))).expect("remove");
        system.write(format!("models/{name}/p.keep"), "left out");
        system.write(format!("models/{name}/extra"), "extra");
        system.run(&["restore", "latest", "--force"]).ended(PARTIAL).says("in the way");
        assert_eq!(system.read(format!("models/{name}/p.keep")), b"left out", "{name}");
        assert!(system.exists(format!("models/{name}/extra")), "nothing is removed before it is refused: {name}");
        fs::remove_file(system.path(format!("models/{name}/p.keep"))).expect("remove");
        system.ok(&["restore", "latest", "--force"]);
        assert_eq!(system.read(format!("models/{name}")), b"one", "{name}");
    }
}

#[test]
fn the_repository_is_left_out_and_left_alone() {
    for place in ["models/backups", "models/deep/er/backups"] {
        let system = System::with_model("one");
        system.write("larder.toml", format!("backup_dir = \"{place}\"\n[directories]\nmodels = \"models\"\n"));
        let run = system.ok(&["create"]);
        run.says("it is the repository");
        assert!(!has(&paths(&system), place));
        let name = system.json(&["list"])[0]["name"].as_str().expect("a name").to_owned();
        fs::remove_file(system.path("models/one")).expect("remove");
        system.write("models/extra", "extra");
        system.ok(&["restore", &name, "--force"]);
        assert_eq!(system.read("models/one"), b"one");
        assert!(!system.exists("models/extra"));
        system.ok(&["verify", "--all", "--read-data"]);
        assert_eq!(system.json(&["list"]).as_array().map(Vec::len), Some(2), "with the safety snapshot");
        system.ok(&["create"]);
    }
}

#[test]
fn extra_files_go_or_stay() {
    let system = System::with_model("one");
    system.create();
    system.write("models/extra/deep", "extra");
    system.write("models/one", "changed");
    system.ok(&["restore", "latest", "--force", "--keep-extra"]);
    assert_eq!((system.read("models/one"), system.read("models/extra/deep")), (b"one".to_vec(), b"extra".to_vec()));
    let dry = system.json(&["restore", "latest", "--dry-run"]);
    assert_eq!(dry["components"][0]["removed"], 1, "{dry}");
    let done = system.json(&["restore", "latest", "--force"]);
    assert!(!system.exists("models/extra"));
    // What was removed is in the safety snapshot.
    let safety = done["safety_snapshot"].as_str().expect("a safety snapshot");
    assert_eq!(system.ok(&["cat", &format!("{safety}:models/extra/deep")]).stdout, "extra");
    assert_eq!(system.json(&["show", "latest"])["type"], "full", "a safety snapshot is never the latest");
    let again = system.json(&["restore", "latest", "--force"]);
    assert_eq!((&again["components"][0]["written"], &again["components"][0]["removed"]), (&0.into(), &0.into()));
}

/// What a program wrote into its mapping after a backup had read it, before the kernel had written it back, changed no time of
/// the file: no later backup had it.
#[test]
fn what_is_written_into_a_mapping_is_saved() {
    for kind in KINDS_OF_FOLDERS {
        let folder = tempfile::tempdir_in(kind).expect("temporary folder");
        let (system, path) = (System::new(), folder.path().join("mapped"));
        system.write("larder.toml", format!("[directories]\nmodels = '{}'\n", folder.path().display()));
        fs::write(&path, [b'.'; 8192]).expect("write");
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).expect("open");
        #[expect(unsafe_code, reason = "a mapping is unsafe; nobody else changes the file")]
        let mut mapping = unsafe { memmap2::MmapMut::map_mut(&file) }.expect("map");
        mapping[..3].copy_from_slice(b"old");
        // It lies outside of what is within the tick of a clock.
        while fs::metadata(&path).expect("there").modified().expect("a time").elapsed().expect("past") < 50 * TICK {
            std::thread::yield_now();
        }
        system.create();
        mapping[..3].copy_from_slice(b"new");
        system.create();
        assert!(system.ok(&["cat", "latest:models/mapped"]).stdout.starts_with("new"), "in {kind}");
    }
}
