//! What a snapshot needs: every chunk of its files, lists and trees.
//!
//! Trees and lists that were looked at once are not looked at again.

use std::collections::HashSet;

use crate::chunk::ChunkRef;
use crate::id::{ChunkId, Digest};
use crate::limits::TREES_REMEMBERED_MAX;
use crate::model::{self, Content, ListSums, NoSum, Node, NodeKind, Snapshot, Step, Walk, show_path};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::repo::{self, ChunkReader};

/// Hears of each chunk, of some more than once.
pub(super) type Each<'a> = &'a mut dyn FnMut(&ChunkId) -> Result<(), repo::Error>;

/// Goes through snapshots.
#[derive(Debug, Default)]
pub(super) struct Marker {
    trees: HashSet<Digest>,
    lists: ListSums<NoSum>,
}

impl Marker {
    /// Tells of every chunk that a snapshot needs.
    ///
    /// # Errors
    /// [`Error::Lost`] when something is missing or damaged, [`Error::Cancelled`], [`Error::Repo`].
    pub(super) fn snapshot(
        &mut self,
        reader: &mut ChunkReader,
        snapshot: &Snapshot,
        each: Each<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<(), Error> {
        for component in &snapshot.components {
            let Some(root) = component.root.clone() else { continue };
            let mut walk = Walk::new(root, component.name.as_str().as_bytes());
            loop {
                monitor.check()?;
                let marked = match walk.next(reader) {
                    Ok(None) => break,
                    Ok(Some(Step::Leave)) => Ok(()),
                    Ok(Some(Step::Entry(node))) => match self.node(reader, &node, &mut each_until(each, monitor)) {
                        Ok(true) => Ok(()),
                        Ok(false) => {
                            walk.skip();
                            Ok(())
                        }
                        Err(error) => Err(error),
                    },
                    Err(error) => Err(error),
                };
                marked.map_err(|source| lost(snapshot, walk.path(), source))?;
            }
        }
        Ok(())
    }

    /// Tells of the chunks of an entry. `false` when everything below it is known.
    fn node(&mut self, reader: &mut ChunkReader, node: &Node, each: Each<'_>) -> Result<bool, model::Error> {
        match &node.kind {
            NodeKind::Directory { tree } if self.is_known(tree) => Ok(false),
            NodeKind::Directory { tree: content } | NodeKind::File { content, .. } => {
                let tell = |_: &mut ChunkReader, chunk: ChunkRef, _| Ok(each(&chunk.id).map(|()| NoSum)?);
                self.lists.add_up(content, reader, tell).map(|_| true)
            }
            _ => Ok(true),
        }
    }

    /// Whether the same tree was told of. One that a damage ended is never asked for again.
    fn is_known(&mut self, tree: &Content) -> bool {
        let identity = tree.identity();
        if self.trees.len() >= TREES_REMEMBERED_MAX {
            return self.trees.contains(&identity);
        }
        !self.trees.insert(identity)
    }
}

/// The same, until the work should stop: a content may be very long.
fn each_until<'a>(each: Each<'a>, monitor: &'a Monitor<'a>) -> impl FnMut(&ChunkId) -> Result<(), repo::Error> + 'a {
    move |chunk| {
        monitor.check()?;
        each(chunk)
    }
}

fn lost(snapshot: &Snapshot, path: &[u8], source: model::Error) -> Error {
    if source.is_damage() {
        return Error::Lost { snapshot: snapshot.name.to_string(), path: show_path(path), source };
    }
    match source {
        model::Error::Repo(repo::Error::Cancelled(cancelled)) => cancelled.into(),
        source => source.into(),
    }
}
