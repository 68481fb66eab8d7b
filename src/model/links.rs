//! Files with several names: which name came first, and whether a further one is of the same file.

use std::collections::HashMap;

use super::codec::encode_kind;
use super::{Error, FileTime, Node, show_path};
use crate::id::Digest;

/// What an entry is beside those before it.
#[derive(Debug, PartialEq, Eq)]
pub enum Name {
    /// The only name of what it names, or the first one.
    First,
    /// A further name of what was first called so.
    Again(Vec<u8>),
    /// A further name of what was first called so, which was written to between the moments at which the two were saved: by now
    /// they are two files.
    Changed(Vec<u8>),
}

/// The first names of files with several, as long as others are to come.
#[derive(Debug, Default)]
pub struct FirstNames {
    known: HashMap<(u64, u64), First>,
}

#[derive(Debug)]
struct First {
    path: Vec<u8>,
    /// Names that are to come.
    left: u64,
    /// What tells its content from others.
    kind: Digest,
    ctime: FileTime,
    changed: bool,
}

impl FirstNames {
    /// What the entry with this path is.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is said to be the same file as another one, unchanged, and has other content.
    pub fn name(&mut self, path: &[u8], node: &Node) -> Result<Name, Error> {
        let Some(identity) = node.hard_link_identity() else { return Ok(Name::First) };
        let mut kind = Vec::new();
        encode_kind(&node.kind, &mut kind);
        let kind = Digest::of(&kind);
        let Some(first) = self.known.get_mut(&identity) else {
            let (path, left) = (path.to_vec(), node.metadata.links - 1);
            self.known.insert(
                identity,
                First { path, left, kind, ctime: node.metadata.ctime, changed: node.metadata.changed },
            );
            return Ok(Name::First);
        };
        let path = first.path.clone();
        let is_same = first.kind == kind;
        let has_changed = first.changed || node.metadata.changed || first.ctime != node.metadata.ctime;
        first.left = first.left.saturating_sub(1);
        if first.left == 0 {
            self.known.remove(&identity);
        }
        match (is_same, has_changed) {
            (true, _) => Ok(Name::Again(path)),
            (false, true) => Ok(Name::Changed(path)),
            (false, false) => {
                let why = format!("it is another name of {}, and has other content", show_path(&path));
                Err(Error::Damaged { what: "hard link", why })
            }
        }
    }

    /// How many files have further names that have not come.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.known.len()
    }

    /// Forgets a first name: what it names could not be had, and the next one counts as the first.
    pub fn forget(&mut self, node: &Node) {
        if let Some(identity) = node.hard_link_identity() {
            self.known.remove(&identity);
        }
    }
}
