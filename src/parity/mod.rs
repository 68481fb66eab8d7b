//! Parity: what an object can be restored with, bit for bit, when some of its bytes are damaged or gone.
//!
//! The object is taken as shards of equal length; Reed-Solomon code makes further ones, which lie in an object of their own
//! with a checksum of each shard. As many damaged shards can be restored as there are further ones. What an object means is
//! not known here.

mod code;
mod error;
mod layout;
mod read;
mod share;

pub use error::Error;
pub use share::Share;

use crate::id::{Digest, FileHasher};
use crate::storage::{self, Area, ExclusiveLease, Key, PutMode, Retractable, Storage};

use error::damage;
use layout::Header;
use read::{read_header, read_recovery, read_shard};

const OF_ANOTHER: &str = "it is that of another object than its name says";

/// How an object is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// It was as it should be.
    Sound,
    /// It is as it should be again.
    Again,
}

/// The key of the parity of an object.
#[must_use]
pub fn key(object: &Key) -> Key {
    Key::new(Area::Parity, object.flat_name())
}

/// Length of the parity of an object of this length, in bytes.
#[must_use]
pub fn len_bytes(object: &Key, object_bytes: u64, share: Share) -> u64 {
    Header::plan(object, object_bytes, share).parity_bytes()
}

/// Writes the parity of an object, in place of one that is there, and returns its length in bytes. `is_sound` is asked
/// about the digest of the object, so that damage is not made lasting; without its consent nothing is written.
///
/// # Errors
/// [`Error::Storage`].
pub fn write(
    storage: &dyn Storage,
    object: &Key,
    share: Share,
    is_sound: impl FnOnce(&Digest) -> bool,
) -> Result<Option<u64>, Error> {
    let mut header = Header::plan(object, storage.stat(object)?, share);
    let mut hasher = FileHasher::new();
    for number in 0..header.data_shards {
        let shard = read_shard(storage, object, &header, number)?;
        hasher.update(shard.get(..header.used_bytes(number)).unwrap_or_default());
        header.add_checksum(&shard);
    }
    header.digest = hasher.finish();
    if !is_sound(&header.digest) {
        return Ok(None);
    }
    let recovery = code::encode(storage, object, &header)?;
    for shard in recovery.chunks(header.shard_bytes) {
        header.add_checksum(shard);
    }
    let bytes = header.encode();
    let mut upload = storage.upload(Area::Parity)?;
    upload.write(&bytes)?;
    upload.write(&recovery)?;
    // A second time, because without it the rest is worth nothing.
    upload.write(&bytes)?;
    upload.write(&(bytes.len() as u64).to_le_bytes())?;
    upload.finish(&key(object), PutMode::SameContent)?;
    Ok(Some(header.parity_bytes()))
}

/// Whether an object is one that has parity, with the name that it is given, which is this digest of it where its name is one.
#[must_use]
pub fn is_named(object: &Key, digest: &Digest) -> bool {
    match object.area() {
        Area::Packs | Area::Trees | Area::Index => object.name().parse::<Digest>().is_ok_and(|name| name == *digest),
        Area::Snapshots => Key::is_plain_name(object.name()),
        Area::Config => true,
        Area::Pins | Area::Forgotten | Area::Quarantine | Area::Parity => false,
    }
}

/// Compares an object with its parity, and writes it anew when it differs. `None` when it has no parity.
///
/// # Errors
/// [`Error::Damaged`], [`Error::TooMuch`]; then the object is as it was. [`Error::Storage`].
pub fn restore(storage: &dyn Storage, object: &Key) -> Result<Option<Restored>, Error> {
    let parity = key(object);
    let header = match read_header(storage, &parity) {
        Err(Error::Storage(error)) if error.is_missing() => return Ok(None),
        header => header?,
    };
    if !is_named(object, &header.digest) {
        return Err(damage(&parity, OF_ANOTHER));
    }
    let found_bytes = match storage.stat(object) {
        Err(error) if error.is_missing() => 0,
        found => found?,
    };
    let mut damaged = Vec::new();
    for number in 0..header.data_shards {
        match read_shard(storage, object, &header, number) {
            Ok(shard) if header.matches(number, &shard) => {}
            Err(error) if !error.is_damage() => return Err(error.into()),
            _ => damaged.push(number),
        }
    }
    if damaged.is_empty() && found_bytes == header.object_bytes {
        return Ok(Some(Restored::Sound));
    }
    let shards = code::restore(storage, (object, &parity), &header, &damaged)?;
    let mut upload = storage.upload(object.area())?;
    let mut hasher = FileHasher::new();
    let mut restored = shards.chunks(header.shard_bytes).zip(&damaged).peekable();
    for number in 0..header.data_shards {
        let shard = match restored.next_if(|(_, damaged)| **damaged == number) {
            Some((shard, _)) => shard.to_vec(),
            None => read_shard(storage, object, &header, number)?,
        };
        let used = shard.get(..header.used_bytes(number)).unwrap_or_default();
        hasher.update(used);
        upload.write(used)?;
    }
    if hasher.finish() != header.digest {
        return Err(damage(&parity, "what it restores is another object"));
    }
    upload.finish(object, PutMode::SameContent)?;
    Ok(Some(Restored::Again))
}

/// Reads the parity of an object and compares it with its own checksums, and with the name of the object.
///
/// # Errors
/// [`Error::Damaged`], [`Error::Storage`].
pub fn check(storage: &dyn Storage, parity: &Key) -> Result<(), Error> {
    let header = read_header(storage, parity)?;
    if storage.stat(parity)? != header.parity_bytes() {
        return Err(damage(parity, "it has another length"));
    }
    if !Key::from_flat_name(parity.name()).is_some_and(|object| is_named(&object, &header.digest)) {
        return Err(damage(parity, OF_ANOTHER));
    }
    let bytes = header.encode();
    let end = [bytes.as_slice(), &(bytes.len() as u64).to_le_bytes()].concat();
    for (offset, expected) in [(0, &bytes), (header.parity_bytes() - end.len() as u64, &end)] {
        let mut found = vec![0; expected.len()];
        storage.get_range(parity, offset, &mut found)?;
        if found != *expected {
            return Err(damage(parity, "one of its headers is damaged"));
        }
    }
    for number in 0..header.recovery_shards {
        if read_recovery(storage, parity, &header, number)?.is_none() {
            return Err(damage(parity, "a shard does not match its checksum"));
        }
    }
    Ok(())
}

/// Deletes an object, and before it its parity, which must never bring it back.
///
/// # Errors
/// [`storage::Error`].
pub fn delete(storage: &dyn Storage, object: &Key, alone: &ExclusiveLease) -> Result<(), storage::Error> {
    around(storage, object, || storage.delete(object, alone))
}

/// Takes back the manifest of a snapshot, and before it its parity.
///
/// # Errors
/// [`storage::Error`].
pub fn retract_manifest(storage: &dyn Storage, name: &str) -> Result<(), storage::Error> {
    let object = Key::new(Area::Snapshots, name);
    around(storage, &object, || storage.retract(Retractable::Snapshot, name))
}

fn around(
    storage: &dyn Storage,
    object: &Key,
    remove: impl FnOnce() -> Result<(), storage::Error>,
) -> Result<(), storage::Error> {
    let parity = key(object);
    storage.retract(Retractable::Parity, parity.name())?;
    remove()?;
    // Somebody may just have written it.
    storage.retract(Retractable::Parity, parity.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    fn noise(len: usize) -> Vec<u8> {
        let mut hasher = FileHasher::new();
        let words = std::iter::from_fn(|| {
            hasher.update(b"more");
            Some(hasher.finish())
        });
        words.flat_map(|digest| *digest.as_bytes()).take(len).collect()
    }

    fn pack_of(bytes: &[u8]) -> Key {
        let mut hasher = FileHasher::new();
        hasher.update(bytes);
        Key::new(Area::Packs, hasher.finish().to_string())
    }

    fn share(thousandths: u16) -> Share {
        Share::new(thousandths).expect("a share")
    }

    fn protected(object: &Key, bytes: &[u8], share: Share) -> MemoryStorage {
        let storage = MemoryStorage::default();
        storage.overwrite(object, bytes.to_vec());
        let written = write(&storage, object, share, |_| true).expect("memory").expect("it is sound");
        assert_eq!(storage.stat(&key(object)).expect("it is there"), written);
        assert_eq!(len_bytes(object, bytes.len() as u64, share), written);
        check(&storage, &key(object)).expect("as it was written");
        storage
    }

    #[test]
    fn as_much_as_the_share_comes_back_wherever_it_was() {
        for len in [1, 63, 64, 65, 511, 513, 5_000, 99_999, 3_000_000] {
            let bytes = noise(len);
            let pack = pack_of(&bytes);
            let storage = protected(&pack, &bytes, share(30));
            assert_eq!(restore(&storage, &pack).expect("memory"), Some(Restored::Sound), "{len}");
            let header = Header::plan(&pack, len as u64, share(30));
            let shard = header.shard_bytes;
            let (shards, restorable) = (header.data_shards, header.recovery_shards);
            assert!(len < 100_000 || (28..=40).contains(&(restorable * 1000 / shards)), "{len}");
            let mut damaged = bytes.clone();
            for number in 0..restorable {
                damaged[(number * 7 % shards) * shard] ^= 1;
            }
            storage.overwrite(&pack, damaged.clone());
            assert_eq!(restore(&storage, &pack).expect("within the share"), Some(Restored::Again), "{len}");
            assert_eq!(storage.get(&pack, len as u64).expect("it is there"), bytes, "{len}");
            // The end is gone.
            let kept = (shards - restorable) * shard;
            storage.overwrite(&pack, bytes[..kept].to_vec());
            assert_eq!(restore(&storage, &pack).expect("within the share"), Some(Restored::Again), "{len}");
            assert_eq!(storage.get(&pack, len as u64).expect("it is there"), bytes, "{len}");
            // Too long is wrong, too.
            storage.overwrite(&pack, [bytes.as_slice(), b"more"].concat());
            assert_eq!(restore(&storage, &pack).expect("nothing is damaged"), Some(Restored::Again), "{len}");
            if restorable < shards {
                (0..=restorable).for_each(|number| damaged[number * shard] ^= 2);
                damaged[0] ^= 4;
                storage.overwrite(&pack, damaged.clone());
                assert!(restore(&storage, &pack).is_err_and(|error| matches!(error, Error::TooMuch { .. })), "{len}");
                assert_eq!(storage.get(&pack, len as u64).expect("it is there"), damaged, "{len}");
            }
        }
    }

    #[test]
    fn manifests_and_the_config_come_back_from_nothing() {
        for object in [Key::config(), Key::new(Area::Snapshots, "night")] {
            let bytes = noise(2_000);
            let storage = protected(&object, &bytes, share(1));
            storage.lose(&object);
            assert_eq!(restore(&storage, &object).expect("all of it"), Some(Restored::Again));
            assert_eq!(storage.get(&object, 2_000).expect("it is there"), bytes);
            let lease = storage.lease(&|| {}).expect("memory");
            lease.when_alone(|alone| delete(&storage, &object, alone)).expect("memory").expect("nobody else is there");
            assert_eq!(restore(&storage, &object).expect("memory"), None);
            assert!(storage.stat(&object).is_err());
        }
    }

    #[test]
    fn damage_of_the_parity_itself_is_found_and_gives_out_nothing_wrong() {
        let bytes = noise(600);
        let pack = pack_of(&bytes);
        let storage = protected(&pack, &bytes, share(1_000));
        let parity = storage.get(&key(&pack), 1 << 20).expect("it is there");
        let mut damaged = bytes.clone();
        damaged[400] ^= 1;
        for position in (0..parity.len()).step_by(3) {
            let mut other = parity.clone();
            other[position] ^= 0x10;
            storage.overwrite(&key(&pack), other);
            assert!(check(&storage, &key(&pack)).expect_err("a flipped bit").is_damage(), "byte {position}");
            storage.overwrite(&pack, damaged.clone());
            restore(&storage, &pack).unwrap_or_else(|error| panic!("byte {position}: {error}"));
            assert_eq!(storage.get(&pack, 600).expect("it is there"), bytes, "byte {position}");
        }
        for len in [0, 7, 60, 300, parity.len() / 2, parity.len() - 1] {
            storage.overwrite(&key(&pack), parity[..len].to_vec());
            assert!(check(&storage, &key(&pack)).expect_err("cut short").is_damage(), "{len} bytes");
        }
    }

    #[test]
    fn what_is_damaged_already_gets_no_parity() {
        let (storage, pack) = (MemoryStorage::default(), Key::new(Area::Packs, "ab".repeat(32)));
        storage.overwrite(&pack, noise(1_000));
        assert_eq!(write(&storage, &pack, share(30), |_| false).expect("memory"), None);
        assert!(storage.stat(&key(&pack)).is_err());
    }
}
