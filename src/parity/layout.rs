//! The bytes of a parity object: header, further shards, the header again, its length. `docs/format.md` draws them.
//!
//! Encoding and decoding only, no I/O.
#![deny(clippy::indexing_slicing)]

use super::Share;
use crate::id::{Digest, checksum};
use crate::little_endian::{FieldReader, FieldWriter};
use crate::storage::{Area, Key};

const MAGIC: [u8; 8] = *b"larder/r";
const VERSION: u16 = 1;
/// Shards that an object is taken as, at most.
const DATA_SHARDS_MAX: usize = 1024;
/// The code works on multiples of this many bytes.
const UNIT_BYTES: u64 = 64;
/// Shorter shards would have checksums that weigh as much as what they protect.
const SHARD_BYTES_MIN: u64 = 512;
/// Shards of an object that is too short for shards of [`SHARD_BYTES_USUAL`].
const DATA_SHARDS_USUAL: u64 = 16;
const SHARD_BYTES_USUAL: u64 = 4096;

/// The part of the header before its checksums.
pub(super) const FIXED_BYTES: usize = 8 + 2 + 2 + 2 + 2 + 4 + 4 + 8 + 32;
/// The most that a header can be long.
pub(super) const HEADER_BYTES_MAX: usize = header_bytes(2 * DATA_SHARDS_MAX);
/// The length of the header, at the end of the object.
pub(super) const TRAILER_BYTES: usize = 8;

/// What a parity object says of the object that it belongs to, and of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    share: Share,
    pub(super) data_shards: usize,
    pub(super) recovery_shards: usize,
    pub(super) shard_bytes: usize,
    pub(super) object_bytes: u64,
    /// BLAKE3 of the object.
    pub(super) digest: Digest,
    /// Of the shards of the object, then of the further ones.
    checksums: Vec<u64>,
}

const fn header_bytes(shards: usize) -> usize {
    FIXED_BYTES + shards * 8 + 8
}

impl Header {
    /// The header for an object of this length, without digest and checksums. Manifests and the config can be restored from
    /// nothing, because nothing else says what is in them.
    pub(super) fn plan(object: &Key, object_bytes: u64, share: Share) -> Self {
        let usual = object_bytes.div_ceil(DATA_SHARDS_USUAL).clamp(SHARD_BYTES_MIN, SHARD_BYTES_USUAL);
        let least = object_bytes.div_ceil(DATA_SHARDS_MAX as u64);
        let shard_bytes = usual.max(least).min(object_bytes.max(1)).next_multiple_of(UNIT_BYTES);
        let data_shards = object_bytes.div_ceil(shard_bytes).max(1);
        let recovery_shards = match object.area() {
            Area::Config | Area::Snapshots => data_shards,
            _ => (data_shards * u64::from(share.thousandths())).div_ceil(1000),
        };
        let number = |value: u64| usize::try_from(value).expect("an object is shorter than the memory is large");
        Self {
            share,
            data_shards: number(data_shards),
            recovery_shards: number(recovery_shards),
            shard_bytes: number(shard_bytes),
            object_bytes,
            digest: Digest::from_bytes([0; 32]),
            checksums: Vec::new(),
        }
    }

    /// Length of the whole parity object in bytes.
    pub(super) const fn parity_bytes(&self) -> u64 {
        let header = header_bytes(self.data_shards + self.recovery_shards);
        (2 * header + self.recovery_shards * self.shard_bytes + TRAILER_BYTES) as u64
    }

    /// Where a further shard begins in the parity object.
    pub(super) const fn recovery_offset(&self, number: usize) -> u64 {
        (header_bytes(self.data_shards + self.recovery_shards) + number * self.shard_bytes) as u64
    }

    /// Bytes of the object in one of its shards.
    pub(super) fn used_bytes(&self, number: usize) -> usize {
        let left = self.object_bytes.saturating_sub((number * self.shard_bytes) as u64);
        usize::try_from(left).map_or(self.shard_bytes, |left| left.min(self.shard_bytes))
    }

    /// Adds the checksum of the next shard.
    pub(super) fn add_checksum(&mut self, shard: &[u8]) {
        self.checksums.push(checksum(shard));
    }

    /// Whether a shard is as it was, those of the object first and then the further ones.
    pub(super) fn matches(&self, number: usize, shard: &[u8]) -> bool {
        self.checksums.get(number) == Some(&checksum(shard))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(header_bytes(self.checksums.len()));
        bytes.extend_from_slice(&MAGIC);
        bytes.put_u16(VERSION);
        bytes.put_u16(self.share.thousandths());
        bytes.put_u16(u16::try_from(self.data_shards).expect("at most DATA_SHARDS_MAX"));
        bytes.put_u16(u16::try_from(self.recovery_shards).expect("at most DATA_SHARDS_MAX"));
        bytes.put_u32(u32::try_from(self.shard_bytes).expect("a shard is shorter than a pack"));
        bytes.put_u32(0);
        bytes.put_u64(self.object_bytes);
        bytes.extend_from_slice(self.digest.as_bytes());
        self.checksums.iter().for_each(|checksum| bytes.put_u64(*checksum));
        bytes.put_u64(checksum(&bytes));
        bytes
    }

    /// Length of the header that begins like this, in bytes.
    pub(super) fn bytes_of(begin: &[u8; FIXED_BYTES]) -> Option<usize> {
        let mut fields = FieldReader::new(begin);
        (fields.array::<8>()? == MAGIC && fields.u16()? == VERSION).then_some(())?;
        fields.u16()?;
        let shards = usize::from(fields.u16()?) + usize::from(fields.u16()?);
        Some(header_bytes(shards)).filter(|len| *len <= HEADER_BYTES_MAX)
    }

    /// The header that these bytes are.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, end) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
        (FieldReader::new(end).u64()? == checksum(body)).then_some(())?;
        let mut fields = FieldReader::new(body);
        (fields.array::<8>()? == MAGIC && fields.u16()? == VERSION).then_some(())?;
        let share = Share::new(fields.u16()?)?;
        let (data_shards, recovery_shards) = (usize::from(fields.u16()?), usize::from(fields.u16()?));
        let shard_bytes = usize::try_from(fields.u32()?).ok()?;
        (fields.u32()? == 0).then_some(())?;
        let object_bytes = fields.u64()?;
        let digest = Digest::from_bytes(fields.array()?);
        let checksums = (0..data_shards + recovery_shards).map(|_| fields.u64()).collect::<Option<Vec<_>>>()?;
        let header = Self { share, data_shards, recovery_shards, shard_bytes, object_bytes, digest, checksums };
        (fields.is_empty() && header.is_valid()).then_some(header)
    }

    /// Whether the shards make up the object, and can be told from what no writer makes.
    fn is_valid(&self) -> bool {
        let Self { data_shards, recovery_shards, shard_bytes, object_bytes, .. } = self;
        let (data, shard) = (*data_shards as u64, *shard_bytes as u64);
        (1..=DATA_SHARDS_MAX).contains(data_shards)
            && (1..=*data_shards).contains(recovery_shards)
            && shard > 0
            && shard.is_multiple_of(UNIT_BYTES)
            && object_bytes.div_ceil(shard).max(1) == data
    }
}
