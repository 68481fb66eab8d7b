//! Owner, mode, times and extended attributes of a node, applied to an entry.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fchown, flistxattr,
    fremovexattr, fsetxattr, futimens, listxattr, removexattr, setxattr, utimensat,
};
use rustix::io::{Errno, Result};

use crate::model::{Node, NodeKind, Xattr};
use crate::rooted::Status;

/// Names of attributes that are asked for at first, and the most that a file system has, in bytes.
const NAMES_BYTES: usize = 1_024;
const NAMES_BYTES_MAX: usize = 1 << 16;

/// What of a node could not be applied, as one message each.
pub type NotApplied = Vec<String>;

/// Applies the metadata of nodes as far as the process may.
#[derive(Debug, Clone, Copy)]
pub struct Attributes {
    privileged: bool,
}

impl Default for Attributes {
    fn default() -> Self {
        Self { privileged: rustix::process::geteuid().is_root() }
    }
}

impl Attributes {
    /// Applies everything to an open file or directory, which only its owner may use so far.
    ///
    /// The mode comes after the attributes: with the access control list it says who gets in, and before it would say so alone.
    #[must_use]
    pub fn apply(self, fd: &impl AsFd, node: &Node) -> NotApplied {
        let mut failures = Vec::new();
        let owner = fchown(fd, Some(Uid::from_raw(node.metadata.uid)), Some(Gid::from_raw(node.metadata.gid)));
        let mode = self.mode_for(node, owner, &mut failures);
        self.apply_xattrs(&Opened(fd.as_fd()), &node.metadata.xattrs, &mut failures);
        self.note(&mut failures, "mode", fchmod(fd, mode));
        self.note(&mut failures, "time", futimens(fd, &timestamps(node)));
        failures
    }

    /// The same for what had this status when it was opened. Where nothing differs nothing is set, and so its time of change stays, by which
    /// the next backup knows it.
    #[must_use]
    pub fn apply_changes(self, fd: &impl AsFd, node: &Node, found: &Status) -> NotApplied {
        let has_rights =
            (found.uid(), found.gid(), found.mode()) == (node.metadata.uid, node.metadata.gid, node.metadata.mode);
        if !has_rights
            || found.mtime() != (node.metadata.mtime.secs, node.metadata.mtime.nanos)
            || !node.metadata.xattrs.is_empty()
        {
            return self.apply(fd, node);
        }
        let mut failures = Vec::new();
        self.apply_xattrs(&Opened(fd.as_fd()), &node.metadata.xattrs, &mut failures);
        failures
    }

    /// Applies everything to a link, pipe or device, of which this is a descriptor.
    #[must_use]
    pub fn apply_special(self, special: &OwnedFd, node: &Node) -> NotApplied {
        let mut failures = Vec::new();
        // Not every call takes a descriptor that is not open for reading; the kernel's own path of it is as safe.
        let path = format!("/proc/self/fd/{}", special.as_raw_fd());
        let (uid, gid) = (Some(Uid::from_raw(node.metadata.uid)), Some(Gid::from_raw(node.metadata.gid)));
        let mode = self.mode_for(node, chownat(special, c"", uid, gid, AtFlags::EMPTY_PATH), &mut failures);
        self.apply_xattrs(&AtPath(&path), &node.metadata.xattrs, &mut failures);
        if !matches!(node.kind, NodeKind::Symlink { .. }) {
            self.note(&mut failures, "mode", chmodat(CWD, path.as_str(), mode, AtFlags::empty()));
        }
        let time = utimensat(CWD, path.as_str(), &timestamps(node), AtFlags::empty());
        self.note(&mut failures, "time", time);
        failures
    }

    /// The mode of a node, without the rights of its owner and group where somebody else has become the owner.
    fn mode_for(self, node: &Node, owner: Result<()>, failures: &mut NotApplied) -> Mode {
        let mode = Mode::from_raw_mode(node.metadata.mode);
        let set_ids = Mode::SUID | Mode::SGID;
        let is_owned = owner.is_ok();
        self.note(failures, "owner", owner);
        if is_owned || !mode.intersects(set_ids) {
            return mode;
        }
        let why = "it was made without set-user-id and set-group-id, because its owner could not be set";
        failures.push(why.to_owned());
        mode.difference(set_ids)
    }

    /// Gives an entry these attributes and no others: what a directory hands down to all that is made in it goes, too.
    fn apply_xattrs(self, entry: &dyn Attributed, xattrs: &[Xattr], failures: &mut NotApplied) {
        let present = names_of(entry);
        let present = present.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        for name in present.filter(|name| !xattrs.iter().any(|xattr| *xattr.name == **name)) {
            // What a security module puts on every file is its own business.
            if !name.starts_with(b"security.") {
                self.note(failures, "attributes", entry.remove(name));
            }
        }
        for xattr in xattrs {
            let set = entry.set(&xattr.name, &xattr.value);
            self.note(failures, &format!("attribute {}", xattr.name.to_text()), set);
        }
    }

    /// Only the superuser may give files away or set what the system trusts, and only its failures count.
    fn note(self, failures: &mut NotApplied, what: &str, result: Result<()>) {
        match result {
            Ok(()) => {}
            Err(Errno::PERM | Errno::ACCESS) if !self.privileged => {}
            Err(errno) => failures.push(format!("the {what} could not be set: {}", std::io::Error::from(errno))),
        }
    }
}

/// Something with extended attributes.
trait Attributed {
    fn list(&self, names: &mut [u8]) -> Result<usize>;
    fn set(&self, name: &[u8], value: &[u8]) -> Result<()>;
    fn remove(&self, name: &[u8]) -> Result<()>;
}

/// A file or directory that is open.
struct Opened<'a>(BorrowedFd<'a>);

impl Attributed for Opened<'_> {
    fn list(&self, names: &mut [u8]) -> Result<usize> {
        flistxattr(self.0, names)
    }

    fn set(&self, name: &[u8], value: &[u8]) -> Result<()> {
        fsetxattr(self.0, name, value, XattrFlags::empty())
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        fremovexattr(self.0, name)
    }
}

/// What the kernel's own path of a descriptor leads to.
struct AtPath<'a>(&'a str);

impl Attributed for AtPath<'_> {
    fn list(&self, names: &mut [u8]) -> Result<usize> {
        listxattr(self.0, names)
    }

    fn set(&self, name: &[u8], value: &[u8]) -> Result<()> {
        setxattr(self.0, name, value, XattrFlags::empty())
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        removexattr(self.0, name)
    }
}

/// The names of all attributes, each with a NUL behind it.
fn names_of(entry: &dyn Attributed) -> Vec<u8> {
    let mut names = vec![0; NAMES_BYTES];
    let mut listed = entry.list(&mut names);
    if listed == Err(Errno::RANGE) {
        names = vec![0; NAMES_BYTES_MAX];
        listed = entry.list(&mut names);
    }
    names.truncate(listed.unwrap_or(0));
    names
}

fn timestamps(node: &Node) -> Timestamps {
    let time = Timespec { tv_sec: node.metadata.mtime.secs, tv_nsec: node.metadata.mtime.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}
