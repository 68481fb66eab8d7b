//! Making a damaged repository whole again, as far as its packs go: an index from what the packs say of themselves, and
//! damaged objects put aside.
//!
//! Afterwards every block that the index lists can be decoded, as after a collection. Each step leaves a repository of
//! which no less can be read than before, and a repair that was killed is begun again. The caller is alone.

mod contradicted;
mod rebuild;
mod salvage;

use std::sync::Arc;

pub use rebuild::Rebuilt;
pub use salvage::Salvaged;

use super::{Error, Repository};
use crate::id::{ChunkId, PackId};
use crate::limits::PACK_BYTES_MAX;
use crate::pack::{self, ListedPack, PackReader};
use crate::parity::{self, Restored};
use crate::storage::{self, Area, ExclusiveLease, Key, PutMode, Retractable, Storage};

use super::config::{Config, FORMAT_VERSION, check_version};

/// So many packs are asked for the format of a repository that has lost its config.
const PACKS_ASKED: usize = 16;
/// Bytes that are copied at once.
const PIECE_BYTES: u64 = 1 << 20;

impl Repository {
    /// Opens a repository whose config may be damaged or gone. Then, with `write`, it is restored with its parity, or put aside,
    /// and one with the usual settings takes its place; without, nothing is changed. Says what was wrong with it.
    ///
    /// # Errors
    /// Those of [`Repository::open`] where the config is sound, or where there is nothing that it could belong to;
    /// [`Error::OlderVersion`], [`Error::NewerVersion`], [`Error::UnknownPack`] when its packs are those of another program.
    pub fn open_damaged(storage: Arc<dyn Storage>, write: bool) -> Result<(Self, Option<Error>), Error> {
        let error = match Self::open(Arc::clone(&storage)) {
            Err(error @ (Error::NotFound { .. } | Error::BadConfig { .. })) if has_objects(storage.as_ref())? => error,
            result => return Ok((result?, None)),
        };
        refuse_other_formats(storage.as_ref())?;
        let config = Config::new()?;
        let lease = storage.lease(&|| {})?;
        if !write {
            return Ok((Self { storage, config, lease }, Some(error)));
        }
        let mended = lease.when_alone(|alone| {
            if let Ok(Some(Restored::Again)) = parity::restore(storage.as_ref(), &Key::config()) {
                return Ok(());
            }
            if matches!(error, Error::BadConfig { .. }) {
                set_aside(storage.as_ref(), &Key::config(), alone)?;
            }
            config.write(storage.as_ref())
        });
        if mended?.is_none() {
            return Err(storage::Error::Locked { place: storage.describe() }.into());
        }
        drop(lease);
        Ok((Self::open(storage)?, Some(error)))
    }

    /// Puts a damaged object aside, and gives its new path.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Storage`].
    pub fn set_aside(&self, key: &Key, alone: &ExclusiveLease) -> Result<String, Error> {
        self.config.check_deletable()?;
        set_aside(self.storage(), key, alone)
    }

    /// Notes that snapshots may need what is lost, so that a backup looks for every chunk that it relies on.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Storage`].
    pub fn note_losses(&self) -> Result<(), Error> {
        self.config.check_writable()?;
        Ok(self.storage.put(&losses(), b"", PutMode::SameContent)?)
    }

    /// Notes losses where no segment lists one of these chunks, which snapshots need. Says whether none were noted before.
    ///
    /// Whoever begins a transaction asks first, with what it has read of the manifests before that: afterwards the packs are
    /// listed again that are still there, and nothing tells that others were lost with their listing.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Index`], [`Error::Storage`].
    pub fn note_unlisted(&self, chunks: impl IntoIterator<Item = ChunkId>) -> Result<bool, Error> {
        let index = self.index()?;
        if self.has_losses()? || chunks.into_iter().all(|chunk| index.lookup(&chunk).is_some()) {
            return Ok(false);
        }
        self.note_losses().map(|()| true)
    }

    /// Notes that snapshots need nothing that is lost.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn clear_losses(&self) -> Result<(), Error> {
        Ok(self.storage.retract(Retractable::Quarantine, losses().name())?)
    }

    /// Whether losses are noted.
    pub(super) fn has_losses(&self) -> Result<bool, Error> {
        match self.storage.stat(&losses()) {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The object that notes losses.
fn losses() -> Key {
    Key::new(Area::Quarantine, "lost")
}

/// Refuses a repository without a config whose packs are of another format: what is in them would count as damaged. Only a pack is
/// believed whose name is that of its bytes, and one of this format is enough.
fn refuse_other_formats(storage: &dyn Storage) -> Result<(), Error> {
    let mut other = None;
    for ListedPack { id, .. } in pack::list(storage)?.into_iter().take(PACKS_ASKED) {
        let Some(version) = pack::version(storage, id)? else { continue };
        let kind =
            PackReader::open(storage, id).and_then(|reader| reader.check_name(|_| {}).and_then(|()| reader.kind()));
        match kind {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if u64::from(version) == FORMAT_VERSION => other = Some(Error::UnknownPack { pack: id }),
            Ok(None) => other = check_version(version.into(), || storage.describe()).err(),
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error.into()),
        }
    }
    other.map_or(Ok(()), Err)
}

fn has_objects(storage: &dyn Storage) -> Result<bool, Error> {
    for area in [Area::Packs, Area::Trees, Area::Snapshots] {
        if !storage.list(area)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Copies the object, piece by piece, to a free name in the quarantine, and deletes it. One that is longer than any object may
/// be stays where it is: it may be a hole that takes no room, and its copy would fill the disk. So does what is no file.
fn set_aside(storage: &dyn Storage, key: &Key, alone: &ExclusiveLease) -> Result<String, Error> {
    let len_bytes = match storage.stat(key) {
        Ok(len_bytes) if len_bytes <= PACK_BYTES_MAX => len_bytes,
        Err(error) if !error.is_not_a_file() => return Err(error.into()),
        _ => return Ok(key.path()),
    };
    let name = key.flat_name();
    let names = (1..).map(|number| if number == 1 { name.clone() } else { format!("{name}.{number}") });
    for name in names {
        let target = Key::new(Area::Quarantine, name);
        match storage.stat(&target) {
            Ok(_) => continue,
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
        let mut upload = storage.upload(Area::Quarantine)?;
        for offset in (0..len_bytes).step_by(usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX)) {
            let len = usize::try_from(PIECE_BYTES.min(len_bytes - offset)).unwrap_or(0);
            let mut piece = vec![0; len];
            storage.get_range(key, offset, &mut piece)?;
            upload.write(&piece)?;
        }
        upload.finish(&target, PutMode::Exclusive)?;
        parity::delete(storage, key, alone)?;
        return Ok(target.path());
    }
    unreachable!("one of all numbers is free")
}

/// The pack that an object of the quarantine was.
fn pack_of(name: &str) -> Option<PackId> {
    pack::id_of(&Key::from_flat_name(name.split('.').next()?)?)
}
