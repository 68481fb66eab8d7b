//! An import whose storage fails, or fills up, at any step: what was imported stands, and the next import goes on without
//! anything twice.

use std::path::PathBuf;
use std::sync::Arc;

use larder::cancel::Cancel;
use larder::model::SnapshotKind;
use larder::monitor::Monitor;
use larder::pipeline::backup::BackupOptions;
use larder::pipeline::import::{Importer, Outcome, find};
use larder::pipeline::lookup;
use larder::pipeline::verify::{VerifyOptions, verify};
use larder::repo::Repository;
use larder::rooted::Trust;
use larder::storage::{MemoryStorage, Storage};

use super::faults::{Failure, Fault, Faulty, assert_clean};
use super::import::Old;
use super::support::System;

const STAMPS: [&str; 3] = ["20250901_020000", "20250902_020000", "20250903_020000"];

fn options() -> BackupOptions {
    BackupOptions::new(SnapshotKind::Full, "host", "a test")
}

/// Imports everything, or until something fails.
fn import(storage: Arc<dyn Storage>, folders: &[PathBuf]) -> Result<Vec<Outcome>, String> {
    let repository = Repository::open_or_create(storage).map_err(|error| error.to_string())?;
    let mut importer = Importer::new(Some(&repository), options(), false).map_err(|error| error.to_string())?;
    let outcomes = folders.iter().map(|path| match importer.import(path, false, &Monitor::unheard(&Cancel::new())) {
        Ok((Outcome::Failed(why), _)) => Err(why),
        imported => imported.map(|(outcome, _)| outcome).map_err(|error| error.to_string()),
    });
    outcomes.collect()
}

/// The names of the snapshots, all of which have to be whole.
fn whole(storage: &MemoryStorage, what: &str) -> Vec<String> {
    let Ok(repository) = Repository::open(Arc::new(storage.clone())) else { return Vec::new() };
    let options = VerifyOptions { read_data: true, subset_percent: None };
    let report = verify(&repository, None, options, &Monitor::unheard(&Cancel::new()))
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(report.is_clean(), "{what}: {report:?}");
    let found = lookup::snapshots(&repository).expect("a list").snapshots;
    found.iter().rev().map(|snapshot| snapshot.name.to_string()).collect()
}

fn sweep(failure: Failure) -> usize {
    let system = System::new();
    let rows: Vec<u64> = (0..40).collect();
    for (night, stamp) in STAMPS.iter().enumerate() {
        Old::new(&system, stamp, &rows[night..]);
    }
    let folders = find(&[system.path("old")], &Trust::default()).expect("three folders");
    let names: Vec<String> = STAMPS.iter().map(|stamp| format!("system_backup_{stamp}")).collect();
    for operations in 0.. {
        let what = format!("{operations} operations, {failure:?}");
        let (storage, fault) = (MemoryStorage::default(), Fault::after(operations, failure));
        let failed = import(Arc::new(Faulty { inner: storage.clone(), fault: fault.clone() }), &folders);
        let found = whole(&storage, &what);
        assert_eq!(found, names[..found.len()], "{what}: the oldest come first");
        assert!(failed.is_err() || found.len() == STAMPS.len(), "{what}: what was reported is there");
        let again =
            import(Arc::new(storage.clone()), &folders).unwrap_or_else(|error| panic!("{what}, the next one: {error}"));
        let known = again.iter().filter(|outcome| matches!(outcome, Outcome::Known(_))).count();
        assert_eq!(known, found.len(), "{what}: {again:?}");
        assert_eq!(whole(&storage, &what), names, "{what}: each is there once");
        assert_clean(&storage, &what);
        if !fault.was_hit() {
            return operations;
        }
    }
    unreachable!("a sweep comes to its end")
}

#[test]
fn a_folder_that_vanishes_is_told_and_the_others_are_imported() {
    let system = System::new();
    let olds = STAMPS.map(|stamp| Old::new(&system, stamp, &[1, 2]));
    let folders = find(&[system.path("old")], &Trust::default()).expect("three folders");
    std::fs::remove_dir_all(&olds[1].path).expect("it is there");
    let storage = MemoryStorage::default();
    let repository = Repository::open_or_create(Arc::new(storage.clone())).expect("a repository");
    let mut importer = Importer::new(Some(&repository), options(), false).expect("an importer");
    let outcomes = folders.iter().map(|path| {
        importer.import(path, false, &Monitor::unheard(&Cancel::new())).expect("no more than one is lost").0
    });
    let outcomes: Vec<Outcome> = outcomes.collect();
    assert!(matches!(outcomes[..], [Outcome::Imported(..), Outcome::Failed(_), Outcome::Imported(..)]), "{outcomes:?}");
    assert_eq!(whole(&storage, "one vanished").len(), 2);
}

#[test]
fn an_import_that_fails_at_any_step_goes_on_where_it_stopped() {
    let points: usize = [Failure::Before, Failure::After, Failure::Full].map(sweep).iter().sum();
    assert!(points > 60, "{points} points");
}
