//! What `stats` says.

use larder::model::{Snapshot, SnapshotName};
use larder::pipeline::stats::{RepositoryStats, SnapshotStats};
use serde::Serialize;

use crate::app::snapshots::Taken;

/// What the repository takes.
#[derive(Debug, Serialize)]
pub(crate) struct RepositoryDocument {
    /// Bytes that `prune` leaves at most; none for no limit.
    bytes_max: Option<u64>,
    snapshots: u64,
    bytes_in_snapshots: u64,
    stored_bytes: u64,
    ratio: f64,
    data_packs: u64,
    data_pack_bytes: u64,
    tree_packs: u64,
    tree_pack_bytes: u64,
    segments: u64,
    segment_bytes: u64,
    manifest_bytes: u64,
    parity_objects: u64,
    parity_bytes: u64,
    quarantine_objects: u64,
    quarantine_bytes: u64,
    chunks: u64,
}

/// What one snapshot refers to.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotStatsDocument<'a> {
    name: &'a SnapshotName,
    bytes: u64,
    entries: u64,
    chunks: u64,
    chunk_bytes: u64,
}

/// How many times as much the snapshots would take as full copies; 0 where nothing is stored.
pub(crate) fn ratio(stats: &RepositoryStats) -> f64 {
    let stored = stats.stored_bytes();
    if stored == 0 { 0.0 } else { stats.bytes_in_snapshots as f64 / stored as f64 }
}

impl RepositoryDocument {
    pub(crate) fn new(taken: &Taken) -> Self {
        let stats = &taken.stats;
        Self {
            bytes_max: taken.bytes_max,
            snapshots: stats.snapshots,
            bytes_in_snapshots: stats.bytes_in_snapshots,
            stored_bytes: stats.stored_bytes(),
            ratio: ratio(stats),
            data_packs: stats.data_packs.0,
            data_pack_bytes: stats.data_packs.1,
            tree_packs: stats.tree_packs.0,
            tree_pack_bytes: stats.tree_packs.1,
            segments: stats.segments.0,
            segment_bytes: stats.segments.1,
            manifest_bytes: stats.manifest_bytes,
            parity_objects: stats.parity.0,
            parity_bytes: stats.parity.1,
            quarantine_objects: stats.quarantine.0,
            quarantine_bytes: stats.quarantine.1,
            chunks: stats.chunks,
        }
    }
}

impl<'a> SnapshotStatsDocument<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, stats: &SnapshotStats) -> Self {
        let SnapshotStats { entries, chunks, chunk_bytes, .. } = *stats;
        Self { name: &snapshot.name, bytes: snapshot.bytes(), entries, chunks, chunk_bytes }
    }
}
