//! Packs: files of blocks, each block one or more chunks encoded together.
//!
//! A pack describes itself twice, in the header of each block and in the directory at its end, and is named by the
//! BLAKE3 of the whole file. This floor moves bytes between packs and plaintext; it does not know which chunks are
//! wanted or who refers to them.

mod block;
mod delta;
mod layout;
mod object;
mod reader;
mod scan;
mod writer;

pub use block::{BlockDecoder, BlockEncoder, EncodedBlock, LEVEL, RawBlock};
pub use delta::Prefix;
pub use layout::{BlockEntry, Directory, Encoding};
pub use object::{ListedPack, area, id_of, key, list, version};
pub use reader::{BlockPlace, PackReader, check_block, check_chunk, chunk_range, read_block};
pub use scan::{BlockScan, FoundBlock, Scanned};
pub use writer::{FinishedPack, PackWriter};

pub use crate::id::PackKind;
use crate::id::{ChunkId, PackId};
use crate::storage;

/// A pack could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes of the pack are not what a pack has at this place.
    #[error("pack {pack} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The pack.
        pack: PackId,
        /// Where in the file.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A chunk's plaintext has another id than the one it is listed under.
    #[error("pack {pack} is damaged at byte {offset}: chunk {chunk} has other content")]
    WrongChunk {
        /// The pack.
        pack: PackId,
        /// Where the payload of the chunk's block begins in the file.
        offset: u64,
        /// The chunk that was expected.
        chunk: ChunkId,
    },
    /// The block is encoded in a way that this version cannot decode.
    #[error("pack {pack} holds a block of encoding {encoding} at byte {offset}, which this version cannot read")]
    UnknownEncoding {
        /// The pack.
        pack: PackId,
        /// Where in the file.
        offset: u64,
        /// The number of the encoding.
        encoding: u8,
    },
    /// The operating system gave no random bytes for the header.
    #[error("cannot get random bytes from the operating system")]
    Random(#[source] std::io::Error),
    /// The compressor refused.
    #[error("cannot compress a block")]
    Compress(#[source] std::io::Error),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Error {
    /// The pack that is damaged.
    #[must_use]
    pub const fn pack(&self) -> Option<PackId> {
        match self {
            Self::Damaged { pack, .. } | Self::WrongChunk { pack, .. } | Self::UnknownEncoding { pack, .. } => {
                Some(*pack)
            }
            Self::Random(_) | Self::Compress(_) | Self::Storage(_) => None,
        }
    }

    /// Whether this says that the repository is damaged, and not that it cannot be used at the moment.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::WrongChunk { .. } => true,
            Self::Storage(source) => source.is_damage(),
            Self::UnknownEncoding { .. } | Self::Random(_) | Self::Compress(_) => false,
        }
    }
}
