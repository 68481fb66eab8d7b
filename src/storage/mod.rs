//! Where a repository's objects live, and who uses them together: blocking verbs over named, immutable objects.
//!
//! An object is complete or absent, whatever happens while it is written. Names are typed by [`Key`]. A storage
//! knows nothing of what its objects mean. What deletes takes a proof that nobody else is there, so that a storage that cannot keep its
//! users apart cannot be collected by mistake.

mod beside;
pub mod contract;
mod error;
mod flock;
mod folder;
mod key;
mod lease;
mod local;
mod location;
mod memory;

use std::any::Any;
use std::fmt;
use std::fs::File;

pub use error::Error;
pub use key::{Area, Key, Retractable};
pub use lease::{Exclusion, ExclusiveLease, Lease};
pub use local::LocalStorage;
pub use location::{check_folder, open};
pub use memory::MemoryStorage;

use crate::rooted::Guarded;

/// What happens when an object of the same name is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// The name says what the bytes are: writing them again changes nothing.
    SameContent,
    /// It is an error, and the object stays as it is.
    Exclusive,
}

/// A whole object that is read many times.
#[derive(Debug)]
pub enum Fetched {
    /// A file on a disk of this host that nobody else may write to: it may be mapped.
    Mappable(File),
    /// A file that is read piece by piece, and its length in bytes.
    File(File, u64),
    /// Its bytes.
    Bytes(Vec<u8>),
}

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Name within the area.
    pub name: String,
    /// Length in bytes.
    pub len_bytes: u64,
}

/// A name that is held against others until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    _held: Box<dyn Held>,
}

/// Something that is given up when it is dropped.
trait Held: Any + Send + Sync + fmt::Debug {}
impl<T: Any + Send + Sync + fmt::Debug> Held for T {}

impl Reservation {
    /// A name that is held as long as this lives.
    pub fn new(held: impl Any + Send + Sync + fmt::Debug) -> Self {
        Self { _held: Box::new(held) }
    }
}

/// A place for objects. No verb has a default: what wraps another storage has to forward every one.
pub trait Storage: Send + Sync + fmt::Debug {
    /// Where it is, for messages.
    fn describe(&self) -> String;

    /// Where an object is, for messages.
    fn describe_object(&self, key: &Key) -> String;

    /// Directories of this host that it lies in, which nothing is saved from and restored to.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    fn guarded(&self) -> Result<Guarded, Error>;

    /// Shares it with others, waiting for somebody who has it alone. `waits` is called once when that has to be.
    ///
    /// # Errors
    /// [`Error::Locked`] after thirty seconds, [`Error::Lock`], [`Error::Io`].
    fn lease(&self, waits: &dyn Fn()) -> Result<Lease, Error>;

    /// Holds the name of a snapshot against others; `None` when somebody has it.
    ///
    /// # Errors
    /// [`Error::Lock`], [`Error::Io`].
    fn reserve(&self, name: &str) -> Result<Option<Reservation>, Error>;

    /// Stores a whole object, durably.
    ///
    /// # Errors
    /// [`Error::Exists`] with [`PutMode::Exclusive`], [`Error::Full`], [`Error::Io`].
    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), Error>;

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

    /// Fills several targets from one object, each beginning at its offset.
    ///
    /// # Errors
    /// Those of [`Storage::get_range`].
    fn get_ranges(&self, key: &Key, ranges: &mut [(u64, &mut [u8])]) -> Result<(), Error>;

    /// A whole object that is read many times.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    fn fetch(&self, key: &Key) -> Result<Fetched, Error>;

    /// The length of an object in bytes.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    fn stat(&self, key: &Key) -> Result<u64, Error>;

    /// All complete objects of an area, in no order.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn list(&self, area: Area) -> Result<Vec<Listed>, Error>;

    /// Something that lies where there is no repository, and keeps one from being made: a part of one, or anything else but earlier
    /// backups and what file systems and version control leave in a folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn occupied_by(&self) -> Result<Option<String>, Error>;

    /// Removes an object. One that is missing already is no error.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn delete(&self, key: &Key, alone: &ExclusiveLease) -> Result<(), Error>;

    /// Takes back an object that nobody relies on for data. One that is missing already is no error.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn retract(&self, area: Retractable, name: &str) -> Result<(), Error>;

    /// Removes what killed writers left unfinished, and reservations that nobody holds.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn sweep(&self, alone: &ExclusiveLease) -> Result<(), Error>;
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
