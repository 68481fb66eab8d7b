//! Merging segments in tiers, so that they stay few: a stream from the mapped inputs to one new file.
//!
//! A pack that several inputs list is listed anew from its directory. Memory is bounded by the number of packs, not of chunks.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use crate::id::{FileHasher, PackId, SegmentId, random_bytes};
use crate::limits::{SEGMENT_CHUNKS_TARGET, SEGMENT_TIER_FACTOR, SEGMENTS_PER_TIER};
use crate::parity;
use crate::storage::{Area, ExclusiveLease, PutMode, Storage, Upload};

use super::builder::{count_slot, encode_fanout, number};
use super::layout::{BlockRecord, ChunkRecord, Counts, fanout_slot};
use super::relist::relist;
use super::{Error, Segment, key};

/// What a merge did, or what is to be done when it is durable.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The segments that were written.
    pub written: Vec<SegmentId>,
    /// The segments that the written ones replace.
    pub replaced: Vec<SegmentId>,
}

/// Merges every tier that has too many segments. The inputs are deleted once their merge is durable, so whoever has
/// them open can go on reading, and whoever lists the index sees each chunk at least once.
///
/// # Errors
/// [`Error::Storage`]; [`Error::Damaged`] when an input does not match its name, and then nothing is deleted.
pub fn merge_full_tiers(
    storage: &dyn Storage,
    segments: &[Arc<Segment>],
    alone: &ExclusiveLease,
) -> Result<Merged, Error> {
    let mut tiers: Vec<Vec<&Arc<Segment>>> = Vec::new();
    for segment in segments {
        let tier = tier_of(segment.chunk_count());
        tiers.resize_with(tiers.len().max(tier + 1), Vec::new);
        tiers[tier].push(segment);
    }
    // A full tier takes the smaller ones with it, rather than have them merged again soon.
    let Some(highest) = tiers.iter().rposition(|tier| tier.len() > SEGMENTS_PER_TIER) else {
        return Ok(Merged::default());
    };
    let inputs: Vec<&Segment> = tiers[..=highest].iter().flatten().map(AsRef::as_ref).collect();
    for input in &inputs {
        match input.check_name(storage) {
            // Somebody else merges them.
            Err(Error::Storage(error)) if error.is_missing() => return Ok(Merged::default()),
            checked => checked?,
        }
    }
    merge_all(storage, &inputs, alone)
}

/// Writes the segments that list one of these packs anew as a single one without them. Where they are several, they are merged
/// first, and deleted. The one that is replaced, which has all that they had, still stands then: whoever called deletes it.
///
/// # Errors
/// [`Error::Storage`]; [`Error::Damaged`] when an input does not match its name.
pub fn leave_out(
    storage: &dyn Storage,
    segments: &[Arc<Segment>],
    packs: &[PackId],
    alone: &ExclusiveLease,
) -> Result<Merged, Error> {
    let packs: HashSet<PackId> = packs.iter().copied().collect();
    let lists_one = |segment: &&Segment| segment.packs().any(|pack| packs.contains(&pack.id));
    let mut inputs: Vec<&Segment> = segments.iter().map(AsRef::as_ref).filter(lists_one).collect();
    for input in &inputs {
        input.check_name(storage)?;
    }
    // What one lists may need what another one lists, so that they have to go all at once, as one.
    let all = if inputs.len() > 1 { merge_all(storage, &inputs, alone)?.written } else { Vec::new() };
    let all = all.first().map(|all| Segment::open(storage, *all)).transpose()?;
    if let Some(all) = &all {
        inputs = vec![all];
    }
    let lists_others = |segment: &&Segment| segment.packs().any(|pack| !packs.contains(&pack.id));
    let is_left = inputs.iter().any(lists_others);
    let written = if is_left { vec![merge(storage, &inputs, &packs)?] } else { Vec::new() };
    Ok(Merged { written, replaced: inputs.into_iter().map(Segment::id).collect() })
}

/// Merges segments into one, and deletes them once that is durable.
fn merge_all(storage: &dyn Storage, segments: &[&Segment], alone: &ExclusiveLease) -> Result<Merged, Error> {
    let relisted = relist(storage, segments)?;
    // What was listed anew counts, because it comes first.
    let inputs: Vec<&Segment> = relisted.iter().map(AsRef::as_ref).chain(segments.iter().copied()).collect();
    let written = merge(storage, &inputs, &HashSet::new())?;
    let mut replaced: Vec<SegmentId> = inputs.iter().map(|segment| segment.id()).filter(|id| *id != written).collect();
    replaced.sort();
    replaced.dedup();
    for id in &replaced {
        parity::delete(storage, &key(*id), alone)?;
    }
    Ok(Merged { written: vec![written], replaced })
}

fn tier_of(chunks: u32) -> usize {
    let smallest = SEGMENT_CHUNKS_TARGET as u64 / 16;
    let mut bound = smallest;
    let mut tier = 0;
    while u64::from(chunks) > bound {
        bound *= SEGMENT_TIER_FACTOR;
        tier += 1;
    }
    tier
}

/// For each pack of an input: how far its numbers move, or that it is left out.
#[derive(Clone, Copy)]
struct Moved {
    pack: u32,
    block_shift: i64,
    base_shift: i64,
}

struct Input<'a> {
    segment: &'a Segment,
    moved: Vec<Option<Moved>>,
}

impl Input<'_> {
    fn block(&self, block: u32) -> Result<Option<(BlockRecord, Moved)>, Error> {
        let record = self.segment.block(block).ok_or_else(|| self.outside())?;
        let moved = self.moved.get(record.pack as usize).ok_or_else(|| self.outside())?;
        Ok(moved.map(|moved| (record, moved)))
    }

    /// The record of a chunk with the new number of its block, or `None` when its pack is left out.
    fn chunk(&self, chunk: u32) -> Result<Option<ChunkRecord>, Error> {
        let mut record = self.segment.chunk(chunk).ok_or_else(|| self.outside())?;
        let Some((_, moved)) = self.block(record.block)? else { return Ok(None) };
        record.block = self.shift(record.block, moved.block_shift)?;
        Ok(Some(record))
    }

    fn shift(&self, number: u32, by: i64) -> Result<u32, Error> {
        u32::try_from(i64::from(number) + by).map_err(|_| self.outside())
    }

    fn outside(&self) -> Error {
        self.damaged("a record points outside its table")
    }

    fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged { segment: self.segment.id().to_string(), what }
    }
}

fn merge(storage: &dyn Storage, segments: &[&Segment], left_out: &HashSet<PackId>) -> Result<SegmentId, Error> {
    let mut out = Output { upload: storage.upload(Area::Index)?, hasher: FileHasher::new(), buffer: Vec::new() };
    let (inputs, mut counts) = plan(segments, left_out)?;
    let bits = Counts::fanout_bits_for(segments.iter().map(|segment| segment.chunk_count()).sum());
    let mut per_slot = vec![0; 1 << bits];
    for input in &inputs {
        for chunk in 0..input.segment.chunk_count() {
            if let Some(record) = input.chunk(chunk)? {
                count_slot(&mut per_slot, fanout_slot(record.id.as_bytes(), bits));
                counts.chunks += 1;
            }
        }
    }
    counts.fanout_bits = bits;
    out.buffer.extend_from_slice(&counts.encode(&random_bytes().map_err(Error::Random)?));
    write_tables(&inputs, &mut out)?;
    encode_fanout(&per_slot, &mut out.buffer);
    write_chunks(&inputs, &mut out)?;
    let (id, len_bytes) = out.finish()?;
    assert_eq!(len_bytes, counts.tables().end as u64, "the segment has the length that its header gives");
    Ok(id)
}

/// Numbers the packs, blocks and bases of the output.
fn plan<'a>(segments: &[&'a Segment], left_out: &HashSet<PackId>) -> Result<(Vec<Input<'a>>, Counts), Error> {
    let mut seen = left_out.clone();
    let mut counts = Counts::default();
    let mut inputs = Vec::with_capacity(segments.len());
    for segment in segments {
        let mut input = Input { segment, moved: Vec::new() };
        for pack in 0..segment.counts().packs {
            let record = segment.pack(pack).ok_or_else(|| input.outside())?;
            let fresh = seen.insert(record.id);
            let moved = Moved { pack: counts.packs, block_shift: i64::MIN, base_shift: 0 };
            input.moved.push(fresh.then_some(moved));
            counts.packs += u32::from(fresh);
        }
        for block in 0..segment.counts().blocks {
            let record = segment.block(block).ok_or_else(|| input.outside())?;
            let Some(Some(moved)) = input.moved.get_mut(record.pack as usize) else { continue };
            // The blocks of a pack follow one another, so that one shift serves them all.
            if moved.block_shift == i64::MIN {
                moved.block_shift = i64::from(counts.blocks) - i64::from(block);
                moved.base_shift = i64::from(counts.bases) - i64::from(record.base_first);
            }
            counts.blocks += 1;
            counts.bases += u32::from(record.bases);
        }
        inputs.push(input);
    }
    Ok((inputs, counts))
}

fn write_tables(inputs: &[Input<'_>], out: &mut Output) -> Result<(), Error> {
    for input in inputs {
        for (pack, moved) in input.moved.iter().enumerate() {
            if moved.is_some() {
                input.segment.pack(number(pack)).ok_or_else(|| input.outside())?.encode(&mut out.buffer);
            }
        }
    }
    for input in inputs {
        for block in 0..input.segment.block_count() {
            let Some((mut record, moved)) = input.block(block)? else { continue };
            record.pack = moved.pack;
            record.base_first = input.shift(record.base_first, moved.base_shift)?;
            record.encode(&mut out.buffer);
            out.drain()?;
        }
    }
    for input in inputs {
        for block in 0..input.segment.block_count() {
            if input.block(block)?.is_none() {
                continue;
            }
            for base in input.segment.bases(block).ok_or_else(|| input.outside())? {
                out.buffer.extend_from_slice(base.as_bytes());
            }
            out.drain()?;
        }
    }
    Ok(())
}

fn write_chunks(inputs: &[Input<'_>], out: &mut Output) -> Result<(), Error> {
    let mut next = vec![0_u32; inputs.len()];
    let mut heads = BinaryHeap::new();
    let mut last = vec![None; inputs.len()];
    let mut advance = |heads: &mut BinaryHeap<_>, number: usize| -> Result<(), Error> {
        while next[number] < inputs[number].segment.chunk_count() {
            let chunk = next[number];
            next[number] += 1;
            if let Some(record) = inputs[number].chunk(chunk)? {
                if last[number].replace(record.id).is_some_and(|last| last > record.id) {
                    return Err(inputs[number].damaged("its chunks are not in order"));
                }
                heads.push(Reverse((record.id, record.block, record.offset, record.len_bytes, number)));
                break;
            }
        }
        Ok(())
    };
    for number in 0..inputs.len() {
        advance(&mut heads, number)?;
    }
    while let Some(Reverse((id, block, offset, len_bytes, number))) = heads.pop() {
        ChunkRecord { id, block, offset, len_bytes }.encode(&mut out.buffer);
        out.drain()?;
        advance(&mut heads, number)?;
    }
    Ok(())
}

struct Output {
    upload: Box<dyn Upload>,
    hasher: FileHasher,
    buffer: Vec<u8>,
}

impl Output {
    const BUFFER_BYTES: usize = 256 << 10;

    fn drain(&mut self) -> Result<(), Error> {
        if self.buffer.len() >= Self::BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.hasher.update(&self.buffer);
        self.upload.write(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<(SegmentId, u64), Error> {
        self.flush()?;
        let id = SegmentId::from(self.hasher.finish());
        let len_bytes = self.hasher.len_bytes();
        self.upload.finish(&key(id), PutMode::SameContent)?;
        Ok((id, len_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::ChunkRef;
    use crate::id::{ChunkId, Digest, IdScheme, PackId};
    use crate::index::layout::BLOCK_BYTES;
    use crate::index::{Index, SegmentBuilder};
    use crate::pack::{BlockEntry, Directory, Encoding, PackKind};
    use crate::storage::MemoryStorage;

    fn id(number: u32) -> ChunkId {
        IdScheme::plain().chunk_id(&number.to_le_bytes())
    }

    /// A pack of two blocks with ten chunks each, the second with two bases.
    fn pack(number: u32) -> (PackId, Directory) {
        let block = |offset: u32, first: u32, bases: Vec<crate::id::BaseId>| {
            let chunks = (first..first + 10).map(|number| ChunkRef { id: id(number), len_bytes: 100 + number % 7 });
            let chunks: Vec<ChunkRef> = chunks.collect();
            let raw_bytes = chunks.iter().map(|chunk| chunk.len_bytes).sum();
            BlockEntry {
                offset,
                stored_bytes: 50 + number,
                raw_bytes,
                encoding: Encoding::Zstd,
                depth: 0,
                chunks,
                bases,
            }
        };
        let first = block(40, number * 20, vec![]);
        let end = u32::try_from(first.end()).expect("a small pack");
        let second = block(end, number * 20 + 10, vec![id(1).into(), id(number).into()]);
        (
            PackId::new(PackKind::Data, Digest::of(&number.to_le_bytes())),
            Directory { kind: PackKind::Data, blocks: vec![first, second] },
        )
    }

    fn write(storage: &MemoryStorage, packs: &[u32]) {
        let mut builder = SegmentBuilder::default();
        for number in packs {
            let (id, directory) = pack(*number);
            builder.add(id, 1000 + u64::from(*number), &directory);
        }
        builder.write(storage).expect("memory can be written");
    }

    fn merged(storage: &MemoryStorage, segments: &[Arc<Segment>]) -> Result<Merged, Error> {
        let merged = storage.lease(&|| {})?.when_alone(|alone| merge_full_tiers(storage, segments, alone));
        merged.map(|merged| merged.expect("nobody else is there"))
    }

    fn left_out(storage: &MemoryStorage, segments: &[Arc<Segment>], packs: &[PackId]) -> Result<Merged, Error> {
        let merged = storage.lease(&|| {})?.when_alone(|alone| leave_out(storage, segments, packs, alone));
        merged.map(|merged| merged.expect("nobody else is there"))
    }

    /// Its bytes are those that its name says, so no checksum finds it: the number of the first base of a pack lies behind
    /// those of the others.
    #[test]
    fn a_segment_whose_tables_contradict_each_other_is_damaged() {
        let storage = MemoryStorage::default();
        for number in 0..4 {
            write(&storage, &[number]);
        }
        let (id, directory) = pack(9);
        let mut builder = SegmentBuilder::default();
        builder.add(id, 1000, &directory);
        let segment = builder.write(&storage).expect("memory can be written");
        let mut bytes = storage.get(&key(segment.id()), segment.len_bytes()).expect("it was written");
        storage.lose(&key(segment.id()));
        let base_first = segment.counts().tables().blocks + BLOCK_BYTES - 4;
        // The last of these is so far behind that its end is no number of a base.
        for number in [100, u32::MAX] {
            bytes[base_first..base_first + 4].copy_from_slice(&number.to_le_bytes());
            storage.overwrite(&key(SegmentId::from(Digest::of(&bytes))), bytes.clone());
            let index = Index::open(&storage).expect("open");
            let error = merged(&storage, index.segments()).expect_err("it cannot be merged");
            assert!(matches!(error, Error::Damaged { .. }), "{error}");
            assert_eq!(Index::open(&storage).expect("open").segments().len(), 5, "nothing is deleted");
            storage.lose(&key(SegmentId::from(Digest::of(&bytes))));
        }
    }

    #[test]
    fn everything_is_found_at_its_place_after_a_merge() {
        let storage = MemoryStorage::default();
        // A pack that two writers listed stands in two segments.
        for packs in [&[0, 1][..], &[2], &[3, 1], &[4, 5, 6], &[7]] {
            write(&storage, packs);
        }
        let before = Index::open(&storage).expect("open");
        let merged = merged(&storage, before.segments()).expect("merge");
        assert_eq!((merged.written.len(), merged.replaced.len()), (1, 5));

        let after = Index::open(&storage).expect("open");
        assert_eq!((after.segments().len(), after.chunk_count(), after.packs().len()), (1, 8 * 20, 8));
        assert_eq!(after.packs(), before.packs());
        for number in 0..8 * 20 {
            let place = |index: &Index| {
                let location = index.lookup(&id(number)).expect("listed");
                (location.offset, location.len_bytes, index.place(location.block_key()).expect("a block"))
            };
            assert_eq!(place(&before), place(&after), "chunk {number}");
        }
        assert!(after.lookup(&id(8 * 20)).is_none());
        let bases = after.segments().iter().map(|segment| segment.counts().bases).sum::<u32>();
        assert_eq!(bases, 8 * 2);
        assert!(after.segments().iter().all(|segment| segment.check_name(&storage).is_ok()));
        let last = after.segments().first().expect("one segment").base(bases - 1).expect("a base");
        assert!((0..8).any(|number| last == id(number).into()));
    }

    #[test]
    fn few_segments_stay_and_a_damaged_one_is_never_merged() {
        let storage = MemoryStorage::default();
        for number in 0..4 {
            write(&storage, &[number]);
        }
        let index = Index::open(&storage).expect("open");
        assert_eq!(merged(&storage, index.segments()).expect("nothing to do"), Merged::default());

        write(&storage, &[4]);
        let index = Index::open(&storage).expect("open");
        let object = key(index.segments().first().expect("five segments").id());
        let mut bytes = storage.get(&object, 1 << 20).expect("get");
        *bytes.last_mut().expect("not empty") ^= 1;
        storage.overwrite(&object, bytes);
        let index = Index::open(&storage).expect("the header is whole");
        assert!(merged(&storage, index.segments()).expect_err("a damaged input").is_damage());
        assert_eq!(Index::open(&storage).expect("open").segments().len(), 5);
    }

    /// A prune deleted the old segments one after the other. Killed in between, it left one that listed blocks whose bases only
    /// the other one had listed, and a backup could have relied on them.
    #[test]
    fn packs_that_are_left_out_are_gone_and_the_others_are_as_they_were() {
        let storage = MemoryStorage::default();
        for packs in [&[1, 2][..], &[3], &[4]] {
            write(&storage, packs);
        }
        let index = Index::open(&storage).expect("open");
        let places = |index: &Index, numbers: std::ops::Range<u32>| -> Vec<_> {
            let place = |number| index.lookup(&id(number)).and_then(|found| index.place(found.block_key()));
            numbers.map(place).collect()
        };
        let before = places(&index, 40..60);
        let merged = left_out(&storage, index.segments(), &[pack(1).0, pack(3).0]).expect("memory");
        assert_eq!((merged.written.len(), merged.replaced.len()), (1, 1));
        let both = Index::open(&storage).expect("open");
        assert_eq!((both.segments().len(), both.packs().len()), (3, 4), "whoever called deletes the one that has all");
        for segment in merged.replaced {
            storage.lose(&key(segment));
        }
        let index = Index::open(&storage).expect("open");
        assert_eq!(index.packs().len(), 2);
        assert_eq!(places(&index, 40..60), before);
        assert!(places(&index, 20..40).iter().chain(&places(&index, 60..80)).all(Option::is_none));
        let all = [pack(2).0, pack(4).0];
        assert!(left_out(&storage, index.segments(), &all).expect("memory").written.is_empty());
    }

    /// Only the first record of a chunk was looked at: what was stored again after its pack was lost was not found any more
    /// once one segment listed both.
    #[test]
    fn a_chunk_has_all_its_places_within_one_segment() {
        let storage = MemoryStorage::default();
        let mut builder = SegmentBuilder::default();
        let ((first, directory), (second, _)) = (pack(1), pack(2));
        builder.add(first, 1000, &directory);
        builder.add(second, 1000, &directory);
        builder.write(&storage).expect("memory");
        let mut index = Index::open(&storage).expect("open");
        assert_eq!(index.locations(&id(20)).count(), 2);
        for broken in [first, second] {
            index.avoid(HashSet::from([broken]));
            assert_eq!(index.locations(&id(20)).count(), 1);
        }
    }
}
