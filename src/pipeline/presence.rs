//! Whether what a snapshot refers to is there: every chunk listed, every pack at its full length.
//!
//! Trees are read and checked for it; the chunks of files are looked up only.

use std::collections::HashSet;
use std::sync::Arc;

use super::Error;
use crate::id::{ChunkId, PackId};
use crate::index::{Index, ListedPack};
use crate::limits::TREES_REMEMBERED_MAX;
use crate::model::{self, Component, Content, ContentReader, FirstNames, Node, NodeKind, Step, Walk, show_path};
use crate::progress::{self, Progress};
use crate::repo::{self, ChunkReader, Repository};
use crate::storage::Area;

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

/// Looks for what is missing.
pub(super) struct Presence {
    reader: ChunkReader,
    seen_trees: HashSet<ChunkId>,
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
        Ok(Self { reader, seen_trees: HashSet::new(), damaged_chunks: HashSet::new(), missing: HashSet::new() })
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
        self.seen_trees.clear();
    }

    /// Everything of a component that cannot be restored. `entries` counts what was looked at.
    pub(super) fn lost(
        &mut self,
        component: &Component,
        entries: &mut u64,
        progress: &dyn Progress,
    ) -> Result<Vec<LostPath>, Error> {
        let mut lost = Vec::new();
        let Some(root) = component.root.clone() else { return Ok(lost) };
        let mut walk = Walk::new(root, component.name.as_str().as_bytes());
        let mut names = FirstNames::default();
        loop {
            match walk.next(&mut self.reader) {
                Ok(None) => return Ok(lost),
                Ok(Some(Step::Leave)) => {}
                Ok(Some(Step::Entry(node))) => {
                    progress::check(progress)?;
                    *entries += 1;
                    if self.is_known_tree(&node) {
                        walk.skip();
                    } else if let Err(cause) =
                        names.name(walk.path(), &node).and_then(|_| self.check_node(&node, progress))
                    {
                        if !cause.is_damage() {
                            progress::check(progress)?;
                            return Err(cause.into());
                        }
                        if node.is_directory() {
                            walk.skip();
                        }
                        lost.push(self.lose(&walk, cause));
                    }
                }
                Err(cause) if cause.is_damage() => lost.push(self.lose(&walk, cause)),
                Err(cause) => return Err(cause.into()),
            }
        }
    }

    fn lose(&mut self, walk: &Walk, cause: model::Error) -> LostPath {
        if let model::Error::Repo(repo::Error::MissingChunk { chunk }) = &cause {
            self.missing.insert(*chunk);
        }
        self.seen_trees.clear();
        LostPath { path: walk.path().to_vec(), cause }
    }

    /// Whether the same tree has been walked without a loss. A loss makes all of them forgotten, those around it too.
    fn is_known_tree(&mut self, node: &Node) -> bool {
        let NodeKind::Directory { tree } = &node.kind else { return false };
        let identity: Vec<u8> = tree.chunks.iter().flat_map(|chunk| *chunk.id.as_bytes()).collect();
        let identity = ChunkId::of(&identity);
        if self.seen_trees.len() >= TREES_REMEMBERED_MAX {
            return self.seen_trees.contains(&identity);
        }
        !self.seen_trees.insert(identity)
    }

    fn check_node(&mut self, node: &Node, progress: &dyn Progress) -> Result<(), model::Error> {
        match &node.kind {
            NodeKind::File { content, .. } => self.check_content(content, progress),
            NodeKind::Directory { tree } => self.check_content(tree, progress),
            _ => Ok(()),
        }
    }

    fn check_content(&mut self, content: &Content, progress: &dyn Progress) -> Result<(), model::Error> {
        let mut chunks = ContentReader::new(content.clone())?;
        let mut len_bytes = 0;
        let mut first_missing = None;
        while let Some(chunk) = chunks.next(&mut self.reader)? {
            progress::check(progress).map_err(repo::Error::from)?;
            // Some of its places may be untrue: those of another length are.
            let lengths = self.reader.index().locations(&chunk.id).map(|location| location.len_bytes);
            let Some(found_bytes) = lengths.min_by_key(|found| *found != chunk.len_bytes) else {
                self.missing.insert(chunk.id);
                first_missing.get_or_insert(repo::Error::MissingChunk { chunk: chunk.id });
                continue;
            };
            len_bytes += u64::from(found_bytes);
            if self.damaged_chunks.contains(&chunk.id) {
                // It may have been stored a second time, and then this finds it.
                self.reader.read(chunk.id)?;
            }
        }
        if let Some(error) = first_missing {
            return Err(error.into());
        }
        if len_bytes != content.len_bytes {
            let why = format!("its chunks have {len_bytes} bytes where it lists {}", content.len_bytes);
            return Err(model::Error::Damaged { what: "content", why });
        }
        Ok(())
    }
}

/// Packs that the index lists and that are missing or have another length.
pub(super) fn broken_packs(repository: &Repository, index: &Index) -> Result<HashSet<PackId>, Error> {
    let mut listed = index.packs();
    let mut broken = HashSet::new();
    for object in repository.storage().list(Area::Packs).map_err(repo::Error::from)? {
        let known = object.name.parse().ok().and_then(|id| listed.remove(&id));
        let is_as_listed =
            |pack: &ListedPack| pack.len_bytes == object.len_bytes || index.lists_pack(pack.id, object.len_bytes);
        if let Some(pack) = known.filter(|pack| !is_as_listed(pack)) {
            broken.insert(pack.id);
        }
    }
    broken.extend(listed.into_keys());
    Ok(broken)
}
