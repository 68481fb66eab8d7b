//! Contents: ordered lists of chunks.
//!
//! A list that is too long for its node is itself stored as content, of a depth one higher, so that neither a node
//! nor the memory that it needs grows with the file.

use serde::{Deserialize, Serialize};

use crate::chunk::ChunkRef;
use crate::id::{ChunkId, Digest};
use crate::limits::ID_BYTES;
use crate::little_endian::FieldReader;

/// Bytes of one entry of a stored list.
pub(super) const ENTRY_BYTES: usize = ID_BYTES + 4;

/// An ordered list of chunks and the length of what they are together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Length of the plaintext in bytes.
    pub len_bytes: u64,
    /// 0: `chunks` are the content. Otherwise they are the content of a list of depth `depth - 1`.
    pub depth: u8,
    /// The chunks, or those of the list.
    pub chunks: Vec<ChunkRef>,
}

impl Content {
    /// The content that holds its list, where the list is stored. Its length is the most that the list may have.
    #[must_use]
    pub fn list(&self) -> Option<Self> {
        let depth = self.depth.checked_sub(1)?;
        // No chunk is empty, so it has no more entries than the content has bytes.
        let len_bytes = self.len_bytes.saturating_mul(ENTRY_BYTES as u64);
        Some(Self { len_bytes, depth, chunks: self.chunks.clone() })
    }

    /// One name for all contents of this length, depth and chunks.
    #[must_use]
    pub fn identity(&self) -> Digest {
        let Self { len_bytes, depth, chunks } = self;
        let mut bytes = Vec::with_capacity(9 + chunks.len() * ID_BYTES);
        bytes.extend_from_slice(&len_bytes.to_le_bytes());
        bytes.push(*depth);
        bytes.extend(chunks.iter().flat_map(|chunk| *chunk.id.as_bytes()));
        Digest::of(&bytes)
    }
}

pub(super) fn encode_entry(chunk: ChunkRef) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    let (id, len) = entry.split_at_mut(ID_BYTES);
    id.copy_from_slice(chunk.id.as_bytes());
    len.copy_from_slice(&chunk.len_bytes.to_le_bytes());
    entry
}

pub(super) fn decode_entry(bytes: &[u8; ENTRY_BYTES]) -> Option<ChunkRef> {
    let mut fields = FieldReader::new(bytes);
    Some(ChunkRef { id: ChunkId::from_bytes(fields.array()?), len_bytes: fields.u32()? })
}
