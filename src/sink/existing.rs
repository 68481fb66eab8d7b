//! What stands at a path of a directory that is written to, and whether it may become something else.

use std::os::fd::AsFd;

use rustix::fs::{FileType, Mode};
use rustix::process::geteuid;

use super::special;
use crate::model::Node;
use crate::rooted::{Status, access_list};

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
