//! Folders for a while, which nobody else gets into, and which go with everything that somebody may have put into them.

use std::ffi::{CStr, CString};
use std::fs::Permissions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, chmodat, openat, renameat_with, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;
use tempfile::TempDir;

use crate::rooted::Trust;

/// A folder that only its user gets into. Removed when dropped.
#[derive(Debug)]
pub struct TemporaryFolder {
    folder: Option<TempDir>,
    path: PathBuf,
}

impl TemporaryFolder {
    /// Makes one where temporary files lie, whose name begins with `prefix`. Root makes none where somebody else could exchange it.
    ///
    /// # Errors
    /// Those of the operating system; what is wrong with the folder for temporary files.
    pub fn new(prefix: &str) -> io::Result<Self> {
        let parent = std::env::temp_dir().canonicalize()?;
        let strange = || Trust::default().strange_folder(&parent);
        if let Some(refusal) = rustix::process::geteuid().is_root().then(strange).flatten() {
            let advice = "unset TMPDIR, or set it to a folder that is root's with those around it";
            return Err(io::Error::other(format!("{refusal}, and could exchange temporary folders: {advice}")));
        }
        Self::new_in(&parent, prefix)
    }

    /// Makes one in a folder, whose name begins with `prefix`.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new_in(parent: &Path, prefix: &str) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let folder = builder.prefix(prefix).permissions(Permissions::from_mode(0o700)).tempdir_in(parent)?;
        let path = folder.path().to_owned();
        close_to_others(open_folder(CWD, &path)?)?;
        Ok(Self { folder: Some(folder), path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is, for good.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.folder.take().map_or_else(PathBuf::new, TempDir::keep)
    }

    /// Removes it.
    ///
    /// # Errors
    /// Those of the operating system: something in it cannot be removed, and stays.
    pub fn close(mut self) -> io::Result<()> {
        self.remove()
    }

    fn remove(&mut self) -> io::Result<()> {
        match self.folder.take().map(TempDir::keep) {
            Some(path) => remove_tree(&path),
            None => Ok(()),
        }
    }
}

/// Takes from a new folder what the folder around it hands down to all that is made in it: rights of others by access control
/// lists.
///
/// # Errors
/// Those of the operating system.
pub fn close_to_others(folder: impl AsFd) -> io::Result<()> {
    for list in ["system.posix_acl_access", "system.posix_acl_default"] {
        match rustix::fs::fremovexattr(&folder, list) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Whoever has to know calls `close`.
        let _ = self.remove();
    }
}

/// Removes a folder with everything in it, which nobody changes meanwhile. However deep it is, that takes two descriptors and
/// no stack: what lies in a folder of it is moved up before that one is removed, each once.
fn remove_tree(path: &Path) -> io::Result<()> {
    let top = open_folder(CWD, path)?;
    let mut number = 0;
    loop {
        let mut is_empty = true;
        for_each_name(&top, |name| {
            is_empty = false;
            if !remove_file(&top, name)? {
                lift(&top, name, &mut number)?;
            }
            Ok(())
        })?;
        if is_empty {
            return std::fs::remove_dir(path);
        }
    }
}

/// Removes a folder within `top`, after the folders in it were moved there.
fn lift(top: &OwnedFd, name: &CStr, number: &mut u64) -> io::Result<()> {
    let folder = open_folder(top, name)?;
    let mut is_empty = false;
    while !std::mem::replace(&mut is_empty, true) {
        for_each_name(&folder, |child| {
            is_empty = false;
            if remove_file(&folder, child)? {
                return Ok(());
            }
            // Who is not root moves a folder only where he may write into it.
            chmodat(&folder, child, Mode::RWXU, AtFlags::empty())?;
            loop {
                *number += 1;
                match renameat_with(&folder, child, top, format!(".removed-{number}"), RenameFlags::NOREPLACE) {
                    Err(Errno::EXIST) => {}
                    moved => return Ok(moved?),
                }
            }
        })?;
    }
    Ok(unlinkat(top, name, AtFlags::REMOVEDIR)?)
}

/// Removes what is no folder; `false` where it is one.
fn remove_file(folder: &OwnedFd, name: &CStr) -> io::Result<bool> {
    match unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Opens a folder, which may have been closed to its owner.
fn open_folder(parent: impl AsFd, name: impl Arg + Copy) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(&parent, name, flags, Mode::empty());
    let folder = folder.or_else(|errno| match errno {
        Errno::ACCESS => {
            chmodat(&parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(&parent, name, flags, Mode::empty())
        }
        errno => Err(errno),
    })?;
    // Nothing can be removed from a folder that is not writable.
    rustix::fs::fchmod(&folder, Mode::RWXU)?;
    Ok(folder)
}

fn for_each_name(folder: &OwnedFd, mut each: impl FnMut(&CStr) -> io::Result<()>) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let name = CString::from(entry?.file_name());
        if !matches!(name.as_bytes(), b"." | b"..") {
            each(&name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nobody_else_gets_in() {
        let folder = TemporaryFolder::new("larder-").expect("a folder");
        assert_eq!(fs::metadata(folder.path()).expect("a folder").permissions().mode() & 0o777, 0o700);
    }

    /// Who could write into a folder left one behind that was too deep for the descriptors of whoever removed it.
    #[test]
    fn what_is_deep_closed_or_called_alike_is_removed() {
        let folder = TemporaryFolder::new("larder-").expect("a folder");
        let mut deepest = open_folder(CWD, folder.path()).expect("a folder");
        for _ in 0..5_000 {
            rustix::fs::mkdirat(&deepest, ".removed-1", Mode::RWXU).expect("a folder");
            deepest = open_folder(&deepest, ".removed-1").expect("a folder");
        }
        let place = |name: &str| folder.path().join(name);
        fs::create_dir_all(place("closed/within")).expect("a folder");
        fs::write(place("closed/within/file"), "x").expect("a file");
        let outside = TemporaryFolder::new("larder-").expect("a folder");
        fs::write(outside.path().join("file"), "x").expect("a file");
        symlink(outside.path(), place("closed/link")).expect("a link");
        for name in ["closed/within", "closed"] {
            fs::set_permissions(place(name), Permissions::from_mode(0o000)).expect("it is ours");
        }
        let path = folder.path().to_owned();
        folder.close().expect("it can be removed");
        assert!(!path.exists() && outside.path().join("file").exists());
    }

    #[test]
    fn what_is_kept_stays() {
        let path = TemporaryFolder::new("larder-").expect("a folder").keep();
        assert!(path.is_dir());
        fs::remove_dir(path).expect("it is empty");
    }
}
