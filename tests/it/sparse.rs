//! Files in a repository that take no room and say that they do.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::support::{DAMAGE, System, files_below, noise, within_limit};

/// Much more than any object may have, in bytes.
const HOLE_BYTES: u64 = 60 << 30;

fn make_hole(system: &System, path: &str) {
    fs::create_dir_all(system.path(path).parent().expect("a folder")).expect("create");
    File::create(system.path(path)).and_then(|file| file.set_len(HOLE_BYTES)).expect("a hole");
}

/// Parity that belonged to nothing counted, and all snapshots but the newest went to make room for it.
#[test]
fn no_snapshot_goes_for_a_hole_that_belongs_to_nothing() {
    let system = System::new();
    for number in 0..3 {
        system.write("models/one", noise(10_000, number));
        system.create();
    }
    make_hole(&system, &format!("backups/parity/packs-{}", "0".repeat(64)));
    let report = system.run(&["prune", "--force", "--keep-last", "3", "--max-size-gb", "50", "--json"]);
    assert_eq!(system.json(&["list"]).as_array().map(Vec::len), Some(3), "{report:?}");
}

/// Putting it aside copied the hole, and filled the disk.
#[test]
fn a_pack_that_is_longer_than_any_is_copied_nowhere() {
    let system = System::with_model(noise(10_000, 1));
    system.create();
    make_hole(&system, &format!("backups/packs/aa/{}", "a".repeat(64)));
    system.write("models/two", noise(10_000, 2));
    within_limit(&system, &["create"]).ended(0).says("too long");
    let repaired = within_limit(&system, &["repair"]);
    assert!(matches!(repaired.code, 0 | DAMAGE), "{repaired:?}");
    let copied = files_below(&system.path("backups/quarantine"));
    assert!(copied.iter().all(|path| path.metadata().is_ok_and(|file| file.len() < 1 << 30)), "{copied:?}");
    let out = system.path("out").to_string_lossy().into_owned();
    system.ok(&["restore", "latest", "--target", &out]);
}

/// A file of holes, which takes no room, was written out with all of its zeros: whoever had one filled the disk.
#[test]
fn holes_take_no_room_in_an_archive() {
    let system = System::new();
    system.write("models/file", "x");
    let holes = File::create(system.path("models/holes")).expect("ours");
    holes.set_len(1 << 30).and_then(|()| holes.write_all_at(b"data", 1 << 29)).expect("ours");
    system.ok(&["create"]);
    let archive = system.path("archive.tar");
    system.ok(&["export", "latest", "--tar", &archive.to_string_lossy()]);
    let len_bytes = fs::metadata(&archive).expect("there").len();
    assert!(len_bytes < 1 << 20, "{len_bytes}");
    let status = std::process::Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(system.path("")).status();
    assert!(status.expect("tar runs").success());
    let name = system.json(&["list"])[0]["name"].as_str().expect("a name").to_owned();
    let back = fs::metadata(system.path(format!("{name}/models/holes"))).expect("it is back");
    assert!(back.len() == 1 << 30 && back.blocks() < 1 << 12, "{back:?}");
}
