//! Whether packs bear out what segments say of them. A segment is a copy of what the directories of its packs say: where they
//! do not say the same, it is the segment that is wrong.
//!
//! A directory is read once for each segment that lists its pack. Whether the plaintext is what a directory says is not known
//! here.

use std::collections::HashSet;

use super::{ChunkSet, Index, Location};
use crate::id::{PackId, SegmentId};
use crate::pack::{self, BlockPlace, PackReader};
use crate::storage::Storage;

/// The places of an index that the directories of their packs bear out: a bit for each chunk, of the packs that were looked at.
#[derive(Debug)]
pub struct Confirmed {
    segments: usize,
    packs: HashSet<(u32, PackId)>,
    places: ChunkSet,
}

impl Confirmed {
    /// Nothing is known yet of the segments that the index has. Those that are added to it later are believed.
    #[must_use]
    pub fn new(index: &Index) -> Self {
        Self { segments: index.segments.len(), packs: HashSet::new(), places: index.chunk_set() }
    }

    /// Whether the directory of its pack has the chunk at this place. One that cannot be read has nothing.
    pub fn has(&mut self, storage: &dyn Storage, index: &Index, location: &Location) -> bool {
        if self.places.contains(location) || location.segment as usize >= self.segments {
            return true;
        }
        let Some(place) = index.place(location.block_key()) else { return false };
        if self.packs.contains(&(location.segment, place.pack)) {
            return false;
        }
        self.look_at(storage, index, (location.segment, place.pack)).is_ok() && self.places.contains(location)
    }

    /// Takes note of every place in a pack of a segment that the directory of the pack bears out.
    ///
    /// # Errors
    /// [`pack::Error`] when the directory cannot be read.
    pub fn look_at(
        &mut self,
        storage: &dyn Storage,
        index: &Index,
        (segment, pack): (u32, PackId),
    ) -> Result<(), pack::Error> {
        self.packs.insert((segment, pack));
        let reader = PackReader::open(storage, pack)?;
        let directory = reader.directory()?;
        let Some(mapped) = index.segments.get(segment as usize) else { return Ok(()) };
        if mapped.packs().any(|listed| listed.id == pack && listed.len_bytes != reader.len_bytes()) {
            return Ok(());
        }
        for entry in &directory.blocks {
            let place = BlockPlace::of(pack, entry);
            let is_block = |block| {
                mapped.place(block) == Some(place) && mapped.bases(block).is_some_and(|bases| bases == entry.bases)
            };
            // The chunks of a block name the same one, but for segments that list a pack twice.
            let (mut offset, mut last) = (0, None);
            for chunk in &entry.chunks {
                for (record, hit) in mapped.records(chunk.id.as_bytes()) {
                    if last.is_none_or(|(block, _)| block != hit.block) {
                        last = Some((hit.block, is_block(hit.block)));
                    }
                    let is_there = (hit.offset, hit.len_bytes) == (offset, chunk.len_bytes);
                    if is_there && last.is_some_and(|(_, is_block)| is_block) {
                        let (block, len_bytes) = (hit.block, hit.len_bytes);
                        self.places.insert(&Location { segment, block, record, offset, len_bytes });
                    }
                }
                offset += chunk.len_bytes;
            }
        }
        Ok(())
    }

    /// How many chunks each segment lists where their packs do not have them, once all packs were looked at but those whose
    /// directory is not known. Segments without any are left out.
    #[must_use]
    pub fn contradicted(&self, index: &Index, not_known: &HashSet<PackId>) -> Vec<(SegmentId, u64)> {
        let mut found = Vec::new();
        for (segment, mapped) in (0_u32..).zip(&index.segments) {
            let mut count = 0;
            for record in 0..mapped.chunk_count() {
                let Some(hit) = mapped.chunk(record) else { continue };
                let location =
                    Location { segment, block: hit.block, record, offset: hit.offset, len_bytes: hit.len_bytes };
                if !self.places.contains(&location) {
                    let is_known = mapped.place(hit.block).is_none_or(|place| !not_known.contains(&place.pack));
                    count += u64::from(is_known);
                }
            }
            if count > 0 {
                found.push((mapped.id(), count));
            }
        }
        found
    }
}
