//! A directory that nothing written through it can leave: through no link, onto no other mount.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fsync, openat, readlinkat, renameat, syncfs, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::staging::Staging;
use super::{Error, special};
use crate::model::{Node, show_path};
use crate::rooted::{Descent, Guarded, RootedDir, Status, Step, Trust, access_list, explain, join, split};
use crate::source::UNFINISHED_PREFIX;

/// Rights of the group, and of all others.
const GROUP: u32 = 0o070;
const OTHERS: u32 = 0o007;
/// Rights of both to write.
const OTHERS_WRITE: u32 = 0o022;
/// In a directory with it nobody moves or removes what is somebody else's.
const STICKY: u32 = 0o1000;
/// What is made in a directory with it gets its group.
const SET_GROUP: u32 = 0o2000;

/// What stands at a path.
#[derive(Debug, Clone)]
pub struct Existing {
    pub(super) status: Status,
    /// Whether an access control list gave others rights to it that the node's does not.
    has_other_list: bool,
    /// Whether it has another access control list than the node, or only one of them has any.
    differs_in_list: bool,
}

impl From<Status> for Existing {
    fn from(status: Status) -> Self {
        Self { status, has_other_list: false, differs_in_list: false }
    }
}

impl Existing {
    /// The same, with what its access control list says beside that of the node. This is a descriptor of it.
    #[must_use]
    pub fn with_list(mut self, file: impl AsFd, node: &Node) -> Self {
        let list = access_list(file);
        let wanted = node.metadata.xattrs.iter().find(|xattr| *xattr.name == *b"system.posix_acl_access");
        self.differs_in_list = wanted.map_or(!list.is_empty(), |wanted| *wanted.value != *list);
        self.has_other_list = self.differs_in_list && !list.is_empty();
        self
    }

    /// What the kernel says of it.
    #[must_use]
    pub const fn status(&self) -> &Status {
        &self.status
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.status.is_directory()
    }

    /// Whether it is a regular file of this length.
    #[must_use]
    pub fn is_file_of(&self, size_bytes: u64) -> bool {
        self.status.is_file() && self.status.size_bytes() == size_bytes
    }

    /// Whether it is a socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.status.file_type() == FileType::Socket
    }

    /// Whether a file, pipe or device may become that of the node. Root gives and takes none away: whoever had it open keeps it open, be it
    /// somebody who has no right to it afterwards, or a program of root that writes to it what its new owner has no right to. So
    /// it has to have the owner, the mode and the list already, and where it has other names the node has them too; else another one
    /// takes its place.
    #[must_use]
    pub fn may_become(&self, node: &Node) -> bool {
        let is_alone = self.status.links() == 1;
        if is_alone && !geteuid().is_root() {
            return !self.was_open_to_others(node);
        }
        (is_alone || node.metadata.links > 1) && self.has_rights_of(node)
    }

    /// Whether it has the owner, the mode and the access control list of the node.
    #[must_use]
    pub fn has_rights_of(&self, node: &Node) -> bool {
        let Self { status, differs_in_list, .. } = self;
        (status.uid(), status.gid(), status.mode()) == (node.metadata.uid, node.metadata.gid, node.metadata.mode)
            && !differs_in_list
    }

    /// Whether somebody may have had it open who has no right to the node: whose it was, or whom it let in.
    #[must_use]
    pub fn was_open_to_others(&self, node: &Node) -> bool {
        let Self { status, has_other_list, .. } = self;
        // Who is not root gives nothing to another group.
        let group = if status.gid() == node.metadata.gid || !geteuid().is_root() { GROUP } else { 0 };
        let mut kept = node.metadata.mode & (group | OTHERS);
        if group == 0 {
            // Who was kept out as one of the group is one of the others now.
            kept &= (node.metadata.mode & GROUP) >> 3;
        }
        *has_other_list
            || !self.was_trusted(node)
            || status.mode() & (GROUP | OTHERS) & !kept != 0
            || lacks_sticky(status.mode(), node.metadata.mode)
    }

    /// Whether it keeps out whom the node keeps out, and belongs to nobody else.
    #[must_use]
    pub fn keeps_out_as(&self, node: &Node) -> bool {
        let Self { status, .. } = self;
        let is_of_group = status.gid() == node.metadata.gid || status.mode() & (GROUP | OTHERS) == 0;
        status.uid() == node.metadata.uid && is_of_group && !self.was_open_to_others(node)
    }

    /// Whether it is still that, with the same owner and mode: a number alone may have been used again.
    #[must_use]
    pub fn is_still(&self, other: &Self) -> bool {
        let of = |Self { status, .. }: &Self| (status.whole_identity(), status.uid(), status.gid(), status.mode());
        of(self) == of(other)
    }

    /// Whether it belongs to root, to whoever restores, or to the owner of the node.
    #[must_use]
    pub fn was_trusted(&self, node: &Node) -> bool {
        let uid = self.status.uid();
        uid == node.metadata.uid || uid == 0 || uid == geteuid().as_raw()
    }

    /// Whether somebody but root would get at what is in it, who does not now, if it had the owner, the mode and the list of the node.
    #[must_use]
    pub fn would_open_to(&self, node: &Node) -> bool {
        let group = if self.status.gid() == node.metadata.gid { GROUP } else { 0 };
        let had = self.status.mode() & (group | OTHERS);
        let has_list = node.metadata.xattrs.iter().any(|xattr| *xattr.name == *b"system.posix_acl_access");
        (has_list && self.differs_in_list)
            || (self.status.uid() != node.metadata.uid && node.metadata.uid != 0)
            || node.metadata.mode & (GROUP | OTHERS) & !had != 0
            || lacks_sticky(node.metadata.mode, self.status.mode())
    }

    /// Its rights, without those that the node has not; of somebody else's directory only those of its user. Where either says that nobody
    /// moves what is somebody else's, nobody does.
    pub(super) fn narrowed(&self, node: &Node) -> Mode {
        if self.has_other_list || !self.was_trusted(node) {
            return Mode::RWXU;
        }
        let group = if self.status.gid() == node.metadata.gid { GROUP } else { 0 };
        let (found, saved) = (self.status.mode(), node.metadata.mode);
        let rights = found & saved & (group | OTHERS) | (found | saved) & STICKY | found & SET_GROUP;
        Mode::RWXU | Mode::from_raw_mode(rights)
    }

    /// What identifies the inode.
    #[must_use]
    pub fn identity(&self) -> (u64, u64) {
        self.status.identity()
    }

    /// Whether it is the same pipe or device as the node.
    #[must_use]
    pub fn is_same_special(&self, node: &Node) -> bool {
        special::is_same(&self.status, node)
    }
}

/// Whether a directory of this mode lets others move what is not theirs, and one of the other mode does not.
const fn lacks_sticky(mode: u32, other: u32) -> bool {
    mode & OTHERS_WRITE != 0 && mode & STICKY == 0 && other & STICKY != 0
}

/// A root directory.
#[derive(Debug)]
pub struct Beneath {
    pub(super) tree: RootedDir,
    shown: String,
    /// What is never touched.
    guarded: Guarded,
    next_temporary: u64,
    /// Where what is new is made, with the file system that it is in.
    pub(super) staging: Option<(u64, Staging)>,
}

impl Beneath {
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

    /// Makes a temporary file beside a path, for [`Beneath::put_in_place`].
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
        let mut beneath = Beneath::open(&root, &Trust::default()).expect("open");
        for path in [&b"link/new"[..], b"../outside/new", b"link/../new"] {
            assert!(beneath.temporary_file(path).is_err(), "{}", show_path(path));
            assert!(beneath.make_directory(path).is_err(), "{}", show_path(path));
        }
        beneath.remove_file(b"link").expect("the link itself goes");
        assert!(outside.exists() && !root.join("link").exists());
    }

    /// Whoever owned the directory around it could have another one, which was not his, put there and removed.
    #[test]
    fn no_directory_is_replaced() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir_all(folder.path().join("name/deep")).expect("create");
        std::fs::write(folder.path().join("name/deep/file"), b"x").expect("write");
        let mut beneath = Beneath::open(folder.path(), &Trust::default()).expect("open");
        let (_, temporary) = beneath.temporary_file(b"name").expect("temporary file");
        beneath.put_in_place(&temporary, b"name").expect_err("a directory stands there");
        beneath.remove_file(b"name").expect_err("a directory stands there");
        assert!(!beneath.remove_directory(b"name").expect("looked at"));
        assert!(folder.path().join("name/deep/file").exists());
    }

    #[test]
    fn paths_longer_than_the_kernel_takes_at_once() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut beneath = Beneath::open(folder.path(), &Trust::default()).expect("open");
        let mut path = Vec::new();
        for _ in 0..45 {
            path = join(&path, &[b'x'; 200]);
            beneath.make_directory(&path).expect("create");
        }
        assert!(path.len() > 9_000);
        assert!(beneath.look(&path).expect("look").is_some_and(|existing| existing.is_directory()));
        assert!(beneath.remove_directory(&path).expect("remove"));
    }
}
