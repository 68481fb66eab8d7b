//! Walking a tree depth first, one open directory at each depth.

use std::sync::Arc;

use super::{Error, Node, NodeKind, Parts, TreeReader};
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
    /// What is walked; `None` for everything.
    parts: Option<Arc<Parts>>,
}

#[derive(Debug)]
struct Level {
    nodes: TreeReader,
    path_len: usize,
    /// Whether all of it is walked.
    is_whole: bool,
}

impl Walk {
    /// A walk that begins with `root` itself, which is called `path`.
    #[must_use]
    pub fn new(root: Node, path: &[u8]) -> Self {
        Self { levels: Vec::new(), path: path.to_vec(), pending: Some(root), parts: None }
    }

    /// Only these parts, and the directories around them.
    #[must_use]
    pub fn only(mut self, parts: Option<Arc<Parts>>) -> Self {
        self.parts = parts;
        self
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
        if let Some(root) = self.pending.take()
            && let Some(is_whole) = self.is_whole(&root)
        {
            self.enter(&root, is_whole)?;
            return Ok(Some(Step::Entry(Box::new(root))));
        }
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            self.path.truncate(level.path_len);
            match level.nodes.next(reader) {
                Ok(Some(node)) => {
                    self.path.push(b'/');
                    self.path.extend_from_slice(&node.name);
                    let Some(is_whole) = self.is_whole(&node) else { continue };
                    self.enter(&node, is_whole)?;
                    return Ok(Some(Step::Entry(Box::new(node))));
                }
                Ok(None) => {
                    self.levels.pop();
                    return Ok(Some(Step::Leave));
                }
                Err(error) => {
                    self.levels.pop();
                    return Err(error);
                }
            }
        }
    }

    /// Whether all of the node at the current path is walked; `None` where nothing of it is.
    fn is_whole(&self, node: &Node) -> Option<bool> {
        let Some(parts) = &self.parts else { return Some(true) };
        if self.levels.last().is_some_and(|level| level.is_whole) || parts.covers(&self.path) {
            return Some(true);
        }
        (node.is_directory() && parts.has_below(&self.path)).then_some(false)
    }

    /// Directories that are open: those around the last entry, and the entry itself when it is one.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Whether the last entry is a directory around parts, of which nothing else is walked.
    #[must_use]
    pub fn is_around_parts(&self) -> bool {
        self.levels.last().is_some_and(|level| !level.is_whole && level.path_len == self.path.len())
    }

    /// Does not go into the directory that was the last entry.
    pub fn skip(&mut self) {
        self.levels.pop();
    }

    fn enter(&mut self, node: &Node, is_whole: bool) -> Result<(), Error> {
        let NodeKind::Directory { tree } = &node.kind else { return Ok(()) };
        if self.levels.len() >= TREE_DEPTH_MAX || self.path.len() > PATH_BYTES_MAX {
            // No backup goes so deep.
            return Err(Error::Damaged { what: "tree", why: "its directories are nested too deep".to_owned() });
        }
        self.levels.push(Level { nodes: TreeReader::new(tree.clone())?, path_len: self.path.len(), is_whole });
        Ok(())
    }
}
