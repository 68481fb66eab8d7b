//! Blocks in memory: collecting chunks, compressing them together, and getting the plaintext back.
//!
//! Data that does not compress is found from samples before time is spent on all of it, and is stored as it is.

use crate::chunk::ChunkRef;
use crate::id::{BaseId, ChunkId};
use crate::limits::{BASE_ID_BYTES, BLOCK_BYTES_TARGET, BLOCK_CHUNKS_MAX};

use super::delta::{DeltaDecoder, DeltaEncoder};
use super::{Encoding, Error, Prefix};

/// The zstd level that blocks are compressed with.
pub const LEVEL: i32 = 3;
/// A block whose samples and whole shrink by less than this share of 1,000 is stored as it is.
const GAIN_MIN_PERMILLE: usize = 30;
/// What a base costs: its name in the block, in the directory of the pack and in the index.
const BASE_COST_BYTES: usize = 3 * BASE_ID_BYTES;
/// A delta that is this many times smaller than its plaintext pays.
const CLEAR_GAIN: usize = 6;
/// A delta against what is much older pays when it is this many times smaller than the block by itself. Otherwise the block
/// begins a chain, and the next nights cost less.
const FAR_GAIN: usize = 2;
const SAMPLES: usize = 4;
const SAMPLE_BYTES: usize = 4 << 10;
/// Blocks below this length are compressed without sampling.
const SAMPLED_BYTES_MIN: usize = 64 << 10;

/// New chunks in the order of the stream, on their way to be encoded together.
#[derive(Debug, Default)]
pub struct RawBlock {
    bytes: Vec<u8>,
    chunks: Vec<ChunkRef>,
}

impl RawBlock {
    /// Appends a chunk. An empty block makes room for so many bytes first.
    pub fn push(&mut self, (id, plaintext): (ChunkId, &[u8]), room_bytes: usize) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(room_bytes);
        }
        let len_bytes = u32::try_from(plaintext.len()).expect("a chunk is at most CHUNK_BYTES_MAX long");
        self.bytes.extend_from_slice(plaintext);
        self.chunks.push(ChunkRef { id, len_bytes });
    }

    /// Whether a chunk of `next_bytes` more would make the block too large.
    #[must_use]
    pub fn is_full(&self, next_bytes: usize) -> bool {
        !self.chunks.is_empty()
            && (self.bytes.len() + next_bytes > BLOCK_BYTES_TARGET || self.chunks.len() >= BLOCK_CHUNKS_MAX)
    }

    /// Whether the chunks of another block can follow those of this one.
    #[must_use]
    pub fn has_room_for(&self, other: &Self) -> bool {
        self.chunks.is_empty()
            || (self.bytes.len() + other.bytes.len() <= BLOCK_BYTES_TARGET
                && self.chunks.len() + other.chunks.len() <= BLOCK_CHUNKS_MAX)
    }

    /// Appends the chunks of another block.
    pub fn append(&mut self, other: Self) {
        if self.chunks.is_empty() {
            *self = other;
        } else {
            self.bytes.extend_from_slice(&other.bytes);
            self.chunks.extend(other.chunks);
        }
    }

    /// Length of its plaintext in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no chunk in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Takes the block, leaving an empty one.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// A block as it will lie in a pack.
#[derive(Debug)]
pub struct EncodedBlock {
    /// How the payload is made.
    pub encoding: Encoding,
    /// Blocks to decode before this one.
    pub depth: u8,
    /// The chunks that it is encoded against, in order.
    pub bases: Vec<BaseId>,
    /// The bytes to store.
    pub payload: Vec<u8>,
    /// Length of the plaintext in bytes.
    pub raw_bytes: u32,
    /// The chunks, in the order of their plaintext.
    pub chunks: Vec<ChunkRef>,
}

impl EncodedBlock {
    const fn plain(encoding: Encoding, payload: Vec<u8>, raw_bytes: u32, chunks: Vec<ChunkRef>) -> Self {
        Self { encoding, depth: 0, bases: Vec::new(), payload, raw_bytes, chunks }
    }
}

/// Compresses blocks; one for each thread.
pub struct BlockEncoder {
    compressor: zstd::bulk::Compressor<'static>,
    sampler: zstd::bulk::Compressor<'static>,
    delta: DeltaEncoder,
}

impl std::fmt::Debug for BlockEncoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BlockEncoder")
    }
}

impl BlockEncoder {
    /// A new encoder of this zstd level.
    ///
    /// # Errors
    /// [`Error::Compress`] when there is no memory for the compressor.
    pub fn new(level: i32) -> Result<Self, Error> {
        let compressor = zstd::bulk::Compressor::new(level).map_err(Error::Compress)?;
        let sampler = zstd::bulk::Compressor::new(1).map_err(Error::Compress)?;
        Ok(Self { compressor, sampler, delta: DeltaEncoder::new(level)? })
    }

    /// Encodes a block.
    ///
    /// # Errors
    /// [`Error::Compress`] when the compressor fails.
    pub fn encode(&mut self, block: RawBlock) -> Result<EncodedBlock, Error> {
        let RawBlock { bytes, chunks } = block;
        let raw_bytes = u32::try_from(bytes.len()).expect("a block is at most BLOCK_BYTES_MAX long");
        if self.looks_compressible(&bytes)? {
            let payload = self.compressor.compress(&bytes).map_err(Error::Compress)?;
            if gains(bytes.len(), payload.len()) {
                return Ok(EncodedBlock::plain(Encoding::Zstd, payload, raw_bytes, chunks));
            }
        }
        Ok(EncodedBlock::plain(Encoding::Raw, bytes, raw_bytes, chunks))
    }

    /// Encodes a block against a prefix where that pays, else as [`BlockEncoder::encode`] does.
    ///
    /// # Errors
    /// [`Error::Compress`] when the compressor fails.
    pub fn encode_against(&mut self, block: RawBlock, prefix: Prefix) -> Result<EncodedBlock, Error> {
        if prefix.bases.is_empty() {
            return self.encode(block);
        }
        let Some(payload) = self.delta.compress(&block.bytes, &prefix.bytes)? else { return self.encode(block) };
        let cost = payload.len() + prefix.bases.len() * BASE_COST_BYTES;
        let raw_bytes = u32::try_from(block.bytes.len()).expect("a block is at most BLOCK_BYTES_MAX long");
        let delta = |chunks| EncodedBlock {
            encoding: Encoding::Delta,
            depth: prefix.depth,
            bases: prefix.bases,
            payload,
            raw_bytes,
            chunks,
        };
        // Hardly anything compresses that well by itself: there is no need to try.
        if !prefix.far && cost <= block.bytes.len() / CLEAR_GAIN {
            return Ok(delta(block.chunks));
        }
        let plain = self.encode(block)?;
        let pays = if prefix.far { cost * FAR_GAIN <= plain.payload.len() } else { gains(plain.payload.len(), cost) };
        Ok(if pays { delta(plain.chunks) } else { plain })
    }

    fn looks_compressible(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        if bytes.len() < SAMPLED_BYTES_MIN {
            return Ok(true);
        }
        let distance = bytes.len() / SAMPLES;
        let mut compressed = 0;
        for part in bytes.chunks_exact(distance) {
            let sample = part.get(..SAMPLE_BYTES).unwrap_or(part);
            compressed += self.sampler.compress(sample).map_err(Error::Compress)?.len();
        }
        Ok(gains(SAMPLES * SAMPLE_BYTES, compressed))
    }
}

fn gains(plain_bytes: usize, compressed_bytes: usize) -> bool {
    compressed_bytes * 1_000 < plain_bytes * (1_000 - GAIN_MIN_PERMILLE)
}

/// Decompresses blocks; one for each thread.
pub struct BlockDecoder {
    decompressor: zstd::bulk::Decompressor<'static>,
    delta: DeltaDecoder,
    /// Room for a payload, used again for each block.
    pub(super) payload: Vec<u8>,
}

impl std::fmt::Debug for BlockDecoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BlockDecoder")
    }
}

impl BlockDecoder {
    /// A new decoder.
    ///
    /// # Errors
    /// [`Error::Compress`] when there is no memory for the decompressor.
    pub fn new() -> Result<Self, Error> {
        let decompressor = zstd::bulk::Decompressor::new().map_err(Error::Compress)?;
        Ok(Self { decompressor, delta: DeltaDecoder::new()?, payload: Vec::new() })
    }

    /// Puts the plaintext of a payload into `plaintext` in place of what is there; it must be exactly `raw_bytes` long.
    /// `prefix` is that of the bases of a delta block, and not looked at for others.
    ///
    /// # Errors
    /// What is wrong when it does not decode to that length.
    pub(super) fn decode(
        &mut self,
        encoding: Encoding,
        payload: &[u8],
        prefix: &[u8],
        raw_bytes: usize,
        plaintext: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        plaintext.clear();
        plaintext.reserve_exact(raw_bytes);
        match encoding {
            Encoding::Raw => plaintext.extend_from_slice(payload),
            Encoding::Zstd => {
                let decompressed = self.decompressor.decompress_to_buffer(payload, plaintext);
                decompressed.map_err(|_| "the block does not decompress")?;
            }
            Encoding::Delta => {
                self.delta.decompress(payload, prefix, plaintext).ok_or("the delta block does not decompress")?;
            }
        }
        if plaintext.len() == raw_bytes { Ok(()) } else { Err("the block has another length than its entry says") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdScheme;

    fn encode(plaintext: &[u8]) -> EncodedBlock {
        let mut block = RawBlock::default();
        block.push((IdScheme::plain().chunk_id(plaintext), plaintext), 0);
        BlockEncoder::new(LEVEL).expect("encoder").encode(block).expect("encode")
    }

    #[test]
    fn text_is_compressed_and_noise_is_stored_raw() {
        let text = "a line of a dump\n".repeat(10_000);
        let encoded = encode(text.as_bytes());
        assert_eq!(encoded.encoding, Encoding::Zstd);
        assert!(encoded.payload.len() < text.len() / 20);
        let mut plaintext = Vec::new();
        let mut decoder = BlockDecoder::new().expect("decoder");
        let decoded = decoder.decode(Encoding::Zstd, &encoded.payload, &[], text.len(), &mut plaintext);
        assert_eq!((decoded, plaintext.as_slice()), (Ok(()), text.as_bytes()));

        let mut noise = vec![0; 300_000];
        crate::id::expand_key(&[3; 32], &mut noise);
        let encoded = encode(&noise);
        assert_eq!((encoded.encoding, encoded.payload == noise), (Encoding::Raw, true));
    }

    #[test]
    fn a_frame_that_declares_more_than_its_entry_is_refused() {
        let bomb = zstd::bulk::compress(&vec![0; 10 << 20], 3).expect("compress");
        let mut decoder = BlockDecoder::new().expect("decoder");
        for room_bytes in [0, 1000, 2000] {
            let mut plaintext = Vec::with_capacity(room_bytes);
            assert!(decoder.decode(Encoding::Zstd, &bomb, &[], 1000, &mut plaintext).is_err());
            assert!(plaintext.capacity() <= 2000);
        }
    }
}
