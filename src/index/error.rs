//! Why the index could not be read or written.

use crate::id::{ChunkId, PackId};
use crate::{pack, storage};

/// The index could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes of a segment are not what a segment has at this place.
    #[error("index segment {segment} is damaged: {what}")]
    Damaged {
        /// The name of the segment.
        segment: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A segment says what the directory of a pack does not.
    #[error("index segment {segment} lists chunk {chunk} where pack {pack} does not have it")]
    Contradicted {
        /// The name of the segment.
        segment: String,
        /// The pack.
        pack: PackId,
        /// The chunk.
        chunk: ChunkId,
    },
    /// There are more segments than any repository should have.
    #[error("the index has {0} segments, more than this version opens")]
    TooMany(usize),
    /// The operating system gave no random bytes for the header.
    #[error("cannot get random bytes from the operating system")]
    Random(#[source] std::io::Error),
    /// A pack could not be read.
    #[error(transparent)]
    Pack(#[from] pack::Error),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Error {
    /// Whether this says that the repository is damaged, and not that it cannot be used at the moment.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Contradicted { .. } => true,
            Self::Pack(source) => source.is_damage(),
            Self::Storage(source) => source.is_damage(),
            Self::TooMany(_) | Self::Random(_) => false,
        }
    }
}
