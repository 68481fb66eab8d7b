//! Building a segment in memory from the directories of packs.
//!
//! The caller bounds how many packs go into one segment.

use crate::id::{Digest, PackId, SegmentId, random_bytes};
use crate::limits::SALT_BYTES;
use crate::pack::Directory;
use crate::storage::{PutMode, Storage};

use super::layout::{BlockRecord, ChunkRecord, Counts, PackRecord, fanout_slot};
use super::{Error, Segment, key};

/// Collects packs for one segment.
#[derive(Debug, Default)]
pub struct SegmentBuilder {
    packs: Vec<PackRecord>,
    blocks: Vec<BlockRecord>,
    bases: Vec<u8>,
    base_count: u32,
    chunks: Vec<ChunkRecord>,
}

impl SegmentBuilder {
    /// Adds a pack with everything in it.
    ///
    /// # Panics
    /// When more is added than a segment can number, which the bound on its chunks excludes.
    pub fn add(&mut self, id: PackId, len_bytes: u64, directory: &Directory) {
        let pack = number(self.packs.len());
        debug_assert_eq!(id.kind(), directory.kind);
        self.packs.push(PackRecord { id, len_bytes });
        for entry in &directory.blocks {
            let block = number(self.blocks.len());
            self.blocks.push(BlockRecord {
                pack,
                payload_offset: u32::try_from(entry.payload_offset()).expect("a pack is shorter than 4 GiB"),
                stored_bytes: entry.stored_bytes,
                raw_bytes: entry.raw_bytes,
                encoding: entry.encoding.number(),
                depth: entry.depth,
                bases: u16::try_from(entry.bases.len()).expect("a block has at most BLOCK_BASES_MAX bases"),
                base_first: self.base_count,
            });
            for base in &entry.bases {
                self.bases.extend_from_slice(base.as_bytes());
                self.base_count += 1;
            }
            let mut offset = 0;
            for chunk in &entry.chunks {
                self.chunks.push(ChunkRecord { id: chunk.id, block, offset, len_bytes: chunk.len_bytes });
                offset += chunk.len_bytes;
            }
        }
    }

    /// Chunks that have been added.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Whether nothing has been added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packs.is_empty()
    }

    /// Writes the segment and opens it.
    ///
    /// # Errors
    /// [`Error::Random`], [`Error::Storage`].
    pub fn write(self, storage: &dyn Storage) -> Result<Segment, Error> {
        let bytes = self.build(&random_bytes().map_err(Error::Random)?);
        let id = SegmentId::from(Digest::of(&bytes));
        storage.put(&key(id), &bytes, PutMode::SameContent)?;
        match Segment::open(storage, id) {
            // Somebody has merged it into another one already. What it says stays true.
            Err(Error::Storage(error)) if error.is_missing() => Segment::of(id, bytes),
            opened => opened,
        }
    }

    fn build(mut self, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
        self.chunks.sort_unstable_by_key(|chunk| (chunk.id, chunk.block, chunk.offset));
        let chunk_count = number(self.chunks.len());
        let counts = Counts {
            packs: number(self.packs.len()),
            blocks: number(self.blocks.len()),
            bases: self.base_count,
            chunks: chunk_count,
            fanout_bits: Counts::fanout_bits_for(chunk_count),
        };
        let mut bytes = Vec::with_capacity(counts.tables().end);
        bytes.extend_from_slice(&counts.encode(salt));
        self.packs.iter().for_each(|pack| pack.encode(&mut bytes));
        self.blocks.iter().for_each(|block| block.encode(&mut bytes));
        bytes.extend_from_slice(&self.bases);
        let mut per_slot = vec![0_u32; 1 << counts.fanout_bits];
        for chunk in &self.chunks {
            count_slot(&mut per_slot, fanout_slot(chunk.id.as_bytes(), counts.fanout_bits));
        }
        encode_fanout(&per_slot, &mut bytes);
        self.chunks.iter().for_each(|chunk| chunk.encode(&mut bytes));
        assert_eq!(bytes.len(), counts.tables().end, "the segment has the length that its header gives");
        bytes
    }
}

/// Counts one more chunk in a slot of the fan-out.
pub(super) fn count_slot(per_slot: &mut [u32], slot: usize) {
    *per_slot.get_mut(slot).expect("the fan-out has a slot for every prefix") += 1;
}

/// The fan-out as running sums: entry `n` is the number of chunks in the slots up to and including `n`.
pub(super) fn encode_fanout(per_slot: &[u32], bytes: &mut Vec<u8>) {
    let mut sum = 0_u32;
    for count in per_slot {
        sum += count;
        bytes.extend_from_slice(&sum.to_le_bytes());
    }
}

pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a segment has fewer than 2^32 records of each kind")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PackKind;
    use crate::rooted::Guarded;
    use crate::storage::{
        self, Area, ExclusiveLease, Fetched, Key, Lease, Listed, MemoryStorage, Reservation, Retractable, Upload,
    };

    /// Every object is deleted as soon as it is there.
    #[derive(Debug, Default)]
    struct Vanishing(MemoryStorage);

    impl Vanishing {
        /// As another process deletes it, which has the storage alone before.
        fn vanish(&self, key: &Key) -> Result<(), storage::Error> {
            let gone = self.0.lease(&|| {})?.when_alone(|alone| self.0.delete(key, alone))?;
            gone.ok_or_else(|| storage::Error::Locked { place: self.0.describe() })
        }
    }

    impl Storage for Vanishing {
        fn describe(&self) -> String {
            self.0.describe()
        }

        fn describe_object(&self, key: &Key) -> String {
            self.0.describe_object(key)
        }

        fn guarded(&self) -> Result<Guarded, storage::Error> {
            self.0.guarded()
        }

        fn lease(&self, waits: &dyn Fn()) -> Result<Lease, storage::Error> {
            self.0.lease(waits)
        }

        fn reserve(&self, name: &str) -> Result<Option<Reservation>, storage::Error> {
            self.0.reserve(name)
        }

        fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), storage::Error> {
            self.0.put(key, bytes, mode)?;
            self.vanish(key)
        }

        fn upload(&self, area: Area) -> Result<Box<dyn Upload>, storage::Error> {
            self.0.upload(area)
        }

        fn get(&self, key: &Key, len_bytes_max: u64) -> Result<Vec<u8>, storage::Error> {
            self.0.get(key, len_bytes_max)
        }

        fn get_range(&self, key: &Key, offset: u64, target: &mut [u8]) -> Result<(), storage::Error> {
            self.0.get_range(key, offset, target)
        }

        fn get_ranges(&self, key: &Key, ranges: &mut [(u64, &mut [u8])]) -> Result<(), storage::Error> {
            self.0.get_ranges(key, ranges)
        }

        fn fetch(&self, key: &Key) -> Result<Fetched, storage::Error> {
            self.0.fetch(key)
        }

        fn stat(&self, key: &Key) -> Result<u64, storage::Error> {
            self.0.stat(key)
        }

        fn list(&self, area: Area) -> Result<Vec<Listed>, storage::Error> {
            self.0.list(area)
        }

        fn occupied_by(&self) -> Result<Option<String>, storage::Error> {
            self.0.occupied_by()
        }

        fn delete(&self, key: &Key, alone: &ExclusiveLease) -> Result<(), storage::Error> {
            self.0.delete(key, alone)
        }

        fn retract(&self, area: Retractable, name: &str) -> Result<(), storage::Error> {
            self.0.retract(area, name)
        }

        fn sweep(&self, alone: &ExclusiveLease) -> Result<(), storage::Error> {
            self.0.sweep(alone)
        }
    }

    /// Another process may merge a segment between the moment that it is written and the one that it is opened. That ended
    /// the backup that had written it.
    #[test]
    fn a_segment_that_was_merged_before_it_was_opened_is_known_all_the_same() {
        let mut builder = SegmentBuilder::default();
        let directory = Directory { kind: PackKind::Data, blocks: Vec::new() };
        let pack = PackId::new(PackKind::Data, Digest::of(b"pack"));
        builder.add(pack, 100, &directory);
        let segment = builder.write(&Vanishing::default()).expect("it was written");
        assert_eq!(segment.packs().map(|pack| pack.id).collect::<Vec<_>>(), [pack]);
    }
}
