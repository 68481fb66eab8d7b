//! A backup whose storage fails, or fills up, at any step: what stood before it stands, and the next one succeeds.

use larder::storage::{Area, MemoryStorage, Storage};

use super::faults::{Failure, Fault, Faulty, History, assert_clean, packs_bytes};
use super::support::noise;

/// The backup after them merges their segments.
const NIGHTS: u8 = 4;
/// Histories that are swept through.
const HISTORIES: usize = 6;

fn segments(storage: &MemoryStorage) -> usize {
    storage.list(Area::Index).expect("list").len()
}

fn sweep(failure: Failure) {
    let points: usize = (0..HISTORIES).map(|seed| sweep_one(failure, seed)).sum();
    assert!(points > 200, "{points} points");
}

/// Lets the storage fail after each number of operations, and backs up again then. Gives how many there are.
fn sweep_one(failure: Failure, seed: usize) -> usize {
    let mut history = History::nights_of(NIGHTS, seed);
    history.write("fresh", &noise(2_500_000, 77));
    history.write("another", &noise(900_000, 78));
    let undisturbed = history.copy();
    history.backup_to(undisturbed.clone()).expect("a backup");
    let most = packs_bytes(&undisturbed);
    assert!(segments(&undisturbed) < segments(&history.storage), "there is a merge to sweep through");
    let nights = usize::from(NIGHTS);
    for operations in 0.. {
        let what = format!("{operations} operations, {failure:?}");
        let (storage, fault) = (history.copy(), Fault::after(operations, failure));
        let result = history.backup_to(Faulty { inner: storage.clone(), fault: fault.clone() });
        let found = history.note_new(&storage);
        assert!(found >= nights, "{what}: a snapshot is gone");
        assert!(result.is_err() || found == nights + 1, "{what}: a snapshot that was reported is there");
        history.assert_whole(&storage, found, &what);
        history.backup_to(storage.clone()).unwrap_or_else(|error| panic!("{what}, the next one: {error}"));
        let found = history.note_new(&storage);
        history.assert_whole(&storage, found, &what);
        assert_clean(&storage, &what);
        assert!(packs_bytes(&storage) <= most + most / 10, "{what}: what stood is not stored again");
        history.truncate(nights);
        if !fault.was_hit() {
            assert!(operations > 10, "{what}: the sweep went through a backup");
            return operations;
        }
    }
    unreachable!("a sweep comes to its end")
}

#[test]
fn a_backup_that_fails_at_any_step_leaves_the_others_whole() {
    sweep(Failure::Before);
}

#[test]
fn a_backup_that_fails_when_a_step_was_done_leaves_the_others_whole() {
    sweep(Failure::After);
}

#[test]
fn a_storage_that_fills_up_at_any_step_of_a_backup_keeps_the_others_whole() {
    sweep(Failure::Full);
}
