//! What is new beneath a root: made where nobody else reaches it, and moved to its place.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, RenameFlags, mknodat, symlinkat};
use rustix::io::Errno;

use super::staging::Staging;
use super::{DirTarget, Error, Existing};
use crate::model::{Node, NodeKind};
use crate::rooted::{Status, find};

impl DirTarget {
    /// Makes a link, pipe or device where nobody but its user reaches it, for [`DirTarget::place_special`], and gives a descriptor of it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn stage_special(&mut self, path: &[u8], node: &Node) -> Result<OwnedFd, Error> {
        let mode = Mode::RUSR | Mode::WUSR;
        let made = self.staging(path)?.create(
            |staging, name| match &node.kind {
                NodeKind::Symlink { target } => symlinkat(target.as_ref(), staging, name),
                NodeKind::Fifo => mknodat(staging, name, FileType::Fifo, mode, 0),
                NodeKind::CharDevice { number } => mknodat(staging, name, FileType::CharacterDevice, mode, *number),
                NodeKind::BlockDevice { number } => mknodat(staging, name, FileType::BlockDevice, mode, *number),
                NodeKind::File { .. } | NodeKind::Directory { .. } | NodeKind::Socket => Err(Errno::INVAL),
            },
            |staging, name| find(staging, name),
        );
        made.map_err(|errno| self.failed("create", path, errno))
    }

    /// Moves a file that was written beside its place to where nobody but its user reaches it, for [`DirTarget::place_special`]: whoever owns
    /// it before it has its mode may open it for writing, and write to it when it runs as somebody else.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unusable`] when it was exchanged.
    pub fn stage_file(&mut self, temporary: &[u8], file: &File) -> Result<(), Error> {
        let (parent, name) = self.parent(temporary)?;
        match self.staging(temporary)?.take(&parent, name, file) {
            Err(Errno::STALE) => {
                // It is somebody's, and stays where it is.
                self.staging = None;
                Err(self.exchanged(temporary))
            }
            taken => taken.map_err(|errno| self.failed("move", temporary, errno)),
        }
    }

    /// Moves what was made to its path, in the place of what stands there.
    ///
    /// # Errors
    /// [`Error::Io`], also when a directory stands there: it is not removed.
    pub fn place_special(&mut self, path: &[u8]) -> Result<(), Error> {
        let (parent, name) = self.parent(path)?;
        let placed = self.staging(path)?.place(&parent, name, RenameFlags::empty());
        placed.map_err(|errno| self.failed("replace", path, errno))
    }

    /// Gives the file at `from` a second name at `to`, in the place of what stands there. It has to be still what was restored as
    /// `file`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Unusable`] when something else stands there.
    pub fn make_hard_link(&mut self, from: &[u8], to: &[u8], file: &Existing) -> Result<(), Error> {
        let (from_parent, from_name) = self.parent(from)?;
        // In a directory of somebody else he could take a name away before it is known to be that of another file.
        let linked = self.staging(to)?.link(&from_parent, from_name);
        let linked = linked.map_err(|errno| self.failed("link", to, errno))?;
        if !Existing::from(linked).is_still(file) {
            self.staging(to)?.clear();
            return Err(self.exchanged(from));
        }
        let placed = self.place_special(to);
        // Where both are the same file already, nothing is moved.
        self.staging(to)?.clear();
        placed
    }

    /// Where what is new is made that becomes a path: in the root, or where the path is in another file system beside it.
    pub(super) fn staging(&mut self, path: &[u8]) -> Result<&Staging, Error> {
        let (parent, _) = self.parent(path)?;
        let device = |directory: &OwnedFd| Status::of(directory).map(|status| status.identity().0);
        let failed = |errno| self.failed("create a directory for what is new beside", path, errno);
        let wanted = device(&parent).map_err(failed)?;
        if self.staging.as_ref().is_none_or(|(device, _)| *device != wanted) {
            let root = Arc::clone(self.tree.root());
            let is_in_root = device(&root).map_err(failed)? == wanted;
            let around = if is_in_root { root } else { parent };
            let staging = loop {
                let path = self.temporary_path(if is_in_root { b"" } else { path });
                match Staging::make(Arc::clone(&around), path) {
                    Err(Errno::EXIST) => {}
                    made => break made,
                }
            };
            let staging =
                staging.map_err(|errno| self.failed("create a directory for what is new beside", path, errno))?;
            self.staging = Some((wanted, staging));
        }
        self.staging.as_ref().map(|(_, staging)| staging).ok_or_else(|| self.exchanged(path))
    }

    /// Nothing new is made in this directory any more, whose times are about to be set.
    pub fn end_staging(&mut self, directory: &OwnedFd) {
        if self.staging.as_ref().is_some_and(|(_, staging)| staging.lies_in(directory)) {
            self.staging = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::rooted::Trust;

    /// Who got a file opened it for writing before it had its mode, and had a program of his run with the rights of its group.
    #[test]
    fn a_file_gets_its_rights_where_nobody_reaches_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut target = DirTarget::open(folder.path(), &Trust::default()).expect("open");
        let (file, temporary) = target.temporary_file(b"file").expect("ours");
        target.stage_file(&temporary, &file).expect("it is that one");
        let names: Vec<_> =
            fs::read_dir(folder.path()).expect("list").map(|entry| entry.expect("entry").path()).collect();
        assert!(names.len() == 1 && names[0].is_dir(), "nothing is left beside its place: {names:?}");
        target.place_special(b"file").expect("placed");
        assert!(folder.path().join("file").is_file());
        let (file, temporary) = target.temporary_file(b"file").expect("ours");
        let name = std::str::from_utf8(&temporary).expect("text");
        fs::rename(folder.path().join(name), folder.path().join("away")).expect("ours");
        fs::write(folder.path().join(name), "another").expect("ours");
        target.stage_file(&temporary, &file).expect_err("it is another one");
        drop(target);
        let left = fs::read_dir(folder.path()).expect("list").map(|entry| entry.expect("entry").path());
        let staged: Vec<_> = left.filter(|path| path.is_dir()).collect();
        assert_eq!(fs::read(staged[0].join("new")).expect("it stays"), b"another");
    }
}
