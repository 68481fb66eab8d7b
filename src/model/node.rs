//! One entry of a directory with all its metadata.

use serde::{Deserialize, Serialize};

use super::{ByteString, Content, Error, ExtraFields};
use crate::limits::NAME_BYTES_MAX;

/// Nanoseconds of a second.
const NANOS: u32 = 1_000_000_000;

/// Set-user-id and set-group-id.
const SET_IDS: u32 = 0o6000;
/// The attribute that has the capabilities of a program.
const CAPABILITIES: &[u8] = b"security.capability";

/// A point in time as file systems keep it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileTime {
    /// Seconds since 1970; negative before.
    pub secs: i64,
    /// Nanoseconds of the second.
    pub nanos: u32,
}

/// An extended attribute. Access control lists are attributes named `system.posix_acl_…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Xattr {
    /// The name with its namespace.
    pub name: ByteString,
    /// The value.
    pub value: ByteString,
}

/// A run of a sparse file that is not stored and reads as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// Where it begins in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub len_bytes: u64,
}

/// What kind of entry a node is, and what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeKind {
    /// A regular file. The content leaves the holes out.
    File {
        /// The bytes outside the holes, in order.
        content: Content,
        /// The holes, in order, not touching one another.
        holes: Vec<Hole>,
    },
    /// A directory; its content is a tree.
    Directory {
        /// The entries.
        tree: Content,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points, as it was written.
        target: ByteString,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice {
        /// Major and minor number as the system combines them.
        number: u64,
    },
    /// A block device.
    BlockDevice {
        /// Major and minor number as the system combines them.
        number: u64,
    },
}

/// What is known of an entry beside its name and its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Name of the owner where the system knew one.
    pub user: String,
    /// Name of the group where the system knew one.
    pub group: String,
    /// When the content changed.
    pub mtime: FileTime,
    /// When the inode changed.
    pub ctime: FileTime,
    /// Length of a file in bytes, holes included; 0 for everything else.
    pub size_bytes: u64,
    /// Inode number.
    pub inode: u64,
    /// Number of the file system.
    pub device: u64,
    /// Hard links to the inode. Nodes with more than one and equal device and inode are the same file.
    pub links: u64,
    /// Extended attributes, sorted by name.
    pub xattrs: Vec<Xattr>,
    /// The file changed while it was read, or so shortly before that a change would not show. It is read again.
    pub changed: bool,
}

/// An entry of a directory, or the root of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Name within the directory.
    pub name: ByteString,
    /// What is known of it.
    pub metadata: Metadata,
    /// What it is.
    pub kind: NodeKind,
    /// Fields of later versions.
    pub extra: ExtraFields,
}

impl Node {
    /// A node without fields of later versions.
    #[must_use]
    pub fn new(name: ByteString, metadata: Metadata, kind: NodeKind) -> Self {
        Self { name, metadata, kind, extra: ExtraFields::default() }
    }

    /// Whether a program of it runs with rights of its owner or group, or with some of root's.
    #[must_use]
    pub fn runs_as_others(&self) -> bool {
        self.metadata.mode & SET_IDS != 0 || self.metadata.xattrs.iter().any(|xattr| *xattr.name == *CAPABILITIES)
    }

    /// Whether it is a directory.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory { .. })
    }

    /// Whether it is a regular file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self.kind, NodeKind::File { .. })
    }

    /// What identifies the inode where several names may lead to it.
    #[must_use]
    pub fn hard_link_identity(&self) -> Option<(u64, u64)> {
        (self.metadata.links > 1 && !self.is_directory()).then_some((self.metadata.device, self.metadata.inode))
    }

    /// Whether a file with this metadata is taken to be the one that `self` was made from: size, times and inode.
    #[must_use]
    pub fn is_unchanged(&self, now: &Self) -> bool {
        self.is_file()
            && now.is_file()
            && !self.metadata.changed
            && (self.metadata.size_bytes, self.metadata.mtime, self.metadata.ctime, self.metadata.inode)
                == (now.metadata.size_bytes, now.metadata.mtime, now.metadata.ctime, now.metadata.inode)
    }

    /// One letter for the kind, as `ls -l` has it.
    #[must_use]
    pub const fn kind_letter(&self) -> char {
        match self.kind {
            NodeKind::File { .. } => '-',
            NodeKind::Directory { .. } => 'd',
            NodeKind::Symlink { .. } => 'l',
            NodeKind::Fifo => 'p',
            NodeKind::Socket => 's',
            NodeKind::CharDevice { .. } => 'c',
            NodeKind::BlockDevice { .. } => 'b',
        }
    }

    /// Refuses what no honest writer makes: names that lead out of the directory, holes outside the file, and what no file system can be
    /// given.
    pub(super) fn validate(&self) -> Result<(), Error> {
        self.extra.check("tree")?;
        let name = self.name.as_ref();
        let bad_name = name.is_empty()
            || name == b"."
            || name == b".."
            || name.len() > NAME_BYTES_MAX
            || name.iter().any(|byte| matches!(byte, b'/' | 0));
        if bad_name {
            return Err(damaged(format!("it has an entry named '{}'", self.name.to_text())));
        }
        let bad_text = |text: &ByteString| text.is_empty() || text.contains(&0);
        let has_bad_times = [self.metadata.mtime, self.metadata.ctime].iter().any(|time| time.nanos >= NANOS);
        let has_bad_target = matches!(&self.kind, NodeKind::Symlink { target } if bad_text(target));
        if has_bad_times || has_bad_target || self.metadata.xattrs.iter().any(|xattr| bad_text(&xattr.name)) {
            let what = "has a time, a target of a link or a name of an attribute that no file system knows";
            return Err(damaged(format!("'{}' {what}", self.name.to_text())));
        }
        if let NodeKind::File { content, holes } = &self.kind {
            let mut end = 0_u64;
            let mut hole_bytes = 0_u64;
            for hole in holes {
                if hole.offset < end || hole.len_bytes == 0 {
                    return Err(damaged(format!("the holes of '{}' are out of order", self.name.to_text())));
                }
                end = hole.offset.saturating_add(hole.len_bytes);
                hole_bytes = hole_bytes.saturating_add(hole.len_bytes);
            }
            if end > self.metadata.size_bytes
                || content.len_bytes.checked_add(hole_bytes) != Some(self.metadata.size_bytes)
            {
                return Err(damaged(format!("the parts of '{}' do not add up to its size", self.name.to_text())));
            }
        }
        Ok(())
    }
}

impl AsRef<[u8]> for ByteString {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn damaged(why: String) -> Error {
    Error::Damaged { what: "tree", why }
}
