//! Parity: damaged objects are again as they were written, and it never brings back what was deleted.

use std::fs;

use larder::cancel::Cancel;
use larder::model::Retention;
use larder::monitor::Monitor;
use larder::parity::Share;
use larder::pipeline::prune::{self, PruneOptions};
use larder::repo::Protected;
use larder::storage::{Area, Key, MemoryStorage, Storage};

use super::faults::{Failure, Fault, Faulty, History, assert_clean, open};
use super::harm::{FLIPS, Harm, LOSSES};
use super::repair_faults::{harm, keys, objects, repaired};
use super::support::{System, files_below, noise};

fn share() -> Option<Share> {
    Share::new(30)
}

fn protect(storage: &MemoryStorage) -> Protected {
    open(storage.clone()).protect(share(), &Monitor::unheard(&Cancel::new())).expect("memory")
}

#[test]
fn what_is_damaged_within_the_share_is_again_as_it_was_bit_for_bit() {
    let history = History::nights(4);
    protect(&history.storage);
    let before = objects(&history.storage);
    let mut restored = 0;
    for area in [Area::Config, Area::Packs, Area::Trees, Area::Index, Area::Snapshots] {
        // What nothing else says can be restored from nothing.
        let is_whole = matches!(area, Area::Config | Area::Snapshots);
        let harms =
            FLIPS.iter().chain(&LOSSES).filter(|harm| is_whole || matches!(harm, Harm::Flip(_) | Harm::CutByte));
        for (key, one) in keys(&history.storage, area).iter().flat_map(|key| harms.clone().map(move |one| (key, *one)))
        {
            let (storage, what) = (history.copy(), format!("{one:?} of {key}"));
            assert!(harm(&storage, key, one), "{what}");
            let report = repaired(storage.clone(), &[]).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(report.is_whole() && !report.is_rebuilt && report.set_aside.is_empty(), "{what}: {report:?}");
            assert!(objects(&storage) == before, "{what}: not as it was");
            restored += 1;
        }
    }
    assert!(restored > 100, "{restored} objects");
}

/// Whatever name parity had, an object of that name was "restored" with it.
#[test]
fn parity_with_a_name_that_no_object_has_restores_nothing_and_is_named() {
    let history = History::nights(2);
    protect(&history.storage);
    let before = objects(&history.storage);
    let parity = keys(&history.storage, Area::Parity);
    let other = "ab".repeat(32);
    let names =
        ["packs-a", "packs-é", "index-..", "snapshots--", "snapshots-a b", "pins-a", "forgotten-a", "quarantine-a"];
    let names =
        names.map(str::to_owned).into_iter().chain(["packs", "trees", "index"].map(|area| format!("{area}-{other}")));
    for name in names {
        for source in &parity {
            let storage = history.copy();
            let bytes = storage.get(source, u64::MAX).expect("an object");
            storage.overwrite(&Key::new(Area::Parity, &name), bytes);
            let report = repaired(storage.clone(), &[]).unwrap_or_else(|error| panic!("{name} as {source}: {error}"));
            assert!(report.restored.is_empty(), "{name} as {source}: {report:?}");
            let said = report.damage.iter().any(|one| one.object == format!("parity/{name}"));
            assert!(said, "{name} as {source}: {report:?}");
            assert!(objects(&storage) == before, "{name} as {source}");
        }
    }
}

#[test]
fn damaged_parity_is_found_removed_and_made_again() {
    let history = History::nights(2);
    protect(&history.storage);
    let before = objects(&history.storage);
    for key in keys(&history.storage, Area::Parity) {
        for one in [Harm::Flip(0), Harm::Flip(500), Harm::Flip(1000), Harm::CutByte, Harm::Zero] {
            let (storage, what) = (history.copy(), format!("{one:?} of {key}"));
            assert!(harm(&storage, &key, one), "{what}");
            let report = repaired(storage.clone(), &[]).expect("a repair");
            assert!(
                report.is_whole() && report.damage.iter().any(|one| one.object == key.path()),
                "{what}: {report:?}"
            );
            assert_eq!(protect(&storage).objects, 1, "{what}");
            assert!(objects(&storage) == before, "{what}");
        }
    }
}

/// Parity is compared with its own checksums, and those of another pack were as good as its own, until it was needed.
#[test]
fn the_parity_of_another_pack_is_found() {
    let history = History::nights(3);
    protect(&history.storage);
    let before = objects(&history.storage);
    let parity = keys(&history.storage, Area::Parity);
    let packs: Vec<&Key> = parity.iter().filter(|key| key.name().starts_with("packs-")).collect();
    let [one, other, ..] = packs.as_slice() else { panic!("there are several packs") };
    let storage = history.copy();
    let (_, bytes) = before.iter().find(|(key, _)| key == *other).expect("it is there");
    storage.overwrite(one, bytes.clone());
    let report = repaired(storage.clone(), &[]).expect("a repair");
    assert!(report.damage.iter().any(|damage| damage.object == one.path()), "{report:?}");
    assert_eq!(protect(&storage).objects, 1);
    assert!(objects(&storage) == before);
}

/// What was pruned and forgotten stays so, and no parity stays for it.
#[test]
fn parity_goes_with_what_it_is_for() {
    let history = History::nights(6);
    let storage = history.copy();
    protect(&storage);
    let repository = open(storage.clone());
    let retention = Retention { last: 2, ..Retention::NONE };
    let options = PruneOptions { retention, ..PruneOptions::default() };
    let plan = prune::plan(&repository, &options, &Monitor::unheard(&Cancel::new())).expect("a plan");
    prune::execute(&repository, plan, &Monitor::unheard(&Cancel::new())).expect("a prune");
    drop(repository);
    protect(&storage);
    let parity: Vec<String> = keys(&storage, Area::Parity).iter().map(|key| key.name().to_owned()).collect();
    let all = [Area::Config, Area::Packs, Area::Trees, Area::Index, Area::Snapshots]
        .into_iter()
        .flat_map(|area| keys(&storage, area));
    let mut expected: Vec<String> = all.map(|key| key.flat_name()).collect();
    expected.sort();
    assert_eq!(parity, expected);
    let before = objects(&storage);
    assert!(repaired(storage.clone(), &[]).expect("a repair").is_nothing());
    assert!(objects(&storage) == before, "nothing that was deleted comes back");
    let removed = open(storage.clone()).protect(None, &Monitor::unheard(&Cancel::new())).expect("memory").removed;
    assert_eq!(removed, expected.len() as u64);
    assert!(keys(&storage, Area::Parity).is_empty());
}

#[test]
fn parity_that_fails_at_any_step_harms_nothing_and_is_taken_up_again() {
    let history = History::nights(3);
    let protected = history.copy();
    protect(&protected);
    for failure in [Failure::Before, Failure::After, Failure::Full] {
        for operations in 0.. {
            let what = format!("{operations} operations, {failure:?}");
            let (storage, fault) = (history.copy(), Fault::after(operations, failure));
            let result = open(Faulty { inner: storage.clone(), fault: fault.clone() })
                .protect(share(), &Monitor::unheard(&Cancel::new()));
            history.assert_whole(&storage, 3, &what);
            protect(&storage);
            assert!(objects(&storage) == objects(&protected), "{what}");
            if !fault.was_hit() {
                assert!(operations > 10, "{what}: the sweep went through");
                break;
            }
            assert!(result.is_err(), "{what}: a failure is told");
        }
    }
    assert_clean(&protected, "with parity");
}

#[test]
fn a_setting_is_all_that_it_takes_and_it_can_be_changed_at_any_time() {
    let system = System::new();
    system.write("larder.toml", "parity = \"10%\"\n");
    system.write("models/file", noise(600_000, 1));
    system.create();
    let stats = system.json(&["stats"]);
    let parity = stats["parity_bytes"].as_u64().expect("a number");
    assert!((60_000..90_000).contains(&parity), "{stats}");
    system.write("larder.toml", "parity = \"2%\"\n");
    system.create();
    let stats = system.json(&["stats"]);
    assert!(stats["parity_bytes"].as_u64().expect("a number") < 20_000, "{stats}");

    let pack = system.packs().into_iter().max_by_key(|pack| pack.metadata().expect("metadata").len()).expect("a pack");
    let bytes = fs::read(&pack).expect("read");
    let mut damaged = bytes.clone();
    damaged[300_000..300_500].fill(0);
    fs::write(&pack, &damaged[..bytes.len() - 100]).expect("write");
    fs::remove_file(system.path("backups/config")).expect("remove");
    system.run(&["repair"]).ended(0).shows("by its parity").shows("REPAIRED: nothing is lost");
    assert!(fs::read(&pack).expect("read") == bytes);
    system.ok(&["verify", "--all", "--read-data"]);

    system.write("larder.toml", "parity = \"0%\"\n");
    system.create();
    assert!(files_below(&system.path("backups/parity")).is_empty());
    for wrong in ["3", "-3%", "101%", "x%", "%", "0.55%"] {
        system.write("larder.toml", format!("parity = \"{wrong}\"\n"));
        system.run(&["list"]).ended(2).says("is no share");
    }
}

#[test]
fn flat_names_are_those_of_one_object_each() {
    for key in [Key::config(), Key::new(Area::Snapshots, "a-b.c"), Key::new(Area::Packs, "ab".repeat(32))] {
        assert_eq!(Key::from_flat_name(&key.flat_name()), Some(key));
    }
    for name in ["", "config-", "-a", "nowhere-a", "packs", "packs-../x", "packs-.x"] {
        assert_eq!(Key::from_flat_name(name), None, "{name}");
    }
}
