//! One segment: look-ups by binary search, nothing parsed ahead.
//!
//! Every access is checked, so a damaged segment gives wrong answers at worst, and those are found by the ids of the
//! chunks.

use std::borrow::Cow;

use crate::id::{BaseId, FileHasher, SegmentId};
use crate::limits::{BASE_ID_BYTES, PACK_BYTES_MAX};
use crate::pack::{BlockPlace, ListedPack};
use crate::storage::{self, Area, Key, Storage};

use super::Error;
use super::bytes::Bytes;
use super::layout::{
    BLOCK_BYTES, BlockRecord, CHUNK_BYTES, ChunkRecord, Counts, FANOUT_BYTES, HEADER_BYTES, PACK_BYTES, PackRecord,
    Tables, fanout_slot,
};

/// Bytes that are read at once to compare a segment with its name.
const PIECE_BYTES: usize = 256 << 10;

/// The storage key of a segment.
#[must_use]
pub fn key(id: SegmentId) -> Key {
    Key::new(Area::Index, id.to_string())
}

/// An open segment.
#[derive(Debug)]
pub struct Segment {
    id: SegmentId,
    bytes: Bytes,
    counts: Counts,
    tables: Tables,
}

impl Segment {
    /// Opens the segment `id`, reading its header only.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Damaged`] when header or length are wrong.
    pub fn open(storage: &dyn Storage, id: SegmentId) -> Result<Self, Error> {
        let object = key(id);
        let failed = |source| storage::Error::Io { action: "map", object: object.path(), source };
        let bytes = Bytes::of(storage.fetch(&object)?).map_err(failed)?;
        Self::new(id, bytes)
    }

    /// The segment of these bytes, which no storage needs to have.
    pub(super) fn of(id: SegmentId, bytes: Vec<u8>) -> Result<Self, Error> {
        Self::new(id, Bytes::Owned(bytes))
    }

    fn new(id: SegmentId, bytes: Bytes) -> Result<Self, Error> {
        let header = bytes.get(0, HEADER_BYTES.min(bytes.len()));
        let counts = header.and_then(|header| Counts::decode(&header));
        let counts = counts.ok_or_else(|| damaged(id, "the header is not one of a segment"))?;
        let tables = counts.tables();
        if tables.end != bytes.len() {
            return Err(damaged(id, "its length does not fit its header"));
        }
        Ok(Self { id, bytes, counts, tables })
    }

    /// The name of the segment.
    #[must_use]
    pub const fn id(&self) -> SegmentId {
        self.id
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Chunks that the segment lists.
    #[must_use]
    pub const fn chunk_count(&self) -> u32 {
        self.counts.chunks
    }

    /// Blocks that the segment lists.
    #[must_use]
    pub const fn block_count(&self) -> u32 {
        self.counts.blocks
    }

    /// The packs that the segment lists. One that is said to be longer than any pack is told to be a byte longer than that.
    pub fn packs(&self) -> impl Iterator<Item = ListedPack> + '_ {
        (0..self.counts.packs).filter_map(|number| {
            let PackRecord { id, len_bytes } = self.pack(number)?;
            Some(ListedPack { id, len_bytes: len_bytes.min(PACK_BYTES_MAX + 1) })
        })
    }

    /// Reads the whole file and compares it with its name. It is not read through the map, whose pages would count as
    /// memory of this process from then on.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Damaged`] when a byte is not as it was written.
    pub fn check_name(&self, storage: &dyn Storage) -> Result<(), Error> {
        let mut hasher = FileHasher::new();
        let mut piece = vec![0; PIECE_BYTES.min(self.bytes.len())];
        for start in (0..self.bytes.len()).step_by(PIECE_BYTES) {
            piece.truncate(self.bytes.len() - start);
            storage.get_range(&key(self.id), start as u64, &mut piece)?;
            hasher.update(&piece);
        }
        if SegmentId::from(hasher.finish()) == self.id {
            return Ok(());
        }
        Err(damaged(self.id, "the file does not match its name"))
    }

    /// Numbers and records of all chunks whose ids begin like this: those of one chunk, for each place that it has, or of all
    /// that a base may be, which are one but for a coincidence that nobody will see.
    pub(super) fn records<'a>(&'a self, beginning: &'a [u8]) -> impl Iterator<Item = (u32, ChunkRecord)> + 'a {
        let first = self.first_from(beginning).unwrap_or(self.counts.chunks);
        let records = (first..self.counts.chunks).map_while(|number| Some((number, self.chunk(number)?)));
        records.take_while(|(_, record)| record.id.as_bytes().starts_with(beginning))
    }

    /// The number of the first chunk whose id is not below these bytes, or begins with them: binary search within their
    /// entry of the fan-out.
    fn first_from(&self, bytes: &[u8]) -> Option<u32> {
        let slot = fanout_slot(bytes, self.counts.fanout_bits);
        let mut low = if slot == 0 { 0 } else { self.fanout(slot - 1)? };
        let mut high = self.fanout(slot)?.min(self.counts.chunks);
        while low < high {
            let middle = low + (high - low) / 2;
            let record = self.record(self.tables.chunks, middle, CHUNK_BYTES)?;
            if record.get(..bytes.len())? < bytes {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    pub(super) fn place(&self, block: u32) -> Option<BlockPlace> {
        let block = self.block(block)?;
        Some(BlockPlace {
            pack: self.pack(block.pack)?.id,
            payload_offset: block.payload_offset.into(),
            stored_bytes: block.stored_bytes,
            raw_bytes: block.raw_bytes,
            encoding: block.encoding,
            depth: block.depth,
        })
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn pack(&self, number: u32) -> Option<PackRecord> {
        PackRecord::decode(&self.numbered(self.tables.packs, number, self.counts.packs, PACK_BYTES)?)
    }

    pub(super) fn block(&self, number: u32) -> Option<BlockRecord> {
        BlockRecord::decode(&self.numbered(self.tables.blocks, number, self.counts.blocks, BLOCK_BYTES)?)
    }

    pub(super) fn base(&self, number: u32) -> Option<BaseId> {
        let bytes = self.numbered(self.tables.bases, number, self.counts.bases, BASE_ID_BYTES)?;
        Some(BaseId::from_bytes(*bytes.first_chunk()?))
    }

    /// The bases of a block, in order; `None` when the segment is damaged there.
    pub(super) fn bases(&self, block: u32) -> Option<Vec<BaseId>> {
        let block = self.block(block)?;
        let end = block.base_first.checked_add(block.bases.into())?;
        (block.base_first..end).map(|number| self.base(number)).collect()
    }

    pub(super) fn chunk(&self, number: u32) -> Option<ChunkRecord> {
        ChunkRecord::decode(&self.numbered(self.tables.chunks, number, self.counts.chunks, CHUNK_BYTES)?)
    }

    fn fanout(&self, slot: usize) -> Option<u32> {
        let bytes = self.bytes.get(self.tables.fanout + slot * FANOUT_BYTES, FANOUT_BYTES)?;
        bytes.first_chunk().map(|entry| u32::from_le_bytes(*entry))
    }

    fn numbered(&self, table: usize, number: u32, count: u32, record_bytes: usize) -> Option<Cow<'_, [u8]>> {
        if number < count { self.record(table, number, record_bytes) } else { None }
    }

    fn record(&self, table: usize, number: u32, record_bytes: usize) -> Option<Cow<'_, [u8]>> {
        let start = table + number as usize * record_bytes;
        self.bytes.get(start, record_bytes)
    }
}

fn damaged(id: SegmentId, what: &'static str) -> Error {
    Error::Damaged { segment: id.to_string(), what }
}
