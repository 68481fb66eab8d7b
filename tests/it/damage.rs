//! Damage of every kind of object: it is found and named, nothing wrong is given out, and the rest still comes back.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat};

use super::harm::{FLIPS, Harm, LOSSES};
use super::support::{DAMAGE, PARTIAL, System, files_below, noise};

const DATA_BYTES: usize = 300_000;

/// An object that is harmed until it is dropped.
struct Harmed {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Harmed {
    fn new(path: &Path, harm: Harm) -> Self {
        let bytes = fs::read(path).expect("read the object");
        fs::remove_file(path).expect("remove the object");
        if let Some(changed) = harm.applied(&bytes, || another(path)) {
            fs::write(path, changed).expect("write the object");
        }
        Self { path: path.to_owned(), bytes }
    }
}

/// Another object of the repository, of the same kind if there is one.
fn another(path: &Path) -> Vec<u8> {
    let root = path.ancestors().find(|folder| folder.ends_with("backups")).expect("an object of a repository");
    let kind = path.strip_prefix(root).expect("below it").components().next().expect("a folder");
    let of_kind = files_below(&root.join(kind));
    let other = of_kind.into_iter().chain(files_below(&root.join("packs"))).find(|other| other != path);
    fs::read(other.expect("there is more than one object")).expect("read the object")
}

impl Drop for Harmed {
    fn drop(&mut self) {
        fs::write(&self.path, &self.bytes).expect("write the object back");
    }
}

/// Two nights, each with a data pack of its own: `models/old` is of the first one, everything else of the second one.
struct Nights {
    system: System,
    first: String,
    second: String,
    old_pack: PathBuf,
    tree_packs: Vec<PathBuf>,
}

fn nights() -> Nights {
    let system = System::new();
    system.write("models/old", noise(DATA_BYTES, 1));
    let first = system.create();
    let old_pack = system.packs().into_iter().find(|pack| is_data(pack)).expect("a data pack");
    system.write("models/new", noise(DATA_BYTES, 2));
    system.write("config/settings", "a = 1\n");
    let second = system.create();
    let tree_packs: Vec<PathBuf> = system.packs().into_iter().filter(|pack| !is_data(pack)).collect();
    assert!(!tree_packs.is_empty());
    Nights { system, first, second, old_pack, tree_packs }
}

fn is_data(pack: &Path) -> bool {
    pack.metadata().expect("metadata").len() > DATA_BYTES as u64 / 2
}

/// The name of an object as messages have it.
fn object_name(system: &System, path: &Path) -> String {
    let relative = path.strip_prefix(system.path("backups")).expect("an object");
    relative.to_string_lossy().into_owned()
}

#[test]
fn every_harm_to_a_pack_is_found_and_named() {
    let Nights { system, old_pack, tree_packs, .. } = nights();
    for pack in tree_packs.iter().chain([&old_pack]) {
        for harm in FLIPS.iter().chain(&LOSSES) {
            let harmed = Harmed::new(pack, *harm);
            let run = system.run(&["verify", "--all", "--read-data"]);
            assert_eq!(run.code, DAMAGE, "{harm:?} of {}: {run:?}", pack.display());
            run.ended(DAMAGE).shows(&object_name(&system, pack));
            drop(harmed);
        }
    }
    system.ok(&["verify", "--all", "--read-data"]);
}

#[test]
fn a_restore_never_gives_out_wrong_bytes() {
    let Nights { system, old_pack, .. } = nights();
    let (old, new) = (noise(DATA_BYTES, 1), noise(DATA_BYTES, 2));
    let out = system.path("out").to_string_lossy().into_owned();
    for harm in FLIPS.iter().chain(&LOSSES) {
        let _ = fs::remove_dir_all(&out);
        system.write("out/models/old", "mine");
        // Root restores into no folder that others get into.
        fs::set_permissions(&out, fs::Permissions::from_mode(0o700)).expect("mode");
        system.write("out/models/other", "mine too");
        let harmed = Harmed::new(&old_pack, *harm);
        let run = system.run(&["restore", "latest", "--target", &out]);
        drop(harmed);
        let restored = system.read("out/models/old") == old;
        // What is not needed for reading may be damaged; everything in the middle is needed.
        let spared = matches!(harm, Harm::Flip(0 | 10 | 1000));
        assert!(spared || run.code == DAMAGE, "{harm:?}: {run:?}");
        if run.code == DAMAGE {
            run.says("models/old");
            assert!(
                restored || system.read("out/models/old") == b"mine",
                "{harm:?} left neither the one nor the other"
            );
        } else {
            run.ended(0);
            assert!(restored, "{harm:?}");
        }
        assert!(system.read("out/models/new") == new, "{harm:?}: what is not touched comes back");
        assert_eq!(system.read("out/config/settings"), b"a = 1\n", "{harm:?}");
        assert_eq!(system.read("out/models/other"), b"mine too", "{harm:?}");
        assert_eq!(
            fs::read_dir(system.path("out/models")).expect("list").count(),
            3,
            "{harm:?}: nothing is left behind"
        );
    }
}

#[test]
fn a_live_restore_leaves_alone_what_it_cannot_give_back() {
    let Nights { system, old_pack, tree_packs, .. } = nights();
    system.write("models/old", "as it is now");
    let _harmed = Harmed::new(&old_pack, Harm::Remove);
    let run = system.run(&["restore", "latest", "--force", "--no-snapshot"]);
    run.ended(DAMAGE).says("models/old");
    assert_eq!(system.read("models/old"), b"as it is now");
    for pack in &tree_packs {
        for harm in [Harm::Flip(300), Harm::Cut(500), Harm::Remove] {
            let _harmed = Harmed::new(pack, harm);
            system.run(&["restore", "latest", "--force", "--no-snapshot"]);
            assert!(system.exists("models/old") && system.exists("models/new"), "a lost tree is no reason to delete");
            assert!(system.exists("config/settings"), "a lost tree is no reason to delete");
        }
    }
}

#[test]
fn a_lost_tree_is_named_and_other_components_come_back() {
    let Nights { system, second, tree_packs, .. } = nights();
    let out = system.path("out").to_string_lossy().into_owned();
    let mut named = 0;
    for pack in &tree_packs {
        for harm in [Harm::Cut(500), Harm::Remove] {
            let _ = fs::remove_dir_all(&out);
            let _harmed = Harmed::new(pack, harm);
            let run = system.run(&["restore", &second, "--target", &out]);
            if run.code != 0 {
                run.ended(DAMAGE);
                named += usize::from(run.stderr.contains("models") || run.stderr.contains("config"));
            }
        }
    }
    assert!(named > 0, "the last night needs at least one of the tree packs");
}

#[test]
fn a_lost_pack_is_stored_again_by_the_next_backup() {
    let Nights { system, first, old_pack, .. } = nights();
    fs::remove_file(&old_pack).expect("remove");
    let report = system.json(&["create"]);
    assert_eq!(report["status"], "complete", "{report}");
    let new = report["components"].as_array().expect("components").iter();
    let new: u64 = new.map(|component| component["bytes_new"].as_u64().expect("bytes")).sum();
    assert_eq!(new, DATA_BYTES as u64, "exactly what was lost is stored again: {report}");
    let out = system.path("out").to_string_lossy().into_owned();
    for name in ["latest", &first] {
        let _ = fs::remove_dir_all(&out);
        system.ok(&["restore", name, "--target", &out]);
        assert!(system.read("out/models/old") == noise(DATA_BYTES, 1), "{name}");
    }
}

/// The trees of a snapshot were listed again as those of an interrupted run, and every file of it was taken over as if its data
/// were there, by that run and by those after it.
#[test]
fn data_that_is_lost_with_its_listing_is_stored_again() {
    let system = System::new();
    system.write("models/old", noise(DATA_BYTES, 1));
    system.write("config/old", noise(DATA_BYTES, 2));
    system.create();
    for path in system.objects("index/").iter().chain(system.packs().iter().filter(|pack| is_data(pack))) {
        fs::remove_file(path).expect("remove");
    }
    let out = system.path("out").to_string_lossy().into_owned();
    // A run of one component leaves the other one to the next run.
    for (argument, is_first) in [("models", true), ("config", false)] {
        let run = system.ok(&["create", "--components", argument, "--json"]);
        assert_eq!(run.stderr.contains("does not list everything"), is_first, "{run:?}");
        let _ = fs::remove_dir_all(&out);
        system.ok(&["restore", "latest@selection", "--target", &out]);
        let seed = if is_first { 1 } else { 2 };
        assert!(system.read(format!("out/{argument}/old")) == noise(DATA_BYTES, seed), "{run:?}");
    }
}

/// A snapshot that had been deleted and lacked something could be put back and relied on after a repair.
#[test]
fn a_deleted_snapshot_that_lacks_something_is_not_relied_on_after_a_repair() {
    let system = System::with_model(noise(DATA_BYTES, 1));
    let name = system.create();
    system.ok(&["forget", &name, "--force"]);
    for pack in system.packs().iter().filter(|pack| is_data(pack)) {
        fs::remove_file(pack).expect("remove");
    }
    system.run(&["repair"]);
    system.ok(&["undelete", &name]);
    system.ok(&["create"]);
    system.ok(&["restore", "latest", "--target", &system.path("out").to_string_lossy()]);
    assert!(system.read("out/models/one") == noise(DATA_BYTES, 1));
}

/// What an interrupted run leaves tells of no loss.
#[test]
fn what_an_interrupted_run_left_is_taken_over_without_a_word_of_losses() {
    let system = System::with_model(noise(DATA_BYTES, 1));
    system.create();
    system.write("models/two", noise(DATA_BYTES, 2));
    let (segments, manifests) = (system.objects("index/"), system.objects("snapshots/"));
    system.create();
    let of_first = |path: &PathBuf| segments.contains(path) || manifests.contains(path);
    for path in [system.objects("index/"), system.objects("snapshots/")].concat().iter().filter(|path| !of_first(path))
    {
        fs::remove_file(path).expect("remove");
    }
    // The snapshot that is gone would be missed.
    let run = system.ok(&["create", "--json", "--new-repository"]);
    assert!(run.json()["adopted_bytes"].as_u64().expect("bytes") > 0, "{run:?}");
    assert!(!run.stderr.contains("does not list everything"), "{run:?}");
    assert!(system.objects("quarantine/").is_empty());
}

#[test]
fn every_harm_to_a_segment_is_found_and_mended_by_the_next_backup() {
    let system = System::new();
    system.write("models/old", noise(DATA_BYTES, 1));
    let name = system.create();
    let segments = system.objects("index/");
    assert_eq!(segments.len(), 1);
    let segment = &segments[0];
    for harm in FLIPS.iter().chain(&LOSSES) {
        let harmed = Harmed::new(segment, *harm);
        let run = system.run(&["verify", "--all", "--read-data"]);
        assert_eq!(run.code, DAMAGE, "{harm:?}: {run:?}");
        // A segment that is gone can only be told by what it listed.
        let lost = if matches!(harm, Harm::Remove) { "models".to_owned() } else { object_name(&system, segment) };
        run.shows(&lost);
        drop(harmed);
    }
    system.ok(&["verify", "--all", "--read-data"]);
    fs::remove_file(segment).expect("remove");
    let report = system.json(&["create"]);
    assert!(report["adopted_bytes"].as_u64().expect("bytes") > DATA_BYTES as u64, "{report}");
    system.ok(&["verify", "--all", "--read-data"]);
    system.ok(&["restore", &name, "--target", &system.path("out").to_string_lossy()]);
    assert!(system.read("out/models/old") == noise(DATA_BYTES, 1));
}

#[test]
fn every_harm_to_a_manifest_is_found_and_named() {
    let Nights { system, first, second, .. } = nights();
    let manifest = system.path("backups/snapshots").join(&second);
    for harm in FLIPS.iter().chain(&LOSSES) {
        let harmed = Harmed::new(&manifest, *harm);
        if matches!(harm, Harm::Remove) {
            system.run(&["restore", &second, "--target", &system.path("out").to_string_lossy()]).ended(6).says(&second);
        } else {
            system.run(&["verify", "--all", "--read-data"]).ended(DAMAGE).shows(&format!("snapshots/{second}"));
            system
                .run(&["restore", &second, "--target", &system.path("out").to_string_lossy()])
                .ended(DAMAGE)
                .says(&second);
            system.run(&["restore", "latest", "--target", &system.path("out").to_string_lossy()]).ended(DAMAGE);
            assert!(!system.exists("out"), "{harm:?}: nothing is touched");
            system.run(&["list"]).ended(DAMAGE).shows(&first).says(&second);
        }
        system.ok(&["restore", &first, "--dry-run", "--target", &system.path("out").to_string_lossy()]);
        drop(harmed);
    }
    // Backups go on beside a damaged manifest.
    let _harmed = Harmed::new(&manifest, Harm::Flip(500));
    system.write("models/third", "3");
    assert_eq!(system.run(&["create", "--json"]).ended(PARTIAL).json()["status"], "complete");
}

/// A backup went on beside snapshots that nobody could read, without a word.
#[test]
fn a_backup_names_the_snapshots_that_cannot_be_read() {
    let system = System::with_model("one");
    let name = system.create();
    let manifest = system.path("backups/snapshots").join(&name);
    fs::write(&manifest, "nothing of the kind, and long enough to have a header and a checksum").expect("ours");
    let run = system.run(&["create", "--json"]);
    // What is expected is not known.
    run.ended(PARTIAL).says(&format!("the snapshot {name} cannot be read"));
    assert!(run.json()["notes"].to_string().contains("cannot be read"), "{run:?}");
}

#[test]
fn every_harm_to_the_config_is_refused() {
    let Nights { system, .. } = nights();
    let config = system.path("backups/config");
    for harm in FLIPS.iter().chain(&LOSSES) {
        if matches!(harm, Harm::Remove) {
            continue;
        }
        let harmed = Harmed::new(&config, *harm);
        let damaged = fs::read(&config).expect("read");
        for arguments in [&["verify", "--all", "--read-data"][..], &["list"], &["create"]] {
            let run = system.run(arguments);
            // The last byte ends the line and says nothing.
            if !matches!(harm, Harm::Flip(1000) | Harm::CutByte) {
                assert_eq!(run.code, DAMAGE, "{harm:?}, {arguments:?}: {run:?}");
                run.ended(DAMAGE).says("config");
            }
        }
        assert!(fs::read(&config).expect("read") == damaged, "nobody overwrites what was found");
        drop(harmed);
    }
    let _harmed = Harmed::new(&config, Harm::Remove);
    system.run(&["list"]).ended(1).says("there is no repository");
}

/// Parity, and a repair, ended at a pipe or a link in the place of an object, and so did every backup.
#[test]
fn what_stands_in_the_place_of_an_object_keeps_nothing_else_from_being_done() {
    for area in ["snapshots", "index", "packs", "trees"] {
        for is_link in [true, false] {
            let (system, what) = (System::with_model(noise(DATA_BYTES, 1)), format!("{area}, a link: {is_link}"));
            system.write("larder.toml", "parity = \"5%\"\n");
            system.create();
            // Of the packs the one with the data, which the backup has.
            let objects = system.objects(area).into_iter();
            let object = objects.max_by_key(|object| object.metadata().expect("ours").len()).expect("an object");
            // What nothing can be restored from.
            fs::remove_dir_all(system.path("backups/parity")).expect("ours");
            fs::rename(&object, system.path("elsewhere")).expect("ours");
            if is_link {
                symlink(system.path("elsewhere"), &object).expect("ours");
            } else {
                mkfifoat(CWD, &object, Mode::RUSR).expect("ours");
            }
            let run = system.run(&["create", "--json"]);
            let is_unsure = area == "snapshots";
            assert_eq!(run.code, if is_unsure { PARTIAL } else { 0 }, "{what}: {run:?}");
            let repaired = system.run(&["repair"]);
            if area == "snapshots" {
                repaired.ended(DAMAGE).shows("DAMAGED snapshots/").shows("not a regular file");
            } else {
                // The backup may have put the same object in its place.
                repaired.ended(0);
            }
            system.ok(&["restore", "latest", "--target", &system.path("out").to_string_lossy()]);
            assert!(system.read("out/models/one") == noise(DATA_BYTES, 1), "{what}");
        }
    }
}

/// A link or a pipe in the place of a manifest was passed over: the snapshot was gone, and nothing was wrong.
#[test]
fn what_stands_in_the_place_of_a_manifest_is_named() {
    let system = System::with_model("one");
    let name = system.create();
    let manifest = system.path(format!("backups/snapshots/{name}"));
    fs::rename(&manifest, system.path("elsewhere")).expect("ours");
    symlink(system.path("elsewhere"), &manifest).expect("ours");
    system.run(&["list"]).ended(DAMAGE).says(&name);
    system.run(&["verify", "--all"]).ended(DAMAGE).shows(&name);
    fs::remove_file(&manifest).expect("ours");
    mkfifoat(CWD, &manifest, Mode::RUSR).expect("ours");
    system.run(&["list"]).ended(DAMAGE).says(&name);
    system.run(&["verify", "--all"]).ended(DAMAGE).shows(&name);
    system.run(&["prune", "--force"]).ended(DAMAGE).says(&name);
}
