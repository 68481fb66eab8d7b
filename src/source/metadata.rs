//! From the operating system's metadata to nodes.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::clock::LocalTime;
use crate::limits::XATTRS_BYTES_MAX;
use crate::model::{ByteString, Content, FileTime, Node, NodeKind, Xattr};

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

    /// The node of an entry, without attributes and content. A link's target is read.
    ///
    /// # Errors
    /// When the target of a link cannot be read.
    pub fn node(&self, name: &[u8], path: &Path, metadata: &Metadata) -> std::io::Result<Node> {
        let file_type = metadata.file_type();
        let kind = if file_type.is_file() {
            NodeKind::File { content: Content::default(), holes: Vec::new() }
        } else if file_type.is_dir() {
            NodeKind::Directory { tree: Content::default() }
        } else if file_type.is_symlink() {
            let target = std::fs::read_link(path)?;
            NodeKind::Symlink { target: ByteString::from(target.as_os_str().as_bytes()) }
        } else if file_type.is_fifo() {
            NodeKind::Fifo
        } else if file_type.is_socket() {
            NodeKind::Socket
        } else if file_type.is_char_device() {
            NodeKind::CharDevice { number: metadata.rdev() }
        } else {
            NodeKind::BlockDevice { number: metadata.rdev() }
        };
        Ok(Node {
            name: ByteString::from(name),
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            user: self.user(metadata.uid()),
            group: self.group(metadata.gid()),
            mtime: FileTime { secs: metadata.mtime(), nanos: nanos(metadata.mtime_nsec()) },
            ctime: FileTime { secs: metadata.ctime(), nanos: nanos(metadata.ctime_nsec()) },
            size_bytes: if file_type.is_file() { metadata.len() } else { 0 },
            inode: metadata.ino(),
            device: metadata.dev(),
            links: metadata.nlink(),
            xattrs: Vec::new(),
            changed: false,
            kind,
        })
    }
}

/// A node for something that no file system has: a stream, or the directory around it.
#[must_use]
pub fn made_node(name: &str, kind: NodeKind, time: LocalTime) -> Node {
    let directory = matches!(kind, NodeKind::Directory { .. });
    let secs = time.unix_micros.div_euclid(1_000_000);
    let nanos = u32::try_from(time.unix_micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Node {
        name: ByteString::from(name.as_bytes()),
        mode: if directory { 0o700 } else { 0o600 },
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        user: String::new(),
        group: String::new(),
        mtime: FileTime { secs, nanos },
        ctime: FileTime { secs, nanos },
        size_bytes: 0,
        inode: 0,
        device: 0,
        links: 1,
        xattrs: Vec::new(),
        changed: false,
        kind,
    }
}

/// The extended attributes of an entry, sorted by name. A file system without attributes has none.
///
/// # Errors
/// When the attributes are there and cannot be read.
pub fn read_xattrs(path: &Path) -> std::io::Result<Vec<Xattr>> {
    let mut names = [0_u8; 1024];
    let names = match rustix::fs::llistxattr(path, &mut names) {
        Ok(0) | Err(rustix::io::Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(len) => names.get(..len).unwrap_or_default().to_vec(),
        Err(rustix::io::Errno::RANGE) => {
            let mut names = vec![0_u8; 1 << 16];
            let len = rustix::fs::llistxattr(path, names.as_mut_slice())?;
            names.truncate(len);
            names
        }
        Err(errno) => return Err(errno.into()),
    };
    let mut xattrs = Vec::new();
    let mut total_bytes = 0;
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0_u8; 1 << 16];
        match rustix::fs::lgetxattr(path, name, value.as_mut_slice()) {
            Ok(len) => {
                value.truncate(len);
                total_bytes += name.len() + len;
                if total_bytes > XATTRS_BYTES_MAX {
                    return Err(std::io::Error::other("they are larger than this program allows"));
                }
                xattrs.push(Xattr { name: ByteString::from(name), value: ByteString(value) });
            }
            // Removed since it was listed.
            Err(rustix::io::Errno::NODATA) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    xattrs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(xattrs)
}

fn nanos(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(0)
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
