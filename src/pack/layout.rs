//! The bytes of a pack: header, block header, directory, footer. `docs/format.md` draws them.
//!
//! Encoding and decoding only, no I/O. Decoders accept exactly what the encoders make; anything else is `None`.
#![deny(clippy::indexing_slicing)]

use crate::chunk::ChunkRef;
use crate::id::{BaseId, ChunkId, PackKind, checksum};
use crate::limits::{
    BASE_ID_BYTES, BLOCK_BASES_MAX, BLOCK_BYTES_MAX, BLOCK_CHUNKS_MAX, CHUNK_BYTES_MAX, DELTA_DEPTH_MAX, ID_BYTES,
    PACK_BLOCKS_MAX, PACK_DIRECTORY_BYTES_MAX, SALT_BYTES,
};
use crate::little_endian::{FieldReader, FieldWriter};

const PACK_MAGIC: [u8; 8] = *b"larder/p";
pub(super) const BLOCK_MAGIC: [u8; 4] = *b"lblk";
const FOOTER_MAGIC: [u8; 8] = *b"larder/d";
const VERSION: u16 = 2;
/// The session of a pack that is not sealed.
const NO_SESSION: [u8; 16] = [0; 16];

/// Where the version of a header ends.
pub(super) const VERSION_END: usize = 8 + 2;
pub(super) const HEADER_BYTES: usize = 8 + 2 + 1 + 1 + 4 + NO_SESSION.len() + SALT_BYTES;
pub(super) const BLOCK_HEADER_BYTES: usize = 4 + 4 + 4 + 4 + 2 + 2 + 4 + 8;
pub(super) const FOOTER_BYTES: usize = 8 + 8 + 4 + 4 + 4 + 4 + 8;
const BLOCK_ENTRY_BYTES: usize = 4 + 4 + 4 + 1 + 1 + 2 + 2 + 2;
const CHUNK_ENTRY_BYTES: usize = ID_BYTES + 4;

/// How the payload of a block is made from its plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As it is.
    Raw,
    /// One zstd frame.
    Zstd,
    /// One zstd frame with the plaintext of the bases as its prefix.
    Delta,
}

impl Encoding {
    /// The number of the encoding in the format.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
            Self::Delta => 2,
        }
    }

    /// The encoding with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Raw),
            1 => Some(Self::Zstd),
            2 => Some(Self::Delta),
            _ => None,
        }
    }
}

/// A block as the directory of its pack lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEntry {
    /// Where the header of the block begins in the pack.
    pub offset: u32,
    /// Length of the payload in bytes.
    pub stored_bytes: u32,
    /// Length of the plaintext in bytes.
    pub raw_bytes: u32,
    /// How the payload is made.
    pub encoding: Encoding,
    /// Blocks to decode before this one.
    pub depth: u8,
    /// The chunks of the block, in the order of their plaintext.
    pub chunks: Vec<ChunkRef>,
    /// The chunks whose plaintext the block is encoded against, in order.
    pub bases: Vec<BaseId>,
}

impl BlockEntry {
    /// Where the payload begins in the pack.
    #[must_use]
    pub fn payload_offset(&self) -> u64 {
        u64::from(self.offset) + block_prefix_bytes(self.chunks.len(), self.bases.len()) as u64
    }

    /// Where the block ends in the pack.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.payload_offset() + u64::from(self.stored_bytes)
    }
}

/// What a pack holds, from the directory at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// What the blocks hold.
    pub kind: PackKind,
    /// The blocks, in the order of the file.
    pub blocks: Vec<BlockEntry>,
}

/// Length of everything in a block before its payload.
pub(super) const fn block_prefix_bytes(chunks: usize, bases: usize) -> usize {
    BLOCK_HEADER_BYTES + chunks * 4 + bases * BASE_ID_BYTES
}

/// What a block adds to the directory of its pack.
pub(super) const fn directory_share_bytes(chunks: usize, bases: usize) -> usize {
    BLOCK_ENTRY_BYTES + chunks * CHUNK_ENTRY_BYTES + bases * BASE_ID_BYTES
}

/// The header of a pack. By the salt, which never recurs, no two packs have the same name, whatever is in them.
pub(super) fn encode_header(kind: PackKind, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    bytes.extend_from_slice(&PACK_MAGIC);
    bytes.put_u16(VERSION);
    bytes.put_u8(kind.number());
    bytes.put_u8(0);
    bytes.put_u32(0);
    bytes.extend_from_slice(&NO_SESSION);
    bytes.extend_from_slice(salt);
    bytes
}

/// The version in the header of a pack of any format.
pub(super) fn decode_version(bytes: &[u8; VERSION_END]) -> Option<u16> {
    let mut fields = FieldReader::new(bytes);
    if fields.array::<8>()? == PACK_MAGIC { fields.u16() } else { None }
}

pub(super) fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Option<PackKind> {
    let mut fields = FieldReader::new(bytes);
    (fields.array::<8>()? == PACK_MAGIC && fields.u16()? == VERSION).then_some(())?;
    let kind = PackKind::from_number(fields.u8()?)?;
    (fields.u8()? == 0 && fields.u32()? == 0 && fields.array()? == NO_SESSION).then_some(kind)
}

/// The lengths that a block header gives, before the lists that follow it are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub(super) encoding: Encoding,
    pub(super) depth: u8,
    pub(super) stored_bytes: u32,
    pub(super) raw_bytes: u32,
    pub(super) chunks: u16,
    pub(super) bases: u16,
    pub(super) checksum: u64,
}

/// Everything of a block before its payload: header, lengths of the chunks, ids of the bases.
pub(super) fn encode_block_prefix(entry: &BlockEntry, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(block_prefix_bytes(entry.chunks.len(), entry.bases.len()));
    bytes.extend_from_slice(&BLOCK_MAGIC);
    bytes.put_u8(entry.encoding.number());
    bytes.put_u8(entry.depth);
    bytes.put_u16(0);
    bytes.put_u32(entry.stored_bytes);
    bytes.put_u32(entry.raw_bytes);
    bytes.put_u16(u16::try_from(entry.chunks.len()).expect("a block has at most BLOCK_CHUNKS_MAX chunks"));
    bytes.put_u16(u16::try_from(entry.bases.len()).expect("a block has at most BLOCK_BASES_MAX bases"));
    bytes.put_u32(0);
    bytes.put_u64(checksum(payload));
    for chunk in &entry.chunks {
        bytes.put_u32(chunk.len_bytes);
    }
    for base in &entry.bases {
        bytes.extend_from_slice(base.as_bytes());
    }
    bytes
}

pub(super) fn decode_block_header(bytes: &[u8; BLOCK_HEADER_BYTES]) -> Option<BlockHeader> {
    let mut fields = FieldReader::new(bytes);
    (fields.array::<4>()? == BLOCK_MAGIC).then_some(())?;
    let encoding = Encoding::from_number(fields.u8()?)?;
    let depth = fields.u8()?;
    (fields.u16()? == 0).then_some(())?;
    let (stored_bytes, raw_bytes) = (fields.u32()?, fields.u32()?);
    let (chunks, bases) = (fields.u16()?, fields.u16()?);
    (fields.u32()? == 0).then_some(())?;
    let checksum = fields.u64()?;
    let header = BlockHeader { encoding, depth, stored_bytes, raw_bytes, chunks, bases, checksum };
    (block_lengths_valid(stored_bytes, raw_bytes, chunks) && bases_valid(encoding, depth, bases)).then_some(header)
}

/// The lengths of the chunks and the ids of the bases that follow a block header.
pub(super) fn decode_block_lists(header: BlockHeader, bytes: &[u8]) -> Option<(Vec<u32>, Vec<BaseId>)> {
    let mut fields = FieldReader::new(bytes);
    let lengths = (0..header.chunks).map(|_| fields.u32()).collect::<Option<Vec<_>>>()?;
    let bases = (0..header.bases).map(|_| fields.array().map(BaseId::from_bytes)).collect::<Option<Vec<_>>>()?;
    (fields.is_empty() && lengths_add_up(lengths.iter().copied(), header.raw_bytes)).then_some((lengths, bases))
}

fn block_lengths_valid(stored_bytes: u32, raw_bytes: u32, chunks: u16) -> bool {
    stored_bytes <= raw_bytes
        && raw_bytes as usize <= BLOCK_BYTES_MAX
        && (1..=BLOCK_CHUNKS_MAX).contains(&usize::from(chunks))
}

/// Delta blocks have bases and are deeper than these; no others do.
fn bases_valid(encoding: Encoding, depth: u8, bases: u16) -> bool {
    match encoding {
        Encoding::Raw | Encoding::Zstd => depth == 0 && bases == 0,
        Encoding::Delta => {
            (1..=DELTA_DEPTH_MAX).contains(&depth) && (1..=BLOCK_BASES_MAX).contains(&usize::from(bases))
        }
    }
}

fn lengths_add_up(lengths: impl Iterator<Item = u32>, raw_bytes: u32) -> bool {
    let mut sum = 0_u32;
    for length in lengths {
        if length == 0 || length > CHUNK_BYTES_MAX {
            return false;
        }
        sum = sum.saturating_add(length);
    }
    sum == raw_bytes
}

/// Directory and footer of a pack whose blocks end at `offset`.
pub(super) fn encode_end(directory: &Directory, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut chunks, mut bases) = (0, 0);
    for block in &directory.blocks {
        bytes.put_u32(block.offset);
        bytes.put_u32(block.stored_bytes);
        bytes.put_u32(block.raw_bytes);
        bytes.put_u8(block.encoding.number());
        bytes.put_u8(block.depth);
        bytes.put_u16(u16::try_from(block.chunks.len()).expect("a block has at most BLOCK_CHUNKS_MAX chunks"));
        bytes.put_u16(u16::try_from(block.bases.len()).expect("a block has at most BLOCK_BASES_MAX bases"));
        bytes.put_u16(0);
        chunks += block.chunks.len();
        bases += block.bases.len();
    }
    for chunk in directory.blocks.iter().flat_map(|block| &block.chunks) {
        bytes.extend_from_slice(chunk.id.as_bytes());
        bytes.put_u32(chunk.len_bytes);
    }
    for base in directory.blocks.iter().flat_map(|block| &block.bases) {
        bytes.extend_from_slice(base.as_bytes());
    }
    bytes.extend_from_slice(&FOOTER_MAGIC);
    bytes.put_u64(offset);
    bytes.put_u32(count(directory.blocks.len()));
    bytes.put_u32(count(chunks));
    bytes.put_u32(count(bases));
    bytes.put_u32(u32::from(directory.kind.number()));
    let sum = checksum(&bytes);
    bytes.put_u64(sum);
    bytes
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("a pack is shorter than 4 GiB")
}

/// What a footer says about the directory before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) directory_offset: u64,
    pub(super) directory_bytes: usize,
    kind: PackKind,
    blocks: usize,
    chunks: usize,
    bases: usize,
}

/// The footer of a pack of `pack_bytes` bytes.
pub(super) fn decode_footer(bytes: &[u8; FOOTER_BYTES], pack_bytes: u64) -> Option<Footer> {
    let mut fields = FieldReader::new(bytes);
    (fields.array::<8>()? == FOOTER_MAGIC).then_some(())?;
    let directory_offset = fields.u64()?;
    let (blocks, chunks, bases) = (fields.u32()? as usize, fields.u32()? as usize, fields.u32()? as usize);
    let kind = PackKind::from_number(u8::try_from(fields.u32()?).ok()?)?;
    let directory_bytes = blocks * BLOCK_ENTRY_BYTES + chunks * CHUNK_ENTRY_BYTES + bases * BASE_ID_BYTES;
    let end = directory_offset.checked_add(directory_bytes as u64)?.checked_add(FOOTER_BYTES as u64)?;
    let fits = end == pack_bytes
        && directory_offset >= HEADER_BYTES as u64
        && blocks <= PACK_BLOCKS_MAX
        && directory_bytes <= PACK_DIRECTORY_BYTES_MAX;
    fits.then_some(Footer { directory_offset, directory_bytes, kind, blocks, chunks, bases })
}

/// The directory from its bytes and those of the footer, in one slice.
pub(super) fn decode_end(footer: Footer, bytes: &[u8]) -> Option<Directory> {
    let (covered, sum) = bytes.split_last_chunk::<8>()?;
    (checksum(covered) == u64::from_le_bytes(*sum)).then_some(())?;
    let mut entries = FieldReader::new(bytes.get(..footer.blocks * BLOCK_ENTRY_BYTES)?);
    let chunks_end = footer.blocks * BLOCK_ENTRY_BYTES + footer.chunks * CHUNK_ENTRY_BYTES;
    let mut chunks = FieldReader::new(bytes.get(footer.blocks * BLOCK_ENTRY_BYTES..chunks_end)?);
    let mut bases = FieldReader::new(bytes.get(chunks_end..chunks_end + footer.bases * BASE_ID_BYTES)?);
    let mut blocks = Vec::with_capacity(footer.blocks);
    let mut offset = HEADER_BYTES as u64;
    for _ in 0..footer.blocks {
        let block = decode_block_entry(&mut entries, &mut chunks, &mut bases)?;
        (u64::from(block.offset) == offset).then_some(())?;
        offset = block.end();
        blocks.push(block);
    }
    let complete = offset == footer.directory_offset && chunks.is_empty() && bases.is_empty();
    complete.then_some(Directory { kind: footer.kind, blocks })
}

fn decode_block_entry(
    entries: &mut FieldReader<'_>,
    chunks: &mut FieldReader<'_>,
    bases: &mut FieldReader<'_>,
) -> Option<BlockEntry> {
    let (offset, stored_bytes, raw_bytes) = (entries.u32()?, entries.u32()?, entries.u32()?);
    let encoding = Encoding::from_number(entries.u8()?)?;
    let depth = entries.u8()?;
    let (chunk_count, base_count) = (entries.u16()?, entries.u16()?);
    (entries.u16()? == 0).then_some(())?;
    block_lengths_valid(stored_bytes, raw_bytes, chunk_count).then_some(())?;
    bases_valid(encoding, depth, base_count).then_some(())?;
    let chunks = (0..chunk_count)
        .map(|_| Some(ChunkRef { id: ChunkId::from_bytes(chunks.array()?), len_bytes: chunks.u32()? }))
        .collect::<Option<Vec<_>>>()?;
    let bases = (0..base_count).map(|_| bases.array().map(BaseId::from_bytes)).collect::<Option<Vec<_>>>()?;
    lengths_add_up(chunks.iter().map(|chunk| chunk.len_bytes), raw_bytes).then_some(())?;
    Some(BlockEntry { offset, stored_bytes, raw_bytes, encoding, depth, chunks, bases })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdScheme;

    fn sample() -> Directory {
        let chunk = |text: &[u8], len_bytes| ChunkRef { id: IdScheme::plain().chunk_id(text), len_bytes };
        let first = BlockEntry {
            offset: count(HEADER_BYTES),
            stored_bytes: 50,
            raw_bytes: 300,
            encoding: Encoding::Zstd,
            depth: 0,
            chunks: vec![chunk(b"a", 100), chunk(b"b", 200)],
            bases: vec![],
        };
        let second = BlockEntry {
            offset: u32::try_from(first.end()).expect("a short block"),
            stored_bytes: 7,
            raw_bytes: 70,
            encoding: Encoding::Delta,
            depth: 1,
            chunks: vec![chunk(b"c", 70)],
            bases: vec![IdScheme::plain().chunk_id(b"a").into(), IdScheme::plain().chunk_id(b"b").into()],
        };
        Directory { kind: PackKind::Tree, blocks: vec![first, second] }
    }

    fn decode(bytes: &[u8], offset: u64) -> Option<Directory> {
        let pack_bytes = offset + bytes.len() as u64;
        let footer = decode_footer(bytes.last_chunk::<FOOTER_BYTES>()?, pack_bytes)?;
        decode_end(footer, bytes.get(bytes.len() - FOOTER_BYTES - footer.directory_bytes..)?)
    }

    #[test]
    fn directory_round_trips_and_every_flipped_byte_is_refused() {
        let directory = sample();
        let offset = directory.blocks.last().expect("two blocks").end();
        let bytes = encode_end(&directory, offset);
        assert_eq!(decode(&bytes, offset), Some(directory));
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            if let Some(byte) = damaged.get_mut(position) {
                *byte ^= 1;
            }
            assert_eq!(decode(&damaged, offset), None, "byte {position}");
        }
    }

    #[test]
    fn header_round_trips_and_every_flipped_byte_is_refused() {
        let bytes: [u8; HEADER_BYTES] =
            encode_header(PackKind::Data, &[7; SALT_BYTES]).try_into().expect("length of the header");
        assert_eq!(decode_header(&bytes), Some(PackKind::Data));
        // The salt is anything. The name of the pack covers it.
        for position in 0..HEADER_BYTES - SALT_BYTES {
            let mut damaged = bytes;
            if let Some(byte) = damaged.get_mut(position) {
                *byte ^= 2;
            }
            assert_eq!(decode_header(&damaged), None, "byte {position}");
        }
    }

    #[test]
    fn block_prefix_round_trips() {
        let entry = sample().blocks.pop().expect("two blocks");
        let bytes = encode_block_prefix(&entry, b"payload");
        let (header_bytes, lists) = bytes.split_first_chunk().expect("a header");
        let header = decode_block_header(header_bytes).expect("own header");
        assert_eq!((header.encoding, header.stored_bytes, header.raw_bytes), (Encoding::Delta, 7, 70));
        assert_eq!(header.checksum, checksum(b"payload"));
        let (lengths, bases) = decode_block_lists(header, lists).expect("own lists");
        assert_eq!((lengths, bases), (vec![70], entry.bases));
    }

    #[test]
    fn golden_header() {
        let mut expected = b"larder/p\x02\x00\x01\x00".to_vec();
        expected.resize(32, 0);
        expected.extend_from_slice(&[7; SALT_BYTES]);
        assert_eq!(encode_header(PackKind::Tree, &[7; SALT_BYTES]), expected);
    }
}
