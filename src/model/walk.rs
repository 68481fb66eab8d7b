//! Walking a tree depth first, one open directory at each depth.

use super::{Error, Node, NodeKind, TreeReader};
use crate::limits::{PATH_BYTES_MAX, TREE_DEPTH_MAX};
use crate::repo::ChunkReader;

/// What a walk meets.
#[derive(Debug)]
pub enum Step {
    /// An entry. What is in a directory follows it.
    Entry(Box<Node>),
    /// The directory whose entries came before has ended.
    Leave,
}

/// A walk over everything below a root, in the order of names.
#[derive(Debug)]
pub struct Walk {
    levels: Vec<Level>,
    path: Vec<u8>,
    pending: Option<Node>,
}

#[derive(Debug)]
struct Level {
    nodes: TreeReader,
    path_len: usize,
}

impl Walk {
    /// A walk that begins with `root` itself, which is called `path`.
    #[must_use]
    pub fn new(root: Node, path: &[u8]) -> Self {
        Self { levels: Vec::new(), path: path.to_vec(), pending: Some(root) }
    }

    /// The path of the last entry, with the root's own path before it.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The next step, or `None` at the end.
    ///
    /// After an error the directory that it happened in is left, and the walk can go on.
    ///
    /// # Errors
    /// Those of [`TreeReader::next`].
    pub fn next(&mut self, reader: &mut ChunkReader) -> Result<Option<Step>, Error> {
        if let Some(root) = self.pending.take() {
            self.enter(&root)?;
            return Ok(Some(Step::Entry(Box::new(root))));
        }
        let Some(level) = self.levels.last_mut() else { return Ok(None) };
        self.path.truncate(level.path_len);
        match level.nodes.next(reader) {
            Ok(Some(node)) => {
                self.path.push(b'/');
                self.path.extend_from_slice(&node.name);
                self.enter(&node)?;
                Ok(Some(Step::Entry(Box::new(node))))
            }
            Ok(None) => {
                self.levels.pop();
                Ok(Some(Step::Leave))
            }
            Err(error) => {
                self.levels.pop();
                Err(error)
            }
        }
    }

    /// Directories that are open: those around the last entry, and the entry itself when it is one.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Does not go into the directory that was the last entry.
    pub fn skip(&mut self) {
        self.levels.pop();
    }

    fn enter(&mut self, node: &Node) -> Result<(), Error> {
        let NodeKind::Directory { tree } = &node.kind else { return Ok(()) };
        if self.levels.len() >= TREE_DEPTH_MAX || self.path.len() > PATH_BYTES_MAX {
            // No backup goes so deep.
            return Err(Error::Damaged { what: "tree", why: "its directories are nested too deep".to_owned() });
        }
        self.levels.push(Level { nodes: TreeReader::new(tree.clone())?, path_len: self.path.len() });
        Ok(())
    }
}
