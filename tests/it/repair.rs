//! `larder repair` from the command line: what it says, how it ends, and that it is alone.

use std::fs;

use super::support::{DAMAGE, System, noise};

/// One night with a file of its own pack, harmed in the middle.
fn damaged() -> (System, String) {
    let system = System::new();
    system.write("models/file", noise(300_000, 1));
    let name = system.create();
    // A file that was touched just before it was read is read again the next time, which would hide a loss.
    system.create();
    let pack = system.packs().into_iter().max_by_key(|pack| pack.metadata().expect("metadata").len()).expect("a pack");
    let mut bytes = fs::read(&pack).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).expect("write");
    (system, name)
}

#[test]
fn a_sound_repository_is_left_alone() {
    let system = System::new();
    system.write("models/file", "a");
    system.create();
    let before = system.objects("");
    for arguments in [&["repair"][..], &["repair", "--dry-run"]] {
        system.run(arguments).ended(0);
        assert_eq!(system.objects(""), before, "{arguments:?}");
    }
    system.run(&["repair"]).ended(0).shows("OK: nothing to repair; 1 snapshot");
}

#[test]
fn a_dry_run_names_what_is_lost_and_changes_nothing() {
    let (system, name) = damaged();
    let before = system.objects("");
    let run = system.run(&["repair", "--dry-run"]);
    run.ended(DAMAGE).shows("DAMAGED packs/").shows(&format!("LOST {name}:models/file")).shows("nothing was changed");
    assert_eq!(system.objects(""), before);
    let report = system.run(&["repair", "--dry-run", "--json"]).ended(DAMAGE).json();
    assert_eq!(report["lost"][0]["path"], "models/file", "{report}");
}

#[test]
fn what_is_lost_is_named_and_comes_back_with_the_next_backup_of_it() {
    let (system, name) = damaged();
    let run = system.run(&["repair"]);
    run.ended(DAMAGE).shows(&format!("LOST {name}:models/file")).shows("put aside as quarantine/packs-").says("--from");
    system.run(&["prune", "--force"]).ended(DAMAGE).says("models/file");
    // The next backup stores anew what is lost, and the earlier snapshot has it again.
    system.create();
    system.run(&["repair"]).ended(0).shows("OK: nothing to repair; 3 snapshots");
    system.run(&["prune", "--force"]).ended(0);
}

#[test]
fn lost_data_is_looked_for_in_files_and_below_directories() {
    for from in ["models", "models/file"] {
        let (system, _) = damaged();
        let path = system.path(from).to_string_lossy().into_owned();
        let report = system.json(&["repair", "--from", &path]);
        assert!(report["chunks_fetched"].as_u64().expect("a number") > 0, "{report}");
        assert_eq!(report["lost"].as_array().expect("a list").len(), 0, "{report}");
        system.ok(&["verify", "--all", "--read-data"]);
    }
    let (system, _) = damaged();
    system.write("other", "something else");
    system.run(&["repair", "--from", &system.path("other").to_string_lossy()]).ended(DAMAGE).shows("LOST");
    system.run(&["repair", "--from", "/nowhere/at/all"]).ended(2).says("there is no file or directory /nowhere/at/all");
    system.run(&["repair", "--dry-run", "--from", "models"]).ended(2);
}

#[test]
fn a_lost_config_is_made_anew_where_there_is_something_that_it_belongs_to() {
    let (system, name) = damaged();
    system.write("backups/config", "something else");
    system.run(&["list"]).ended(DAMAGE).says("repair");
    system.run(&["repair", "--dry-run"]).ended(DAMAGE).shows("DAMAGED config");
    assert_eq!(system.read("backups/config"), b"something else");
    system.run(&["repair"]).ended(DAMAGE).shows("DAMAGED config").shows(&name);
    assert_eq!(system.read("backups/quarantine/config"), b"something else");
    system.run(&["list"]).ended(0).shows(&name);
    let empty = System::new();
    empty.run(&["repair"]).ended(1).says("there is no repository");
    assert!(!empty.exists("backups"));
}

/// A pack of nothing but headers, each of which claims a large block, kept a repair busy for minutes, in which it heard of no
/// interruption.
#[test]
fn a_pack_that_is_full_of_beginnings_is_given_up_and_that_is_said() {
    let system = System::with_model(noise(300_000, 1));
    let name = system.create();
    let of_data = system.packs().into_iter().max_by_key(|pack| pack.metadata().expect("metadata").len());
    let bytes = fs::read(of_data.expect("a pack")).expect("ours");
    let (begin, header) = (&bytes[..64], &bytes[64..96]);
    let forged = [begin, &header.repeat(50_000)].concat();
    let id = blake3::hash(&forged).to_hex();
    system.write(format!("backups/packs/{}/{id}", &id[..2]), &forged);
    let run = system.run(&["repair"]);
    run.ended(0).shows(&format!("DAMAGED packs/{}/{id}: from byte ", &id[..2])).shows("was not looked through");
    system.run(&["repair"]).ended(0).shows("OK: nothing to repair");
    system.ok(&["restore", &name, "--target", &system.path("out").to_string_lossy()]);
    assert!(system.read("out/models/one") == noise(300_000, 1));
}

/// Whatever lay in the quarantine was stored again as soon as anything at all was lost.
#[test]
fn of_what_was_put_aside_only_what_is_needed_is_stored_again() {
    let (other, (system, _)) = (System::with_model(noise(400_000, 9)), damaged());
    other.create();
    for pack in other.packs() {
        let name = pack.file_name().expect("a pack").to_string_lossy().into_owned();
        system.write(format!("backups/quarantine/packs-{name}"), fs::read(&pack).expect("read"));
    }
    let report = system.run(&["repair", "--json"]).ended(DAMAGE).json();
    assert!(report["bytes_salvaged"].as_u64().expect("bytes") < 400_000, "{report}");
    let report = system.run(&["repair", "--json"]).ended(DAMAGE).json();
    assert_eq!(report["chunks_salvaged"], 0, "{report}");
}

/// Readers find a block by the index, and never look at its own header. A repair did, and gave up what could be restored.
#[test]
fn a_block_with_a_damaged_header_is_taken_as_the_directory_lists_it() {
    for offset in [0, 6, 20, 24, 32] {
        for kind in ["packs/", "trees/"] {
            let system = System::with_model(noise(300_000, 1));
            let name = system.create();
            let packs = system.objects(kind).into_iter();
            let pack = packs.max_by_key(|pack| pack.metadata().expect("metadata").len()).expect("a pack");
            let mut bytes = fs::read(&pack).expect("ours");
            bytes[64 + offset] ^= 1;
            fs::write(&pack, bytes).expect("ours");
            let run = system.run(&["repair"]);
            assert!(!run.stdout.contains("LOST"), "{kind}, byte {offset}: {run:?}");
            system.ok(&["verify", "--all", "--read-data"]).shows("OK");
            system.ok(&["restore", &name, "--target", &system.path("out").to_string_lossy()]);
            assert_eq!(system.read("out/models/one"), noise(300_000, 1), "{kind}, byte {offset}");
        }
    }
}
