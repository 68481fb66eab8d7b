//! Opening what stands under a name in an open directory: through no link, onto no other mount, and without waiting for anybody.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, Result};

use super::Status;
use super::kernel::DESCRIPTORS;

/// Opens a directory by its name, which is not followed and is on the same mount.
///
/// # Errors
/// Those of the operating system.
pub fn open_directory(around: impl AsFd, name: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    openat2(around, name, flags, Mode::empty(), within())
}

/// A descriptor of what stands under a name, which is neither followed nor opened for it, and is on the same mount.
///
/// # Errors
/// Those of the operating system.
pub fn find(around: impl AsFd, name: &[u8]) -> Result<OwnedFd> {
    openat2(around, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), within())
}

/// Opens what stands at a path below a directory, through no link; mounts are entered.
///
/// # Errors
/// Those of the operating system.
pub fn open_beneath(around: impl AsFd, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(around, path, flags, Mode::empty(), resolve)
}

/// Opens a regular file for reading by its name, without waiting for anybody, and says what was opened.
///
/// # Errors
/// Those of the operating system; `InvalidInput` when it is not a regular file.
pub fn open_file(around: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> io::Result<(File, Status)> {
    // A device does something when it is merely opened, so it is looked at before.
    let found = find(around, name)?;
    let status = Status::of(&found)?;
    if !status.is_file() {
        return Err(not_regular());
    }
    let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let number = found.as_raw_fd().to_string();
    Ok((File::from(openat(descriptors()?, number, flags, Mode::empty())?), status))
}

/// The kernel's folder of the descriptors of this process, which is looked for once.
fn descriptors() -> Result<BorrowedFd<'static>> {
    static FOLDER: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(folder) = FOLDER.get() {
        return Ok(folder.as_fd());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(DESCRIPTORS, flags, Mode::empty())?;
    Ok(FOLDER.get_or_init(|| folder).as_fd())
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// The names in an open directory, in no order.
///
/// # Errors
/// Those of the operating system.
pub fn names_in(directory: impl AsFd) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

/// A sentence for the errors that only hostile or mounted things give.
#[must_use]
pub fn explain(errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP => io::Error::other("there is a symbolic link on the way, which is not followed"),
        Errno::XDEV => io::Error::other("it is on another mount, which is left alone"),
        Errno::STALE => io::Error::other("a directory on the way was exchanged by somebody meanwhile"),
        errno => errno.into(),
    }
}

fn within() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV
}
