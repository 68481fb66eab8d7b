//! Links, pipes and devices by descriptors: what stands at a name may have been exchanged since it was made.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, openat, readlinkat};

use crate::model::{Node, NodeKind};
use crate::rooted::Status;

/// Whether something is the pipe or the device of a node.
pub(super) fn is_same(status: &Status, node: &Node) -> bool {
    match node.kind {
        NodeKind::Fifo => status.file_type() == FileType::Fifo,
        NodeKind::CharDevice { number } => {
            status.file_type() == FileType::CharacterDevice && status.device_number() == number
        }
        NodeKind::BlockDevice { number } => {
            status.file_type() == FileType::BlockDevice && status.device_number() == number
        }
        _ => false,
    }
}

/// A descriptor of the link, pipe or device `name`, which is not opened for it.
///
/// # Errors
/// Those of the operating system, and when it is not what the node says.
pub(super) fn open(directory: impl AsFd, name: &[u8], node: &Node) -> io::Result<OwnedFd> {
    let special = openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let is_it = match &node.kind {
        NodeKind::Symlink { target } => {
            let found = readlinkat(&special, c"", Vec::new());
            found.is_ok_and(|found| found.as_bytes() == target.as_ref())
        }
        _ => is_same(&Status::of(&special)?, node),
    };
    if is_it { Ok(special) } else { Err(io::Error::other("it was exchanged for something else meanwhile")) }
}
