//! A storage that fails at any step, and a history of snapshots to find out what that does to them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use larder::cancel::Cancel;
use larder::model::{Snapshot, SnapshotKind};
use larder::monitor::Monitor;
use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin};
use larder::pipeline::restore::{self, Destination, RestoreJob, RestoreOptions, Safety};
use larder::pipeline::verify::{VerifyOptions, verify};
use larder::pipeline::{Error, lookup};
use larder::repo::Repository;
use larder::rooted::{Guarded, Trust};
use larder::source::{DirSource, Excludes};
use larder::storage::{
    self, Area, ExclusiveLease, Fetched, Key, Lease, Listed, MemoryStorage, PutMode, Reservation, Retractable, Storage,
    Upload,
};
use tempfile::TempDir;

use super::support::noise;

/// What happens at an operation that changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It fails, and so does everything after it, as in a crash before it.
    Before,
    /// It is done, fails nevertheless, and so does everything after it, as in a crash before its end was known.
    After,
    /// The storage is full, until a pack is deleted.
    Full,
}

/// When an operation that changes something fails.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// So many succeed before.
    left: Arc<AtomicUsize>,
    failure: Failure,
    mended: Arc<AtomicBool>,
    hit: Arc<AtomicBool>,
    /// What is cancelled in place of a failure.
    cancel: Option<Cancel>,
}

impl Fault {
    pub(super) fn after(operations: usize, failure: Failure) -> Self {
        let left = Arc::new(AtomicUsize::new(operations));
        Self { left, failure, mended: Arc::default(), hit: Arc::default(), cancel: None }
    }

    /// Nothing fails, and what works on the storage is cancelled at an operation.
    pub(super) fn cancelling_after(operations: usize, cancel: &Cancel) -> Self {
        Self { cancel: Some(cancel.clone()), ..Self::after(operations, Failure::Before) }
    }

    /// Whether any operation has failed.
    pub(super) fn was_hit(&self) -> bool {
        self.hit.load(Ordering::Relaxed)
    }

    /// Does what changes something in the storage, or lets it fail.
    fn run<T>(
        &self,
        object: &str,
        needs_room: bool,
        work: impl FnOnce() -> Result<T, storage::Error>,
    ) -> Result<T, storage::Error> {
        let full = self.failure == Failure::Full;
        if full && (!needs_room || self.mended.load(Ordering::Relaxed)) {
            return work();
        }
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return work();
        }
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
            return work();
        }
        let was_hit = self.hit.swap(true, Ordering::Relaxed);
        if self.failure == Failure::After && !was_hit {
            drop(work()?);
        }
        let object = object.to_owned();
        if full {
            return Err(storage::Error::Full { object, needed: 1 });
        }
        Err(storage::Error::Io { action: "write", object, source: std::io::ErrorKind::BrokenPipe.into() })
    }
}

/// A storage in memory that fails at some operation.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) inner: MemoryStorage,
    pub(super) fault: Fault,
}

struct FaultyUpload {
    inner: Box<dyn Upload>,
    fault: Fault,
}

impl Upload for FaultyUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), storage::Error> {
        self.fault.run("an upload", true, || self.inner.write(bytes))
    }

    fn finish(self: Box<Self>, key: &Key, mode: PutMode) -> Result<(), storage::Error> {
        let Self { inner, fault } = *self;
        fault.run(&key.path(), true, || inner.finish(key, mode))
    }
}

impl Faulty {
    fn remove(&self, key: &Key, work: impl FnOnce() -> Result<(), storage::Error>) -> Result<(), storage::Error> {
        self.fault.run(&key.path(), false, work)?;
        if larder::pack::id_of(key).is_some() {
            self.fault.mended.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Storage for Faulty {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn describe_object(&self, key: &Key) -> String {
        self.inner.describe_object(key)
    }

    fn guarded(&self) -> Result<Guarded, storage::Error> {
        self.inner.guarded()
    }

    fn lease(&self, waits: &dyn Fn()) -> Result<Lease, storage::Error> {
        self.inner.lease(waits)
    }

    fn reserve(&self, name: &str) -> Result<Option<Reservation>, storage::Error> {
        self.inner.reserve(name)
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), storage::Error> {
        let mut upload = self.upload(key.area())?;
        upload.write(bytes)?;
        upload.finish(key, mode)
    }

    fn upload(&self, area: Area) -> Result<Box<dyn Upload>, storage::Error> {
        let inner = self.fault.run(area.folder(), true, || self.inner.upload(area))?;
        Ok(Box::new(FaultyUpload { inner, fault: self.fault.clone() }))
    }

    fn get(&self, key: &Key, len_bytes_max: u64) -> Result<Vec<u8>, storage::Error> {
        self.inner.get(key, len_bytes_max)
    }

    fn get_range(&self, key: &Key, offset: u64, target: &mut [u8]) -> Result<(), storage::Error> {
        self.inner.get_range(key, offset, target)
    }

    fn get_ranges(&self, key: &Key, ranges: &mut [(u64, &mut [u8])]) -> Result<(), storage::Error> {
        self.inner.get_ranges(key, ranges)
    }

    fn fetch(&self, key: &Key) -> Result<Fetched, storage::Error> {
        self.inner.fetch(key)
    }

    fn stat(&self, key: &Key) -> Result<u64, storage::Error> {
        self.inner.stat(key)
    }

    fn list(&self, area: Area) -> Result<Vec<Listed>, storage::Error> {
        self.inner.list(area)
    }

    fn occupied_by(&self) -> Result<Option<String>, storage::Error> {
        self.inner.occupied_by()
    }

    fn delete(&self, key: &Key, alone: &ExclusiveLease) -> Result<(), storage::Error> {
        self.remove(key, || self.inner.delete(key, alone))
    }

    fn retract(&self, area: Retractable, name: &str) -> Result<(), storage::Error> {
        self.remove(&Key::new(area.into(), name), || self.inner.retract(area, name))
    }

    fn sweep(&self, alone: &ExclusiveLease) -> Result<(), storage::Error> {
        self.inner.sweep(alone)
    }
}

/// A repository in memory, and what each of its snapshots has.
pub(super) struct History {
    folder: TempDir,
    pub(super) storage: MemoryStorage,
    nights: BTreeMap<String, Vec<(String, Vec<u8>)>>,
}

pub(super) fn open(storage: impl Storage + 'static) -> Repository {
    Repository::open_or_create(Arc::new(storage)).expect("a repository")
}

impl History {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir(folder.path().join("models")).expect("create");
        Self { folder, storage: MemoryStorage::default(), nights: BTreeMap::new() }
    }

    /// Nights of a file that changes a little, of one that is new each night, and of one that is there at first.
    pub(super) fn nights(count: u8) -> Self {
        Self::nights_of(count, 0)
    }

    /// The same with other content and other lengths for each seed.
    pub(super) fn nights_of(count: u8, seed: usize) -> Self {
        let mut history = Self::new();
        let other = 1_000 * seed as u64;
        let mut data = noise(300_000 + 70_000 * seed, 1 + other);
        history.write("gone", &noise(150_000 + 9_000 * seed, 2 + other));
        for night in 0..count {
            history.write("data", &data);
            history.write("fresh", &noise(60_000 + 20_000 * seed, 10 + u64::from(night) + other));
            if night == 2 {
                fs::remove_file(history.models().join("gone")).expect("it is ours");
            }
            history.backup();
            data.chunks_mut(9_000).for_each(|part| part[usize::from(night)] ^= 0x55);
        }
        history
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.models().join(name), bytes).expect("write");
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.models().join(name)).expect("it is ours");
    }

    pub(super) fn backup(&mut self) {
        self.backup_to(self.storage.clone()).expect("a backup");
        self.note_new(&self.storage.clone());
    }

    /// Backs up what there is now.
    pub(super) fn backup_to(&self, storage: impl Storage + 'static) -> Result<(), Error> {
        let repository = Repository::open_or_create(Arc::new(storage))?;
        let origin = Origin::Directory(DirSource::new(self.models(), Excludes::default()));
        let sources = [ComponentSource { name: "models".parse().expect("a name"), origin }];
        let options = BackupOptions { read_back: false, ..BackupOptions::new(SnapshotKind::Full, "host", "a test") };
        let reserved = backup::reserve(&repository)?;
        backup::run(&repository, reserved, &sources, &options, &Monitor::unheard(&Cancel::new())).map(drop)
    }

    /// Snapshots that have appeared have what there is now. Gives how many there are in all.
    pub(super) fn note_new(&mut self, storage: &MemoryStorage) -> usize {
        let found = lookup::snapshots(&open(storage.clone())).expect("list").snapshots;
        let now = files_of(&self.models());
        for snapshot in &found {
            self.nights.entry(snapshot.name.to_string()).or_insert_with(|| now.clone());
        }
        found.len()
    }

    /// Forgets about snapshots that have been noted after the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        while self.nights.len() > count {
            self.nights.pop_last();
        }
    }

    fn models(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    pub(super) fn copy(&self) -> MemoryStorage {
        copy_of(&self.storage)
    }

    fn restore(&self, repository: &Repository, snapshot: &Snapshot, what: &str) {
        let expected = &self.nights[snapshot.name.as_str()];
        assert!(self.restored(repository, snapshot) == *expected, "{what}: {}", snapshot.name);
    }

    /// What a snapshot has.
    pub(super) fn night(&self, name: &str) -> &[(String, Vec<u8>)] {
        &self.nights[name]
    }

    /// The files of a snapshot that can be restored.
    pub(super) fn restored(&self, repository: &Repository, snapshot: &Snapshot) -> Vec<(String, Vec<u8>)> {
        let out = self.folder.path().join("out");
        let _ = fs::remove_dir_all(&out);
        let component = snapshot.component("models").expect("it was saved");
        let jobs = [RestoreJob {
            component,
            destination: Destination::Folder { folder: out.clone(), trust: Trust::default() },
            parts: None,
        }];
        let (safety, options) = (Safety::default(), RestoreOptions::default());
        restore::run(repository, snapshot, &jobs, safety, options, &Monitor::unheard(&Cancel::new()))
            .expect("a restore");
        files_of(&out.join("models"))
    }

    /// What can be brought back is whole.
    pub(super) fn assert_forgotten_come_back(&self, storage: &MemoryStorage, what: &str) {
        let storage = copy_of(storage);
        let repository = open(storage.clone());
        for name in repository.forgotten_names().expect("list") {
            repository.undelete(&name).expect("its name is free");
        }
        self.assert_whole(&storage, 3, &format!("{what}, brought back"));
    }

    /// The newest `kept` snapshots are there and whole; every other one that is there is whole too.
    pub(super) fn assert_whole(&self, storage: &MemoryStorage, kept: usize, what: &str) {
        let repository = open(storage.clone());
        let found = lookup::snapshots(&repository).expect("list").snapshots;
        let names: Vec<&str> = found.iter().take(kept).map(|one| one.name.as_str()).collect();
        assert!(names.iter().eq(self.nights.keys().rev().take(kept)), "{what}: {names:?} are there");
        for snapshot in &found {
            self.restore(&repository, snapshot, what);
        }
    }
}

/// Everything that a repository has.
pub(super) const AREAS: [Area; 9] = [
    Area::Config,
    Area::Packs,
    Area::Trees,
    Area::Index,
    Area::Snapshots,
    Area::Pins,
    Area::Forgotten,
    Area::Quarantine,
    Area::Parity,
];

/// The same objects again, in another storage.
pub(super) fn copy_of(storage: &MemoryStorage) -> MemoryStorage {
    let copy = MemoryStorage::default();
    for area in AREAS {
        for object in storage.list(area).expect("list") {
            let key = Key::new(area, object.name);
            copy.overwrite(&key, storage.get(&key, u64::MAX).expect("get"));
        }
    }
    copy
}

fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    // A restore of which the root is lost makes no folder.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| (name(&entry), fs::read(entry.path()).expect("read"))).collect();
    files.sort();
    files
}

pub(super) fn packs_bytes(storage: &MemoryStorage) -> u64 {
    larder::pack::list(storage).expect("list").iter().map(|pack| pack.len_bytes).sum()
}

pub(super) fn assert_clean(storage: &MemoryStorage, what: &str) {
    let options = VerifyOptions { read_data: true, subset_percent: None };
    let report =
        verify(&open(storage.clone()), None, options, &Monitor::unheard(&Cancel::new())).expect("a verification");
    assert!(report.is_clean(), "{what}: {:?} {:?}", report.damage, report.affected);
}
