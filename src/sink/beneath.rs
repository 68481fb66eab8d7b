//! A directory that nothing written through it can leave.
//!
//! Paths are resolved by the kernel beneath the root and through no link whatever (`openat2`), so neither a link that
//! stands in the target nor a hostile name leads elsewhere. Every path is relative to the root and made of bytes.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fstat, fsync, linkat, mkdirat, mknodat, openat,
    openat2, readlinkat, renameat, renameat_with, statat, symlinkat, syncfs, unlinkat,
};

use super::Error;
use crate::model::{Node, NodeKind, show_path};
use crate::source::UNFINISHED_PREFIX;

/// Longest path that is given to the kernel at once.
const PATH_BYTES_MAX: usize = 4_000;

/// What stands at a path.
#[derive(Debug, Clone)]
pub struct Existing {
    stat: Stat,
}

impl Existing {
    fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Whether it is a regular file of this length.
    #[must_use]
    pub fn is_file_of(&self, size_bytes: u64) -> bool {
        self.file_type() == FileType::RegularFile && u64::try_from(self.stat.st_size) == Ok(size_bytes)
    }

    /// Whether it is a socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.file_type() == FileType::Socket
    }

    /// Whether it has other names besides.
    #[must_use]
    pub const fn has_other_names(&self) -> bool {
        self.stat.st_nlink > 1
    }

    /// What identifies the inode.
    #[must_use]
    pub const fn identity(&self) -> (u64, u64) {
        (self.stat.st_dev, self.stat.st_ino)
    }

    /// Whether it is the same pipe or device as the node.
    #[must_use]
    pub fn is_same_special(&self, node: &Node) -> bool {
        match node.kind {
            NodeKind::Fifo => self.file_type() == FileType::Fifo,
            NodeKind::CharDevice { number } => {
                self.file_type() == FileType::CharacterDevice && self.stat.st_rdev == number
            }
            NodeKind::BlockDevice { number } => {
                self.file_type() == FileType::BlockDevice && self.stat.st_rdev == number
            }
            _ => false,
        }
    }
}

/// A root directory.
#[derive(Debug)]
pub struct Beneath {
    root: Arc<OwnedFd>,
    shown: String,
    device: u64,
    /// A directory that is never removed, by device and inode.
    guarded: Option<(u64, u64)>,
    /// The directory that was opened last, because the next path mostly lies in it.
    last: Option<(Vec<u8>, Arc<OwnedFd>)>,
    next_temporary: u64,
}

impl Beneath {
    /// Opens the root. A link there is followed: the root is the user's choice.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(root: &Path) -> Result<Self, Error> {
        let shown = root.display().to_string();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd =
            rustix::fs::open(root, flags, Mode::empty()).map_err(|errno| Error::io("open", shown.clone(), errno))?;
        let device = fstat(&fd).map_err(|errno| Error::io("look at", shown.clone(), errno))?.st_dev;
        Ok(Self { root: Arc::new(fd), shown, device, guarded: None, last: None, next_temporary: 0 })
    }

    /// Never removes `directory`, wherever it is met.
    pub fn guard(&mut self, directory: Option<&Path>) {
        let stat = directory.and_then(|directory| rustix::fs::stat(directory).ok());
        self.guarded = stat.map(|stat| (stat.st_dev, stat.st_ino));
    }

    /// Whether a directory is another file system, or the one that is guarded: nothing of it is ever removed.
    #[must_use]
    pub fn is_guarded(&self, existing: &Existing) -> bool {
        let (device, _) = existing.identity();
        existing.is_directory() && (device != self.device || self.guarded == Some(existing.identity()))
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
        let (parent, name) = match self.parent(path) {
            Ok(found) => found,
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Existing { stat })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
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
        let directory = self.directory(path)?;
        let failed = |errno| Error::io("list", self.show(path), errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Makes a directory unless one stands there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn make_directory(&mut self, path: &[u8]) -> Result<(), Error> {
        let (parent, name) = self.parent(path)?;
        match mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.failed("create", path, errno)),
        }
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
                Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(self.failed("create a file beside", path, errno)),
            }
        }
    }

    /// Makes a link, pipe or device beside a path and puts it in place. Sockets are not made.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn make_special(&mut self, path: &[u8], node: &Node) -> Result<(), Error> {
        let temporary = self.temporary_path(path);
        let (parent, name) = self.parent(&temporary)?;
        let mode = Mode::from_raw_mode(node.mode);
        let made = match &node.kind {
            NodeKind::Symlink { target } => symlinkat(target.as_ref(), &parent, name),
            NodeKind::Fifo => mknodat(&parent, name, FileType::Fifo, mode, 0),
            NodeKind::CharDevice { number } => mknodat(&parent, name, FileType::CharacterDevice, mode, *number),
            NodeKind::BlockDevice { number } => mknodat(&parent, name, FileType::BlockDevice, mode, *number),
            NodeKind::File { .. } | NodeKind::Directory { .. } | NodeKind::Socket => return Ok(()),
        };
        made.map_err(|errno| self.failed("create", path, errno))?;
        self.put_in_place(&temporary, path)
    }

    /// Gives the file at `from` a second name at `to`, in the place of what stands there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn make_hard_link(&mut self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let temporary = self.temporary_path(to);
        let (from_parent, from_name) = self.parent(from)?;
        let (parent, name) = self.parent(&temporary)?;
        linkat(&from_parent, from_name, &parent, name, AtFlags::empty())
            .map_err(|errno| self.failed("link", to, errno))?;
        self.put_in_place(&temporary, to)
    }

    /// Renames a temporary entry to its path. What stands there is replaced, a whole directory too.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn put_in_place(&mut self, temporary: &[u8], path: &[u8]) -> Result<(), Error> {
        let (parent, name) = self.parent(path)?;
        let (_, temporary_name) = split(temporary);
        match renameat(&parent, temporary_name, &parent, name) {
            Err(rustix::io::Errno::ISDIR | rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST) => {}
            result => return result.map_err(|errno| self.failed("replace", path, errno)),
        }
        // A directory stands there: it changes places with the new entry and is then taken away.
        renameat_with(&parent, temporary_name, &parent, name, RenameFlags::EXCHANGE)
            .map_err(|errno| self.failed("replace", path, errno))?;
        self.remove(temporary)
    }

    /// Removes whatever stands at a path, with everything in it. Links are removed, not followed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&mut self, path: &[u8]) -> Result<(), Error> {
        let Some(existing) = self.look(path)? else { return Ok(()) };
        if self.is_guarded(&existing) {
            let shown = self.show(path);
            return Err(Error::Unusable(format!(
                "{shown} is the repository or another file system, and is left as it is"
            )));
        }
        if existing.is_directory() {
            for name in self.names(path)? {
                self.remove(&join(path, &name))?;
            }
        }
        self.last = None;
        let (parent, name) = self.parent(path)?;
        let flags = if existing.is_directory() { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        unlinkat(&parent, name, flags).map_err(|errno| self.failed("remove", path, errno))
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open_file(&mut self, path: &[u8]) -> Result<File, Error> {
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&parent, name, flags, Mode::empty()).map(File::from).map_err(|errno| self.failed("open", path, errno))
    }

    /// The directory at a path, opened.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn directory(&mut self, path: &[u8]) -> Result<Arc<OwnedFd>, Error> {
        if path.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        if let Some((last, fd)) = &self.last
            && last == path
        {
            return Ok(Arc::clone(fd));
        }
        let mut directory = Arc::clone(&self.root);
        let mut rest = path;
        while !rest.is_empty() {
            let (part, after) = split_long(rest);
            directory = Arc::new(open_beneath(&directory, part).map_err(|errno| self.failed("open", path, errno))?);
            rest = after;
        }
        self.last = Some((path.to_vec(), Arc::clone(&directory)));
        Ok(directory)
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
        syncfs(self.root.as_fd())
            .and_then(|()| fsync(self.root.as_fd()))
            .map_err(|errno| Error::io("sync", self.shown.clone(), errno))
    }

    fn temporary_path(&mut self, path: &[u8]) -> Vec<u8> {
        self.next_temporary += 1;
        let (parent, _) = split(path);
        let mut name = UNFINISHED_PREFIX.to_vec();
        name.extend_from_slice(format!("{}-{}", std::process::id(), self.next_temporary).as_bytes());
        join(parent, &name)
    }

    fn failed(&self, action: &'static str, path: &[u8], errno: rustix::io::Errno) -> Error {
        Error::io(action, self.show(path), errno)
    }
}

/// A path below a directory.
#[must_use]
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

fn open_beneath(directory: &OwnedFd, path: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(directory, path, flags, Mode::empty(), resolve)
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (b"", path),
    }
}

/// As much of a path as the kernel takes at once, and the rest.
fn split_long(path: &[u8]) -> (&[u8], &[u8]) {
    let Some(start) = path.get(..PATH_BYTES_MAX) else { return (path, b"") };
    match start.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (path, b""),
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
        let mut beneath = Beneath::open(&root).expect("open");
        for path in [&b"link/new"[..], b"../outside/new", b"link/../new"] {
            assert!(beneath.temporary_file(path).is_err(), "{}", show_path(path));
            assert!(beneath.make_directory(path).is_err(), "{}", show_path(path));
        }
        beneath.remove(b"link").expect("the link itself goes");
        assert!(outside.exists() && !root.join("link").exists());
    }

    #[test]
    fn a_directory_is_replaced_by_a_file() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir_all(folder.path().join("name/deep")).expect("create");
        std::fs::write(folder.path().join("name/deep/file"), b"x").expect("write");
        let mut beneath = Beneath::open(folder.path()).expect("open");
        let (_, temporary) = beneath.temporary_file(b"name").expect("temporary file");
        beneath.put_in_place(&temporary, b"name").expect("replace");
        assert!(folder.path().join("name").is_file());
        assert_eq!(beneath.names(b"").expect("names"), [b"name".to_vec()]);
    }

    #[test]
    fn paths_longer_than_the_kernel_takes_at_once() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut beneath = Beneath::open(folder.path()).expect("open");
        let mut path = Vec::new();
        for _ in 0..45 {
            path = join(&path, &[b'x'; 200]);
            beneath.make_directory(&path).expect("create");
        }
        assert!(path.len() > 9_000);
        assert!(beneath.look(&path).expect("look").is_some_and(|existing| existing.is_directory()));
        let first = path.get(..200).expect("a long path").to_vec();
        beneath.remove(&first).expect("remove");
    }
}
