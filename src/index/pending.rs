//! What a running transaction has stored and no segment lists yet.

use std::collections::HashSet;

use crate::id::ChunkId;
use crate::limits::SEGMENT_CHUNKS_TARGET;
use crate::pack::FinishedPack;
use crate::storage::Storage;

use super::{Error, Segment, SegmentBuilder};

/// Chunks on their way into packs, and finished packs on their way into a segment.
#[derive(Debug, Default)]
pub struct Pending {
    chunks: HashSet<ChunkId>,
    finished: Vec<FinishedPack>,
    finished_chunks: usize,
}

impl Pending {
    /// Takes note of a chunk that will be stored; `false` when it is on its way already.
    pub fn insert(&mut self, id: ChunkId) -> bool {
        self.chunks.insert(id)
    }

    /// Whether a chunk is on its way.
    #[must_use]
    pub fn contains(&self, id: &ChunkId) -> bool {
        self.chunks.contains(id)
    }

    /// Takes note of a pack that is durable.
    pub fn pack_finished(&mut self, pack: FinishedPack) {
        self.finished_chunks += pack.directory.blocks.iter().map(|block| block.chunks.len()).sum::<usize>();
        self.finished.push(pack);
    }

    /// Whether enough is durable to be worth a segment.
    #[must_use]
    pub const fn is_segment_due(&self) -> bool {
        self.finished_chunks >= SEGMENT_CHUNKS_TARGET
    }

    /// Writes a segment of the packs that are durable; `None` when there are none.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn write_segment(&mut self, storage: &dyn Storage) -> Result<Option<Segment>, Error> {
        if self.finished.is_empty() {
            return Ok(None);
        }
        let mut builder = SegmentBuilder::default();
        for pack in &self.finished {
            builder.add(pack.id, pack.len_bytes, &pack.directory);
        }
        let segment = builder.write(storage)?;
        for chunk in self.finished.drain(..).flat_map(|pack| pack.directory.blocks).flat_map(|block| block.chunks) {
            self.chunks.remove(&chunk.id);
        }
        self.finished_chunks = 0;
        Ok(Some(segment))
    }
}
