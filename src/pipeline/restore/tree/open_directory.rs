//! Directories that are being restored, from the root to the current one: what is known of each from when it was entered until it is
//! finished.
//!
//! Whoever owns a directory around one may exchange it meanwhile, and may have put one of his own, or one of root's, in its
//! place before. Which one it was when it was entered is remembered.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::model::{Metadata, Node, show_path};
use crate::rooted::{Held, Identity, Status};

/// Rights of the group and of others to write.
const OF_OTHERS_WRITE: u32 = 0o022;

/// Whether somebody will get at what is left in a directory who did not before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposure {
    No,
    /// Because a directory around it is opened to him.
    Within,
    /// Because it is.
    Opened,
}

/// Whether a directory becomes that of the snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Restored,
    /// It was not there, and is made.
    Made,
    /// It stands around parts that are, and stays as it is.
    Passed,
}

/// A directory that is being restored.
pub(super) struct OpenDirectory {
    pub(super) node: Node,
    pub(super) role: Role,
    /// Names that stand there and that the snapshot has not shown yet.
    pub(super) extra: BTreeSet<Vec<u8>>,
    /// Whether these are removed.
    pub(super) removes: bool,
    /// Whether backups leave out it, or a directory around it.
    pub(super) is_left_out: bool,
    pub(super) exposure: Exposure,
    /// Whether somebody may have had it open who has no right to it, or a directory around it: nothing that stands in it is kept as it
    /// is, because he may have that open too.
    pub(super) is_fresh: bool,
    /// What stood there before; `None` where nothing did, or nothing is changed.
    pub(super) found: Option<Status>,
    /// Which it is; `None` where nothing is changed.
    pub(super) identity: Option<Identity>,
    /// Keeps another one from being gone into under its path, as long as something is done in it.
    pub(super) held: Option<Held>,
    pub(super) number: Number,
}

/// What keeps the number of a directory from being given to another one: whoever owns the directory around it may remove it as long as
/// it is empty.
pub(super) enum Number {
    Free,
    /// Something of root stands in it by now, in a directory that is root's alone.
    Filled,
    /// It is open.
    Held {
        _directory: Arc<OwnedFd>,
    },
}

impl OpenDirectory {
    /// Why it does not get its owner and mode: this is left in it.
    pub(super) fn exposed(&self, shown: &str, left: &[u8]) -> String {
        let Metadata { uid, gid, mode, .. } = &self.node.metadata;
        let left = show_path(left);
        format!(
            "{shown} holds what the snapshot does not have there ({left}), and others would get at it: it does not get its owner \
             {uid}:{gid} and its mode {mode:o}, which `chown` and `chmod` give it if they may"
        )
    }

    /// Whether others may rename what stands in it, before or after it is restored.
    fn is_shared(&self) -> bool {
        let Metadata { uid, mode, .. } = self.node.metadata;
        let is_open = |uid: u32, mode: u32| uid != 0 || mode & OF_OTHERS_WRITE != 0;
        is_open(uid, mode) || self.found.is_some_and(|found| is_open(found.uid(), found.mode()))
    }
}

/// The current directory, and those around it.
#[derive(Default)]
pub(super) struct OpenDirectories(Vec<OpenDirectory>);

impl OpenDirectories {
    /// Goes into one.
    pub(super) fn push(&mut self, open: OpenDirectory) {
        self.0.push(open);
    }

    /// Goes back to the directory around the current one, which is returned.
    pub(super) fn pop(&mut self) -> Option<OpenDirectory> {
        self.0.pop()
    }

    /// Goes back to so many of them.
    pub(super) fn truncate(&mut self, depth: usize) {
        self.0.truncate(depth);
    }

    /// What stood in the place of each, from the root on.
    pub(super) fn found(&self) -> impl Iterator<Item = Option<Status>> {
        self.0.iter().map(|open| open.found)
    }

    /// An entry of the snapshot has this name: it is no reason to remove what stands in its place.
    pub(super) fn keep(&mut self, name: &[u8]) {
        if let Some(open) = self.0.last_mut() {
            open.extra.remove(name);
        }
    }

    /// Something stands in the current directory.
    pub(super) fn note_filled(&mut self) {
        if let Some(open) = self.0.last_mut() {
            open.number = Number::Filled;
        }
    }

    /// Whether what the snapshot does not have may be removed from a directory in the current one.
    pub(super) fn removes_within(&self) -> bool {
        self.0.last().is_none_or(|open| open.removes || open.role == Role::Passed)
    }

    /// Whether backups leave out everything in the current directory.
    pub(super) fn is_left_out(&self) -> bool {
        self.0.last().is_some_and(|open| open.is_left_out)
    }

    /// Whether the current directory was not there.
    pub(super) fn is_made(&self) -> bool {
        self.0.last().is_some_and(|open| open.role == Role::Made)
    }

    /// Whether nothing that stands in the current directory is kept as it is.
    pub(super) fn is_fresh(&self) -> bool {
        self.0.last().is_some_and(|open| open.is_fresh)
    }

    /// Whether somebody will get at what is left in the current directory who did not before.
    pub(super) fn is_exposed(&self) -> bool {
        self.exposure_within() != Exposure::No
    }

    /// Of something in the current directory.
    pub(super) fn exposure_within(&self) -> Exposure {
        match self.0.last().map_or(Exposure::No, |open| open.exposure) {
            Exposure::No => Exposure::No,
            Exposure::Within | Exposure::Opened => Exposure::Within,
        }
    }

    /// Whether somebody may remove a directory in the current one as soon as it is empty.
    pub(super) fn may_be_emptied(&self) -> bool {
        self.0.last().is_none_or(OpenDirectory::is_shared)
    }
}
