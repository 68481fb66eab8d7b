//! Files with several names in an archive: it tells of a further name only when it comes to it, so the tree is made a
//! second time, with the first name and the others being one file.

use std::collections::{BTreeSet, HashMap};

use super::reader::BatchReader;
use crate::model::{Node, Step, Walk, show_path};
use crate::repo::ChunkReader;
use crate::source::{EntryPath, Error, HardLinks, Visitor};

/// Shows the tree below `root` again. Each further name gets what the first one has.
pub(super) fn show(
    reader: &mut ChunkReader,
    root: &Node,
    links: &HardLinks,
    target: &mut BatchReader<'_>,
) -> Result<(), Error> {
    let firsts: BTreeSet<&EntryPath> = links.values().collect();
    let mut names: HashMap<&EntryPath, u64> = HashMap::new();
    for first in links.values() {
        *names.entry(first).or_insert(1) += 1;
    }
    let mut nodes: HashMap<EntryPath, Node> = HashMap::new();
    let mut walk = Walk::new(root.clone(), b"");
    loop {
        let step = walk.next(reader).map_err(|source| Error::Stream {
            what: "what was just stored".to_owned(),
            source: std::io::Error::other(source),
        })?;
        match step {
            None => return Ok(()),
            Some(Step::Leave) => target.leave()?,
            Some(Step::Entry(node)) if node.is_directory() => target.enter_again(*node)?,
            Some(Step::Entry(mut node)) => {
                let path: EntryPath = walk.path().split(|byte| *byte == b'/').skip(1).map(<[u8]>::to_vec).collect();
                if firsts.contains(&path) {
                    node.metadata.links = names.get(&path).copied().unwrap_or(1);
                    node.metadata.inode = nodes.len() as u64 + 1;
                    nodes.insert(path, (*node).clone());
                } else if let Some(first) = links.get(&path) {
                    let Some(first) = nodes.get(first) else {
                        let path = show_path(&path.join(&b'/'));
                        target.error(format!("left out {path}: it is another name of a file that was not saved"));
                        continue;
                    };
                    *node = Node { name: node.name.clone(), ..first.clone() };
                }
                target.again(*node)?;
            }
        }
    }
}
