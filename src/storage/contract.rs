//! What every storage has to do: one suite, which the tests of each run on it.

use std::sync::Arc;

use super::key::AREAS;
use super::{Area, Error, ExclusiveLease, Fetched, Key, Listed, PutMode, Retractable, Storage};

/// Runs the suite on an empty storage, of which `open` gives one after the other: they are used together.
///
/// # Panics
/// Where the storage does not do what it has to.
pub fn check(open: &dyn Fn() -> Arc<dyn Storage>) {
    let storage = open();
    objects(storage.as_ref());
    pieces(storage.as_ref());
    areas(storage.as_ref());
    exclusion(storage.as_ref(), open().as_ref());
}

/// Runs what takes a proof that nobody else is there.
fn alone<T>(storage: &dyn Storage, work: impl FnOnce(&ExclusiveLease) -> Result<T, Error>) -> T {
    let lease = storage.lease(&|| {}).expect("nobody has it alone");
    lease.when_alone(work).expect("no failure").expect("nobody else is there")
}

fn objects(storage: &dyn Storage) {
    let key = Key::new(Area::Snapshots, "one");
    assert!(storage.get(&key, 10).expect_err("absent").is_missing());
    assert!(storage.stat(&key).expect_err("absent").is_missing());
    assert!(storage.fetch(&key).expect_err("absent").is_missing());
    assert!(storage.list(Area::Snapshots).expect("empty list").is_empty());
    assert_eq!(storage.occupied_by().expect("looked"), None);
    storage.retract(Retractable::Snapshot, "one").expect("what is absent");
    assert!(storage.describe_object(&key).ends_with("snapshots/one") && !storage.describe().is_empty());

    storage.put(&key, b"hello", PutMode::Exclusive).expect("first put");
    assert_eq!(storage.get(&key, 5).expect("get"), b"hello");
    assert!(matches!(storage.get(&key, 4), Err(Error::Length { .. })));
    assert!(storage.put(&key, b"other", PutMode::Exclusive).expect_err("second put").is_exists());
    assert_eq!(storage.get(&key, 5).expect("unchanged"), b"hello");
    assert!(storage.occupied_by().expect("looked").is_some(), "there is no config");
    let fetched = match storage.fetch(&key).expect("it is there") {
        Fetched::Bytes(bytes) => bytes.len() as u64,
        Fetched::File(_, len_bytes) => len_bytes,
        Fetched::Mappable(file) => file.metadata().expect("it is open").len(),
    };
    assert_eq!(fetched, 5);

    let mut middle = [0; 3];
    storage.get_range(&key, 1, &mut middle).expect("range");
    assert_eq!(&middle, b"ell");
    assert!(matches!(storage.get_range(&key, 3, &mut middle), Err(Error::Length { .. })));
    let (mut first, mut last) = ([0; 2], [0; 2]);
    storage.get_ranges(&key, &mut [(3, &mut last), (0, &mut first)]).expect("ranges");
    assert_eq!((&first, &last), (b"he", b"lo"));
    assert!(matches!(storage.get_ranges(&key, &mut [(0, &mut first), (4, &mut last)]), Err(Error::Length { .. })));
    storage.retract(Retractable::Snapshot, "one").expect("it is there");
    assert!(storage.stat(&key).expect_err("it is gone").is_missing());
}

fn pieces(storage: &dyn Storage) {
    let pack = Key::new(Area::Packs, "ab".repeat(32));
    let mut upload = storage.upload(Area::Packs).expect("upload");
    upload.write(b"in ").expect("write");
    assert!(storage.list(Area::Packs).expect("list").is_empty(), "an unfinished object must not be listed");
    upload.write(b"pieces").expect("write");
    upload.finish(&pack, PutMode::SameContent).expect("finish");
    storage.put(&pack, b"in pieces", PutMode::SameContent).expect("the same again");
    assert_eq!(storage.stat(&pack).expect("stat"), 9);
    drop(storage.upload(Area::Packs).expect("upload"));
    let listed = storage.list(Area::Packs).expect("list");
    assert_eq!(listed, [Listed { name: "ab".repeat(32), len_bytes: 9 }]);
    alone(storage, |alone| storage.delete(&pack, alone));
    alone(storage, |alone| storage.delete(&pack, alone));
    assert!(storage.list(Area::Packs).expect("list").is_empty());
}

fn areas(storage: &dyn Storage) {
    for area in AREAS {
        let key = Key::new(area, "cd".repeat(32));
        storage.put(&key, b"", PutMode::Exclusive).expect("an empty object");
        for other in AREAS {
            assert_eq!(storage.list(other).expect("list").len(), usize::from(other == area), "{area:?}, {other:?}");
        }
        assert_eq!(storage.get(&key, 0).expect("get"), b"");
        alone(storage, |alone| storage.delete(&key, alone));
    }
    for (area, retractable) in [
        (Area::Snapshots, Retractable::Snapshot),
        (Area::Pins, Retractable::Pin),
        (Area::Forgotten, Retractable::Forgotten),
        (Area::Quarantine, Retractable::Quarantine),
        (Area::Parity, Retractable::Parity),
    ] {
        storage.put(&Key::new(area, "one"), b"1", PutMode::Exclusive).expect("put");
        storage.retract(retractable, "one").expect("it is there");
        assert!(storage.list(area).expect("list").is_empty(), "{area:?}");
    }
}

/// Who shares it keeps others from having it alone, and a name is held once.
fn exclusion(one: &dyn Storage, other: &dyn Storage) {
    let lease = one.lease(&|| {}).expect("nobody has it alone");
    let second = other.lease(&|| {}).expect("it is shared");
    let try_alone = || lease.if_alone(|_| Ok::<_, Error>(())).expect("no failure");
    assert_eq!(try_alone(), None, "somebody else is there");
    drop(second);
    assert_eq!(try_alone(), Some(()), "nobody else is there");
    assert_eq!(try_alone(), Some(()), "it was shared again");
    let reserved = one.reserve("name").expect("no failure");
    assert!(reserved.is_some() && other.reserve("name").expect("no failure").is_none());
    assert!(other.reserve("another").expect("no failure").is_some());
    drop(reserved);
    assert!(other.reserve("name").expect("no failure").is_some());
    drop(lease);
    alone_sweeps(one);
}

fn alone_sweeps(storage: &dyn Storage) {
    let key = Key::new(Area::Index, "kept");
    storage.put(&key, b"1", PutMode::Exclusive).expect("put");
    let lease = storage.lease(&|| {}).expect("nobody has it alone");
    let swept = lease.when_alone(|alone| storage.sweep(alone));
    assert_eq!(swept.expect("no failure"), Some(()));
    assert_eq!(storage.stat(&key).expect("what is complete stays"), 1);
    let deleted = lease.when_alone(|alone| storage.delete(&key, alone));
    assert_eq!(deleted.expect("no failure"), Some(()));
}

#[cfg(test)]
mod tests {
    use super::super::{LocalStorage, MemoryStorage};
    use super::*;

    #[test]
    fn memory() {
        let storage = MemoryStorage::default();
        check(&|| Arc::new(storage.clone()));
    }

    #[test]
    fn local() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let root = folder.path().join("repository");
        std::fs::create_dir(&root).expect("ours");
        check(&|| Arc::new(LocalStorage::new(&root)));
    }
}
