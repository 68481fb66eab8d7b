//! Locks between processes: `flock` on files below `locks/`, which the kernel releases however a process ends.
//!
//! Backups, restores and verifications share the repository; only deleting excludes them. No clock, host name or
//! process number decides anything.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, unlinkat};
use rustix::io::Errno;

use super::Error;
use crate::rooted::{explain, names_in, open_beneath};
use crate::storage::LocalRoot;

const FOLDER: &str = "locks";
/// The file that everybody who uses the repository has a lock on.
const REPOSITORY: &str = "repository";

/// How long a command waits for another one before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the repository's lock together with others who share it, waiting for one who excludes them.
    ///
    /// `None` where the lock file cannot be made because the file system is read-only: nobody can change anything.
    ///
    /// # Errors
    /// [`Error::Locked`] after thirty seconds, [`Error::Lock`].
    pub fn shared(root: LocalRoot<'_>) -> Result<Option<Self>, Error> {
        Self::take(root, FlockOperation::NonBlockingLockShared)
    }

    /// Takes the repository's lock for itself, waiting for everyone else.
    ///
    /// # Errors
    /// [`Error::Locked`] after thirty seconds, [`Error::Lock`].
    pub fn exclusive(root: LocalRoot<'_>) -> Result<Option<Self>, Error> {
        Self::take(root, FlockOperation::NonBlockingLockExclusive)
    }

    /// Runs `work` when nobody else uses the repository at this moment, and goes on sharing the lock.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Lock`].
    pub fn if_alone(&self, root: LocalRoot<'_>, work: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        let failed = |source: Errno| Error::Lock { place: root.path().display().to_string(), source: source.into() };
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let result = work();
                flock(&self.file, FlockOperation::LockShared).map_err(failed)?;
                result
            }
            // A failed conversion may have lost the shared lock, so it is taken again.
            Err(Errno::WOULDBLOCK) => flock(&self.file, FlockOperation::LockShared).map_err(failed),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Waits until nobody else uses the repository, runs `work`, and goes on sharing the lock. `None` when others do not end
    /// for thirty seconds.
    ///
    /// Meanwhile this holds no lock at all: whoever else waits so may come first. So `work` has to look again.
    ///
    /// # Errors
    /// Those of `work`; [`Error::Lock`].
    pub fn when_alone<T, E: From<Error>>(
        &self,
        root: LocalRoot<'_>,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let failed = |source: Errno| Error::Lock { place: root.path().display().to_string(), source: source.into() };
        let deadline = Instant::now() + PATIENCE;
        let result = loop {
            match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break work().map(Some),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => break Ok(None),
                Err(errno) => break Err(failed(errno).into()),
            }
        };
        flock(&self.file, FlockOperation::LockShared).map_err(failed)?;
        result
    }

    /// Reserves a snapshot's name until the lock is dropped; `None` when another process holds it.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn reserve(root: LocalRoot<'_>, name: &str) -> Result<Option<Self>, Error> {
        let (file, place) = open_lock_file(root, name)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file })),
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

    fn take(root: LocalRoot<'_>, operation: FlockOperation) -> Result<Option<Self>, Error> {
        let (file, place) = match open_lock_file(root, REPOSITORY) {
            Err(Error::Lock { source, .. }) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => return Ok(None),
            opened => opened?,
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Some(Self { file })),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err(Errno::WOULDBLOCK) => return Err(Error::Locked { place: root.path().display().to_string() }),
                Err(errno) => return Err(Error::Lock { place, source: errno.into() }),
            }
        }
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
        let first = at(folder.path(), |root| Lock::reserve(root, "name")).expect("reserve");
        assert!(first.is_some());
        assert!(at(folder.path(), |root| Lock::reserve(root, "name")).expect("reserve").is_none());
        drop(first);
        assert!(at(folder.path(), |root| Lock::reserve(root, "name")).expect("reserve").is_some());
    }

    #[test]
    fn work_that_must_be_alone_is_left_out_when_others_share() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let lock = at(folder.path(), Lock::shared).expect("lock").expect("writable");
        let mut runs = 0;
        at(folder.path(), |root| {
            lock.if_alone(root, || {
                runs += 1;
                Ok(())
            })
        })
        .expect("alone");
        let other = at(folder.path(), Lock::shared).expect("lock");
        at(folder.path(), |root| {
            lock.if_alone(root, || {
                runs += 1;
                Ok(())
            })
        })
        .expect("not alone");
        drop(other);
        assert_eq!(runs, 1);
    }

    #[test]
    fn work_that_waits_for_others_is_done_when_they_have_ended_and_shares_again() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let lock = at(folder.path(), Lock::shared).expect("lock").expect("writable");
        let other = at(folder.path(), Lock::shared).expect("lock");
        let ended = std::sync::atomic::AtomicBool::new(false);
        let order = std::sync::atomic::Ordering::SeqCst;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(3 * PAUSE);
                ended.store(true, order);
                drop(other);
            });
            let alone = at(folder.path(), |root| lock.when_alone(root, || Ok::<_, Error>(ended.load(order))));
            assert_eq!(alone.expect("no failure"), Some(true));
        });
        assert!(at(folder.path(), Lock::shared).expect("it is shared again").is_some());
    }

    #[test]
    fn whoever_excludes_others_is_waited_for() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let sharing = |file: &File| flock(file, FlockOperation::NonBlockingLockShared);
        let exclusive = at(folder.path(), Lock::exclusive).expect("nobody shares it").expect("writable");
        let other = File::open(folder.path().join("locks/repository")).expect("the lock file");
        assert_eq!(sharing(&other), Err(Errno::WOULDBLOCK));
        drop(exclusive);
        assert_eq!(sharing(&other), Ok(()));
    }

    /// A link in the place of a lock had root make a file wherever it led to: `/etc/nologin` shuts a host.
    #[test]
    fn no_link_leads_a_lock_elsewhere() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        std::fs::create_dir_all(root.join(FOLDER)).expect("create");
        std::fs::create_dir(&outside).expect("create");
        std::os::unix::fs::symlink(outside.join("made"), root.join(FOLDER).join(REPOSITORY)).expect("link");
        assert!(at(&root, Lock::shared).is_err());
        std::fs::remove_dir_all(root.join(FOLDER)).expect("remove");
        std::os::unix::fs::symlink(&outside, root.join(FOLDER)).expect("link");
        std::fs::write(outside.join("kept"), "x").expect("write");
        assert!(at(&root, Lock::shared).is_err() && at(&root, |root| Lock::reserve(root, "name")).is_err());
        at(&root, Lock::sweep_reservations);
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
            let _lock = Lock::shared(opened).expect("lock");
            Lock::sweep_reservations(opened);
        });
        assert_eq!(std::fs::read_dir(outside.join(FOLDER)).expect("list").count(), 1);
        assert!(folder.path().join("moved").join(FOLDER).join(REPOSITORY).exists());
    }
}
