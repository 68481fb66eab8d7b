//! A directory, reached by descriptors: no link and no mount leads out of it, and no path is too long or too deep.
//!
//! Paths are relative to the root and made of bytes. The kernel resolves them beneath the root, through no link and onto no
//! other mount (`openat2`). The directories around the last path stay open, a bounded number of them, so that walking a tree
//! costs one step for each entry however deep it is.

mod access_list;
mod descent;
mod guarded;
mod mounts;
mod refusal;
mod status;
mod trust;
mod way;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, Result};

pub use access_list::access_list;
pub use descent::{Descent, Step};
pub use guarded::Guarded;
pub use mounts::{is_in_memory, is_local_mount, is_mount_point, is_on_local_disk, mounts_below, place_of};
pub use refusal::Refusal;
pub use status::{Identity, Instant, Status, check_kernel};
pub use trust::Trust;

/// The deepest directories of the last path that stay open, and of the others each one of so many.
const OPEN_LEVELS: usize = 64;
/// Where the kernel has the descriptors of this process.
const DESCRIPTORS: &str = "/proc/self/fd";

/// An entry by the open directory around it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The directory.
    pub directory: BorrowedFd<'a>,
    /// The name in it.
    pub name: &'a [u8],
    /// The whole path, for messages.
    pub path: &'a Path,
}

/// An entry by itself: nobody can put another one in its place.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// A descriptor of it, which need not be open for reading.
    pub entry: BorrowedFd<'a>,
    /// The whole path, for messages.
    pub path: &'a Path,
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

/// How many bytes two paths begin with alike.
fn common_len(one: &[u8], other: &[u8]) -> usize {
    const BLOCK: usize = 256;
    let same = one.chunks(BLOCK).zip(other.chunks(BLOCK)).take_while(|(one, other)| one == other);
    let whole: usize = same.map(|(block, _)| block.len()).sum();
    let [one, other] = [one, other].map(|path| path.get(whole..).unwrap_or_default());
    whole + one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// A path below a directory.
#[must_use]
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

/// The directory part and the last name of a path.
#[must_use]
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (b"", path),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
