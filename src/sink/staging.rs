//! A directory in which only its user makes anything, for what is moved to its place from there.
//!
//! What is made beside its place may be another one of root's by the time that it is opened: whoever owns the directory around it
//! exchanges the name, and the other one gets the owner and the mode that are meant for the new one. Nobody else reaches what is
//! made in here, wherever this directory itself is moved.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, RenameFlags, mkdirat, renameat_with, unlinkat};
use rustix::io::{Errno, Result};
use rustix::process::geteuid;

use crate::rooted::{Status, open_directory};
use crate::temporary::close_to_others;

/// Rights of others than the owner.
const RIGHTS_OF_OTHERS: u32 = 0o077;
/// What is made in it is called so.
const NAME: &[u8] = b"new";

/// The directory.
#[derive(Debug)]
pub(super) struct Staging {
    around: Arc<OwnedFd>,
    name: Vec<u8>,
    directory: OwnedFd,
}

impl Staging {
    /// Makes one in a directory.
    ///
    /// # Errors
    /// Those of the operating system; `STALE` when another directory stands there that others get into.
    pub(super) fn make(around: Arc<OwnedFd>, name: Vec<u8>) -> Result<Self> {
        mkdirat(&around, name.as_slice(), Mode::RWXU)?;
        let directory = open_directory(&around, &name)?;
        // One of root's own that others do not get into does as well.
        let status = Status::of(&directory)?;
        if status.uid() != geteuid().as_raw() || status.mode() & RIGHTS_OF_OTHERS != 0 {
            return Err(Errno::STALE);
        }
        // What is made in it gets no list of the directory around it.
        close_to_others(&directory).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(Self { around, name, directory })
    }

    /// Makes something in it, and opens it.
    ///
    /// # Errors
    /// Those of `make` and `open`.
    pub(super) fn create<T>(
        &self,
        make: impl FnOnce(&OwnedFd, &[u8]) -> Result<()>,
        open: impl FnOnce(&OwnedFd, &[u8]) -> Result<T>,
    ) -> Result<T> {
        make(&self.directory, NAME)?;
        open(&self.directory, NAME).inspect_err(|_| self.clear())
    }

    /// Moves what was made to its place.
    ///
    /// # Errors
    /// Those of the operating system; `XDEV` where the place is not in the same file system.
    pub(super) fn place(&self, around: impl AsFd, name: &[u8], flags: RenameFlags) -> Result<()> {
        renameat_with(&self.directory, NAME, around, name, flags).inspect_err(|_| self.clear())
    }

    /// Whether it lies in this directory.
    pub(super) fn lies_in(&self, directory: impl AsFd) -> bool {
        let identity = |status: Result<Status>| status.map(|status| status.identity()).ok();
        identity(Status::of(directory)) == identity(Status::of(&self.around))
    }

    /// Takes away what was made and is not wanted.
    pub(super) fn clear(&self) {
        // Best effort: it is one of them, or gone.
        let _ = unlinkat(&self.directory, NAME, AtFlags::empty())
            .or_else(|_| unlinkat(&self.directory, NAME, AtFlags::REMOVEDIR));
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Best effort: the next restore takes away what stays.
        let is_ours =
            |status: &Status| Status::of(&self.directory).is_ok_and(|own| own.identity() == status.identity());
        if Status::of_entry(&self.around, self.name.as_slice()).is_ok_and(|status| is_ours(&status)) {
            let _ = unlinkat(&self.around, self.name.as_slice(), AtFlags::REMOVEDIR);
        }
    }
}
