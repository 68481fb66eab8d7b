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
    let mut levels: Vec<Level> = Vec::new();
    let mut entered = enter(reader, (&path, old, new), report)?;
    loop {
        if let Some(level) = entered.take() {
            // A reader of one tree goes no deeper.
            if levels.len() >= TREE_DEPTH_MAX {
                return Err(Error::TooLarge { what: "depth of the tree" }.into());
            }
            levels.push(level);
        }
        let Some(level) = levels.last_mut() else { return Ok(()) };
        path.truncate(level.path_len);
        let Some([old, new]) = level.next(reader)? else {
            levels.pop();
            continue;
        };
        let name = old.as_ref().or(new.as_ref()).map(|node| node.name.clone()).unwrap_or_default();
        path.push(b'/');
        path.extend_from_slice(&name);
        entered = enter(reader, (&path, old.as_ref(), new.as_ref()), report)?;
    }
}

/// The node of the first tree and that of the second one.
type Pair = [Option<Node>; 2];

/// Two directories that are being compared.
struct Level {
    trees: [Option<TreeReader>; 2],
    /// The next node of each.
    nodes: Pair,
    path_len: usize,
}

impl Level {
    /// The nodes of the next name, of the first tree and of the second one.
    fn next(&mut self, reader: &mut ChunkReader) -> Result<Option<Pair>, Error> {
        let Some(name) = self.nodes.iter().flatten().map(|node| node.name.clone()).min() else { return Ok(None) };
        let mut found: Pair = [None, None];
        for ((tree, node), found) in self.trees.iter_mut().zip(&mut self.nodes).zip(&mut found) {
            *found = node.take_if(|node| node.name == name);
            if found.is_some() {
                *node = next(tree, reader)?;
            }
        }
        Ok(Some(found))
    }
}

/// Reports how two nodes differ; gives what is in them when that is to be compared, too.
fn enter<E: From<Error>>(
    reader: &mut ChunkReader,
    (path, old, new): (&[u8], Option<&Node>, Option<&Node>),
    report: &mut dyn FnMut(Difference<'_>) -> Result<(), E>,
) -> Result<Option<Level>, E> {
    if let Some(change) = change(old, new) {
        report(Difference { path, change, old, new })?;
    }
    let contents = [tree(old), tree(new)];
    if contents[0] == contents[1] {
        return Ok(None);
    }
    let mut trees = [None, None];
    let mut nodes = [None, None];
    for ((content, tree), node) in contents.into_iter().zip(&mut trees).zip(&mut nodes) {
        *tree = content.map(|content| TreeReader::new(content.clone())).transpose()?;
        *node = next(tree, reader)?;
    }
    Ok(Some(Level { trees, nodes, path_len: path.len() }))
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
    let metadata =
        |node: &Node| (node.metadata.mode, node.metadata.uid, node.metadata.gid, node.metadata.xattrs.clone());
    // Dumps and streams have no inode, and the time of their snapshot is not theirs.
    let made = old.metadata.inode == 0 && new.metadata.inode == 0;
    let same_time = made || old.is_directory() || old.metadata.mtime == new.metadata.mtime;
    (metadata(old) != metadata(new) || !same_time).then_some(Change::Metadata)
}
