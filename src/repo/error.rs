//! What can go wrong with a repository as a whole.

use crate::cancel::Cancelled;
use crate::id::{ChunkId, PackId};
use crate::{index, pack, parity, storage};

/// An operation on a repository failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository at this place.
    #[error("there is no repository in {place}")]
    NotFound {
        /// Where it was looked for.
        place: String,
    },
    /// No repository is made where something lies already that would count as a part of it.
    #[error(
        "no repository is made in {place}, which has no config of one, and has {found}: a new one would lie between what is there"
    )]
    Occupied {
        /// Where it was to be made.
        place: String,
        /// What lies there.
        found: String,
    },
    /// The `config` object is there and is none of ours.
    #[error("{place} is not the config of a larder repository: {why}")]
    BadConfig {
        /// Where it lies.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// The repository was made by an older program, in a format that is not read any more.
    #[error("the repository {place} has format {found}, which this program does not read: it reads format {known}")]
    OlderVersion {
        /// Where it is.
        place: String,
        /// The version of the repository.
        found: u64,
        /// The version that this program reads.
        known: u64,
    },
    /// The repository was made by a newer program.
    #[error("the repository {place} has format {found}, which this program does not know: it knows format {known}")]
    NewerVersion {
        /// Where it is.
        place: String,
        /// The version of the repository.
        found: u64,
        /// The newest version that this program knows.
        known: u64,
    },
    /// The `config` object is whole, and was written by a program that knows more.
    #[error("{place} is whole, and has something that this program does not know: {why}")]
    UnknownConfig {
        /// Where it lies.
        place: String,
        /// What is not known in it.
        why: String,
    },
    /// A pack is whole, and was written by a program that knows more.
    #[error("the pack {pack} is whole, and has a header that this program does not know, as one that is sealed")]
    UnknownPack {
        /// The pack.
        pack: PackId,
    },
    /// The repository needs something of its programs that this one does not have.
    #[error("to {operation} this repository a program needs the feature '{feature}', which this one does not know")]
    UnknownFeature {
        /// What was to be done.
        operation: &'static str,
        /// The feature.
        feature: String,
    },
    /// The system gave no random bytes for the name of a new repository.
    #[error("cannot make a random name for the repository")]
    Random {
        /// Why it failed.
        source: std::io::Error,
    },
    /// A chunk is listed by no segment of the index.
    #[error("chunk {chunk} is in no pack that the index lists")]
    MissingChunk {
        /// The chunk.
        chunk: ChunkId,
    },
    /// A pack failed.
    #[error(transparent)]
    Pack(#[from] pack::Error),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] index::Error),
    /// Parity failed.
    #[error(transparent)]
    Parity(#[from] parity::Error),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The repository changed in a way that the plan of a collection does not allow for.
    #[error("another process has deleted from the repository meanwhile")]
    Changed,
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// A thread of a transaction ended without a word, which only a defect of the program can cause.
    #[error("a writing thread stopped unexpectedly")]
    WriterStopped,
}

impl Error {
    /// Whether this says that the storage has no room left.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Storage(storage::Error::Full { .. })
                | Self::Pack(pack::Error::Storage(storage::Error::Full { .. }))
                | Self::Index(index::Error::Storage(storage::Error::Full { .. }))
                | Self::Parity(parity::Error::Storage(storage::Error::Full { .. }))
        )
    }

    /// Whether this says that the repository is damaged, and not that it cannot be used at the moment.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::MissingChunk { .. } | Self::BadConfig { .. } => true,
            Self::Pack(source) => source.is_damage(),
            Self::Index(source) => source.is_damage(),
            Self::Parity(source) => source.is_damage(),
            Self::Storage(source) => source.is_damage(),
            _ => false,
        }
    }
}
