//! A directory in which only its user makes anything, for what is moved to its place from there.
//!
//! What is made beside its place may be another one of root's by the time that it is opened: whoever owns the directory around it
//! exchanges the name, and the other one gets the owner and the mode that are meant for the new one. Nobody else reaches what is
//! made in here, wherever this directory itself is moved.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, RenameFlags, fgetxattr, linkat, mkdirat, renameat_with, unlinkat};
use rustix::io::{Errno, Result};
use rustix::process::geteuid;

use crate::rooted::{Status, join, names_in, open_directory, split};
use crate::temporary::close_to_others;

/// Rights of others than the owner.
const RIGHTS_OF_OTHERS: u32 = 0o077;
/// The access control list that what is made in a directory gets.
const DEFAULT_LIST: &str = "system.posix_acl_default";
/// What is made in it is called so.
const NAME: &[u8] = b"new";

/// Whether nobody but its user makes anything in a directory.
///
/// # Errors
/// Those of the operating system.
fn is_closed(directory: &OwnedFd) -> Result<bool> {
    let status = Status::of(directory)?;
    Ok(status.uid() == geteuid().as_raw() && status.mode() & RIGHTS_OF_OTHERS == 0)
}

/// Whether what is made in a directory is reached by nobody else, as it is in one that is made for that.
///
/// # Errors
/// Those of the operating system.
pub(super) fn is_as_staging(directory: &OwnedFd) -> Result<bool> {
    if !is_closed(directory)? {
        return Ok(false);
    }
    match fgetxattr(directory, DEFAULT_LIST, &mut [0_u8]) {
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(true),
        Ok(_) | Err(Errno::RANGE) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The directory.
#[derive(Debug)]
pub(super) struct Staging {
    around: Arc<OwnedFd>,
    /// Its path below the root.
    path: Vec<u8>,
    directory: OwnedFd,
}

impl Staging {
    /// Makes one in a directory, whose path below the root this is.
    ///
    /// # Errors
    /// Those of the operating system; `STALE` when another directory stands there that others get into, or that has something in it.
    pub(super) fn make(around: Arc<OwnedFd>, path: Vec<u8>) -> Result<Self> {
        let name = split(&path).1;
        mkdirat(&around, name, Mode::RWXU)?;
        let directory = open_directory(&around, name)?;
        // One of root's own that others do not get into and that has nothing in it does as well.
        if !is_closed(&directory)? || !names_in(&directory)?.is_empty() {
            return Err(Errno::STALE);
        }
        // What is made in it gets no list of the directory around it.
        close_to_others(&directory).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(Self { around, path, directory })
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

    /// Moves a file into it, by its name in a directory.
    ///
    /// # Errors
    /// Those of the operating system; `STALE` when the name is another file's by now, which stays in here then.
    pub(super) fn take(&self, around: impl AsFd, name: &[u8], file: impl AsFd) -> Result<()> {
        renameat_with(around, name, &self.directory, NAME, RenameFlags::NOREPLACE)?;
        let is_it = Status::of_entry(&self.directory, NAME)?.identity() == Status::of(file)?.identity();
        if is_it { Ok(()) } else { Err(Errno::STALE) }
    }

    /// Makes another name of a file in it, and says which file that is: it may have been exchanged.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn link(&self, around: impl AsFd, name: &[u8]) -> Result<Status> {
        linkat(around, name, &self.directory, NAME, AtFlags::empty())?;
        Status::of_entry(&self.directory, NAME).inspect_err(|_| self.clear())
    }

    /// Has what was made and a directory change places. That one is here then, unless another one stood there, which stays.
    ///
    /// # Errors
    /// Those of the operating system; `STALE` for another directory; `INVAL` where the file system cannot do that.
    pub(super) fn exchange(&self, around: &OwnedFd, name: &[u8], old: &OwnedFd) -> Result<()> {
        let exchange = || renameat_with(&self.directory, NAME, around, name, RenameFlags::EXCHANGE);
        exchange()?;
        if Status::of_entry(&self.directory, NAME)?.identity() == Status::of(old)?.identity() {
            return Ok(());
        }
        exchange()?;
        Err(Errno::STALE)
    }

    /// The path below the root of what is made in it.
    pub(super) fn path_of_new(&self) -> Vec<u8> {
        join(&self.path, NAME)
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
        let name = split(&self.path).1;
        if Status::of_entry(&self.around, name).is_ok_and(|status| is_ours(&status)) {
            let _ = unlinkat(&self.around, name, AtFlags::REMOVEDIR);
        }
    }
}
