//! Where a chunk lies, and where a block is listed: numbers that only the index that gave them can follow.

/// Where a chunk lies: a block of a segment and a range of the block's plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    pub(super) segment: u32,
    pub(super) block: u32,
    /// Number of the chunk's record in its segment.
    pub(super) record: u32,
    /// Where the chunk begins in the plaintext of the block.
    pub offset: u32,
    /// Length of the chunk in bytes.
    pub len_bytes: u32,
}

impl Location {
    /// The block that holds the chunk.
    #[must_use]
    pub const fn block_key(&self) -> BlockKey {
        BlockKey { segment: self.segment, block: self.block }
    }

    /// The chunk's bytes within the plaintext of its block.
    #[must_use]
    pub const fn range(&self) -> std::ops::Range<usize> {
        self.offset as usize..self.offset as usize + self.len_bytes as usize
    }
}

/// A block by its place in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockKey {
    pub(super) segment: u32,
    pub(super) block: u32,
}

impl BlockKey {
    /// The number of the block's segment in the index.
    #[must_use]
    pub const fn segment(&self) -> u32 {
        self.segment
    }
}
