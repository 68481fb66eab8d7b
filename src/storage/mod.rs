//! Where a repository's objects live: six blocking verbs over named, immutable objects.
//!
//! An object is complete or absent, whatever happens while it is written. Names are typed by [`Key`]. A storage
//! knows nothing of what its objects mean.

mod error;
mod folder;
mod local;
mod memory;

use std::fmt;
use std::fs::File;
use std::path::PathBuf;

pub use error::Error;
pub use folder::LocalRoot;
pub use local::LocalStorage;
pub use memory::MemoryStorage;

use crate::rooted::Trust;

/// The kinds of objects, each with its own folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// The one object `config`.
    Config,
    /// Packs, spread over folders by the first two digits of their names.
    Packs,
    /// Index segments.
    Index,
    /// Snapshot manifests.
    Snapshots,
    /// Names of snapshots that are kept whatever the retention says.
    Pins,
    /// Manifests of snapshots that were deleted and whose data has not been collected yet.
    Forgotten,
    /// Damaged objects that a repair has put aside.
    Quarantine,
    /// What objects can be restored with when they are damaged.
    Parity,
}

/// Every area but that of `config`.
const AREAS: [Area; 7] =
    [Area::Packs, Area::Index, Area::Snapshots, Area::Pins, Area::Forgotten, Area::Quarantine, Area::Parity];

impl Area {
    /// The folder of the area, relative to the storage's root; the object itself for [`Area::Config`].
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Packs => "packs",
            Self::Index => "index",
            Self::Snapshots => "snapshots",
            Self::Pins => "pins",
            Self::Forgotten => "forgotten",
            Self::Quarantine => "quarantine",
            Self::Parity => "parity",
        }
    }
}

/// So many characters of the name of a pack are the name of its folder.
const SHARD_CHARS: usize = 2;

/// Longest name that people and programs give.
const NAME_BYTES_MAX: usize = 200;

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    area: Area,
    name: String,
}

impl Key {
    /// The object `name` in `area`. The caller has checked that the name is a plain file name.
    #[must_use]
    pub fn new(area: Area, name: impl Into<String>) -> Self {
        let name = name.into();
        debug_assert!(!name.contains('/') && name != ".." && name != "." && !name.is_empty());
        Self { area, name }
    }

    /// Whether people and programs may call something so that has objects: 1 to 200 ASCII letters, digits, `_`, `-` and `.`, the
    /// first a letter or digit.
    #[must_use]
    pub fn is_plain_name(name: &str) -> bool {
        name.len() <= NAME_BYTES_MAX
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.'))
    }

    /// The key of the repository's `config`.
    #[must_use]
    pub fn config() -> Self {
        Self { area: Area::Config, name: "config".to_owned() }
    }

    /// The area of the object.
    #[must_use]
    pub const fn area(&self) -> Area {
        self.area
    }

    /// The name of the object within its area.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A plain file name that no other object has: `config`, or the area and the name.
    #[must_use]
    pub fn flat_name(&self) -> String {
        match self.area {
            Area::Config => "config".to_owned(),
            area => format!("{}-{}", area.folder(), self.name),
        }
    }

    /// The key with this flat name.
    #[must_use]
    pub fn from_flat_name(flat_name: &str) -> Option<Self> {
        if flat_name == Area::Config.folder() {
            return Some(Self::config());
        }
        let (folder, name) = flat_name.split_once('-')?;
        let area = AREAS.into_iter().find(|area| area.folder() == folder)?;
        (!name.is_empty() && !name.contains('/') && !name.starts_with('.')).then(|| Self::new(area, name))
    }

    /// The path of the object, relative to the storage's root.
    #[must_use]
    pub fn path(&self) -> String {
        match self.area {
            Area::Config => "config".to_owned(),
            Area::Packs => {
                let shard = self.name.get(..SHARD_CHARS).unwrap_or(&self.name);
                format!("packs/{shard}/{}", self.name)
            }
            Area::Index | Area::Snapshots | Area::Pins | Area::Forgotten | Area::Quarantine | Area::Parity => {
                format!("{}/{}", self.area.folder(), self.name)
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.path())
    }
}

/// What happens when an object of the same name is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// The name says what the bytes are: writing them again changes nothing.
    SameContent,
    /// It is an error, and the object stays as it is.
    Exclusive,
}

/// An object that is an open file.
#[derive(Debug)]
pub struct ObjectFile {
    /// The file.
    pub file: File,
    /// Its length, in bytes.
    pub len_bytes: u64,
    /// Whether it lies on a disk of this host, and nobody else may write to it.
    pub is_ours: bool,
}

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name within the area.
    pub name: String,
    /// Length in bytes.
    pub len_bytes: u64,
}

/// A place for objects.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Stores a whole object, durably.
    ///
    /// # Errors
    /// [`Error::Exists`] with [`PutMode::Exclusive`], [`Error::Full`], [`Error::Io`].
    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), Error> {
        let mut upload = self.upload(key.area())?;
        upload.write(bytes)?;
        upload.finish(key, mode)
    }

    /// Begins an object that is written piece by piece and named at its end.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn upload(&self, area: Area) -> Result<Box<dyn Upload>, Error>;

    /// Reads a whole object of up to `len_bytes_max` bytes.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Length`] when it is longer, [`Error::Io`].
    fn get(&self, key: &Key, len_bytes_max: u64) -> Result<Vec<u8>, Error>;

    /// Fills `target` from the object, beginning at `offset`.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Length`] when the object ends too early, [`Error::Io`].
    fn get_range(&self, key: &Key, offset: u64, target: &mut [u8]) -> Result<(), Error>;

    /// The length of an object in bytes.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    fn stat(&self, key: &Key) -> Result<u64, Error>;

    /// The object as an open file, where objects are files.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    fn open(&self, _key: &Key) -> Result<Option<ObjectFile>, Error> {
        Ok(None)
    }

    /// All complete objects of an area, in no order.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn list(&self, area: Area) -> Result<Vec<Listed>, Error>;

    /// Removes an object. One that is missing already is no error.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn delete(&self, key: &Key) -> Result<(), Error>;

    /// Something that has the name of a part of a repository, where there is none: it would count as one.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn foreign(&self) -> Result<Option<String>, Error>;

    /// Removes what killed writers left unfinished. The caller makes sure that nobody else is writing.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn sweep(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The path of the root folder, where objects are local files at their [`Key::path`].
    fn local_root(&self) -> Option<PathBuf> {
        None
    }

    /// The root folder, opened, where objects are local files.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`], also when it is not believed.
    fn local(&self) -> Result<Option<LocalRoot<'_>>, Error> {
        Ok(None)
    }
}

/// An object in the making. Dropped without [`Upload::finish`], it leaves nothing that counts.
pub trait Upload: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Io`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Makes the object durable under its name.
    ///
    /// # Errors
    /// [`Error::Exists`] with [`PutMode::Exclusive`], [`Error::Full`], [`Error::Io`].
    fn finish(self: Box<Self>, key: &Key, mode: PutMode) -> Result<(), Error>;
}

/// Opens the storage at a location: a local folder. Nothing is created. A folder that somebody may write to who is not
/// believed is refused when it is used.
#[must_use]
pub fn open(location: &str, trust: &Trust) -> Box<dyn Storage> {
    Box::new(LocalStorage::trusting(location, trust.clone()))
}

#[cfg(test)]
mod contract {
    //! One suite that every storage must pass.

    use super::*;

    fn check(storage: &dyn Storage) {
        let key = Key::new(Area::Snapshots, "one");
        assert!(storage.get(&key, 10).expect_err("absent").is_missing());
        assert!(storage.stat(&key).expect_err("absent").is_missing());
        assert!(storage.list(Area::Snapshots).expect("empty list").is_empty());
        storage.delete(&key).expect("deleting what is absent");

        storage.put(&key, b"hello", PutMode::Exclusive).expect("first put");
        assert_eq!(storage.get(&key, 5).expect("get"), b"hello");
        assert!(matches!(storage.get(&key, 4), Err(Error::Length { .. })));
        assert!(storage.put(&key, b"other", PutMode::Exclusive).expect_err("second put").is_exists());
        assert_eq!(storage.get(&key, 5).expect("unchanged"), b"hello");

        let mut middle = [0; 3];
        storage.get_range(&key, 1, &mut middle).expect("range");
        assert_eq!(&middle, b"ell");
        assert!(matches!(storage.get_range(&key, 3, &mut middle), Err(Error::Length { .. })));

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

        storage.delete(&pack).expect("delete");
        assert!(storage.list(Area::Packs).expect("list").is_empty());

        storage.delete(&key).expect("delete");
        for area in AREAS {
            let key = Key::new(area, "cd".repeat(32));
            storage.put(&key, b"", PutMode::Exclusive).expect("an empty object");
            for other in AREAS {
                assert_eq!(storage.list(other).expect("list").len(), usize::from(other == area), "{area:?}, {other:?}");
            }
            assert_eq!(storage.get(&key, 0).expect("get"), b"");
            storage.delete(&key).expect("delete");
        }
    }

    #[test]
    fn memory() {
        check(&MemoryStorage::default());
    }

    #[test]
    fn local() {
        let folder = tempfile::tempdir().expect("temporary folder");
        check(&LocalStorage::new(folder.path().join("repository")));
    }
}
