//! Locks between processes on a local disk: `flock` on files below `locks/`, which the kernel releases however a process ends.
//!
//! Backups, restores and verifications share the repository; only deleting excludes them. No clock, host name or
//! process number decides anything.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, unlinkat};
use rustix::io::Errno;

use super::folder::LocalRoot;
use super::{Error, Exclusion, Lease};
use crate::rooted::{Status, explain, names_in, open_beneath};

pub(super) const FOLDER: &str = "locks";
/// The file that everybody who uses the repository has a lock on.
const REPOSITORY: &str = "repository";

/// The lock of a repository; dropping it releases it.
#[derive(Debug)]
struct Flock {
    file: File,
    place: String,
    /// The root folder of the repository.
    root: OwnedFd,
}

impl Flock {
    fn take(&self, operation: FlockOperation) -> Result<bool, Error> {
        match flock(&self.file, operation) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(Error::Lock { place: self.place.clone(), source: errno.into() }),
        }
    }
}

impl Exclusion for Flock {
    fn try_alone(&self) -> Result<bool, Error> {
        self.take(FlockOperation::NonBlockingLockExclusive)
    }

    fn try_shared(&self) -> Result<bool, Error> {
        self.take(FlockOperation::NonBlockingLockShared)
    }

    /// Another file in its place is locked by whoever comes now.
    fn check(&self) -> Result<(), Error> {
        let failed = |errno: Errno| Error::Lock { place: self.place.clone(), source: errno.into() };
        let path = format!("{FOLDER}/{REPOSITORY}");
        let now = open_beneath(&self.root, path.as_bytes(), OFlags::PATH | OFlags::CLOEXEC).and_then(Status::of);
        let held = Status::of(&self.file).map_err(failed)?;
        match now {
            Ok(now) if now.identity() == held.identity() => Ok(()),
            Ok(_) | Err(Errno::NOENT) => Err(Error::LockLost { place: self.place.clone() }),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// Of a folder on a file system that is read-only: no lock is taken, and nobody is alone, because the rest may be writable.
#[derive(Debug)]
struct ReadOnly {
    place: String,
}

impl Exclusion for ReadOnly {
    fn try_alone(&self) -> Result<bool, Error> {
        Err(Error::Lock { place: self.place.clone(), source: Errno::ROFS.into() })
    }

    fn try_shared(&self) -> Result<bool, Error> {
        Ok(true)
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// Takes the repository's lock together with others who share it, waiting for one who excludes them. `waits` is called once then.
///
/// # Errors
/// [`Error::Locked`] after thirty seconds, [`Error::Lock`].
pub(super) fn lease(root: LocalRoot<'_>, waits: &dyn Fn()) -> Result<Lease, Error> {
    let exclusion: Box<dyn Exclusion> = match open_lock_file(root, REPOSITORY) {
        Err(Error::Lock { source, place }) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            Box::new(ReadOnly { place })
        }
        opened => {
            let (file, place) = opened?;
            let failed = |source| Error::Lock { place: place.clone(), source };
            let root = root.directory().try_clone_to_owned().map_err(failed)?;
            Box::new(Flock { file, place, root })
        }
    };
    Lease::shared(exclusion, &root.path().display().to_string(), waits)
}

/// Reserves a snapshot's name until the file is dropped; `None` when another process holds it.
///
/// # Errors
/// [`Error::Lock`].
pub(super) fn reserve(root: LocalRoot<'_>, name: &str) -> Result<Option<File>, Error> {
    let (file, place) = open_lock_file(root, name)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(Error::Lock { place, source: errno.into() }),
    }
}

/// Removes the files of reservations that nobody holds. The caller is alone.
pub(super) fn sweep_reservations(root: LocalRoot<'_>) {
    let Ok(folder) = open_folder(root) else { return };
    for name in names_in(&folder).unwrap_or_default().iter().filter(|name| *name != REPOSITORY.as_bytes()) {
        // Best effort: a file that stays does no harm.
        let _ = unlinkat(&folder, name.as_slice(), AtFlags::empty());
    }
}

/// The folder of the locks, which is made where there is none. No link in the repository is followed.
fn open_folder(root: LocalRoot<'_>) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match open_beneath(root.directory(), FOLDER.as_bytes(), flags) {
        Err(Errno::NOENT) => {}
        // What is in a folder of somebody else's, moved here, is not ours to remove.
        Ok(folder) if !root.has_as_own(&folder) => return Err(Errno::ACCESS),
        opened => return opened,
    }
    match root.make_directory(FOLDER) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    open_beneath(root.directory(), FOLDER.as_bytes(), flags)
}

fn open_lock_file(root: LocalRoot<'_>, name: &str) -> Result<(File, String), Error> {
    let place = root.path().join(FOLDER).join(name).display().to_string();
    let failed = |errno: Errno| Error::Lock { place: place.clone(), source: explain(errno) };
    let folder = open_folder(root).map_err(failed)?;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let open = |flags| openat(&folder, name, flags, Mode::RUSR | Mode::WUSR);
    let create = flags | OFlags::RDWR | OFlags::CREATE;
    let file = match open(create | OFlags::EXCL).inspect(|file| root.give(file)).or_else(|_| open(create)) {
        // Somebody who may only read can still take a lock on a file that is there.
        Err(errno @ Errno::ACCESS) => open(flags | OFlags::RDONLY).map_err(|_| failed(errno))?,
        opened => opened.map_err(failed)?,
    };
    Ok((File::from(file), place))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::path::Path;

    use super::*;

    fn at<T>(path: &Path, work: impl FnOnce(LocalRoot<'_>) -> T) -> T {
        let directory = File::open(path).expect("the folder is there");
        work(LocalRoot::new(path, directory.as_fd()))
    }

    #[test]
    fn a_name_is_reserved_once_and_free_again_after_the_drop() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let first = at(folder.path(), |root| reserve(root, "name")).expect("reserve");
        assert!(first.is_some());
        assert!(at(folder.path(), |root| reserve(root, "name")).expect("reserve").is_none());
        drop(first);
        assert!(at(folder.path(), |root| reserve(root, "name")).expect("reserve").is_some());
    }

    #[test]
    fn whoever_excludes_others_is_waited_for() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let sharing = |file: &File| flock(file, FlockOperation::NonBlockingLockShared);
        let own = at(folder.path(), |root| lease(root, &|| {})).expect("nobody excludes anybody");
        let other = File::open(folder.path().join("locks/repository")).expect("the lock file");
        let alone = own.when_alone(|_| {
            assert_eq!(sharing(&other), Err(Errno::WOULDBLOCK));
            Ok::<_, Error>(())
        });
        assert_eq!(alone.expect("no failure"), Some(()));
        assert_eq!(sharing(&other), Ok(()));
    }

    /// Whoever removed the file of a lock, as something that a killed command had left, let others delete beside a backup.
    #[test]
    fn a_lock_whose_file_is_gone_or_another_one_is_lost() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("locks/repository");
        let first = at(folder.path(), |root| lease(root, &|| {})).expect("nobody excludes anybody");
        first.check().expect("it is held");
        std::fs::remove_file(&file).expect("ours");
        assert!(matches!(first.check(), Err(Error::LockLost { .. })));
        let second = at(folder.path(), |root| lease(root, &|| {})).expect("nobody excludes anybody");
        second.check().expect("it is held");
        assert!(matches!(first.check(), Err(Error::LockLost { .. })));
        let deleted = first.if_alone(|_| -> Result<(), Error> { unreachable!("it is not alone") });
        assert!(matches!(deleted, Err(Error::LockLost { .. })));
        std::fs::remove_dir_all(folder.path().join("locks")).expect("ours");
        assert!(matches!(second.check(), Err(Error::LockLost { .. })));
    }

    /// A link in the place of a lock had root make a file wherever it led to: `/etc/nologin` shuts a host.
    #[test]
    fn no_link_leads_a_lock_elsewhere() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        std::fs::create_dir_all(root.join(FOLDER)).expect("create");
        std::fs::create_dir(&outside).expect("create");
        std::os::unix::fs::symlink(outside.join("made"), root.join(FOLDER).join(REPOSITORY)).expect("link");
        assert!(at(&root, |root| lease(root, &|| {})).is_err());
        std::fs::remove_dir_all(root.join(FOLDER)).expect("remove");
        std::os::unix::fs::symlink(&outside, root.join(FOLDER)).expect("link");
        std::fs::write(outside.join("kept"), "x").expect("write");
        assert!(at(&root, |root| lease(root, &|| {})).is_err() && at(&root, |root| reserve(root, "name")).is_err());
        at(&root, sweep_reservations);
        assert_eq!(std::fs::read_dir(&outside).expect("list").count(), 1, "nothing was made or removed");
    }

    /// The lock of a repository that was exchanged for a link lay where that led, and files there were removed.
    #[test]
    fn a_lock_lies_in_the_folder_that_was_opened() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        std::fs::create_dir(&root).expect("create");
        std::fs::create_dir_all(outside.join(FOLDER)).expect("create");
        std::fs::write(outside.join(FOLDER).join("kept"), "x").expect("write");
        at(&root, |opened| {
            std::fs::rename(&root, folder.path().join("moved")).expect("rename");
            std::os::unix::fs::symlink(&outside, &root).expect("link");
            let _lock = lease(opened, &|| {}).expect("lock");
            sweep_reservations(opened);
        });
        assert_eq!(std::fs::read_dir(outside.join(FOLDER)).expect("list").count(), 1);
        assert!(folder.path().join("moved").join(FOLDER).join(REPOSITORY).exists());
    }
}
