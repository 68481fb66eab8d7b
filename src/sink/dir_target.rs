//! The directory that a restore writes to: nothing written through it can leave it, through no link and onto no other mount.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, fsync, openat, readlinkat, renameat, syncfs, unlinkat};
use rustix::io::Errno;

use super::staging::Staging;
use super::{Error, Existing, special};
use crate::model::{Node, show_path};
use crate::rooted::{Descent, Guarded, RootedDir, Step, Trust, explain, join, split};
use crate::source::UNFINISHED_PREFIX;

/// A root directory that is written to.
#[derive(Debug)]
pub struct DirTarget {
    pub(super) tree: RootedDir,
    shown: String,
    /// What is never touched.
    guarded: Guarded,
    next_temporary: u64,
    /// Where what is new is made, with the file system that it is in.
    pub(super) staging: Option<(u64, Staging)>,
}

impl DirTarget {
    /// Opens the root. A link there is followed when its owner is believed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(root: &Path, trust: &Trust) -> Result<Self, Error> {
        let shown = root.display().to_string();
        let tree = RootedDir::open(root, trust).map_err(|errno| Error::io("open", shown.clone(), errno))?;
        Ok(Self { tree, shown, guarded: Guarded::default(), next_temporary: 0, staging: None })
    }

    /// Never touches these directories, wherever they are met.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the root lies in one of them; [`Error::Io`].
    pub fn guard(&mut self, guarded: Guarded) -> Result<(), Error> {
        let lies_in = guarded.covers(self.tree.root()).map_err(|errno| self.failed("look at", b"", errno))?;
        self.guarded = guarded;
        if lies_in {
            let why = "is the repository, or lies in it: nothing is restored there";
            return Err(Error::Unusable(format!("{} {why}", self.shown)));
        }
        Ok(())
    }

    /// Whether something is mounted here, or this is the directory that is guarded: nothing of it is ever changed.
    #[must_use]
    pub fn is_guarded(&self, existing: &Existing) -> bool {
        self.is_mount(existing) || (existing.is_directory() && self.guarded.has(existing.identity()))
    }

    /// Whether something is mounted here.
    #[must_use]
    pub const fn is_mount(&self, existing: &Existing) -> bool {
        self.tree.is_mount(&existing.status)
    }

    /// A path as text, for messages.
    #[must_use]
    pub fn show(&self, path: &[u8]) -> String {
        if path.is_empty() { self.shown.clone() } else { format!("{}/{}", self.shown, show_path(path)) }
    }

    /// What stands at a path; `None` when nothing does.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn look(&mut self, path: &[u8]) -> Result<Option<Existing>, Error> {
        match self.tree.status(path) {
            Ok(status) => Ok(Some(Existing::from(status))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failed("look at", path, errno)),
        }
    }

    /// Where the link at a path points.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn link_target(&mut self, path: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let (parent, name) = self.parent(path)?;
        Ok(readlinkat(&parent, name, Vec::new()).ok().map(std::ffi::CString::into_bytes))
    }

    /// The names in a directory.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn names(&mut self, path: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        self.tree.names(path).map_err(|errno| self.failed("list", path, errno))
    }

    /// Makes a temporary file beside a path, for [`DirTarget::put_in_place`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn temporary_file(&mut self, path: &[u8]) -> Result<(File, Vec<u8>), Error> {
        loop {
            let temporary = self.temporary_path(path);
            let (parent, name) = self.parent(&temporary)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            match openat(&parent, name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => return Ok((File::from(fd), temporary)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.failed("create a file beside", path, errno)),
            }
        }
    }

    /// A descriptor of the link, pipe or device at a path, which is looked at once more: somebody may have exchanged it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open_special(&mut self, path: &[u8], node: &Node) -> Result<OwnedFd, Error> {
        let (parent, name) = self.parent(path)?;
        special::open(&parent, name, node).map_err(|error| Error::io("open", self.show(path), error))
    }

    /// Renames a temporary entry to its path, in the place of what stands there.
    ///
    /// # Errors
    /// [`Error::Io`], also when a directory stands there: it is not removed.
    pub fn put_in_place(&mut self, temporary: &[u8], path: &[u8]) -> Result<(), Error> {
        let (parent, name) = self.parent(path)?;
        let (_, temporary_name) = split(temporary);
        renameat(&parent, temporary_name, &parent, name).map_err(|errno| self.failed("replace", path, errno))
    }

    /// Removes an entry that is no directory, where there is one. A link is not followed.
    ///
    /// # Errors
    /// [`Error::Io`], also when a directory stands there.
    pub fn remove_file(&mut self, path: &[u8]) -> Result<(), Error> {
        match self.unlink(path, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("remove", path, errno)),
        }
    }

    /// Removes a directory if nothing is in it. Says whether it is gone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_directory(&mut self, path: &[u8]) -> Result<bool, Error> {
        match self.unlink(path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(errno) => Err(self.failed("remove", path, errno)),
        }
    }

    /// A walk over what stands at a path and below; `None` when nothing does.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn descend(&mut self, path: &[u8]) -> Result<Option<Descent>, Error> {
        Ok(self.look(path)?.map(|existing| Descent::new(path, existing.status)))
    }

    /// The next step of a walk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn next_step(&mut self, descent: &mut Descent) -> Result<Option<Step>, Error> {
        descent.next(&mut self.tree).map_err(|errno| self.failed("look at", descent.path(), errno))
    }

    fn unlink(&mut self, path: &[u8], flags: AtFlags) -> rustix::io::Result<()> {
        let (parent, name) = self.tree.parent(path)?;
        unlinkat(&parent, name, flags)
    }

    /// Opens a regular file for reading, and says what was opened: it may be another one than was looked at.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open_file(&mut self, path: &[u8]) -> Result<(File, Existing), Error> {
        let opened = self.tree.open_file(path).map_err(|error| Error::io("open", self.show(path), error));
        opened.map(|(file, status)| (file, Existing::from(status)))
    }

    /// The directory at a path, opened.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn directory(&mut self, path: &[u8]) -> Result<Arc<OwnedFd>, Error> {
        self.tree.directory(path).map_err(|errno| self.failed("open", path, errno))
    }

    /// The opened directory around a path, and the last name of the path.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn parent<'p>(&mut self, path: &'p [u8]) -> Result<(Arc<OwnedFd>, &'p [u8]), Error> {
        let (parent, name) = split(path);
        Ok((self.directory(parent)?, name))
    }

    /// Makes everything durable that was written.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<(), Error> {
        let root = self.tree.root();
        syncfs(root).and_then(|()| fsync(root)).map_err(|errno| Error::io("sync", self.shown.clone(), errno))
    }

    pub(super) fn temporary_path(&mut self, path: &[u8]) -> Vec<u8> {
        self.next_temporary += 1;
        let (parent, _) = split(path);
        let mut name = UNFINISHED_PREFIX.to_vec();
        name.extend_from_slice(format!("{}-{}", std::process::id(), self.next_temporary).as_bytes());
        join(parent, &name)
    }

    pub(super) fn exchanged(&self, path: &[u8]) -> Error {
        Error::Unusable(format!("{} was exchanged by somebody while it was restored", self.show(path)))
    }

    pub(super) fn failed(&self, action: &'static str, path: &[u8], errno: Errno) -> Error {
        Error::io(action, self.show(path), explain(errno))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_and_no_name_leads_outside() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        std::fs::create_dir(&root).expect("create");
        std::fs::create_dir(&outside).expect("create");
        symlink(&outside, root.join("link")).expect("link");
        let mut target = DirTarget::open(&root, &Trust::default()).expect("open");
        for path in [&b"link/new"[..], b"../outside/new", b"link/../new"] {
            assert!(target.temporary_file(path).is_err(), "{}", show_path(path));
            assert!(target.make_directory(path).is_err(), "{}", show_path(path));
        }
        target.remove_file(b"link").expect("the link itself goes");
        assert!(outside.exists() && !root.join("link").exists());
    }

    /// Whoever owned the directory around it could have another one, which was not his, put there and removed.
    #[test]
    fn no_directory_is_replaced() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir_all(folder.path().join("name/deep")).expect("create");
        std::fs::write(folder.path().join("name/deep/file"), b"x").expect("write");
        let mut target = DirTarget::open(folder.path(), &Trust::default()).expect("open");
        let (_, temporary) = target.temporary_file(b"name").expect("temporary file");
        target.put_in_place(&temporary, b"name").expect_err("a directory stands there");
        target.remove_file(b"name").expect_err("a directory stands there");
        assert!(!target.remove_directory(b"name").expect("looked at"));
        assert!(folder.path().join("name/deep/file").exists());
    }

    #[test]
    fn paths_longer_than_the_kernel_takes_at_once() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut target = DirTarget::open(folder.path(), &Trust::default()).expect("open");
        let mut path = Vec::new();
        for _ in 0..45 {
            path = join(&path, &[b'x'; 200]);
            target.make_directory(&path).expect("create");
        }
        assert!(path.len() > 9_000);
        assert!(target.look(&path).expect("look").is_some_and(|existing| existing.is_directory()));
        assert!(target.remove_directory(&path).expect("remove"));
    }
}
