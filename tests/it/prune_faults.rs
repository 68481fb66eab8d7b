//! A prune whose storage fails, or fills up, at any step, and a prune that others come before: what is kept stays whole.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder::model::{Retention, Snapshot, SnapshotKind};
use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin};
use larder::pipeline::prune::{self, PruneOptions, PrunePlan, PruneReport};
use larder::pipeline::restore::{self, Destination, RestoreJob, RestoreOptions, Safety};
use larder::pipeline::verify::{VerifyOptions, verify};
use larder::pipeline::{Error, lookup};
use larder::progress::Silent;
use larder::repo::Repository;
use larder::source::{DirSource, Excludes};
use larder::storage::{self, Area, Key, Listed, MemoryStorage, PutMode, Storage, Upload};
use tempfile::TempDir;

use super::support::noise;

/// When an operation that changes something fails.
#[derive(Debug, Clone)]
struct Fault {
    /// So many succeed before.
    left: Arc<AtomicUsize>,
    /// Whether the failure is one of a full storage, which deleting a pack mends.
    full: bool,
    mended: Arc<AtomicBool>,
    hit: Arc<AtomicBool>,
}

impl Fault {
    fn after(operations: usize, full: bool) -> Self {
        let left = Arc::new(AtomicUsize::new(operations));
        Self { left, full, mended: Arc::default(), hit: Arc::default() }
    }

    /// Whether this operation may go on. After the first failure all fail, as after a crash, or all that need room.
    fn check(&self, object: &str, needs_room: bool) -> Result<(), storage::Error> {
        if self.full && (!needs_room || self.mended.load(Ordering::Relaxed)) {
            return Ok(());
        }
        let spent = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err();
        if !spent {
            return Ok(());
        }
        self.hit.store(true, Ordering::Relaxed);
        let object = object.to_owned();
        if self.full {
            return Err(storage::Error::Full { object, needed: 1 });
        }
        Err(storage::Error::Io { action: "write", object, source: std::io::ErrorKind::BrokenPipe.into() })
    }
}

#[derive(Debug)]
struct Faulty {
    inner: MemoryStorage,
    fault: Fault,
}

struct FaultyUpload {
    inner: Box<dyn Upload>,
    fault: Fault,
}

impl Upload for FaultyUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), storage::Error> {
        self.fault.check("an upload", true)?;
        self.inner.write(bytes)
    }

    fn finish(self: Box<Self>, key: &Key, mode: PutMode) -> Result<(), storage::Error> {
        self.fault.check(&key.path(), true)?;
        self.inner.finish(key, mode)
    }
}

impl Storage for Faulty {
    fn upload(&self, area: Area) -> Result<Box<dyn Upload>, storage::Error> {
        self.fault.check(area.folder(), true)?;
        Ok(Box::new(FaultyUpload { inner: self.inner.upload(area)?, fault: self.fault.clone() }))
    }

    fn get(&self, key: &Key, len_bytes_max: u64) -> Result<Vec<u8>, storage::Error> {
        self.inner.get(key, len_bytes_max)
    }

    fn get_range(&self, key: &Key, offset: u64, target: &mut [u8]) -> Result<(), storage::Error> {
        self.inner.get_range(key, offset, target)
    }

    fn stat(&self, key: &Key) -> Result<u64, storage::Error> {
        self.inner.stat(key)
    }

    fn list(&self, area: Area) -> Result<Vec<Listed>, storage::Error> {
        self.inner.list(area)
    }

    fn delete(&self, key: &Key) -> Result<(), storage::Error> {
        self.fault.check(&key.path(), false)?;
        if key.area() == Area::Packs {
            self.fault.mended.store(true, Ordering::Relaxed);
        }
        self.inner.delete(key)
    }
}

/// A repository in memory, and what each of its snapshots has.
struct History {
    folder: TempDir,
    storage: MemoryStorage,
    nights: BTreeMap<String, Vec<(String, Vec<u8>)>>,
}

fn open(storage: impl Storage + 'static) -> Repository {
    Repository::open_or_create(Arc::new(storage)).expect("a repository")
}

impl History {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("models")).expect("create");
        Self { folder, storage: MemoryStorage::default(), nights: BTreeMap::new() }
    }

    /// Six nights of a file that changes a little, of one that is new each night, and of one that is there at first.
    fn nights() -> Self {
        let mut history = Self::new();
        let mut data = noise(300_000, 1);
        history.write("gone", &noise(150_000, 2));
        for night in 0..6_u8 {
            history.write("data", &data);
            history.write("fresh", &noise(60_000, 10 + u64::from(night)));
            if night == 2 {
                fs::remove_file(history.folder.path().join("models/gone")).expect("it is ours");
            }
            history.backup();
            data.chunks_mut(9_000).for_each(|part| part[usize::from(night)] ^= 0x55);
        }
        history
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.path().join("models").join(name), bytes).expect("write");
    }

    fn backup(&mut self) {
        let repository = open(self.storage.clone());
        let models = self.folder.path().join("models");
        let origin = Origin::Directory(DirSource::new(&models, Excludes::default()));
        let sources = [ComponentSource { name: "models".parse().expect("a name"), origin }];
        let options = BackupOptions {
            kind: SnapshotKind::Full,
            host: "host".to_owned(),
            program: "a test".to_owned(),
            tags: Vec::new(),
            read_back: false,
            deltas: true,
            keep_held: false,
        };
        let reserved = backup::reserve(&repository).expect("a name");
        let report = backup::run(&repository, reserved, &sources, &options, &Silent).expect("a backup");
        self.nights.insert(report.snapshot.name.to_string(), files_of(&models));
    }

    fn copy(&self) -> MemoryStorage {
        copy_of(&self.storage)
    }

    fn restore(&self, repository: &Repository, snapshot: &Snapshot, what: &str) {
        let out = self.folder.path().join("out");
        let _ = fs::remove_dir_all(&out);
        let component = snapshot.component("models").expect("it was saved");
        let jobs = [RestoreJob { component, destination: Destination::Folder(out.clone()) }];
        let (safety, options) = (Safety::default(), RestoreOptions::default());
        let report = restore::run(repository, snapshot, &jobs, safety, options, &Silent).expect("a restore");
        assert!(report.components.iter().all(|one| one.failed.is_empty()), "{what}: {:?}", report.components);
        let expected = &self.nights[snapshot.name.as_str()];
        assert!(files_of(&out.join("models")) == *expected, "{what}: {}", snapshot.name);
    }

    /// What can be brought back is whole.
    fn assert_forgotten_come_back(&self, storage: &MemoryStorage, what: &str) {
        let storage = copy_of(storage);
        let repository = open(storage.clone());
        for name in repository.forgotten_names().expect("list") {
            repository.undelete(&name).expect("its name is free");
        }
        self.assert_whole(&storage, 3, &format!("{what}, brought back"));
    }

    /// The newest `kept` snapshots are there and whole; every other one that is there is whole too.
    fn assert_whole(&self, storage: &MemoryStorage, kept: usize, what: &str) {
        let repository = open(storage.clone());
        let found = lookup::snapshots(&repository).expect("list").snapshots;
        let names: Vec<&str> = found.iter().take(kept).map(|one| one.name.as_str()).collect();
        assert!(names.iter().eq(self.nights.keys().rev().take(kept)), "{what}: {names:?} are there");
        for snapshot in &found {
            self.restore(&repository, snapshot, what);
        }
    }
}

/// The same objects again, in another storage.
fn copy_of(storage: &MemoryStorage) -> MemoryStorage {
    let copy = MemoryStorage::default();
    for area in [Area::Config, Area::Packs, Area::Index, Area::Snapshots, Area::Pins, Area::Forgotten] {
        for object in storage.list(area).expect("list") {
            let key = Key::new(area, object.name);
            copy.overwrite(&key, storage.get(&key, u64::MAX).expect("get"));
        }
    }
    copy
}

fn files_of(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let entries = fs::read_dir(folder).expect("list").flatten();
    let mut files: Vec<_> = entries.map(|entry| (name(&entry), fs::read(entry.path()).expect("read"))).collect();
    files.sort();
    files
}

fn plan(repository: &Repository, last: u32) -> PrunePlan {
    let retention = Retention { last, ..Retention::NONE };
    prune::plan(repository, &PruneOptions { retention, ..PruneOptions::default() }, &Silent).expect("a plan")
}

fn pruned(repository: &Repository, last: u32) -> Result<PruneReport, Error> {
    prune::execute(repository, plan(repository, last), &Silent)
}

fn bytes_of(storage: &MemoryStorage, area: Area) -> u64 {
    storage.list(area).expect("list").iter().map(|object| object.len_bytes).sum()
}

fn assert_clean(storage: &MemoryStorage, what: &str) {
    let options = VerifyOptions { read_data: true, subset_percent: None };
    let report = verify(&open(storage.clone()), None, options, &Silent).expect("a verification");
    assert!(report.is_clean(), "{what}: {:?} {:?}", report.damage, report.affected);
}

/// Lets the storage fail after each number of operations, and prunes again then.
fn sweep(full: bool) {
    let history = History::nights();
    let undisturbed = history.copy();
    let report = pruned(&open(undisturbed.clone()), 3).expect("a prune");
    assert!(report.collected.written.0 > 0 && report.collected.deleted.0 > 3, "there is something to it: {report:?}");
    let least = bytes_of(&undisturbed, Area::Packs);
    for operations in 0.. {
        let what = format!("{operations} operations, full: {full}");
        let (storage, fault) = (history.copy(), Fault::after(operations, full));
        let result = pruned(&open(Faulty { inner: storage.clone(), fault: fault.clone() }), 3);
        if full {
            assert!(result.is_ok(), "{what}: {result:?}");
        }
        history.assert_whole(&storage, 3, &what);
        history.assert_forgotten_come_back(&storage, &what);
        let again = pruned(&open(storage.clone()), 3);
        assert!(again.is_ok(), "{what}: {again:?}");
        history.assert_whole(&storage, 3, &what);
        assert_clean(&storage, &what);
        assert!(storage.list(Area::Forgotten).expect("list").is_empty(), "{what}");
        assert!(bytes_of(&storage, Area::Packs) <= least + least / 10, "{what}: garbage is left");
        if !fault.hit.load(Ordering::Relaxed) {
            assert!(operations > 10, "{what}: the sweep went through a prune");
            return;
        }
        assert!(full || result.is_err(), "{what}: a failure is told");
    }
}

#[test]
fn a_prune_that_fails_at_any_step_leaves_what_is_kept_whole() {
    sweep(false);
}

#[test]
fn a_storage_that_is_full_at_any_step_is_pruned_all_the_same() {
    sweep(true);
}

/// A backup between plan and execution finds its data in what was about to go.
#[test]
fn what_appears_after_the_plan_keeps_what_it_needs() {
    let mut history = History::nights();
    let storage = history.storage.clone();
    let repository = open(storage.clone());
    let plan = plan(&repository, 2);
    // Nothing that is kept has it any more.
    history.write("gone", &noise(150_000, 2));
    let before = bytes_of(&storage, Area::Packs);
    history.backup();
    assert!(bytes_of(&storage, Area::Packs) < before + 100_000, "its data is that of the first nights");
    let report = prune::execute(&repository, plan, &Silent).expect("a prune");
    assert!(report.collected.rescued > 0, "{report:?}");
    history.assert_whole(&storage, 3, "a backup came between");
    assert_clean(&storage, "a backup came between");
}

/// Two plans of one moment are carried out one after the other.
#[test]
fn a_prune_that_another_one_comes_before_deletes_nothing_that_is_needed() {
    let history = History::nights();
    for (first, second) in [(4, 2), (2, 4), (3, 3)] {
        let storage = history.copy();
        let (one, other) = (open(storage.clone()), open(storage.clone()));
        let (plan_one, plan_other) = (plan(&one, first), plan(&other, second));
        prune::execute(&one, plan_one, &Silent).expect("nobody was before it");
        let _ = prune::execute(&other, plan_other, &Silent);
        let what = format!("{first} and then {second}");
        history.assert_whole(&storage, 2, &what);
        pruned(&open(storage.clone()), 2).expect("a prune");
        history.assert_whole(&storage, 2, &what);
        assert_clean(&storage, &what);
    }
}
