//! A root directory that nothing leads out of, with the directories around the last path open.
//!
//! How many stay open is bounded, however deep the tree is; a directory that is pinned or held has to be the one that it was.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

use super::path::common_len;
use super::{Identity, Status, Trust, is_on_local_disk, names_in, open_directory, open_file, split};

/// The deepest directories of the last path that stay open, and of the others each one of so many.
const OPEN_LEVELS: usize = 64;

/// A root directory that nothing leads out of.
#[derive(Debug)]
pub struct RootedDir {
    root: Arc<OwnedFd>,
    identity: Identity,
    mount: u64,
    /// Whether this kernel knows everything of what lies on that mount.
    is_local: bool,
    /// The directory that was opened last.
    path: Vec<u8>,
    /// Those on the way to it.
    levels: Vec<Level>,
    /// A directory that is being worked on.
    pinned: Vec<u8>,
    /// It and those on the way to it that have to be the ones they were: length of the path, device and inode.
    pins: Vec<(usize, (u64, u64))>,
    /// Those that have to be the ones they were until they are released.
    held: HashMap<Held, Identity>,
}

/// A directory around the last path that was asked for.
#[derive(Debug)]
struct Level {
    /// Length of its path below the root.
    len: usize,
    directory: Option<Arc<OwnedFd>>,
    /// Which it is, where somebody asked.
    identity: Option<Identity>,
}

/// A directory that has to be the one that it is, by the directory around it and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Held {
    around: Identity,
    name: Vec<u8>,
}

impl RootedDir {
    /// The directory at `root`. A link there is followed when its owner is believed.
    ///
    /// # Errors
    /// Those of [`Trust::open_directory`] and [`Status::of`].
    pub fn open(root: &Path, trust: &Trust) -> io::Result<Self> {
        Ok(Self::new(trust.open_directory(root)?)?)
    }

    /// The open directory `root`.
    ///
    /// # Errors
    /// Those of [`Status::of`].
    pub fn new(root: OwnedFd) -> Result<Self> {
        let (status, is_local) = (Status::of(&root)?, is_on_local_disk(&root));
        Ok(Self {
            root: Arc::new(root),
            identity: status.whole_identity(),
            mount: status.mount(),
            is_local,
            path: Vec::new(),
            levels: Vec::new(),
            pinned: Vec::new(),
            pins: Vec::new(),
            held: HashMap::new(),
        })
    }

    /// The root itself.
    #[must_use]
    pub const fn root(&self) -> &Arc<OwnedFd> {
        &self.root
    }

    /// Whether an entry is a mount of its own, or lies on one.
    #[must_use]
    pub const fn is_mount(&self, status: &Status) -> bool {
        status.mount() != self.mount
    }

    /// The directory at a path, opened.
    ///
    /// # Errors
    /// Those of the operating system: `LOOP` for a link, `XDEV` for a mount on the way, `STALE` for one that is pinned or held and
    /// is another one now.
    pub fn directory(&mut self, path: &[u8]) -> Result<Arc<OwnedFd>> {
        if path.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        if path == self.path
            && let Some(Level { directory: Some(directory), .. }) = self.levels.last()
        {
            return Ok(Arc::clone(directory));
        }
        self.climb_to(path);
        let pinned = common_len(&self.pinned, path);
        let (mut from, mut at) = match self.levels.last() {
            Some(Level { len, directory: Some(directory), .. }) => (Arc::clone(directory), *len),
            _ => (Arc::clone(&self.root), 0),
        };
        while at < path.len() {
            let start = if at == 0 { 0 } else { at + 1 };
            let rest = path.get(start..).unwrap_or_default();
            let len = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let name = rest.get(..len).unwrap_or_default();
            let opened = Arc::new(open_directory(&from, name)?);
            at = start + len;
            let pin = self.pins.binary_search_by_key(&at, |(len, _)| *len).ok().filter(|_| at <= pinned);
            let pin = pin.and_then(|pin| self.pins.get(pin)).map(|(_, identity)| *identity);
            let mut identity = None;
            if pin.is_some() || !self.held.is_empty() {
                let found = *identity.insert(Status::of(&opened)?.whole_identity());
                let held = self.held_in(&from, name)?;
                if pin.is_some_and(|pin| pin != found.0) || held.is_some_and(|held| held != found) {
                    return Err(Errno::STALE);
                }
            }
            from = opened;
            self.push(Level { len: at, directory: Some(Arc::clone(&from)), identity });
            let known = self.path.len();
            self.path.extend_from_slice(path.get(known..at).unwrap_or_default());
        }
        Ok(from)
    }

    /// From now on a path that leads through this directory has to lead to the one with this device and inode, until another
    /// directory that is no deeper is pinned. Those on the way to it stay pinned.
    pub fn pin(&mut self, path: &[u8], identity: (u64, u64)) {
        let on_the_way = common_len(&self.pinned, path);
        while self.pins.last().is_some_and(|(len, _)| *len >= path.len() || *len > on_the_way) {
            self.pins.pop();
        }
        self.pins.push((path.len(), identity));
        self.pinned.truncate(on_the_way);
        self.pinned.extend_from_slice(path.get(on_the_way..).unwrap_or_default());
    }

    /// From now on this directory has to be that one, under its name in the directory around it, until it is
    /// released.
    ///
    /// # Errors
    /// Those of [`RootedDir::directory`].
    pub fn hold(&mut self, path: &[u8], identity: Identity) -> Result<Held> {
        let (around, name) = self.parent(path)?;
        let held = Held { around: self.identity_of(&around)?, name: name.to_vec() };
        self.held.insert(held.clone(), identity);
        Ok(held)
    }

    /// Lets another directory stand there again.
    pub fn release(&mut self, held: &Held) {
        self.held.remove(held);
    }

    /// The directory that has to stand under a name in the directory that was opened last.
    fn held_in(&self, around: &Arc<OwnedFd>, name: &[u8]) -> Result<Option<Identity>> {
        if self.held.is_empty() {
            return Ok(None);
        }
        let held = Held { around: self.identity_of(around)?, name: name.to_vec() };
        Ok(self.held.get(&held).copied())
    }

    /// Which an open directory is.
    fn identity_of(&self, directory: &Arc<OwnedFd>) -> Result<Identity> {
        let is_it = |level: &&Level| level.directory.as_ref().is_some_and(|open| Arc::ptr_eq(open, directory));
        if Arc::ptr_eq(directory, &self.root) {
            return Ok(self.identity);
        }
        match self.levels.last().filter(is_it).and_then(|level| level.identity) {
            Some(identity) => Ok(identity),
            None => Ok(Status::of(directory)?.whole_identity()),
        }
    }

    /// Forgets the directory at a path, and what lies below: another one stands there now.
    pub fn forget(&mut self, path: &[u8]) {
        self.climb_to(split(path).0);
    }

    /// The opened directory around a path, and the last name of the path.
    ///
    /// # Errors
    /// Those of [`RootedDir::directory`].
    pub fn parent<'p>(&mut self, path: &'p [u8]) -> Result<(Arc<OwnedFd>, &'p [u8])> {
        let (parent, name) = split(path);
        Ok((self.directory(parent)?, name))
    }

    /// What stands at a path.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn status(&mut self, path: &[u8]) -> Result<Status> {
        let (parent, name) = self.parent(path)?;
        self.status_in(&parent, name)
    }

    /// What is called so in a directory of the tree. What somebody has mounted there is not asked, where that can be.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn status_in(&self, directory: impl AsFd, name: &[u8]) -> Result<Status> {
        if self.is_local { Status::known_of_entry(directory, name) } else { Status::of_entry(directory, name) }
    }

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn names(&mut self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        let directory = self.directory(path)?;
        names_in(&directory)
    }

    /// Opens a regular file for reading, and says what was opened.
    ///
    /// # Errors
    /// Those of [`open_file`].
    pub fn open_file(&mut self, path: &[u8]) -> io::Result<(File, Status)> {
        let (parent, name) = self.parent(path)?;
        open_file(parent.as_fd(), name, OFlags::empty())
    }

    /// Keeps the levels that lie on the way to a path, down to the deepest that is open.
    fn climb_to(&mut self, path: &[u8]) {
        let common = if path.starts_with(&self.path) {
            self.path.len()
        } else if self.path.starts_with(path) {
            path.len()
        } else {
            common_len(&self.path, path)
        };
        let is_on_the_way = |len: usize| len <= common && matches!(path.get(len), None | Some(b'/'));
        while let Some(level) = self.levels.last() {
            if level.directory.is_some() && is_on_the_way(level.len) {
                break;
            }
            self.levels.pop();
        }
        self.path.truncate(self.levels.last().map_or(0, |level| level.len));
    }

    fn push(&mut self, level: Level) {
        self.levels.push(level);
        let depth = self.levels.len();
        if let Some(closed) = depth.checked_sub(OPEN_LEVELS + 1).filter(|closed| closed % OPEN_LEVELS != 0)
            && let Some(level) = self.levels.get_mut(closed)
        {
            level.directory = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::Mode;

    use super::*;
    use crate::rooted::join;

    /// Resolving each path from the root took half a minute for a tree of 6,000 levels.
    #[test]
    fn a_deep_tree_is_walked_with_few_open_directories() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tree = RootedDir::open(folder.path(), &Trust::default()).expect("open");
        let mut path = Vec::new();
        for _ in 0..3_000 {
            let directory = tree.directory(&path).expect("made before");
            rustix::fs::mkdirat(&directory, "d", Mode::RWXU).expect("create");
            path = join(&path, b"d");
        }
        let is_open = |level: &&Level| level.directory.is_some();
        tree.directory(&path).expect("there");
        assert!(tree.levels.iter().filter(is_open).count() <= OPEN_LEVELS + 1 + 3_000 / OPEN_LEVELS);
        assert_eq!(tree.names(split(&path).0).expect("there"), [b"d".to_vec()]);
        // Down and up again, with a name that was not on the way.
        while !path.is_empty() {
            let directory = tree.directory(split(&path).0).expect("there");
            assert_eq!(tree.status(&path).expect("there").file_type(), rustix::fs::FileType::Directory);
            rustix::fs::unlinkat(&directory, "d", rustix::fs::AtFlags::REMOVEDIR).expect("empty");
            path.truncate(split(&path).0.len());
        }
    }

    #[test]
    fn no_link_no_parent_and_no_mount_is_entered() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("root/a")).expect("ours");
        std::os::unix::fs::symlink("a", folder.path().join("root/link")).expect("ours");
        let mut tree = RootedDir::open(&folder.path().join("root"), &Trust::default()).expect("open");
        for path in [&b"link"[..], b"link/b", b"..", b"a/../..", b"a/.."] {
            assert!(tree.directory(path).is_err(), "{path:?}");
        }
        tree.directory(b"a").expect("a directory");
        assert!(tree.directory(b"ab").is_err() && tree.directory(b"a/b").is_err());
        let mut tree = RootedDir::open(Path::new("/"), &Trust::default()).expect("open");
        assert!(matches!(tree.directory(b"proc"), Err(Errno::XDEV)));
        let proc = tree.status(b"proc").expect("there");
        assert!(tree.is_mount(&proc));
    }
}
