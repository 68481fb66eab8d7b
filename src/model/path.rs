//! Paths within a snapshot, and the nodes that they lead to.

use std::fmt;

use super::{Error, Node, NodeKind, Snapshot, TreeReader, show_path};
use crate::repo::ChunkReader;

/// A path within a snapshot: a component, then entries of its tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotPath(Vec<Vec<u8>>);

impl SnapshotPath {
    /// The path with these bytes; empty parts are left out.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect())
    }

    /// The path as bytes, without a slash at either end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.join(&b'/')
    }

    /// The component and the parts below it; `None` for the snapshot itself.
    #[must_use]
    pub fn split(&self) -> Option<(&[u8], &[Vec<u8>])> {
        self.0.split_first().map(|(component, rest)| (component.as_slice(), rest))
    }
}

impl fmt::Display for SnapshotPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&show_path(&self.to_bytes()))
    }
}

/// The node at a path.
///
/// # Errors
/// [`Error::NotFound`]; those of [`TreeReader::next`].
pub fn resolve(reader: &mut ChunkReader, snapshot: &Snapshot, path: &SnapshotPath) -> Result<Node, Error> {
    let not_found = || Error::NotFound { path: path.to_string() };
    let (component, parts) = path.split().ok_or_else(not_found)?;
    let component = snapshot.components.iter().find(|candidate| candidate.name.as_str().as_bytes() == component);
    let mut node = component.and_then(|component| component.root.clone()).ok_or_else(not_found)?;
    for part in parts {
        let NodeKind::Directory { tree } = node.kind else { return Err(not_found()) };
        let mut nodes = TreeReader::new(tree)?;
        node = loop {
            let candidate = nodes.next(reader)?.ok_or_else(not_found)?;
            if *candidate.name == **part {
                break candidate;
            }
        };
    }
    Ok(node)
}
