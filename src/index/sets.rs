//! Sets of the chunks and blocks of one index, a bit each, and a number for each of its blocks.
//!
//! They are as large as the index was when they were made, and know nothing of segments that are added later.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{BlockKey, Location};

/// Chunks of one index, a bit each. A segment that is added later is not covered.
#[derive(Debug, Clone)]
pub struct ChunkSet {
    pub(super) starts: Vec<usize>,
    pub(super) bits: Vec<u64>,
}

/// Blocks of one index, a bit each, that several threads may add to.
#[derive(Debug)]
pub struct BlockSet {
    pub(super) starts: Vec<usize>,
    pub(super) bits: Vec<AtomicU64>,
}

impl ChunkSet {
    fn bit(&self, location: &Location) -> Option<(usize, u64)> {
        let ordinal = self.starts.get(location.segment as usize)? + location.record as usize;
        Some((ordinal / 64, 1 << (ordinal % 64)))
    }

    /// Adds the chunk at one of its places; `false` when it was in the set.
    pub fn insert(&mut self, location: &Location) -> bool {
        let Some((word, bit)) = self.bit(location) else { return false };
        let Some(word) = self.bits.get_mut(word) else { return false };
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// The segments and records of the chunks in the set, in order.
    pub(super) fn records(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let words = self.bits.iter().enumerate().filter(|(_, word)| **word != 0);
        let ordinals = words.flat_map(|(number, word)| {
            (0..64).filter(move |bit| *word & (1 << bit) != 0).map(move |bit| number * 64 + bit)
        });
        ordinals.filter_map(|ordinal| {
            let segment = self.starts.partition_point(|start| *start <= ordinal).checked_sub(1)?;
            let record = ordinal - self.starts.get(segment)?;
            Some((u32::try_from(segment).ok()?, u32::try_from(record).ok()?))
        })
    }

    /// Whether the chunk was added at this place.
    #[must_use]
    pub fn contains(&self, location: &Location) -> bool {
        self.bit(location).is_some_and(|(word, bit)| self.bits.get(word).is_some_and(|word| word & bit != 0))
    }
}

/// A number of bytes for each block of one index.
#[derive(Debug, Clone)]
pub struct BlockLengths {
    pub(super) starts: Vec<usize>,
    pub(super) lengths: Vec<u32>,
}

impl BlockLengths {
    /// Adds bytes to a block, and says how many it had before.
    pub fn add(&mut self, block: BlockKey, bytes: u32) -> u32 {
        let ordinal = self.starts.get(block.segment as usize).map(|start| start + block.block as usize);
        let Some(length) = ordinal.and_then(|ordinal| self.lengths.get_mut(ordinal)) else { return 0 };
        let before = *length;
        *length = before.saturating_add(bytes);
        before
    }

    /// How many bytes the block has.
    #[must_use]
    pub fn get(&self, block: BlockKey) -> u32 {
        let ordinal = self.starts.get(block.segment as usize).map(|start| start + block.block as usize);
        ordinal.and_then(|ordinal| self.lengths.get(ordinal)).copied().unwrap_or(0)
    }
}

impl BlockSet {
    fn bit(&self, block: BlockKey) -> Option<(&AtomicU64, u64)> {
        let ordinal = self.starts.get(block.segment as usize)? + block.block as usize;
        Some((self.bits.get(ordinal / 64)?, 1 << (ordinal % 64)))
    }

    /// Adds a block.
    pub fn insert(&self, block: BlockKey) {
        if let Some((word, bit)) = self.bit(block) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Whether the block was added.
    #[must_use]
    pub fn contains(&self, block: BlockKey) -> bool {
        self.bit(block).is_some_and(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }
}
