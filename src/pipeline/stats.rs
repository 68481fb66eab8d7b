//! What the repository holds and what it saves.

use std::sync::Arc;

use super::Error;
use crate::index::ChunkSet;
use crate::model::{Component, ListSums, NoSum, NodeKind, Snapshot, Step, Walk};
use crate::monitor::Monitor;
use crate::pack::PackKind;
use crate::repo::{self, ChunkReader, Repository};
use crate::storage::Area;

/// Figures of the whole repository.
#[derive(Debug, Default)]
pub struct RepositoryStats {
    /// Snapshots that can be read.
    pub snapshots: u64,
    /// Length of all their files together, as if each snapshot were a full copy.
    pub bytes_in_snapshots: u64,
    /// Packs of data and their length in bytes.
    pub data_packs: (u64, u64),
    /// Packs of trees and their length in bytes.
    pub tree_packs: (u64, u64),
    /// Segments and their length in bytes.
    pub segments: (u64, u64),
    /// Length of all manifests in bytes.
    pub manifest_bytes: u64,
    /// Parity objects and their length in bytes.
    pub parity: (u64, u64),
    /// Objects that a repair has put aside, and their length in bytes.
    pub quarantine: (u64, u64),
    /// Chunks that the index lists.
    pub chunks: u64,
}

impl RepositoryStats {
    /// Bytes that the repository takes.
    #[must_use]
    pub const fn stored_bytes(&self) -> u64 {
        self.data_packs.1
            + self.tree_packs.1
            + self.segments.1
            + self.manifest_bytes
            + self.parity.1
            + self.quarantine.1
    }
}

/// Figures of one snapshot beyond its manifest.
#[derive(Debug, Default)]
pub struct SnapshotStats {
    /// Entries of all kinds.
    pub entries: u64,
    /// Different chunks that its files and trees refer to.
    pub chunks: u64,
    /// Their plaintext in bytes.
    pub chunk_bytes: u64,
}

/// Counts what is in the repository, which has these snapshots.
///
/// # Errors
/// [`Error::Repo`].
pub fn repository(repository: &Repository, snapshots: &[Snapshot]) -> Result<RepositoryStats, Error> {
    let mut stats = RepositoryStats::default();
    for snapshot in snapshots {
        stats.snapshots += 1;
        stats.bytes_in_snapshots += snapshot.bytes();
    }
    let list = |area| repository.storage().list(area).map_err(repo::Error::from);
    stats.manifest_bytes = list(Area::Snapshots)?.iter().map(|object| object.len_bytes).sum();
    for (area, sum) in [(Area::Parity, &mut stats.parity), (Area::Quarantine, &mut stats.quarantine)] {
        let objects = list(area)?;
        *sum = (objects.len() as u64, objects.iter().map(|object| object.len_bytes).sum());
    }
    let index = repository.index()?;
    for pack in index.packs().into_values() {
        let sum = if pack.id.kind() == PackKind::Tree { &mut stats.tree_packs } else { &mut stats.data_packs };
        sum.0 += 1;
        sum.1 += pack.len_bytes;
    }
    for segment in index.segments() {
        stats.segments.0 += 1;
        stats.segments.1 += segment.len_bytes();
    }
    stats.chunks = index.chunk_count();
    Ok(stats)
}

/// Counts what one snapshot refers to.
///
/// # Errors
/// [`Error::Model`] when a tree cannot be read, [`Error::Cancelled`].
pub fn snapshot(repository: &Repository, snapshot: &Snapshot, monitor: &Monitor<'_>) -> Result<SnapshotStats, Error> {
    let mut stats = SnapshotStats::default();
    let mut reader = repository.reader()?;
    let mut seen = reader.index().chunk_set();
    for component in &snapshot.components {
        count_component(&mut reader, component, &mut stats, &mut seen, monitor)?;
    }
    Ok(stats)
}

fn count_component(
    reader: &mut ChunkReader,
    component: &Component,
    stats: &mut SnapshotStats,
    seen: &mut ChunkSet,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let Some(root) = component.root.clone() else { return Ok(()) };
    let mut walk = Walk::new(root, b"");
    let mut lists = ListSums::default();
    while let Some(step) = walk.next(reader)? {
        monitor.check()?;
        let Step::Entry(node) = step else { continue };
        stats.entries += 1;
        let (NodeKind::File { content, .. } | NodeKind::Directory { tree: content }) = node.kind else { continue };
        lists.add_up(&content, reader, |reader, chunk, is_list| {
            if !is_list && Arc::clone(reader.index()).insert(seen, &chunk.id) {
                stats.chunks += 1;
                stats.chunk_bytes += u64::from(chunk.len_bytes);
            }
            Ok(NoSum)
        })?;
    }
    Ok(())
}
