//! What a component takes, stored in different ways, and sums of that.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// What one component of one night takes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Length of its files.
    pub live_bytes: u64,
    /// All of it in a copy of its own, compressed in the blocks that Larder uses.
    pub copies_bytes: u64,
    /// Its chunks that were in no earlier component, as they are.
    pub dedup_bytes: u64,
    /// The same chunks compressed, none against others.
    pub compressed_bytes: u64,
    /// The same chunks as they are stored.
    pub stored_bytes: u64,
    /// How many these chunks are.
    pub chunks: u64,
}

impl Add for Figures {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            live_bytes: self.live_bytes + other.live_bytes,
            copies_bytes: self.copies_bytes + other.copies_bytes,
            dedup_bytes: self.dedup_bytes + other.dedup_bytes,
            compressed_bytes: self.compressed_bytes + other.compressed_bytes,
            stored_bytes: self.stored_bytes + other.stored_bytes,
            chunks: self.chunks + other.chunks,
        }
    }
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Figures {
    fn sum<I: Iterator<Item = Self>>(figures: I) -> Self {
        figures.fold(Self::default(), Self::add)
    }
}
