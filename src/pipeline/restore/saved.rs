//! What was saved of a directory just before it is restored. Only that is removed or replaced: whoever may rename what stands there
//! could otherwise hide it from the safety snapshot, or bring it afterwards where the restore destroys it.

use super::safety::Safety;
use crate::model::{Component, Content, Error, Node, NodeKind, TreeReader};
use crate::repo::ChunkReader;
use crate::rooted::{Instant, Status, split};

/// A component of the safety snapshot, looked into path by path.
#[derive(Debug)]
pub(super) struct Saved {
    root: Option<Node>,
    /// When the snapshot began.
    began: Instant,
    /// The directory that was looked into last, and those around it.
    levels: Vec<Level>,
    /// The path of that directory.
    path: Vec<u8>,
}

/// A directory that is looked into. Names that are asked for in ascending order take one pass.
#[derive(Debug)]
struct Level {
    tree: Option<Content>,
    nodes: Option<TreeReader>,
    /// The first entry that does not come before the name that was asked for last.
    next: Option<Node>,
    asked: Vec<u8>,
    /// Length of the directory's path.
    len: usize,
}

impl Saved {
    /// The component as the safety snapshot has it; nothing is saved where it does not. `None` where no such snapshot is wanted.
    pub(super) fn new(safety: &Safety, component: &Component) -> Option<Self> {
        let saved = safety.snapshot.as_ref().and_then(|snapshot| snapshot.component(component.name.as_str()));
        let root = saved.and_then(|saved| saved.root.clone());
        safety.began.map(|began| Self { root, began, levels: Vec::new(), path: Vec::new() })
    }

    /// Whether an entry is saved as it is: the same inode, and of anything but a directory the same content, by its length and times. What
    /// is in a directory has to be asked for by itself. When the inode changed says nothing: moving it, or removing another name of
    /// it, changes that too.
    pub(super) fn has(&mut self, reader: &mut ChunkReader, path: &[u8], status: &Status) -> Result<bool, Error> {
        // What was made since may have got the number of what was removed since.
        if self.was_made_since(status) {
            return Ok(false);
        }
        let Some(node) = self.find(reader, path)? else { return Ok(false) };
        if (node.metadata.device, node.metadata.inode) != status.identity()
            || node.is_directory() != status.is_directory()
        {
            return Ok(false);
        }
        let size_bytes = if status.is_file() { status.size_bytes() } else { 0 };
        let is_as_it_was = (node.metadata.mtime.secs, node.metadata.mtime.nanos) == status.mtime()
            && (node.metadata.size_bytes, node.metadata.uid, node.metadata.gid, node.metadata.mode)
                == (size_bytes, status.uid(), status.gid(), status.mode());
        Ok(node.is_directory() || is_as_it_was)
    }

    /// Whether the same inode is saved there, be it that it was changed since.
    pub(super) fn has_inode(&mut self, reader: &mut ChunkReader, path: &[u8], status: &Status) -> Result<bool, Error> {
        if self.was_made_since(status) {
            return Ok(false);
        }
        Ok(self
            .find(reader, path)?
            .is_some_and(|node| (node.metadata.device, node.metadata.inode) == status.identity()))
    }

    /// Whether it was made since.
    pub(super) fn was_made_since(&self, status: &Status) -> bool {
        status.made().is_some_and(|made| made > self.began)
    }

    /// What is saved under a path.
    fn find(&mut self, reader: &mut ChunkReader, path: &[u8]) -> Result<Option<&Node>, Error> {
        if path.is_empty() {
            return Ok(self.root.as_ref());
        }
        let (around, name) = split(path);
        self.go_to(reader, around)?;
        match self.levels.last_mut() {
            Some(level) => level.find(reader, name),
            None => Ok(None),
        }
    }

    /// Goes to a directory, from the nearest one around both that is open.
    fn go_to(&mut self, reader: &mut ChunkReader, directory: &[u8]) -> Result<(), Error> {
        let is_around = |len: usize| {
            len == 0
                || (directory.get(..len) == self.path.get(..len) && matches!(directory.get(len), None | Some(b'/')))
        };
        let kept = self.levels.iter().take_while(|level| is_around(level.len)).count();
        self.levels.truncate(kept);
        if self.levels.is_empty() {
            self.levels.push(Level::new(self.root.as_ref().and_then(tree_of), 0));
        }
        self.path.truncate(self.levels.last().map_or(0, |level| level.len));
        let rest = directory.get(self.path.len()..).unwrap_or_default();
        for name in rest.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let Some(level) = self.levels.last_mut() else { break };
            let tree = level.find(reader, name)?.and_then(tree_of);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            self.levels.push(Level::new(tree, self.path.len()));
        }
        Ok(())
    }
}

impl Level {
    fn new(tree: Option<Content>, len: usize) -> Self {
        Self { tree, nodes: None, next: None, asked: Vec::new(), len }
    }

    fn find(&mut self, reader: &mut ChunkReader, name: &[u8]) -> Result<Option<&Node>, Error> {
        let Some(tree) = &self.tree else { return Ok(None) };
        let nodes = match &mut self.nodes {
            Some(nodes) if *self.asked <= *name => nodes,
            nodes => {
                let nodes = nodes.insert(TreeReader::new(tree.clone())?);
                self.next = nodes.next(reader)?;
                nodes
            }
        };
        self.asked = name.to_vec();
        while self.next.as_ref().is_some_and(|node| *node.name < *name) {
            self.next = nodes.next(reader)?;
        }
        Ok(self.next.as_ref().filter(|node| *node.name == *name))
    }
}

fn tree_of(node: &Node) -> Option<Content> {
    match &node.kind {
        NodeKind::Directory { tree } => Some(tree.clone()),
        _ => None,
    }
}
