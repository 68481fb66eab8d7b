//! Which chunks are in use, and which others these need: one bit for each chunk of an index.
//!
//! A chunk that lies in several places is in use at one of them, the one that needs the fewest other blocks: whatever needs
//! the chunk can be read from there. Which chunks are wanted comes from above.

use std::collections::HashMap;
use std::sync::Arc;

use crate::id::{ChunkId, PackId};
use crate::index::{self, BlockKey, BlockLengths, ChunkSet, Index, Location};
use crate::limits::{BASE_ID_BYTES, ID_BYTES};
use crate::pack::{self, BlockPlace};
use crate::repo::Error;

/// About what a chunk takes beside its payload, in bytes: its entries in the block, the directory and the index.
const CHUNK_COST_BYTES: u64 = 4 + (ID_BYTES as u64 + 4) + (ID_BYTES as u64 + 12);
/// About what a block takes beside its chunks and bases, in bytes.
const BLOCK_COST_BYTES: u64 = 32 + 18 + 24;
/// What a base takes, in bytes.
const BASE_COST_BYTES: u64 = 3 * BASE_ID_BYTES as u64;

/// The chunks of an index that are in use: those that are wanted from above, and those that these need.
#[derive(Debug)]
pub struct Marks {
    pub(super) index: Arc<Index>,
    wanted: ChunkSet,
    /// Plaintext of each block that is wanted from above, in bytes.
    wanted_blocks: BlockLengths,
    chunks: ChunkSet,
    /// Those of them that have other places too.
    several: ChunkSet,
    /// Plaintext in use of each block, in bytes.
    blocks: BlockLengths,
    /// Blocks that are to be stored without bases, so that they need none, and about the bytes that they take then.
    without_bases: HashMap<BlockKey, u64>,
    bytes: u64,
    waiting: Vec<BlockKey>,
}

impl Marks {
    /// Nothing of the index is in use.
    #[must_use]
    pub fn new(index: Arc<Index>) -> Self {
        Self {
            wanted: index.chunk_set(),
            wanted_blocks: index.block_lengths(),
            chunks: index.chunk_set(),
            several: index.chunk_set(),
            blocks: index.block_lengths(),
            without_bases: HashMap::new(),
            bytes: 0,
            waiting: Vec::new(),
            index,
        }
    }

    /// The same is wanted, and what these blocks are encoded against is in use only where something else needs it.
    ///
    /// # Errors
    /// [`Error::Index`] when a segment is damaged.
    pub(super) fn storing_without_bases(&self, without_bases: HashMap<BlockKey, u64>) -> Result<Self, Error> {
        let index = Arc::clone(&self.index);
        let mut marks = Self {
            wanted: self.wanted.clone(),
            wanted_blocks: self.wanted_blocks.clone(),
            chunks: self.wanted.clone(),
            // Of those that are no more in use too: whoever asks looks.
            several: self.several.clone(),
            blocks: self.wanted_blocks.clone(),
            without_bases,
            bytes: 0,
            waiting: Vec::new(),
            index: Arc::clone(&index),
        };
        for block in index.blocks().filter(|block| self.wanted_blocks.get(*block) > 0) {
            if !marks.without_bases.contains_key(&block) {
                marks.add_bases(block)?;
                marks.settle()?;
            }
        }
        Ok(marks)
    }

    /// The same is wanted, and these places do not have their chunks.
    ///
    /// # Errors
    /// [`Error::MissingChunk`] when one has no other place; those of [`Marks::insert`].
    pub(super) fn without(&self, untrue: impl IntoIterator<Item = Location>) -> Result<Self, Error> {
        let mut index = Index::clone(&self.index);
        index.avoid_places(untrue);
        let mut marks = Self::new(Arc::new(index));
        for (id, _) in self.index.chunks_of(&self.wanted) {
            marks.insert(&id)?;
        }
        Ok(marks)
    }

    /// The chunks in use that have several places, and the one at which they are.
    pub(super) fn several(&self) -> impl Iterator<Item = (ChunkId, Location)> + '_ {
        self.index.chunks_of(&self.several).filter(|(_, location)| self.chunks.contains(location))
    }

    /// The chunks in use that a block may take for this one, when it is a base, and where they are.
    pub(super) fn places_like(&self, id: ChunkId) -> Vec<(ChunkId, Location)> {
        let found: Vec<_> = self.index.all_base_locations(&id.into()).collect();
        found.into_iter().filter(|(_, location)| self.chunks.contains(location)).collect()
    }

    /// Where the chunk is in use, if it is.
    pub(super) fn place_of(&self, id: &ChunkId) -> Option<Location> {
        self.index.shallowest(id).filter(|location| self.chunks.contains(location))
    }

    /// About the bytes that everything in use takes in packs and index.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A chunk is in use, and with it everything that its block needs.
    ///
    /// # Errors
    /// [`Error::MissingChunk`]; [`Error::Pack`] when something is nowhere that its block needs.
    pub fn insert(&mut self, id: &ChunkId) -> Result<(), Error> {
        let (location, places) = self.index.shallowest_of(id).ok_or(Error::MissingChunk { chunk: *id })?;
        if self.wanted.insert(&location) {
            self.wanted_blocks.add(location.block_key(), location.len_bytes.max(1));
        }
        self.add(&location, |_| places);
        self.settle()?.map_or(Ok(()), Err)
    }

    /// Everything is in use that some block needs, whether it is in use itself or not. Says whether anything was added; what
    /// is nowhere is left out.
    pub(super) fn insert_bases(&mut self, block: BlockKey) -> Result<bool, Error> {
        let before = self.bytes;
        self.add_bases(block)?;
        self.settle()?;
        Ok(self.bytes != before)
    }

    /// Adds what the blocks need that have become needed. Returns what is wrong when some of it is nowhere.
    fn settle(&mut self) -> Result<Option<Error>, Error> {
        let mut lost = None;
        while let Some(block) = self.waiting.pop() {
            lost = self.add_bases(block)?.or(lost);
        }
        Ok(lost)
    }

    /// How much plaintext of the block is in use, in bytes.
    pub(super) fn len_of(&self, block: BlockKey) -> u32 {
        self.blocks.get(block)
    }

    /// Whether something of the block is in use, but only for what is encoded against it.
    pub(super) fn is_only_base(&self, block: BlockKey) -> bool {
        self.blocks.get(block) > 0 && self.wanted_blocks.get(block) == 0
    }

    /// Whether the block is to be stored without bases.
    pub(super) fn is_without_bases(&self, block: BlockKey) -> bool {
        self.without_bases.contains_key(&block)
    }

    /// The blocks that are to be stored without bases.
    pub(super) fn without_bases(&self) -> impl Iterator<Item = BlockKey> + '_ {
        self.without_bases.keys().copied()
    }

    /// About the bytes that what is in use of a block takes, or will take, in packs.
    pub(super) fn stored_bytes(&self, block: BlockKey, place: &BlockPlace) -> u64 {
        let share =
            u64::from(place.stored_bytes) * u64::from(self.blocks.get(block)) / u64::from(place.raw_bytes.max(1));
        self.without_bases.get(&block).copied().unwrap_or(share)
    }

    /// Where the chunk is in use, if it is so in this block.
    pub(super) fn place_in(&self, id: &ChunkId, pack: PackId, payload_offset: u64) -> Option<Location> {
        let location = self.place_of(id)?;
        let place = self.index.place(location.block_key())?;
        (place.pack == pack && place.payload_offset == payload_offset).then_some(location)
    }

    fn add(&mut self, location: &Location, places: impl FnOnce(&Index) -> usize) {
        if !self.chunks.insert(location) {
            return;
        }
        if places(&self.index) > 1 {
            self.several.insert(location);
        }
        let block = location.block_key();
        // No chunk is empty; a damaged index that says so must not hide that the block is needed.
        let before = self.blocks.add(block, location.len_bytes.max(1));
        let share = |len: u32| match self.index.place(block) {
            Some(place) => u64::from(place.stored_bytes) * u64::from(len) / u64::from(place.raw_bytes.max(1)),
            None => 0,
        };
        self.bytes += CHUNK_COST_BYTES + share(self.blocks.get(block)).saturating_sub(share(before));
        if before == 0 {
            let bases = self.index.block(block).map_or(0, |(_, bases)| bases.len() as u64);
            self.bytes += BLOCK_COST_BYTES + bases * BASE_COST_BYTES;
            self.waiting.push(block);
        }
    }

    /// Adds what a block is encoded against. Returns what is wrong when some of it is nowhere.
    fn add_bases(&mut self, block: BlockKey) -> Result<Option<Error>, index::Error> {
        let (place, bases) = self.index.block(block)?;
        let mut lost = None;
        for base in &bases {
            if let Some((_, location)) = self.index.shallowest_base(base, place.depth) {
                // A base has no more than the beginning of an id, and others may begin so too.
                self.add(&location, |index| index.all_base_locations(base).take(2).count());
            } else {
                let what = "a chunk that it is encoded against is nowhere";
                let (pack, offset) = (place.pack, place.payload_offset);
                lost = Some(pack::Error::Damaged { pack, offset, what }.into());
            }
        }
        Ok(lost)
    }
}
