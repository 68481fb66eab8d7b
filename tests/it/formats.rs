//! Repositories and records of other versions, and names that never recur.

use std::fs;
use std::path::PathBuf;

use larder::cancel::Cancel;
use larder::model::{
    ByteString, Content, ExtraFields, Node, NodeKind, Retention, Snapshot, decode_snapshot, encode_snapshot,
};
use larder::monitor::Monitor;
use larder::pipeline::prune::{self, PruneOptions};
use larder::storage::{Area, Key, Storage};

use super::faults::{History, assert_clean, open};
use super::restore_safety::{craft, node};
use super::support::{DAMAGE, System, files_below, noise};

const FAILED: i32 = 1;

/// Every file of the repository with its bytes.
fn files(system: &System) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = files_below(&system.path("backups"));
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).expect("ours"))).collect()
}

/// Gives the config another version, and the checksum that it has then.
fn set_version(system: &System, version: u32, change: impl FnOnce(&str) -> String) {
    let text = String::from_utf8(system.read("backups/config")).expect("JSON");
    let (_, body) = text.trim_end().split_once("\"body\":").expect("a body");
    let body = change(body.strip_suffix('}').expect("an object"));
    let covered = if version < 2 { body.clone() } else { format!("{version}\n{body}") };
    let sum = blake3::hash(covered.as_bytes()).to_hex();
    let head = format!("{{\"magic\":\"larder repository\",\"version\":{version},\"checksum\":\"{sum}\"");
    system.write("backups/config", format!("{head},\"body\":{body}}}\n"));
}

/// Every command refuses the repository, says this, and changes nothing.
fn assert_refused(system: &System, name: &str, said: &[&str]) {
    let before = files(system);
    let out = system.path("out").to_string_lossy().into_owned();
    for arguments in [
        &["list"][..],
        &["show", name],
        &["create"],
        &["verify", "--all"],
        &["prune", "--keep-last", "1", "--force"],
        &["repair"],
        &["repair", "--dry-run"],
        &["restore", name, "--target", &out],
        &["export", name, "--to", &out],
    ] {
        let run = system.run(arguments);
        run.ended(FAILED);
        for text in said {
            run.says(text);
        }
    }
    assert!(files(system) == before && !system.exists("out"));
}

/// A repository of format 1 has to stay as it is: what a newer program made of it would be damage.
#[test]
fn format_1_is_refused_with_the_way_over() {
    let system = System::with_model("one");
    let name = system.create();
    set_version(&system, 1, str::to_owned);
    let way = ["format 1", "larder export --all", "larder import"];
    assert_refused(&system, &name, &way);
    // Nothing says so but the packs where the config is lost.
    fs::remove_file(system.path("backups/config")).expect("ours");
    change_packs(&system, |bytes| bytes[8] = 1);
    let before = files(&system);
    let run = system.run(&["repair"]);
    run.ended(FAILED);
    for text in way {
        run.says(text);
    }
    assert!(files(&system) == before);
}

/// Changes all packs, under the names that they have then.
fn change_packs(system: &System, change: impl Fn(&mut Vec<u8>)) {
    for pack in system.packs() {
        let mut bytes = fs::read(&pack).expect("ours");
        change(&mut bytes);
        let name = blake3::hash(&bytes).to_hex();
        let kind = if bytes[10] == 0 { "packs" } else { "trees" };
        fs::remove_file(&pack).expect("ours");
        system.write(format!("backups/{kind}/{}/{name}", &name[..2]), bytes);
    }
}

/// Packs that are sealed, or whatever a newer program makes, were put aside as damaged when the config was lost.
#[test]
fn what_only_a_newer_program_reads_is_left_to_it_where_the_config_is_lost() {
    let packs = |system: &System| change_packs(system, |bytes| bytes[16] = 1);
    let manifests = |system: &System| {
        for manifest in system.objects("snapshots/") {
            let mut bytes = fs::read(&manifest).expect("ours");
            bytes[8] = 3;
            let len = bytes.len() - 32;
            let sum = blake3::hash(&bytes[..len]);
            bytes[len..].copy_from_slice(sum.as_bytes());
            fs::write(&manifest, bytes).expect("ours");
        }
    };
    for (change, said) in [(&packs as &dyn Fn(&System), "sealed"), (&manifests, "has version 3")] {
        let system = System::with_model("one");
        system.create();
        change(&system);
        fs::remove_file(system.path("backups/config")).expect("ours");
        let before = files(&system);
        system.run(&["repair"]).ended(FAILED).says(said).says("use a newer larder");
        assert!(files(&system) == before, "{said}");
    }
}

/// One bit of a pack or of the config made it another format, and no command went on.
#[test]
fn a_flipped_bit_is_damage_and_no_other_format() {
    let system = System::with_model(noise(100_000, 1));
    system.write("larder.toml", "parity = \"5%\"\n");
    let name = system.create();
    let config = system.read("backups/config");
    for with_pack in [false, true] {
        let text = String::from_utf8(config.clone()).expect("JSON");
        system.write("backups/config", text.replace("\"version\":2", "\"version\":3"));
        if with_pack {
            let mut bytes = fs::read(&system.packs()[0]).expect("ours");
            bytes[8] ^= 1;
            fs::write(&system.packs()[0], bytes).expect("ours");
        }
        system.run(&["list"]).ended(DAMAGE).says("larder repair");
        let run = system.run(&["repair"]);
        assert!(!run.stdout.contains("LOST"), "{run:?}");
        assert_eq!(system.read("backups/config"), config, "it comes from its parity");
        system.ok(&["verify", &name, "--read-data"]);
    }
}

#[test]
fn format_3_is_refused_by_number() {
    let system = System::with_model("one");
    let name = system.create();
    set_version(&system, 3, |_| "{}".to_owned());
    assert_refused(&system, &name, &["format 3", "use a newer larder"]);
}

/// A feature or a method that is not known was an unknown field of the config, and no repository at all.
#[test]
fn a_feature_of_a_newer_program_is_named_whatever_else_is_new() {
    let system = System::with_model("one");
    let name = system.create();
    let whole = system.read("backups/config");
    set_version(&system, 2, |body| {
        body.replace("[\"delta\"]", "[\"delta\",\"sealed\"]").replace("\"none\"", "\"aes\",\"keys\":[1]")
    });
    assert_refused(&system, &name, &["'sealed'", "use a newer larder"]);
    // A way to encrypt without a feature for it is not understood, and no damage.
    system.write("backups/config", &whole);
    set_version(&system, 2, |body| body.replace("\"none\"", "\"aes\""));
    assert_refused(&system, &name, &["does not know", "use a newer larder"]);
    // Another way to cut keeps nobody from reading.
    system.write("backups/config", &whole);
    set_version(&system, 2, |body| body.replace("fastcdc-2020-1", "rabin"));
    system.ok(&["verify", "--all"]);
    system.run(&["create"]).ended(FAILED).says("'rabin'").says("use a newer larder");
    // What needs no feature may be ignored.
    system.write("backups/config", &whole);
    set_version(&system, 2, |body| body.replacen('{', "{\"colour\":\"blue\",", 1));
    system.ok(&["verify", "--all"]);
    system.create();
}

/// Writes the manifest of a snapshot anew.
fn change_manifest(system: &System, name: &str, change: impl FnOnce(&mut Snapshot)) {
    let path = format!("backups/snapshots/{name}");
    let mut snapshot = decode_snapshot(&system.read(&path)).expect("ours");
    change(&mut snapshot);
    system.write(&path, encode_snapshot(&snapshot));
}

fn extra(tag: u16) -> ExtraFields {
    ExtraFields::new(vec![(tag, ByteString(b"of a newer program".to_vec()))])
}

#[test]
fn a_field_that_may_be_ignored_is_kept_and_keeps_nobody_from_anything() {
    let system = System::with_model("one");
    let name = system.create();
    change_manifest(&system, &name, |snapshot| {
        snapshot.extra = extra(40);
        snapshot.components[0].extra = extra(42);
        snapshot.components[0].root.as_mut().expect("saved").extra = extra(44);
    });
    let before = system.read(format!("backups/snapshots/{name}"));
    system.ok(&["verify", "--all", "--read-data"]);
    system.ok(&["restore", &name, "--target", &system.path("out").to_string_lossy()]);
    assert_eq!(system.read("out/models/one"), b"one");
    system.create();
    system.ok(&["forget", &name, "--force"]);
    system.ok(&["undelete", &name]);
    system.ok(&["prune", "--keep-last", "5", "--force"]);
    assert_eq!(system.read(format!("backups/snapshots/{name}")), before);
}

/// What must not be ignored is no damage: nothing is put aside, and nothing is deleted that it may need.
#[test]
fn a_field_that_must_not_be_ignored_is_refused_by_its_tag() {
    for place in 0..3 {
        let system = System::with_model(noise(100_000, 1));
        let name = system.create();
        change_manifest(&system, &name, |snapshot| match place {
            0 => snapshot.extra = extra(41),
            1 => snapshot.components[0].extra = extra(41),
            _ => snapshot.components[0].root.as_mut().expect("saved").extra = extra(41),
        });
        let before = files(&system);
        let out = system.path("out").to_string_lossy().into_owned();
        for arguments in [
            &["show", &name][..],
            &["verify", "--all"],
            &["verify", &name],
            &["prune", "--keep-last", "1", "--force"],
            &["repair"],
            &["restore", &name, "--target", &out],
        ] {
            let run = system.run(arguments);
            run.ended(FAILED).says("has a field 41 that this program does not know and must not ignore");
            run.says("use a newer larder");
        }
        assert!(files(&system) == before && !system.exists("out/models"));
    }
}

#[test]
fn an_entry_with_a_field_that_must_not_be_ignored_is_refused_by_its_tag() {
    let file = |name: &[u8], extra: ExtraFields| {
        let kind = NodeKind::File { content: Content::default(), holes: Vec::new() };
        Node { extra, ..node(name, 0o644, kind) }
    };
    let system = System::with_model("mine");
    let name = craft(&system, |_| vec![file(b"one", extra(50)), file(b"two", extra(51))]);
    let said = "the tree has a field 51 that this program does not know and must not ignore";
    let out = system.path("out").to_string_lossy().into_owned();
    for arguments in [
        &["verify", "--all", "--read-data"][..],
        &["repair"],
        &["prune", "--keep-last", "1", "--force"],
        &["ls", &format!("{name}:models")],
        &["restore", &name, "--target", &out],
    ] {
        let run = system.run(arguments);
        assert_ne!(run.code, 0, "{run:?}");
        assert!(run.stderr.contains(said) || run.stdout.contains(said), "{arguments:?}: {run:?}");
    }
    let ignored = craft(&system, |_| vec![file(b"one", extra(50)), file(b"two", extra(52))]);
    system.ok(&["verify", &ignored, "--read-data"]);
}

/// Where names came from content alone, what was stored again had the name of what had been deleted, and a deletion that arrived late
/// took the new one.
#[test]
fn what_is_stored_again_has_another_name_and_a_late_deletion_harms_nothing() {
    let mut history = History::nights(1);
    let storage = history.storage.clone();
    let keys = || -> Vec<Key> {
        let of = |area| storage.list(area).expect("list").into_iter().map(move |object| Key::new(area, object.name));
        [Area::Packs, Area::Trees, Area::Index].into_iter().flat_map(of).collect()
    };
    history.write("once", &noise(400_000, 7));
    history.backup();
    let before = keys();
    history.remove("once");
    history.backup();
    let repository = open(storage.clone());
    let options = PruneOptions { retention: Retention { last: 1, ..Retention::NONE }, ..PruneOptions::default() };
    let plan = prune::plan(&repository, &options, &Monitor::unheard(&Cancel::new())).expect("a plan");
    prune::execute(&repository, plan, &Monitor::unheard(&Cancel::new())).expect("a prune");
    drop(repository);
    let deleted: Vec<Key> = before.into_iter().filter(|key| storage.stat(key).is_err()).collect();
    assert!(deleted.iter().any(|key| key.area() == Area::Packs), "its data is gone");
    // The name of a snapshot that is gone may be given again.
    history.truncate(0);
    history.note_new(&storage);
    history.write("once", &noise(400_000, 7));
    history.backup();
    assert!(keys().iter().all(|key| !deleted.contains(key)), "no name recurs");
    for key in &deleted {
        storage.lose(key);
    }
    history.assert_whole(&storage, 2, "after the late deletions");
    assert_clean(&storage, "after the late deletions");
}
