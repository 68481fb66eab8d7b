//! The repository: packs, index and manifests in one storage, opened under a lock.
//!
//! Manifests are bytes here, and chunks have no meaning: this floor knows no trees, files or components.

mod adopt;
mod bases;
mod block_reader;
mod cache;
mod config;
mod error;
mod gc;
mod lock;
mod manifests;
mod packing;
mod protect;
mod reach;
mod read;
mod repair;
mod transaction;

use std::path::PathBuf;
use std::sync::Arc;

pub use adopt::Adopted;
pub use config::{Config, Encryption, FORMAT_VERSION, Features};
pub use error::Error;
pub use gc::{Collected, Collection, CollectionSums, Limits, Live, SecondLook};
pub use lock::Lock;
pub use protect::{Mended, Protected};
pub use read::{ChunkData, ChunkReader};
pub use repair::{Rebuilt, Salvaged};
pub use transaction::{Finished, Stored, Transaction};

use crate::chunk::{Chunker, Gear};
use crate::id::IdScheme;
use crate::index::Index;
use crate::limits::BLOCK_CACHE_BYTES;
use crate::progress::Progress;
use crate::rooted::Guarded;
use crate::storage::{self, Area, Key, PutMode, Storage};

/// An open repository. Holds the shared lock as long as it lives.
#[derive(Debug)]
pub struct Repository {
    storage: Arc<dyn Storage>,
    config: Config,
    lock: Option<Lock>,
}

impl Repository {
    /// Opens a repository that is there. Only `config` is read.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::BadConfig`], [`Error::NewerVersion`], [`Error::UnknownFeature`],
    /// [`Error::Locked`], [`Error::Storage`].
    pub fn open(storage: Arc<dyn Storage>) -> Result<Self, Error> {
        let config =
            Config::read(storage.as_ref())?.ok_or_else(|| Error::NotFound { place: place(storage.as_ref()) })?;
        let lock = storage.local()?.map(Lock::shared).transpose()?.flatten();
        Ok(Self { storage, config, lock })
    }

    /// Opens a repository, and makes it first where there is none.
    ///
    /// # Errors
    /// Those of [`Repository::open`] without [`Error::NotFound`].
    pub fn open_or_create(storage: Arc<dyn Storage>) -> Result<Self, Error> {
        if Config::read(storage.as_ref())?.is_none() {
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

    /// Refuses a place for a new repository where something lies already that has the name of a part of one: it would count as the
    /// repository's, and might be removed as left unfinished.
    ///
    /// # Errors
    /// [`Error::Occupied`], [`Error::Storage`].
    pub fn check_vacant(storage: &dyn Storage) -> Result<(), Error> {
        match storage.foreign()? {
            Some(found) => Err(Error::Occupied { place: place(storage), found }),
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
        Chunker::new(self.config.chunk_sizes, Gear::public())
    }

    /// The folder of the repository, where it is a local one.
    #[must_use]
    pub fn local_root(&self) -> Option<PathBuf> {
        self.storage.local_root()
    }

    /// Its directories, which nothing is saved from and restored to. None where it is not a local one.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn guarded(&self) -> Result<Guarded, Error> {
        Ok(self.storage.local()?.map_or_else(Guarded::default, |root| Guarded::new(root.directory())))
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
    /// [`Error::Lock`], [`Error::Storage`].
    pub fn reserve(&self, name: &str) -> Result<Option<Reservation>, Error> {
        if let (Some(lock), Some(root)) = (&self.lock, self.storage.local()?) {
            lock.if_alone(root, || {
                Lock::sweep_reservations(root);
                Ok(self.storage.sweep()?)
            })?;
        }
        let lock = match self.storage.local()? {
            Some(root) => match Lock::reserve(root, name)? {
                Some(lock) => Some(lock),
                None => return Ok(None),
            },
            None => None,
        };
        // The name of a snapshot that can be brought back is taken too.
        for area in [Area::Snapshots, Area::Forgotten] {
            match self.storage.stat(&Key::new(area, name)) {
                Err(error) if error.is_missing() => {}
                Err(error) if !error.is_not_a_file() => return Err(error.into()),
                _ => return Ok(None),
            }
        }
        Ok(Some(Reservation { name: name.to_owned(), _lock: lock }))
    }

    /// Waits until nobody else uses the repository, and runs `work`. `None` when others do not end for thirty seconds.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Lock`].
    pub fn when_alone<T, E: From<Error>>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<Option<T>, E> {
        match (&self.lock, self.storage.local().map_err(Error::from)?) {
            (Some(lock), Some(root)) => lock.when_alone(root, work),
            _ => work().map(Some),
        }
    }

    /// Begins to add to the repository. Packs that no segment lists are read and taken over first.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Cancelled`], [`Error::Index`], [`Error::Storage`].
    pub fn begin(&self, progress: &dyn Progress) -> Result<Transaction<'_>, Error> {
        self.config.check_writable()?;
        Transaction::begin(self, progress)
    }

    fn write_manifest(&self, reservation: &Reservation, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.storage.put(&Key::new(Area::Snapshots, &reservation.name), bytes, PutMode::Exclusive)?)
    }
}

/// The name of a snapshot to come, held against other processes.
#[derive(Debug)]
pub struct Reservation {
    name: String,
    _lock: Option<Lock>,
}

impl Reservation {
    /// The reserved name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn place(storage: &dyn Storage) -> String {
    storage.local_root().map_or_else(|| "this storage".to_owned(), |root| root.display().to_string())
}
