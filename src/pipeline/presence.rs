//! Whether what a snapshot refers to is there: every chunk listed, every pack at its full length.
//!
//! Trees are read and checked for it; the chunks of files are looked up only.

use std::collections::HashSet;
use std::ops::AddAssign;
use std::sync::Arc;

use super::Error;
use crate::chunk::ChunkRef;
use crate::id::{ChunkId, Digest, PackId};
use crate::index::Index;
use crate::limits::TREES_REMEMBERED_MAX;
use crate::model::{
    self, Component, ComponentKind, Content, FirstNames, ListSums, Node, NodeKind, Parts, Step, Walk, show_path,
};
use crate::monitor::Monitor;
use crate::pack::{self, ListedPack};
use crate::repo::{self, ChunkReader, Repository};

/// A path that cannot be restored, and why.
#[derive(Debug)]
pub struct LostPath {
    /// Component and path within it.
    pub path: Vec<u8>,
    /// Why.
    pub cause: model::Error,
}

impl LostPath {
    /// The path as text.
    #[must_use]
    pub fn shown(&self) -> String {
        show_path(&self.path)
    }
}

/// A chunk that is missing.
#[derive(Clone, Copy, Default)]
struct Lacks(Option<ChunkId>);

impl AddAssign for Lacks {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.or(other.0);
    }
}

/// A directory that is being walked.
struct Open {
    identity: Digest,
    lacks: bool,
    /// Whether only parts of it are looked at.
    is_around_parts: bool,
}

/// Looks for what is missing.
pub(super) struct Presence {
    reader: ChunkReader,
    /// Those that were walked without a loss.
    whole_trees: HashSet<Digest>,
    lists: ListSums<Lacks>,
    /// Chunks that are known to be damaged although their pack is there.
    damaged_chunks: HashSet<ChunkId>,
    /// Chunks that were looked for and are nowhere.
    missing: HashSet<ChunkId>,
}

impl Presence {
    /// Compares the packs that the index lists with those that the storage has.
    pub(super) fn new(repository: &Repository) -> Result<Self, Error> {
        let mut index = repository.index()?;
        index.avoid(broken_packs(repository, &index)?);
        let reader = repository.reader_with(&Arc::new(index))?;
        let (whole_trees, lists) = (HashSet::new(), ListSums::default());
        Ok(Self { reader, whole_trees, lists, damaged_chunks: HashSet::new(), missing: HashSet::new() })
    }

    /// The index, which avoids the packs that are missing or have another length than it says.
    pub(super) const fn index(&self) -> &Arc<Index> {
        self.reader.index()
    }

    /// Reads what was looked for.
    pub(super) const fn reader(&mut self) -> &mut ChunkReader {
        &mut self.reader
    }

    /// Chunks that were looked for and are nowhere.
    pub(super) fn into_missing(self) -> HashSet<ChunkId> {
        self.missing
    }

    /// Takes chunks for lost that lie in packs which are there.
    pub(super) fn add_damaged(&mut self, chunks: impl IntoIterator<Item = ChunkId>) {
        self.damaged_chunks.extend(chunks);
        self.whole_trees.clear();
        self.lists.clear();
    }

    /// Everything of a component, or of its `parts`, that cannot be restored. `entries` counts what was looked at. A directory that lacks something
    /// is looked into once: where the same one is met again, it is named as a whole.
    pub(super) fn lost(
        &mut self,
        (component, parts): (&Component, Option<&Arc<Parts>>),
        entries: &mut u64,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<LostPath>, Error> {
        let mut lost = Vec::new();
        let Some(root) = component.root.clone() else { return Ok(lost) };
        if !is_of_kind(component, &root) {
            let why = format!("the root of {} is not of its kind", component.name);
            let path = component.name.as_str().as_bytes().to_vec();
            return Ok(vec![LostPath { path, cause: model::Error::Damaged { what: "manifest", why } }]);
        }
        let mut walk = Walk::new(root, component.name.as_str().as_bytes()).only(parts.cloned());
        let mut names = FirstNames::default();
        let (mut open, mut damaged_trees) = (Vec::new(), HashSet::new());
        loop {
            monitor.check()?;
            let step = walk.next(&mut self.reader);
            if step.is_err() {
                lack(&mut open);
            }
            let enters = matches!(&step, Ok(Some(Step::Entry(node))) if node.is_directory());
            self.close(&mut open, walk.depth() - usize::from(enters), &mut damaged_trees);
            let checked = match step {
                Ok(None) => return Ok(lost),
                Ok(Some(Step::Leave)) => Ok(()),
                Ok(Some(Step::Entry(node))) => {
                    *entries += 1;
                    let checked = self.entry(&node, (&mut walk, &mut open), &damaged_trees, monitor);
                    checked.and_then(|()| names.name(walk.path(), &node).map(drop))
                }
                Err(cause) => Err(cause),
            };
            if let Err(cause) = checked {
                if !cause.is_damage() {
                    monitor.check()?;
                    return Err(cause.into());
                }
                lack(&mut open);
                if let model::Error::Repo(repo::Error::MissingChunk { chunk }) = &cause {
                    self.missing.insert(*chunk);
                }
                lost.push(LostPath { path: walk.path().to_vec(), cause });
            }
        }
    }

    /// Looks at an entry. A directory that is known, or that cannot be read, is not gone into.
    fn entry(
        &mut self,
        node: &Node,
        (walk, open): (&mut Walk, &mut Vec<Open>),
        damaged_trees: &HashSet<Digest>,
        monitor: &Monitor<'_>,
    ) -> Result<(), model::Error> {
        let tree = match &node.kind {
            NodeKind::File { content, .. } => return self.check_content(content, monitor),
            NodeKind::Directory { tree } => tree,
            _ => return Ok(()),
        };
        let identity = tree.identity();
        if self.whole_trees.contains(&identity) {
            walk.skip();
            return Ok(());
        }
        let is_around_parts = walk.is_around_parts();
        let is_damaged = damaged_trees.contains(&identity) && !is_around_parts;
        let why = || "the same one stands elsewhere in the component, and lacks something".to_owned();
        let known = is_damaged.then(|| model::Error::Damaged { what: "directory", why: why() });
        if let Err(cause) = known.map_or_else(|| self.check_content(tree, monitor), Err) {
            walk.skip();
            return Err(cause);
        }
        open.push(Open { identity, lacks: false, is_around_parts });
        Ok(())
    }

    /// Ends directories until so many are open.
    fn close(&mut self, open: &mut Vec<Open>, len: usize, damaged_trees: &mut HashSet<Digest>) {
        while open.len() > len {
            let Some(Open { identity, lacks, is_around_parts }) = open.pop() else { return };
            if lacks {
                lack(open);
            }
            if is_around_parts {
            } else if lacks {
                damaged_trees.insert(identity);
            } else if self.whole_trees.len() < TREES_REMEMBERED_MAX {
                self.whole_trees.insert(identity);
            }
        }
    }

    fn check_content(&mut self, content: &Content, monitor: &Monitor<'_>) -> Result<(), model::Error> {
        let Self { reader, lists, damaged_chunks, missing, .. } = self;
        let (len_bytes, Lacks(lacks)) = lists.add_up(content, reader, |reader, chunk: ChunkRef, is_list| {
            monitor.check().map_err(repo::Error::from)?;
            if is_list {
                return Ok(Lacks::default());
            }
            // Some of its places may be untrue: those of another length are.
            let lengths = reader.index().locations(&chunk.id).map(|location| location.len_bytes);
            match lengths.min_by_key(|found| *found != chunk.len_bytes) {
                None => {
                    missing.insert(chunk.id);
                    return Ok(Lacks(Some(chunk.id)));
                }
                Some(found) if found != chunk.len_bytes => {
                    let why = format!("chunk {} has {found} bytes where it lists {}", chunk.id, chunk.len_bytes);
                    return Err(model::Error::Damaged { what: "content", why });
                }
                Some(_) => {}
            }
            if damaged_chunks.contains(&chunk.id) {
                // It may have been stored a second time, and then this finds it.
                reader.read(chunk.id)?;
            }
            Ok(Lacks::default())
        })?;
        if let Some(chunk) = lacks {
            return Err(repo::Error::MissingChunk { chunk }.into());
        }
        if len_bytes != content.len_bytes {
            let why = format!("its chunks have {len_bytes} bytes where it lists {}", content.len_bytes);
            return Err(model::Error::Damaged { what: "content", why });
        }
        Ok(())
    }
}

/// Whether a root is what the component says.
const fn is_of_kind(component: &Component, root: &Node) -> bool {
    match component.kind {
        ComponentKind::Directory | ComponentKind::Database | ComponentKind::Volume => root.is_directory(),
        ComponentKind::Stream => matches!(root.kind, NodeKind::File { .. }),
    }
}

/// Notes that the directory that was entered last lacks something.
fn lack(open: &mut [Open]) {
    if let Some(last) = open.last_mut() {
        last.lacks = true;
    }
}

/// Packs that the index lists and that are missing or have another length.
pub(super) fn broken_packs(repository: &Repository, index: &Index) -> Result<HashSet<PackId>, Error> {
    let mut listed = index.packs();
    let mut broken = HashSet::new();
    for ListedPack { id, len_bytes } in pack::list(repository.storage()).map_err(repo::Error::from)? {
        let is_as_listed = |pack: ListedPack| pack.len_bytes == len_bytes || index.lists_pack(id, len_bytes);
        if listed.remove(&id).is_some_and(|pack| !is_as_listed(pack)) {
            broken.insert(id);
        }
    }
    broken.extend(listed.into_keys());
    Ok(broken)
}
