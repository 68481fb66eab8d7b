//! A file that is written into a directory of somebody else, complete and on disk before it has its name, or removed from one.
//!
//! The directory is opened once, and everything is done in the one that was opened. Neither at the name nor at the temporary
//! one, which nobody can guess, is a link followed: it is replaced. On the way to the directory those of root and of whoever runs
//! Larder are, but for those where containers write, and no others.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::host::places;
use larder::events::Unheard;
use larder::id::{hex, random_bytes};
use larder::rooted::Trust;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, fchmod, flock, fsync, openat, renameat, unlinkat};

/// Bytes of a temporary name that are random.
const RANDOM_BYTES: usize = 8;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Everybody may read it whom the umask lets.
    Text,
    /// Everybody may run it.
    Script,
}

/// A file under a temporary name, which goes when it is dropped.
#[derive(Debug)]
pub(crate) struct NewFile {
    folder: OwnedFd,
    name: OsString,
    temporary: OsString,
    file: File,
}

/// Writes a file in the place of what stands there, unless that is a directory.
pub(crate) fn write(path: &Path, bytes: &[u8], purpose: Purpose) -> io::Result<()> {
    NewFile::create(path, purpose)?.put_in_place(bytes)
}

/// Writes a file that has a lock on it before it has its name, and as long as it is open; none where the file system knows no locks.
pub(crate) fn write_locked(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let new = NewFile::create(path, Purpose::Text)?;
    let _ = flock(&new.file, FlockOperation::NonBlockingLockExclusive);
    let locked = new.file.try_clone()?;
    new.put_in_place(bytes)?;
    Ok(locked)
}

/// Removes a file, in the directory that writing it would open.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let (folder, name) = place_of(path)?;
    Ok(unlinkat(folder, name, AtFlags::empty())?)
}

/// The open directory that a file is in, and its name there.
fn place_of(path: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((trust().open_directory(parent)?, name))
}

/// Makes a directory where there is none, with those around it that are missing.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    Ok(trust().make_directory(path).map(drop)?)
}

fn trust() -> Trust {
    // Who cannot be believed about them was told when the settings were read.
    Trust::default().but_links_in(places::known(&Unheard))
}

impl NewFile {
    /// Makes an empty one beside where it is to be.
    pub(crate) fn create(path: &Path, purpose: Purpose) -> io::Result<Self> {
        let (folder, name) = place_of(path)?;
        let mut random = hex(&random_bytes()?);
        random.truncate(2 * RANDOM_BYTES);
        let temporary =
            [OsStr::new("."), name, OsStr::new(".larder-"), OsStr::new(&random)].iter().copied().collect::<OsString>();
        let file = create_at(&folder, &temporary, purpose)?;
        Ok(Self { folder, name: name.to_owned(), temporary, file })
    }

    /// Gives it its content and its name.
    pub(crate) fn put_in_place(mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.sync_all()?;
        renameat(&self.folder, &self.temporary, &self.folder, &self.name)?;
        Ok(fsync(&self.folder)?)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // Once it has its name there is none under the temporary one.
        let _ = unlinkat(&self.folder, &self.temporary, AtFlags::empty());
    }
}

fn create_at(folder: &OwnedFd, name: &OsStr, purpose: Purpose) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(folder, name, flags, Mode::from_raw_mode(0o644))?;
    if purpose == Purpose::Script {
        fchmod(&file, Mode::from_raw_mode(0o755))?;
    }
    Ok(File::from(file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A folder with a file that must stay as it is, and a link to it.
    fn with_link(link: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("victim"), "mine").expect("a file");
        symlink("victim", folder.path().join(link)).expect("a link");
        folder
    }

    #[test]
    fn a_link_at_the_name_is_replaced() {
        let folder = with_link("script");
        let path = folder.path().join("script");
        write(&path, b"new", Purpose::Script).expect("written");
        assert_eq!(fs::read(folder.path().join("victim")).expect("it is there"), b"mine");
        let metadata = path.symlink_metadata().expect("it is there");
        assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o755);
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
    }

    #[test]
    fn a_link_at_the_temporary_name_is_not_followed() {
        let folder = with_link("taken");
        let opened = OwnedFd::from(File::open(folder.path()).expect("a folder"));
        let refused = create_at(&opened, OsStr::new("taken"), Purpose::Text).expect_err("something stands there");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn the_directory_is_the_one_that_was_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let [first, second, moved] = ["first", "second", "moved"].map(|name| folder.path().join(name));
        fs::create_dir(&first).expect("a folder");
        fs::create_dir(&second).expect("a folder");
        let file = NewFile::create(&first.join("file"), Purpose::Text).expect("created");
        fs::rename(&first, &moved).expect("it is ours");
        symlink(&second, &first).expect("a link");
        file.put_in_place(b"new").expect("written");
        assert_eq!(fs::read(moved.join("file")).expect("it is there"), b"new");
        assert_eq!(fs::read_dir(&second).expect("a folder").count(), 0);
    }

    #[test]
    fn what_is_not_put_in_place_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(NewFile::create(&folder.path().join("file"), Purpose::Text).expect("created"));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
