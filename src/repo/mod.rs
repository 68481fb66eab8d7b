//! The repository: packs, index and manifests in one storage, opened under a lock.
//!
//! Manifests are bytes here, and chunks have no meaning: this floor knows no trees, files or components.

mod account;
mod adopt;
mod block_reader;
mod block_writer;
mod cache;
mod config;
mod delta_bases;
mod error;
mod gc;
mod inventory;
mod likeness;
mod manifests;
mod packing;
mod protect;
mod reach;
mod read;
mod repair;
mod transaction;

use std::sync::Arc;

pub use account::Account;
pub use adopt::Adopted;
pub use config::{Config, Cutting, CuttingMethod, Encryption, FORMAT_VERSION, Features};
pub use error::Error;
pub use gc::{Collected, Collection, CollectionSums, Limits, Marks, SecondLook};
pub use likeness::{Likeness, Unlike};
pub use protect::{Mended, Protected};
pub use read::{ChunkData, ChunkReader};
pub use repair::{Rebuilt, Salvaged};
pub use transaction::{Finished, Stored, Transaction};

use crate::chunk::{Chunker, Gear};
use crate::id::IdScheme;
use crate::index::Index;
use crate::limits::BLOCK_CACHE_BYTES;
use crate::rooted::Guarded;
use crate::storage::{self, Area, ExclusiveLease, Key, Lease, PutMode, Retractable, Storage};

/// An open repository. Shares its storage with others as long as it lives.
#[derive(Debug)]
pub struct Repository {
    storage: Arc<dyn Storage>,
    config: Config,
    lease: Lease,
}

impl Repository {
    /// Opens a repository that is there. Only `config` is read.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadConfig`], [`Error::OlderVersion`], [`Error::NewerVersion`], [`Error::UnknownFeature`], [`Error::Storage`].
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self, Error> {
        Self::open_telling(storage, &|| {})
    }

    /// Opens a repository that is there; `waits` is called once when another process has it alone, which is waited for.
    ///
    /// # Errors
    /// Those of [`Repository::open`].
    pub fn open_telling(storage: Arc<dyn Storage>, waits: &dyn Fn()) -> Result<Self, Error> {
        let config = Config::read(storage.as_ref())?.ok_or_else(|| Error::NotFound { place: storage.describe() })?;
        let lease = storage.lease(waits)?;
        Ok(Self { storage, config, lease })
    }

    /// Opens a repository, and makes it first where there is none.
    ///
    /// # Errors
    /// Those of [`Repository::open`] without [`Error::NotFound`].
    pub fn open_or_create(storage: Arc<dyn Storage>) -> Result<Self, Error> {
        if !Self::is_there(storage.as_ref())? {
            Self::check_vacant(storage.as_ref())?;
            match Config::new()?.write(storage.as_ref()) {
                // Another process made it at the same moment: theirs is as good as ours. It may even have taken our
                // unfinished file for one that a killed process left.
                Err(Error::Storage(error)) if error.is_exists() || error.is_missing() => {}
                result => result?,
            }
        }
        Self::open(storage).map_err(|error| match error {
            // Nobody made it: there is no place for it.
            Error::NotFound { place } => {
                let source = std::io::ErrorKind::NotFound.into();
                Error::Storage(storage::Error::Io { action: "make a repository in", object: place, source })
            }
            error => error,
        })
    }

    /// Whether there is a repository in a storage.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::BadConfig`] and its like where one is damaged or of another version.
    pub fn is_there(storage: &dyn Storage) -> Result<bool, Error> {
        Ok(Config::read(storage)?.is_some())
    }

    /// Refuses a place for a new repository where something lies already: what has the name of a part of one would count as the
    /// repository's, and everything else would lie between its parts.
    ///
    /// # Errors
    /// [`Error::Occupied`], [`Error::Storage`].
    pub fn check_vacant(storage: &dyn Storage) -> Result<(), Error> {
        match storage.occupied_by()? {
            Some(found) => Err(Error::Occupied { place: storage.describe(), found }),
            None => Ok(()),
        }
    }

    /// The settings of the repository.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The storage that holds the repository.
    #[must_use]
    pub fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// How chunks are named.
    #[must_use]
    pub const fn ids(&self) -> IdScheme {
        IdScheme::plain()
    }

    /// Finds the ends of chunks with the sizes of the repository.
    #[must_use]
    pub fn chunker(&self) -> Chunker {
        Chunker::new(self.config.chunk_sizes(), Gear::public())
    }

    /// Directories of this host that it lies in, which nothing is saved from and restored to.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn guarded(&self) -> Result<Guarded, Error> {
        Ok(self.storage.guarded()?)
    }

    /// Opens the index as it is now.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn index(&self) -> Result<Index, Error> {
        Ok(Index::open(self.storage.as_ref())?)
    }

    /// A reader of chunks with an index and a cache of its own.
    ///
    /// # Errors
    /// [`Error::Index`], [`Error::Pack`].
    pub fn reader(&self) -> Result<ChunkReader, Error> {
        self.reader_with(&Arc::new(self.index()?))
    }

    /// A reader of chunks that shares an index.
    ///
    /// # Errors
    /// [`Error::Pack`].
    pub fn reader_with(&self, index: &Arc<Index>) -> Result<ChunkReader, Error> {
        self.reader_with_cache(index, BLOCK_CACHE_BYTES)
    }

    /// A reader of chunks that shares an index and keeps so many bytes of decoded blocks.
    ///
    /// # Errors
    /// [`Error::Pack`].
    pub fn reader_with_cache(&self, index: &Arc<Index>, cache_bytes: usize) -> Result<ChunkReader, Error> {
        ChunkReader::new(Arc::clone(&self.storage), Arc::clone(index), self.ids(), cache_bytes)
    }

    /// Reserves the name of a snapshot that is about to be made; `None` when it is taken or about to be. What killed
    /// processes left unfinished is removed first, when nobody else is at work.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn reserve(&self, name: &str) -> Result<Option<Reservation>, Error> {
        self.if_alone(|alone| Ok(self.storage.sweep(alone)?))?;
        let Some(held) = self.storage.reserve(name)? else { return Ok(None) };
        // The name of a snapshot that can be brought back is taken too.
        for area in [Area::Snapshots, Area::Forgotten] {
            match self.storage.stat(&Key::new(area, name)) {
                Err(error) if error.is_missing() => {}
                Err(error) if !error.is_not_a_file() => return Err(error.into()),
                _ => return Ok(None),
            }
        }
        Ok(Some(Reservation { name: name.to_owned(), _held: held }))
    }

    /// Runs `work` when nobody else uses the repository at this moment. `None` when somebody does.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Storage`].
    pub fn if_alone<T>(&self, work: impl FnOnce(&ExclusiveLease) -> Result<T, Error>) -> Result<Option<T>, Error> {
        self.lease.if_alone(work)
    }

    /// Waits until nobody else uses the repository, and runs `work`. `None` when others do not end for thirty seconds.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Storage`].
    pub fn when_alone<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&ExclusiveLease) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let mut result = None;
        let alone = self.lease.when_alone(|alone| {
            result = Some(work(alone));
            Ok::<_, Error>(())
        });
        alone.map_err(E::from)?;
        result.transpose()
    }

    fn write_manifest(&self, reservation: &Reservation, bytes: &[u8]) -> Result<(), Error> {
        self.put_manifest(&reservation.name, bytes)
    }

    /// Makes a snapshot stand, unless somebody could have deleted what it relies on. One who is alone from now on sees it.
    fn put_manifest(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.lease.check()?;
        self.storage.put(&Key::new(Area::Snapshots, name), bytes, PutMode::Exclusive)?;
        if let Err(lost) = self.lease.check() {
            self.storage.retract(Retractable::Snapshot, name)?;
            return Err(lost.into());
        }
        Ok(())
    }
}

/// The name of a snapshot to come, held against other processes.
#[derive(Debug)]
pub struct Reservation {
    name: String,
    _held: storage::Reservation,
}

impl Reservation {
    /// The reserved name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
