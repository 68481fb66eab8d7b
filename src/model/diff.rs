//! What differs between two trees. Directories with equal trees are not read.

use super::{Error, Node, NodeKind, TreeReader};
use crate::limits::TREE_DEPTH_MAX;
use crate::repo::ChunkReader;

/// How an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only the second tree has it.
    Added,
    /// Only the first tree has it.
    Removed,
    /// Its content, its kind or its link target differs.
    Content,
    /// Only its owner, mode, time or attributes differ.
    Metadata,
}

/// One entry that differs.
#[derive(Debug)]
pub struct Difference<'a> {
    /// Where it is.
    pub path: &'a [u8],
    /// How it differs.
    pub change: Change,
    /// The entry of the first tree.
    pub old: Option<&'a Node>,
    /// The entry of the second tree.
    pub new: Option<&'a Node>,
}

/// Calls `report` for each difference between two nodes, in the order of their paths.
///
/// # Errors
/// Those of [`TreeReader::next`], and of `report`.
pub fn diff<E: From<Error>>(
    reader: &mut ChunkReader,
    path: &[u8],
    old: Option<&Node>,
    new: Option<&Node>,
    report: &mut dyn FnMut(Difference<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut path = path.to_vec();
    Differ { reader, report, depth: 0 }.node(&mut path, old, new)
}

struct Differ<'a, E> {
    reader: &'a mut ChunkReader,
    report: &'a mut dyn FnMut(Difference<'_>) -> Result<(), E>,
    depth: usize,
}

impl<E: From<Error>> Differ<'_, E> {
    fn node(&mut self, path: &mut Vec<u8>, old: Option<&Node>, new: Option<&Node>) -> Result<(), E> {
        if let Some(change) = change(old, new) {
            (self.report)(Difference { path, change, old, new })?;
        }
        let (old_tree, new_tree) = (tree(old), tree(new));
        if old_tree == new_tree {
            return Ok(());
        }
        if self.depth >= TREE_DEPTH_MAX {
            return Err(Error::TooLarge { what: "depth of the tree" }.into());
        }
        self.depth += 1;
        let mut old_nodes = old_tree.map(|tree| TreeReader::new(tree.clone())).transpose()?;
        let mut new_nodes = new_tree.map(|tree| TreeReader::new(tree.clone())).transpose()?;
        let mut old = next(&mut old_nodes, self.reader)?;
        let mut new = next(&mut new_nodes, self.reader)?;
        while let Some(name) = [&old, &new].into_iter().flatten().map(|node| node.name.clone()).min() {
            let old_here = old.take_if(|node| node.name == name);
            let new_here = new.take_if(|node| node.name == name);
            let path_len = path.len();
            path.push(b'/');
            path.extend_from_slice(&name);
            self.node(path, old_here.as_ref(), new_here.as_ref())?;
            path.truncate(path_len);
            if old_here.is_some() {
                old = next(&mut old_nodes, self.reader)?;
            }
            if new_here.is_some() {
                new = next(&mut new_nodes, self.reader)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }
}

fn next(nodes: &mut Option<TreeReader>, reader: &mut ChunkReader) -> Result<Option<Node>, Error> {
    nodes.as_mut().map_or(Ok(None), |nodes| nodes.next(reader))
}

fn tree(node: Option<&Node>) -> Option<&super::Content> {
    match node.map(|node| &node.kind) {
        Some(NodeKind::Directory { tree }) => Some(tree),
        _ => None,
    }
}

fn change(old: Option<&Node>, new: Option<&Node>) -> Option<Change> {
    let (old, new) = match (old, new) {
        (None, None) => return None,
        (None, Some(_)) => return Some(Change::Added),
        (Some(_), None) => return Some(Change::Removed),
        (Some(old), Some(new)) => (old, new),
    };
    let same_content = match (&old.kind, &new.kind) {
        (NodeKind::Directory { .. }, NodeKind::Directory { .. }) => true,
        (old, new) => old == new,
    };
    if !same_content {
        return Some(Change::Content);
    }
    let metadata = |node: &Node| (node.mode, node.uid, node.gid, node.xattrs.clone());
    // Dumps and streams have no inode, and the time of their snapshot is not theirs.
    let made = old.inode == 0 && new.inode == 0;
    let same_time = made || old.is_directory() || old.mtime == new.mtime;
    (metadata(old) != metadata(new) || !same_time).then_some(Change::Metadata)
}
