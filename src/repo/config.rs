//! The object `config`: what a program must know before it touches anything else in the repository.
//!
//! JSON with a checksum over the bytes of its body, so that a person can read it and a flipped bit is seen.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Error;
use crate::chunk::ChunkSizes;
use crate::id::{Digest, RepositoryId};
use crate::limits::CONFIG_BYTES_MAX;
use crate::storage::{Key, PutMode, Storage};

const MAGIC: &str = "larder repository";
/// Blocks may be encoded against chunks of others. The only feature that this version knows.
const DELTA: &str = "delta";
/// The format that this program writes, and the oldest one that it reads.
pub const FORMAT_VERSION: u64 = 2;

/// Feature flags that a program must know for an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Needed to read.
    pub read: Vec<String>,
    /// Needed to add snapshots.
    pub write: Vec<String>,
    /// Needed to delete.
    pub delete: Vec<String>,
}

/// The settings of a repository. Fields that are not known are ignored: what a program must not ignore is a feature besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The random name of the repository.
    pub id: RepositoryId,
    /// What a program must know.
    pub features: Features,
    /// How streams are cut into chunks.
    pub chunker: Cutting,
    /// How it is encrypted.
    pub encryption: Encryption,
}

/// How streams are cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cutting {
    /// In a way that this program knows.
    Known {
        /// By which method.
        method: CuttingMethod,
        /// Between these sizes.
        #[serde(flatten)]
        sizes: ChunkSizes,
    },
    /// In another one: whoever only reads need not know it.
    Unknown(serde_json::Value),
}

/// A method of cutting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CuttingMethod {
    /// FastCDC of 2020, normalization level 1, with the public gear table.
    #[serde(rename = "fastcdc-2020-1")]
    FastCdc,
}

/// How a repository is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Encryption {
    /// Not at all.
    None,
}

/// The part of a config that says whether the rest can be understood.
#[derive(Deserialize)]
struct Needed {
    features: Features,
}

/// What every version of the config has from 2 on.
#[derive(Serialize, Deserialize)]
struct Envelope {
    magic: String,
    version: u64,
    checksum: String,
    body: Box<RawValue>,
}

impl Config {
    /// Settings for a new repository.
    ///
    /// # Errors
    /// [`Error::Random`] when the system gives no random bytes.
    pub fn new() -> Result<Self, Error> {
        let id = RepositoryId::random().map_err(|source| Error::Random { source })?;
        let features = Features { read: vec![DELTA.to_owned()], ..Features::default() };
        let chunker = Cutting::Known { method: CuttingMethod::FastCdc, sizes: ChunkSizes::DEFAULT };
        Ok(Self { id, features, chunker, encryption: Encryption::None })
    }

    /// Reads the config; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::BadConfig`] when it is damaged; [`Error::OlderVersion`], [`Error::NewerVersion`], [`Error::UnknownFeature`],
    /// [`Error::UnknownConfig`] when it is whole and of another program; [`Error::Storage`].
    pub fn read(storage: &dyn Storage) -> Result<Option<Self>, Error> {
        let key = Key::config();
        let bytes = match storage.get(&key, CONFIG_BYTES_MAX) {
            Err(error) if error.is_missing() => return Ok(None),
            result => result?,
        };
        let place = storage.describe_object(&key);
        let bad = |why: String| Error::BadConfig { place: place.clone(), why };
        let envelope: Envelope =
            serde_json::from_slice(&bytes).map_err(|_| bad("it is not the JSON that larder writes".to_owned()))?;
        if envelope.magic != MAGIC {
            return Err(bad("its magic is another".to_owned()));
        }
        // First: a bit of the version that has flipped is damage, and no other format.
        if checksum(envelope.version, &envelope.body) != envelope.checksum {
            return Err(bad("it does not match its checksum".to_owned()));
        }
        check_version(envelope.version, || storage.describe())?;
        let unknown = |error: serde_json::Error| Error::UnknownConfig { place: place.clone(), why: error.to_string() };
        let needed: Needed = serde_json::from_str(envelope.body.get()).map_err(unknown)?;
        refuse_unknown("read", &needed.features.read)?;
        serde_json::from_str(envelope.body.get()).map(Some).map_err(unknown)
    }

    /// Writes the config of a new repository.
    ///
    /// # Errors
    /// [`Error::Storage`]; it says [`is_exists`](crate::storage::Error::is_exists) when another process was faster.
    pub fn write(&self, storage: &dyn Storage) -> Result<(), Error> {
        let body = serde_json::value::to_raw_value(self).expect("the config is plain data");
        let checksum = checksum(FORMAT_VERSION, &body);
        let envelope = Envelope { magic: MAGIC.to_owned(), version: FORMAT_VERSION, checksum, body };
        let mut bytes = serde_json::to_vec(&envelope).expect("the envelope is plain data");
        bytes.push(b'\n');
        Ok(storage.put(&Key::config(), &bytes, PutMode::Exclusive)?)
    }

    /// Whether blocks may be encoded against chunks of others.
    #[must_use]
    pub fn allows_deltas(&self) -> bool {
        self.features.read.iter().any(|feature| feature == DELTA)
    }

    /// Refuses to write where a feature that writing needs is not known.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`].
    pub fn check_writable(&self) -> Result<(), Error> {
        refuse_unknown("write to", &self.features.write)?;
        match &self.chunker {
            Cutting::Known { .. } => Ok(()),
            Cutting::Unknown(other) => {
                let feature = other.get("method").and_then(serde_json::Value::as_str).unwrap_or("chunker").to_owned();
                Err(Error::UnknownFeature { operation: "write to", feature })
            }
        }
    }

    /// Between which sizes this program cuts; the usual ones where it must not write.
    #[must_use]
    pub const fn chunk_sizes(&self) -> ChunkSizes {
        match &self.chunker {
            Cutting::Known { sizes, .. } => *sizes,
            Cutting::Unknown(_) => ChunkSizes::DEFAULT,
        }
    }

    /// Refuses to delete where a feature that deleting needs is not known.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`].
    pub fn check_deletable(&self) -> Result<(), Error> {
        refuse_unknown("delete from", &self.features.delete)
    }
}

/// Refuses a format that this program does not read.
///
/// # Errors
/// [`Error::OlderVersion`], [`Error::NewerVersion`].
pub(super) fn check_version(found: u64, place: impl FnOnce() -> String) -> Result<(), Error> {
    match found.cmp(&FORMAT_VERSION) {
        Ordering::Less => Err(Error::OlderVersion { place: place(), found, known: FORMAT_VERSION }),
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(Error::NewerVersion { place: place(), found, known: FORMAT_VERSION }),
    }
}

fn refuse_unknown(operation: &'static str, needed: &[String]) -> Result<(), Error> {
    match needed.iter().find(|feature| *feature != DELTA) {
        Some(feature) => Err(Error::UnknownFeature { operation, feature: feature.clone() }),
        None => Ok(()),
    }
}

/// The checksum of a config. That of format 1 did not have the version in it.
fn checksum(version: u64, body: &RawValue) -> String {
    let covered = if version < 2 { body.get().to_owned() } else { format!("{version}\n{}", body.get()) };
    Digest::of(covered.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    fn written() -> (MemoryStorage, Vec<u8>) {
        let storage = MemoryStorage::default();
        Config::new().expect("config").write(&storage).expect("write");
        let bytes = storage.get(&Key::config(), CONFIG_BYTES_MAX).expect("get");
        (storage, bytes)
    }

    #[test]
    fn round_trips_and_is_never_replaced() {
        let storage = MemoryStorage::default();
        assert!(Config::read(&storage).expect("read").is_none());
        let config = Config::new().expect("config");
        config.write(&storage).expect("write");
        assert_eq!(Config::read(&storage).expect("read"), Some(config.clone()));
        assert!(matches!(config.write(&storage), Err(Error::Storage(error)) if error.is_exists()));
    }

    #[test]
    fn every_flipped_bit_of_the_body_is_refused() {
        let (storage, bytes) = written();
        let body = bytes.windows(6).position(|window| window == b"\"body\"").expect("a body");
        for position in body..bytes.len() - 1 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 1;
            storage.overwrite(&Key::config(), damaged);
            assert!(Config::read(&storage).is_err(), "byte {position}");
        }
    }

    #[test]
    fn newer_versions_and_unknown_features_are_refused_by_name() {
        let (storage, bytes) = written();
        let envelope: Envelope = serde_json::from_slice(&bytes).expect("JSON");
        let of = |version, body: &str| {
            let body = RawValue::from_string(body.to_owned()).expect("JSON");
            let checksum = checksum(version, &body);
            serde_json::to_vec(&Envelope { magic: MAGIC.to_owned(), version, checksum, body }).expect("plain data")
        };
        storage.overwrite(&Key::config(), of(3, "{\"anything\":1}"));
        assert!(matches!(Config::read(&storage), Err(Error::NewerVersion { found: 3, .. })));
        storage.overwrite(&Key::config(), of(1, "{}"));
        assert!(matches!(Config::read(&storage), Err(Error::OlderVersion { found: 1, .. })));
        // It is whole: a repair that made it anew would have other programs misread what is there.
        let body = envelope.body.get();
        for other in ["{}".to_owned(), body.replace("\"none\"", "\"age\""), body.replace("{\"method\":\"none\"}", "7")]
        {
            storage.overwrite(&Key::config(), of(2, &other));
            assert!(matches!(Config::read(&storage), Err(Error::UnknownConfig { .. })), "{other}");
        }
        storage.overwrite(&Key::config(), of(2, &body.replace("fastcdc-2020-1", "rabin")));
        let config = Config::read(&storage).expect("reading needs no cutter").expect("a config");
        assert!(config.check_writable().expect_err("writing does").to_string().contains("'rabin'"));

        // Of a damaged one nothing is believed, its version neither.
        let text = String::from_utf8(bytes).expect("JSON");
        for version in ["1", "3"] {
            let flipped = text.replace("\"version\":2", &format!("\"version\":{version}"));
            storage.overwrite(&Key::config(), flipped.into_bytes());
            assert!(matches!(Config::read(&storage), Err(Error::BadConfig { .. })));
        }

        let mut config = Config::new().expect("config");
        config.features.write.push("time-travel".to_owned());
        config.features.delete.push("shredder".to_owned());
        let storage = MemoryStorage::default();
        config.write(&storage).expect("write");
        let config = Config::read(&storage).expect("reading needs no feature").expect("a config");
        let error = config.check_writable().expect_err("writing needs one");
        assert!(error.to_string().contains("time-travel"));
        let error = config.check_deletable().expect_err("deleting needs another one");
        assert!(error.to_string().contains("shredder"));
    }
}
