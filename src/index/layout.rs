//! The bytes of a segment: header, packs, blocks, bases, fan-out, chunks. `docs/format.md` draws them.
//!
//! Encoding and decoding of single records only, no I/O.
#![deny(clippy::indexing_slicing)]

use crate::id::{ChunkId, Digest, PackId, PackKind, checksum};
use crate::limits::{BASE_ID_BYTES, FANOUT_BITS_MAX, ID_BYTES, SALT_BYTES};
use crate::little_endian::{FieldReader, FieldWriter};

const MAGIC: [u8; 8] = *b"larder/i";
const VERSION: u16 = 2;

pub(super) const HEADER_BYTES: usize = 8 + 2 + 1 + 1 + 4 + 4 + 4 + 4 + 4 + SALT_BYTES + 8;
pub(super) const PACK_BYTES: usize = ID_BYTES + 8 + 1 + 7;
pub(super) const BLOCK_BYTES: usize = 4 + 4 + 4 + 4 + 1 + 1 + 2 + 4;
pub(super) const FANOUT_BYTES: usize = 4;
pub(super) const CHUNK_BYTES: usize = ID_BYTES + 4 + 4 + 4;

/// How many records of each kind a segment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) packs: u32,
    pub(super) blocks: u32,
    pub(super) bases: u32,
    pub(super) chunks: u32,
    pub(super) fanout_bits: u32,
}

/// Where the tables of a segment begin, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) packs: usize,
    pub(super) blocks: usize,
    pub(super) bases: usize,
    pub(super) fanout: usize,
    pub(super) chunks: usize,
    pub(super) end: usize,
}

impl Counts {
    /// Bits of the fan-out for a number of chunks: about sixteen chunks share an entry.
    pub(super) fn fanout_bits_for(chunks: u32) -> u32 {
        (chunks / 16).checked_ilog2().unwrap_or(0).min(FANOUT_BITS_MAX)
    }

    pub(super) fn tables(&self) -> Tables {
        let packs = HEADER_BYTES;
        let blocks = packs + self.packs as usize * PACK_BYTES;
        let bases = blocks + self.blocks as usize * BLOCK_BYTES;
        let fanout = bases + self.bases as usize * BASE_ID_BYTES;
        let chunks = fanout + (FANOUT_BYTES << self.fanout_bits);
        let end = chunks + self.chunks as usize * CHUNK_BYTES;
        Tables { packs, blocks, bases, fanout, chunks, end }
    }

    /// The header of a segment. By the salt, which never recurs, no two segments have the same name, whatever they list.
    pub(super) fn encode(&self, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.put_u16(VERSION);
        bytes.put_u8(u8::try_from(self.fanout_bits).expect("at most FANOUT_BITS_MAX"));
        bytes.put_u8(0);
        bytes.put_u32(self.packs);
        bytes.put_u32(self.blocks);
        bytes.put_u32(self.bases);
        bytes.put_u32(self.chunks);
        bytes.put_u32(0);
        bytes.extend_from_slice(salt);
        let sum = checksum(&bytes);
        bytes.put_u64(sum);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER_BYTES>()?;
        let (covered, sum) = header.split_last_chunk::<8>()?;
        let mut fields = FieldReader::new(covered);
        (fields.array::<8>()? == MAGIC && fields.u16()? == VERSION).then_some(())?;
        let fanout_bits = u32::from(fields.u8()?);
        (fields.u8()? == 0).then_some(())?;
        let (packs, blocks, bases, chunks) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        let valid =
            fields.u32()? == 0 && fanout_bits <= FANOUT_BITS_MAX && checksum(covered) == u64::from_le_bytes(*sum);
        valid.then_some(Self { packs, blocks, bases, chunks, fanout_bits })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PackRecord {
    pub(super) id: PackId,
    pub(super) len_bytes: u64,
}

impl PackRecord {
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.id.digest().as_bytes());
        bytes.put_u64(self.len_bytes);
        bytes.put_u8(self.id.kind().number());
        bytes.extend_from_slice(&[0; 7]);
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = FieldReader::new(bytes);
        let (digest, len_bytes) = (Digest::from_bytes(fields.array()?), fields.u64()?);
        Some(Self { id: PackId::new(PackKind::from_number(fields.u8()?)?, digest), len_bytes })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockRecord {
    pub(super) pack: u32,
    pub(super) payload_offset: u32,
    pub(super) stored_bytes: u32,
    pub(super) raw_bytes: u32,
    pub(super) encoding: u8,
    pub(super) depth: u8,
    pub(super) bases: u16,
    pub(super) base_first: u32,
}

impl BlockRecord {
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.put_u32(self.pack);
        bytes.put_u32(self.payload_offset);
        bytes.put_u32(self.stored_bytes);
        bytes.put_u32(self.raw_bytes);
        bytes.put_u8(self.encoding);
        bytes.put_u8(self.depth);
        bytes.put_u16(self.bases);
        bytes.put_u32(self.base_first);
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = FieldReader::new(bytes);
        Some(Self {
            pack: fields.u32()?,
            payload_offset: fields.u32()?,
            stored_bytes: fields.u32()?,
            raw_bytes: fields.u32()?,
            encoding: fields.u8()?,
            depth: fields.u8()?,
            bases: fields.u16()?,
            base_first: fields.u32()?,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkRecord {
    pub(super) id: ChunkId,
    pub(super) block: u32,
    pub(super) offset: u32,
    pub(super) len_bytes: u32,
}

impl ChunkRecord {
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.put_u32(self.block);
        bytes.put_u32(self.offset);
        bytes.put_u32(self.len_bytes);
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = FieldReader::new(bytes);
        Some(Self {
            id: ChunkId::from_bytes(fields.array()?),
            block: fields.u32()?,
            offset: fields.u32()?,
            len_bytes: fields.u32()?,
        })
    }
}

/// The entry of the fan-out that an id, or the beginning of one, belongs to.
pub(super) fn fanout_slot(id: &[u8], bits: u32) -> usize {
    let prefix = u32::from(u16::from_be_bytes(id.first_chunk().copied().unwrap_or_default()));
    (prefix >> (FANOUT_BITS_MAX - bits)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdScheme;

    #[test]
    fn header_round_trips_and_every_flipped_byte_is_refused() {
        let counts = Counts { packs: 1, blocks: 2, bases: 3, chunks: 4000, fanout_bits: 7 };
        let bytes = counts.encode(&[7; SALT_BYTES]);
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(Counts::decode(&bytes), Some(counts));
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            if let Some(byte) = damaged.get_mut(position) {
                *byte ^= 1;
            }
            assert_eq!(Counts::decode(&damaged), None, "byte {position}");
        }
    }

    #[test]
    fn records_round_trip() {
        let pack = PackRecord { id: PackId::new(PackKind::Tree, Digest::of(b"p")), len_bytes: 77 };
        let block = BlockRecord {
            pack: 1,
            payload_offset: 2,
            stored_bytes: 3,
            raw_bytes: 4,
            encoding: 1,
            depth: 5,
            bases: 6,
            base_first: 7,
        };
        let chunk = ChunkRecord { id: IdScheme::plain().chunk_id(b"c"), block: 1, offset: 2, len_bytes: 3 };
        let (mut packs, mut blocks, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
        pack.encode(&mut packs);
        block.encode(&mut blocks);
        chunk.encode(&mut chunks);
        assert_eq!((packs.len(), blocks.len(), chunks.len()), (PACK_BYTES, BLOCK_BYTES, CHUNK_BYTES));
        assert_eq!(PackRecord::decode(&packs), Some(pack));
        assert_eq!(BlockRecord::decode(&blocks), Some(block));
        assert_eq!(ChunkRecord::decode(&chunks), Some(chunk));
    }

    #[test]
    fn fanout_takes_the_leading_bits() {
        let bytes = [0b1010_0000, 0b1000_0000];
        assert_eq!((fanout_slot(&bytes, 0), fanout_slot(&bytes, 3), fanout_slot(&bytes, 9)), (0, 0b101, 0b1_0100_0001));
    }
}
