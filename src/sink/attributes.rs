//! Owner, mode, times and extended attributes of a node, applied to an entry.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, fchmod, fchown, flistxattr,
    fremovexattr, fsetxattr, futimens, setxattr, utimensat,
};
use rustix::io::Errno;

use crate::model::{Node, NodeKind, Xattr};

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
    /// Applies everything to an open file or directory.
    #[must_use]
    pub fn apply(self, fd: &impl AsFd, node: &Node) -> NotApplied {
        let mut failures = Vec::new();
        let owner = fchown(fd, Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)));
        let mode = self.mode_for(node, owner, &mut failures);
        self.note(&mut failures, "mode", fchmod(fd, mode));
        self.apply_xattrs(fd, &node.xattrs, &mut failures);
        self.note(&mut failures, "time", futimens(fd, &timestamps(node)));
        failures
    }

    /// Applies everything to a link, pipe or device, of which this is a descriptor.
    #[must_use]
    pub fn apply_special(self, special: &OwnedFd, node: &Node) -> NotApplied {
        let mut failures = Vec::new();
        // Not every call takes a descriptor that is not open for reading; the kernel's own path of it is as safe.
        let path = format!("/proc/self/fd/{}", special.as_raw_fd());
        let (uid, gid) = (Some(Uid::from_raw(node.uid)), Some(Gid::from_raw(node.gid)));
        let mode = self.mode_for(node, chownat(special, c"", uid, gid, AtFlags::EMPTY_PATH), &mut failures);
        if !matches!(node.kind, NodeKind::Symlink { .. }) {
            self.note(&mut failures, "mode", chmodat(CWD, path.as_str(), mode, AtFlags::empty()));
        }
        for xattr in &node.xattrs {
            let set = setxattr(path.as_str(), xattr.name.as_ref(), &xattr.value, XattrFlags::empty());
            self.note(&mut failures, &format!("attribute {}", xattr.name.to_text()), set);
        }
        let time = utimensat(CWD, path.as_str(), &timestamps(node), AtFlags::empty());
        self.note(&mut failures, "time", time);
        failures
    }

    /// The mode of a node, without the rights of its owner and group where somebody else has become the owner.
    fn mode_for(self, node: &Node, owner: rustix::io::Result<()>, failures: &mut NotApplied) -> Mode {
        let mode = Mode::from_raw_mode(node.mode);
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

    fn apply_xattrs(self, fd: &impl AsFd, xattrs: &[Xattr], failures: &mut NotApplied) {
        let mut names = [0_u8; 4096];
        let present = flistxattr(fd, &mut names).unwrap_or(0);
        let present = names.get(..present).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty());
        for name in present.filter(|name| !xattrs.iter().any(|xattr| *xattr.name == **name)) {
            // What a security module puts on every file is its own business.
            if !name.starts_with(b"security.") {
                self.note(failures, "attributes", fremovexattr(fd, name));
            }
        }
        for xattr in xattrs {
            let set = fsetxattr(fd, xattr.name.as_ref(), &xattr.value, XattrFlags::empty());
            self.note(failures, &format!("attribute {}", xattr.name.to_text()), set);
        }
    }

    /// Only the superuser may give files away or set what the system trusts, and only its failures count.
    fn note(self, failures: &mut NotApplied, what: &str, result: rustix::io::Result<()>) {
        match result {
            Ok(()) => {}
            Err(Errno::PERM | Errno::ACCESS) if !self.privileged => {}
            Err(errno) => failures.push(format!("the {what} could not be set: {}", std::io::Error::from(errno))),
        }
    }
}

fn timestamps(node: &Node) -> Timestamps {
    let time = Timespec { tv_sec: node.mtime.secs, tv_nsec: node.mtime.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}
