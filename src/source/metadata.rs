//! From the operating system's metadata to nodes.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{FileType, fgetxattr, flistxattr, getxattr, listxattr, readlinkat};
use rustix::io::Errno;

use crate::clock::LocalTime;
use crate::limits::XATTRS_BYTES_MAX;
use crate::model::{ByteString, Content, FileTime, Metadata, Node, NodeKind, Xattr};
use crate::rooted::{Found, Instant, Status};

/// Names of users and groups, from `/etc/passwd` and `/etc/group` as they were when it was made.
#[derive(Debug, Default)]
pub struct Owners {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Owners {
    /// The names that the system has now. A system without the files has none.
    #[must_use]
    pub fn of_system() -> Self {
        Self { users: read_names("/etc/passwd"), groups: read_names("/etc/group") }
    }

    fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_default()
    }

    fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_default()
    }

    /// The node of an entry, without attributes and content.
    ///
    /// # Errors
    /// For a link, whose target says more, and what is of no kind that is known.
    pub fn node(&self, name: &[u8], status: &Status) -> std::io::Result<Node> {
        self.node_with(name, status, None)
    }

    /// The same of an entry by itself. A link's target is read.
    ///
    /// # Errors
    /// When the target of a link cannot be read, and for what is of no kind that is known.
    pub fn node_of(&self, name: &[u8], found: &Found<'_>, status: &Status) -> std::io::Result<Node> {
        self.node_with(name, status, Some(found))
    }

    fn node_with(&self, name: &[u8], status: &Status, found: Option<&Found<'_>>) -> std::io::Result<Node> {
        let kind = match status.file_type() {
            FileType::RegularFile => NodeKind::File { content: Content::default(), holes: Vec::new() },
            FileType::Directory => NodeKind::Directory { tree: Content::default() },
            FileType::Symlink => {
                let found = found.ok_or_else(|| std::io::Error::other("it has become a link"))?;
                let target = readlinkat(found.entry, c"", Vec::new())?;
                NodeKind::Symlink { target: ByteString(target.into_bytes()) }
            }
            FileType::Fifo => NodeKind::Fifo,
            FileType::Socket => NodeKind::Socket,
            FileType::CharacterDevice => NodeKind::CharDevice { number: status.device_number() },
            FileType::BlockDevice => NodeKind::BlockDevice { number: status.device_number() },
            FileType::Unknown => return Err(std::io::Error::other("it is of a kind that is not known")),
        };
        let mut node = Node::new(ByteString::from(name), Metadata::default(), kind);
        self.update(&mut node, status);
        Ok(node)
    }

    /// Gives a node the metadata that its entry has now.
    pub fn update(&self, node: &mut Node, status: &Status) {
        let time = |(secs, nanos): Instant| FileTime { secs, nanos };
        let size_bytes = if node.is_file() { status.size_bytes() } else { 0 };
        let metadata = &mut node.metadata;
        metadata.mode = status.mode();
        (metadata.uid, metadata.gid) = (status.uid(), status.gid());
        (metadata.user, metadata.group) = (self.user(metadata.uid), self.group(metadata.gid));
        (metadata.mtime, metadata.ctime) = (time(status.mtime()), time(status.ctime()));
        metadata.size_bytes = size_bytes;
        (metadata.device, metadata.inode) = status.identity();
        metadata.links = status.links();
    }
}

/// A node for something that no file system has: a stream, or the directory around it.
#[must_use]
pub fn made_node(name: &str, kind: NodeKind, time: LocalTime) -> Node {
    let directory = matches!(kind, NodeKind::Directory { .. });
    let secs = time.unix_micros.div_euclid(1_000_000);
    let nanos = u32::try_from(time.unix_micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    let metadata = Metadata {
        mode: if directory { 0o700 } else { 0o600 },
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        mtime: FileTime { secs, nanos },
        ctime: FileTime { secs, nanos },
        links: 1,
        ..Metadata::default()
    };
    Node::new(ByteString::from(name.as_bytes()), metadata, kind)
}

/// The extended attributes of an open file, sorted by name. A file system without attributes has none.
///
/// # Errors
/// When the attributes are there and cannot be read.
pub fn xattrs_of(file: impl AsFd) -> std::io::Result<Vec<Xattr>> {
    let file = file.as_fd();
    read_xattrs(|names| flistxattr(file, names), |name, value| fgetxattr(file, name, value))
}

/// The extended attributes of what a descriptor stands for, which need not be open for reading, sorted by name.
///
/// # Errors
/// Those of [`xattrs_of`].
pub fn xattrs_at(found: &Found<'_>) -> std::io::Result<Vec<Xattr>> {
    // There is no call for it with such a descriptor. The kernel's own link to it leads nowhere else, also where it is one itself.
    let path = format!("/proc/self/fd/{}", found.entry.as_raw_fd());
    read_xattrs(|names| listxattr(&path, names), |name, value| getxattr(&path, name, value))
}

fn read_xattrs(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> std::io::Result<Vec<Xattr>> {
    let mut names = [0_u8; 1024];
    let names = match list(&mut names) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(len) => names.get(..len).unwrap_or_default().to_vec(),
        Err(Errno::RANGE) => {
            let mut names = vec![0_u8; 1 << 16];
            let len = list(&mut names)?;
            names.truncate(len);
            names
        }
        Err(errno) => return Err(errno.into()),
    };
    let mut xattrs = Vec::new();
    let mut total_bytes = 0;
    let mut value = vec![0_u8; 1 << 16];
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match get(name, &mut value) {
            Ok(len) => {
                total_bytes += name.len() + len;
                if total_bytes > XATTRS_BYTES_MAX {
                    return Err(std::io::Error::other("they are larger than this program allows"));
                }
                let value = value.get(..len).unwrap_or_default();
                xattrs.push(Xattr { name: ByteString::from(name), value: ByteString::from(value) });
            }
            // Removed since it was listed.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    xattrs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(xattrs)
}

fn read_names(path: &str) -> HashMap<u32, String> {
    let Ok(text) = std::fs::read_to_string(path) else { return HashMap::new() };
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?.parse().ok()?;
        Some((id, name.to_owned()))
    };
    // The first entry for a number wins, as for the system.
    text.lines().rev().filter_map(entry).collect()
}
