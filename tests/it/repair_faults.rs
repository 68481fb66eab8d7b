//! Every kind of damage to every object, and a repair whose storage fails at any step: what is lost is told to the file,
//! and everything else comes back.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use larder::cancel::Cancel;
use larder::monitor::Monitor;
use larder::pipeline::lookup;
use larder::pipeline::repair::{RepairReport, repair};
use larder::pipeline::verify::{VerifyOptions, verify};
use larder::repo::Repository;
use larder::storage::{Area, Key, MemoryStorage, Storage};

use super::faults::{AREAS, Failure, Fault, Faulty, History, assert_clean, copy_of, packs_bytes};
use super::harm::{FLIPS, Harm, LOSSES};

/// The last one has nothing new, so that the next backup takes its files as unchanged.
const NIGHTS: usize = 6;

/// Twice what the clock of a file system needs to tell two writes apart.
const CLOCK_TICK: std::time::Duration = std::time::Duration::from_millis(20);

fn history() -> History {
    history_of(0)
}

fn history_of(seed: usize) -> History {
    let mut history = History::nights_of(u8::try_from(NIGHTS - 1).expect("a few"), seed);
    // A file that was touched just before it was read is read again the next time, which would hide a loss.
    std::thread::sleep(CLOCK_TICK);
    history.backup();
    history
}

pub(super) fn keys(storage: &MemoryStorage, area: Area) -> Vec<Key> {
    let mut keys: Vec<Key> =
        storage.list(area).expect("list").into_iter().map(|object| Key::new(area, object.name)).collect();
    keys.sort();
    keys
}

/// Harms an object; says whether anything is different then.
pub(super) fn harm(storage: &MemoryStorage, key: &Key, harm: Harm) -> bool {
    let bytes = storage.get(key, u64::MAX).expect("an object");
    let another = || {
        let of_kind = keys(storage, key.area()).into_iter().chain(keys(storage, Area::Packs));
        let other = of_kind.into_iter().find(|other| other != key).expect("there is another");
        storage.get(&other, u64::MAX).expect("an object")
    };
    let changed = harm.applied(&bytes, another);
    if changed.as_ref() == Some(&bytes) {
        return false;
    }
    match changed {
        Some(changed) => storage.overwrite(key, changed),
        None => storage.lose(key),
    }
    true
}

pub(super) fn repaired(
    storage: impl Storage + 'static,
    live: &[PathBuf],
) -> Result<RepairReport, larder::pipeline::Error> {
    let (repository, _) = Repository::open_damaged(Arc::new(storage), true)?;
    repair(&repository, live, &Monitor::unheard(&Cancel::new()))
}

/// Snapshots and paths that are lost.
fn lost(report: &RepairReport) -> BTreeSet<(String, String)> {
    assert_eq!(report.lost.more, 0);
    report.lost.listed.iter().map(|(snapshot, lost)| (snapshot.clone(), lost.object.clone())).collect()
}

/// Whether nothing is different but the locks and what is put aside.
pub(super) fn objects(storage: &MemoryStorage) -> Vec<(Key, Vec<u8>)> {
    let keys = AREAS.into_iter().flat_map(|area| keys(storage, area));
    keys.map(|key| (key.clone(), storage.get(&key, u64::MAX).expect("an object"))).collect()
}

fn is_lost(lost: &BTreeSet<(String, String)>, snapshot: &str, file: &str) -> bool {
    let paths = ["models".to_owned(), format!("models/{file}")];
    paths.into_iter().any(|path| lost.contains(&(snapshot.to_owned(), path)))
}

/// Everything that is not lost comes back. Gives the files of each snapshot that did.
fn assert_come_back(
    history: &History,
    repository: &Repository,
    lost: &BTreeSet<(String, String)>,
    what: &str,
) -> Vec<(String, Vec<String>)> {
    let restored = lookup::snapshots(repository).expect("list").snapshots.into_iter().map(|snapshot| {
        let name = snapshot.name.as_str();
        let restored = history.restored(repository, &snapshot);
        for one in history.night(name).iter().filter(|(file, _)| !is_lost(lost, name, file)) {
            assert!(restored.contains(one), "{what}: {} of {name}", one.0);
        }
        assert!(restored.iter().all(|one| history.night(name).contains(one)), "{what}: {name} has other content");
        (name.to_owned(), restored.into_iter().map(|(file, _)| file).collect())
    });
    restored.collect()
}

/// What the report says is lost does not come back, and everything else does.
fn assert_exact(history: &History, storage: &MemoryStorage, report: &RepairReport, what: &str) {
    let repository = Repository::open(Arc::new(storage.clone())).expect("it was repaired");
    let found = lookup::snapshots(&repository).expect("list");
    assert!(found.unreadable.is_empty(), "{what}");
    let lost = lost(report);
    for (name, restored) in assert_come_back(history, &repository, &lost, what) {
        let is_lost = |file: &String| is_lost(&lost, &name, file);
        assert!(!restored.iter().any(is_lost), "{what}: {name} has what is said to be lost");
    }
    let options = VerifyOptions { read_data: true, subset_percent: None };
    let verified = verify(&repository, None, options, &Monitor::unheard(&Cancel::new())).expect("a verification");
    assert!(verified.damage.is_empty(), "{what}: {:?}", verified.damage);
    let affected: BTreeSet<_> =
        verified.affected.listed.into_iter().map(|(snapshot, lost)| (snapshot, lost.object)).collect();
    assert_eq!(affected, lost, "{what}");
}

/// A folder with all files of all nights.
fn everything(history: &History) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temporary folder");
    let repository = Repository::open(Arc::new(history.storage.clone())).expect("a repository");
    for snapshot in lookup::snapshots(&repository).expect("list").snapshots {
        let night = folder.path().join(snapshot.name.as_str());
        fs::create_dir(&night).expect("create");
        for (name, bytes) in history.night(snapshot.name.as_str()) {
            fs::write(night.join(name), bytes).expect("write");
        }
    }
    folder
}

#[test]
fn every_harm_to_every_object_is_found_and_repaired_or_told_to_the_file() {
    let mut history = history();
    let live = everything(&history);
    let (mut cases, mut whole, mut fetched) = (0, 0, 0);
    let objects_of = |area| keys(&history.storage, area);
    let all: Vec<Key> = [Area::Config, Area::Packs, Area::Trees, Area::Index, Area::Snapshots]
        .into_iter()
        .flat_map(objects_of)
        .collect();
    for (key, one) in all.iter().flat_map(|key| FLIPS.iter().chain(&LOSSES).map(move |one| (key, *one))) {
        let (storage, what) = (history.copy(), format!("{one:?} of {key}"));
        if !harm(&storage, key, one) {
            continue;
        }
        cases += 1;
        if matches!(key.area(), Area::Packs | Area::Trees | Area::Index) {
            let repository = Repository::open(Arc::new(storage.clone())).expect("the config is sound");
            let options = VerifyOptions { read_data: true, subset_percent: None };
            assert!(
                !verify(&repository, None, options, &Monitor::unheard(&Cancel::new()))
                    .expect("a verification")
                    .is_clean(),
                "{what}: unseen"
            );
        }
        let report = repaired(storage.clone(), &[]).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_exact(&history, &storage, &report, &what);
        let gone = key.area() == Area::Snapshots;
        assert_eq!(report.lost_snapshots.len(), usize::from(gone && !matches!(one, Harm::Remove)), "{what}");
        assert!(
            matches!(key.area(), Area::Packs | Area::Trees) || report.lost.is_empty(),
            "{what}: the packs are whole"
        );
        let before = objects(&storage);
        let again = repaired(storage.clone(), &[]).unwrap_or_else(|error| panic!("{what}, again: {error}"));
        assert!(
            again.damage.is_empty() && lost(&again) == lost(&report),
            "{what}: one repair does all that can be done"
        );
        assert!(objects(&storage) == before, "{what}: a second repair changes nothing");
        if report.lost.is_empty() {
            whole += 1;
        } else {
            let storage = copy_of(&storage);
            let with_files = repaired(storage.clone(), &[live.path().to_owned()]).expect("a repair");
            assert_exact(&history, &storage, &with_files, &what);
            let is_tree = |(_, path): &(String, String)| path == "models";
            assert!(lost(&with_files).iter().all(is_tree), "{what}: live files have all content: {with_files:?}");
            fetched += usize::from(with_files.fetched.0 > 0);
        }
        // The next backup relies on nothing that is lost.
        history.backup_to(storage.clone()).unwrap_or_else(|error| panic!("{what}, the next backup: {error}"));
        history.note_new(&storage);
        let repository = Repository::open(Arc::new(storage.clone())).expect("a repository");
        let newest = lookup::snapshot(&repository, "latest", &lookup::Selection::default()).expect("a snapshot");
        assert!(
            history.restored(&repository, &newest) == history.night(newest.name.as_str()),
            "{what}: the next backup"
        );
        history.truncate(NIGHTS);
    }
    assert!(
        cases >= 200 && whole > cases / 3 && fetched > 20,
        "{cases} cases, {whole} whole, {fetched} with live files"
    );
}

/// The pack of which the most depends, without some of its blocks.
fn damaged(history: &History) -> MemoryStorage {
    let storage = history.copy();
    let packs = keys(&storage, Area::Packs);
    let largest = packs.iter().max_by_key(|key| storage.stat(key).expect("an object")).expect("a pack");
    assert!(harm(&storage, largest, Harm::Flip(250)));
    storage
}

/// Histories that are swept through.
const HISTORIES: usize = 6;

fn sweep(failure: Failure) {
    let points: usize = (0..HISTORIES).map(|seed| sweep_one(failure, seed)).sum();
    assert!(points > 100, "{points} points");
}

/// Lets the storage fail after each number of operations of a repair, and repairs again then. Gives how many there are.
fn sweep_one(failure: Failure, seed: usize) -> usize {
    let history = history_of(seed);
    let undisturbed = damaged(&history);
    let report = repaired(undisturbed.clone(), &[]).expect("a repair");
    assert!(
        !report.lost.is_empty() && report.salvaged.0 > 0 && report.is_rebuilt,
        "there is something to it: {report:?}"
    );
    let most = packs_bytes(&undisturbed);
    for operations in 0.. {
        let what = format!("{operations} operations, {failure:?}");
        let (storage, fault) = (damaged(&history), Fault::after(operations, failure));
        let first = repaired(Faulty { inner: storage.clone(), fault: fault.clone() }, &[]);
        let repository = Repository::open(Arc::new(storage.clone())).expect("the config is sound");
        assert_come_back(&history, &repository, &lost(&report), &what);
        drop(repository);
        let again = repaired(storage.clone(), &[]).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(lost(&again), lost(&report), "{what}: nothing more is lost");
        assert_exact(&history, &storage, &again, &what);
        assert!(packs_bytes(&storage) <= most + most / 10, "{what}: nothing is kept twice");
        if !fault.was_hit() {
            assert!(operations > 10, "{what}: the sweep went through a repair");
            return operations;
        }
        assert!(first.is_err(), "{what}: a failure is told");
    }
    unreachable!("a sweep comes to its end")
}

#[test]
fn a_repair_that_fails_at_any_step_is_taken_up_again() {
    sweep(Failure::Full);
    sweep(Failure::Before);
    sweep(Failure::After);
}

/// What a damaged pack was put aside for is found again as soon as what it needs is there.
#[test]
fn blocks_that_were_put_aside_come_back_when_their_bases_do() {
    let mut history = history();
    let storage = damaged(&history);
    let report = repaired(storage.clone(), &[]).expect("a repair");
    let files: BTreeSet<_> = lost(&report).into_iter().map(|(_, path)| path).collect();
    assert!(files.contains("models/data"), "{files:?}");
    // The first night's file, as it was, has every base.
    let live = everything(&history);
    let first = fs::read_dir(live.path()).expect("list").flatten().map(|entry| entry.path()).min().expect("a night");
    let with_files = repaired(storage.clone(), &[first]).expect("a repair");
    assert!(with_files.is_whole() && with_files.fetched.0 > 0 && with_files.salvaged.0 > 0, "{with_files:?}");
    assert_clean(&storage, "with the first night's files");
    history.backup_to(storage.clone()).expect("a backup");
    history.note_new(&storage);
    history.assert_whole(&storage, NIGHTS + 1, "with the first night's files");
}
