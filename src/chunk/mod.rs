//! Chunks: runs of plaintext cut at places that depend on the content alone.
//!
//! The sizes are fixed per repository and checked here, because the cutting library checks them in debug builds
//! only. This floor knows neither blocks nor files.

mod cdc;

use serde::{Deserialize, Serialize};

pub use cdc::{Chunker, Gear};

use crate::id::ChunkId;
use crate::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};

/// A chunk by its id and the length of its plaintext in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChunkRef {
    /// The name of the chunk.
    pub id: ChunkId,
    /// Length of the plaintext in bytes.
    pub len_bytes: u32,
}

/// Chunk sizes that cannot be cut.
#[derive(Debug, thiserror::Error)]
#[error("chunk sizes {min}/{avg}/{max} are not valid: {reason}")]
pub struct SizesError {
    min: u32,
    avg: u32,
    max: u32,
    reason: &'static str,
}

/// The chunk sizes of a repository, in bytes. Always valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSizes", into = "RawSizes")]
pub struct ChunkSizes {
    min: u32,
    avg: u32,
    max: u32,
}

impl ChunkSizes {
    /// The sizes of new repositories; `docs/performance.md` has the measurements behind them.
    pub const DEFAULT: Self = Self { min: 8 << 10, avg: 32 << 10, max: 128 << 10 };

    /// Sizes with `min < avg < max`: an average that is a power of two, even bounds.
    ///
    /// # Errors
    /// [`SizesError`] when the cutter would misbehave with them.
    pub const fn new(min: u32, avg: u32, max: u32) -> Result<Self, SizesError> {
        let reason = if !avg.is_power_of_two() {
            "the average must be a power of two"
        } else if !min.is_multiple_of(2) || !max.is_multiple_of(2) {
            "the smallest and the largest must be even"
        } else if min < CHUNK_BYTES_MIN || max > CHUNK_BYTES_MAX {
            "they must lie between 256 bytes and 512 KiB"
        } else if min >= avg || avg >= max {
            "the average must lie between the smallest and the largest"
        } else {
            return Ok(Self { min, avg, max });
        };
        Err(SizesError { min, avg, max, reason })
    }

    /// Length of the shortest chunk that is not the end of its content, in bytes.
    #[must_use]
    pub const fn min(&self) -> usize {
        self.min as usize
    }

    /// The length that chunks are normalized towards, in bytes.
    #[must_use]
    pub const fn avg(&self) -> usize {
        self.avg as usize
    }

    /// Length of the longest chunk, in bytes.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max as usize
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSizes {
    min: u32,
    avg: u32,
    max: u32,
}

impl TryFrom<RawSizes> for ChunkSizes {
    type Error = SizesError;

    fn try_from(raw: RawSizes) -> Result<Self, SizesError> {
        Self::new(raw.min, raw.avg, raw.max)
    }
}

impl From<ChunkSizes> for RawSizes {
    fn from(sizes: ChunkSizes) -> Self {
        Self { min: sizes.min, avg: sizes.avg, max: sizes.max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_the_cutter_would_take_silently_are_refused() {
        assert!(ChunkSizes::new(4 << 10, 16 << 10, 64 << 10).is_ok());
        for (min, avg, max) in [
            (4096, 16_000, 65_536),
            (4097, 16_384, 65_536),
            (4096, 16_384, 65_537),
            (64, 16_384, 65_536),
            (16_384, 16_384, 65_536),
            (4096, 16_384, 16_384),
            (4096, 16_384, 1 << 20),
        ] {
            assert!(ChunkSizes::new(min, avg, max).is_err(), "{min}/{avg}/{max}");
        }
    }
}
