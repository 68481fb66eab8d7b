//! Manifests as objects, the pins that keep them, and the shelf where deleted ones wait until their data is collected.
//!
//! A manifest is written once and never changed: that it is pinned or deleted is said by other objects. What a manifest
//! says is not known here.

use std::collections::BTreeSet;

use super::{Error, Repository};
use crate::limits::MANIFEST_BYTES_MAX;
use crate::parity;
use crate::storage::{self, Area, Key, PutMode, Retractable};

impl Repository {
    /// The names of all manifests, in no order.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn manifest_names(&self) -> Result<Vec<String>, Error> {
        self.names(Area::Snapshots)
    }

    /// The bytes of a manifest.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn read_manifest(&self, name: &str) -> Result<Vec<u8>, Error> {
        Ok(self.storage.get(&Key::new(Area::Snapshots, name), MANIFEST_BYTES_MAX as u64)?)
    }

    /// The names that are pinned, whether there is such a snapshot or not.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn pins(&self) -> Result<BTreeSet<String>, Error> {
        Ok(self.names(Area::Pins)?.into_iter().collect())
    }

    /// Pins a name.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Storage`].
    pub fn pin(&self, name: &str) -> Result<(), Error> {
        self.config.check_writable()?;
        Ok(self.storage.put(&Key::new(Area::Pins, name), b"", PutMode::SameContent)?)
    }

    /// Takes the pin from a name. One that has none is no error.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Storage`].
    pub fn unpin(&self, name: &str) -> Result<(), Error> {
        self.config.check_writable()?;
        Ok(self.storage.retract(Retractable::Pin, name)?)
    }

    /// The names of deleted manifests that can still be put back, in order.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn forgotten_names(&self) -> Result<Vec<String>, Error> {
        let mut names = self.names(Area::Forgotten)?;
        names.sort();
        Ok(names)
    }

    /// Deletes a manifest, and keeps a copy of it aside until its data is collected. Says whether there was room for the
    /// copy: a full storage is no reason to refuse.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Storage`].
    pub fn forget(&self, name: &str) -> Result<bool, Error> {
        self.config.check_deletable()?;
        let bytes = self.read_manifest(name)?;
        let copied = match self.storage.put(&Key::new(Area::Forgotten, name), &bytes, PutMode::SameContent) {
            Err(storage::Error::Full { .. }) => false,
            result => result.map(|()| true)?,
        };
        parity::retract_manifest(self.storage(), name)?;
        Ok(copied)
    }

    /// Puts a deleted manifest back.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`]; [`Error::Storage`], which says [`is_missing`](storage::Error::is_missing) when there is
    /// none of this name, and [`is_exists`](storage::Error::is_exists) when another snapshot has it now.
    pub fn undelete(&self, name: &str) -> Result<(), Error> {
        self.config.check_writable()?;
        let forgotten = Key::new(Area::Forgotten, name);
        let bytes = self.storage.get(&forgotten, MANIFEST_BYTES_MAX as u64)?;
        match self.put_manifest(name, &bytes) {
            // It was never deleted: the copy was as far as it came.
            Err(Error::Storage(error)) if error.is_exists() && self.read_manifest(name)? == bytes => {}
            result => result?,
        }
        Ok(self.storage.retract(Retractable::Forgotten, name)?)
    }

    /// Drops the copy of a deleted manifest, whose data is about to be collected.
    pub(super) fn drop_forgotten(&self, name: &str) -> Result<(), Error> {
        Ok(self.storage.retract(Retractable::Forgotten, name)?)
    }

    fn names(&self, area: Area) -> Result<Vec<String>, Error> {
        Ok(self.storage.list(area)?.into_iter().map(|listed| listed.name).collect())
    }
}
