//! The index: where each chunk lies, as a set of immutable sorted segments that are mapped and never loaded.
//!
//! Opening costs the headers of the segments, whatever their size. A segment lists each of its packs whole. Which
//! chunks are in use is not known here.

mod builder;
mod bytes;
mod confirm;
mod error;
mod layout;
mod location;
mod merge;
mod pending;
mod reach;
mod relist;
mod segment;
mod sets;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use builder::SegmentBuilder;
pub use confirm::Confirmed;
pub use error::Error;
pub use location::{BlockKey, Location};
pub use merge::{Merged, leave_out, merge_full_tiers};
pub use pending::Pending;
pub use segment::{Segment, key};
pub use sets::{BlockLengths, BlockSet, ChunkSet};

use reach::{DeltaGraph, Reaches};

use crate::id::{BaseId, ChunkId, PackId, SegmentId};
use crate::limits::{DELTA_DEPTH_MAX, SEGMENTS_MAX};
use crate::pack::{BlockPlace, ListedPack};
use crate::storage::{self, Area, Storage};

/// All segments of a repository as they were when it was opened, and those added since.
#[derive(Debug, Clone, Default)]
pub struct Index {
    segments: Vec<Arc<Segment>>,
    damaged: Vec<String>,
    broken: HashSet<PackId>,
    /// Blocks that cannot be decoded because a base is nowhere.
    broken_blocks: HashSet<BlockKey>,
    /// Places that do not have their chunk.
    untrue: HashSet<Location>,
    /// It is known that chunks are lost.
    has_losses: bool,
    reaches: Reaches,
}

impl Index {
    /// Opens the segments of a storage. A segment that cannot be opened is left out and listed by [`Index::damaged`],
    /// so that everything that the others know can still be read.
    ///
    /// # Errors
    /// [`Error::Storage`] when the storage cannot be listed, [`Error::TooMany`].
    pub fn open(storage: &dyn Storage) -> Result<Self, Error> {
        // A segment may be merged into another between the listing and the opening: look again then.
        for _ in 0..8 {
            let listed = storage.list(Area::Index)?;
            if listed.len() > SEGMENTS_MAX {
                return Err(Error::TooMany(listed.len()));
            }
            if let Some(index) = Self::open_listed(storage, &listed)? {
                return Ok(index);
            }
        }
        Err(Error::Damaged { segment: "listing".to_owned(), what: "segments vanish while they are opened" })
    }

    fn open_listed(storage: &dyn Storage, listed: &[storage::Listed]) -> Result<Option<Self>, Error> {
        let mut index = Self::default();
        for object in listed {
            let Ok(id) = object.name.parse::<SegmentId>() else {
                index.damaged.push(object.name.clone());
                continue;
            };
            match Segment::open(storage, id) {
                Ok(segment) => index.segments.push(Arc::new(segment)),
                Err(error) if matches!(&error, Error::Storage(source) if source.is_missing()) => return Ok(None),
                Err(error) if error.is_damage() => index.damaged.push(object.name.clone()),
                Err(error) => return Err(error),
            }
        }
        // The largest first: it answers most look-ups.
        index.segments.sort_by_key(|segment| std::cmp::Reverse(segment.chunk_count()));
        Ok(Some(index))
    }

    /// Adds a segment that has been written since.
    pub fn add(&mut self, segment: Segment) {
        self.segments.push(Arc::new(segment));
    }

    /// The segments that are open.
    #[must_use]
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Names of objects in the index that are no readable segments.
    #[must_use]
    pub fn damaged(&self) -> &[String] {
        &self.damaged
    }

    /// Finds chunks in these packs no more: they are missing or cut short. Nor in blocks that need a chunk which is
    /// nowhere else.
    pub fn avoid(&mut self, broken: HashSet<PackId>) {
        self.broken = broken;
        self.broken_blocks.clear();
        self.reaches.forget();
        if self.is_degraded() {
            self.avoid_undecodable();
        }
    }

    /// Finds chunks no more at these places, which do not have them, nor in blocks that need a chunk which is nowhere else.
    pub fn avoid_places(&mut self, untrue: impl IntoIterator<Item = Location>) {
        self.untrue.extend(untrue);
        self.reaches.forget();
        self.avoid_undecodable();
    }

    /// Finds chunks no more in blocks that need a chunk which is nowhere.
    pub fn avoid_undecodable(&mut self) {
        self.broken_blocks.clear();
        self.reaches.forget();
        // Bases lie less deep than what needs them, so each depth is settled before the next one.
        for depth in 1..=DELTA_DEPTH_MAX {
            let at_depth = |key: &BlockKey| self.place(*key).is_some_and(|place| place.depth == depth);
            let blocks: Vec<BlockKey> = self.blocks().filter(at_depth).collect();
            let undecodable = |key: &BlockKey| {
                self.block(*key).map_or(true, |(_, bases)| {
                    bases.iter().any(|base| self.base_locations(base, depth).next().is_none())
                })
            };
            let broken: Vec<BlockKey> = blocks.into_iter().filter(undecodable).collect();
            self.broken_blocks.extend(broken);
        }
    }

    /// All blocks, those of each segment together.
    pub fn blocks(&self) -> impl Iterator<Item = BlockKey> + '_ {
        (0_u32..)
            .zip(&self.segments)
            .flat_map(|(segment, mapped)| (0..mapped.block_count()).map(move |block| BlockKey { segment, block }))
    }

    /// Whether something that the index should find is lost.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.has_losses || !self.broken.is_empty() || !self.damaged.is_empty()
    }

    /// Chunks are lost that snapshots need, although nothing in the index says so.
    pub const fn note_losses(&mut self) {
        self.has_losses = true;
    }

    /// The packs that are avoided.
    #[must_use]
    pub const fn broken(&self) -> &HashSet<PackId> {
        &self.broken
    }

    /// Packs that are not avoided, in which there are blocks that need a chunk which is nowhere, as far as that was looked
    /// for.
    #[must_use]
    pub fn undecodable(&self) -> HashSet<PackId> {
        let places = self.broken_blocks.iter().filter_map(|block| self.place(*block));
        places.map(|place| place.pack).filter(|pack| !self.broken.contains(pack)).collect()
    }

    /// Where a chunk lies, or `None` when no segment knows it.
    #[must_use]
    pub fn lookup(&self, id: &ChunkId) -> Option<Location> {
        self.locations(id).next()
    }

    /// Every place where a chunk lies: it may have been stored twice by writers side by side, or again after damage.
    pub fn locations<'a>(&'a self, id: &'a ChunkId) -> impl Iterator<Item = Location> + 'a {
        self.hits(id.as_bytes()).map(|(_, location)| location)
    }

    /// The same with those that are not to be used.
    pub fn all_locations<'a>(&'a self, id: &'a ChunkId) -> impl Iterator<Item = Location> + 'a {
        self.all_hits(id.as_bytes()).map(|(_, location)| location)
    }

    /// The place of a chunk that needs the fewest blocks to be decoded before, and of several such places always the same.
    #[must_use]
    pub fn shallowest(&self, id: &ChunkId) -> Option<Location> {
        self.shallowest_of(id).map(|(location, _)| location)
    }

    /// The same, and how many places the chunk has with those that are not to be used.
    #[must_use]
    pub fn shallowest_of(&self, id: &ChunkId) -> Option<(Location, usize)> {
        let mut count = 0;
        let places = self.all_locations(id).inspect(|_| count += 1).filter(|location| self.is_sound(location));
        let shallowest = self.nearest(places.map(|location| (*id, location)));
        shallowest.map(|(_, location)| (location, count))
    }

    /// The same of a base of a block of this depth.
    #[must_use]
    pub fn shallowest_base(&self, base: &BaseId, depth: u8) -> Option<(ChunkId, Location)> {
        self.nearest(self.base_locations(base, depth))
    }

    /// The place that needs the fewest blocks, and of several such places always the same.
    fn nearest(&self, mut places: impl Iterator<Item = (ChunkId, Location)>) -> Option<(ChunkId, Location)> {
        let first = places.next()?;
        let Some(second) = places.next() else { return Some(first) };
        [first, second].into_iter().chain(places).min_by_key(|(_, location)| self.order_of(*location))
    }

    /// The order in which several places of a chunk are tried.
    #[must_use]
    pub fn order_of(&self, location: Location) -> (usize, u8, Location) {
        let block = location.block_key();
        (self.reach(block), self.depth(block), location)
    }

    /// Every place that is to be used of every chunk whose id begins like this.
    fn hits<'a>(&'a self, beginning: &'a [u8]) -> impl Iterator<Item = (ChunkId, Location)> + 'a {
        self.all_hits(beginning).filter(|(_, location)| self.is_sound(location))
    }

    fn all_hits<'a>(&'a self, beginning: &'a [u8]) -> impl Iterator<Item = (ChunkId, Location)> + 'a {
        (0_u32..).zip(&self.segments).flat_map(move |(segment, mapped)| {
            mapped.records(beginning).map(move |(record, hit)| {
                (hit.id, Location { segment, block: hit.block, record, offset: hit.offset, len_bytes: hit.len_bytes })
            })
        })
    }

    /// Every place of every chunk that a base may be, in blocks less deep than `depth`.
    pub fn base_locations<'a>(&'a self, base: &'a BaseId, depth: u8) -> impl Iterator<Item = (ChunkId, Location)> + 'a {
        let is_below = move |key: BlockKey| self.place(key).is_some_and(|place| place.depth < depth);
        self.hits(base.as_bytes()).filter(move |(_, location)| is_below(location.block_key()))
    }

    /// Every place, those too that are not to be used, of every chunk that a base may be, whatever the depth.
    pub fn all_base_locations<'a>(&'a self, base: &'a BaseId) -> impl Iterator<Item = (ChunkId, Location)> + 'a {
        self.all_hits(base.as_bytes())
    }

    fn is_sound(&self, location: &Location) -> bool {
        let block = location.block_key();
        (self.broken.is_empty() || self.place(block).is_some_and(|place| !self.broken.contains(&place.pack)))
            && !self.broken_blocks.contains(&block)
            && !self.untrue.contains(location)
    }

    /// Where a block lies, and its bases in order.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the segment is damaged there.
    pub fn block(&self, block: BlockKey) -> Result<(BlockPlace, Vec<BaseId>), Error> {
        let segment = self.segments.get(block.segment as usize);
        segment
            .and_then(|segment| Some((segment.place(block.block)?, segment.bases(block.block)?)))
            .ok_or_else(|| Error::Damaged { segment: self.segment_of(block), what: "a block is not in its tables" })
    }

    /// The name of the segment that lists a block.
    #[must_use]
    pub fn segment_of(&self, block: BlockKey) -> String {
        self.segments.get(block.segment as usize).map_or_else(String::new, |segment| segment.id().to_string())
    }

    /// A set of chunks of this index with nothing in it: one bit for each.
    #[must_use]
    pub fn chunk_set(&self) -> ChunkSet {
        let (starts, sum) = self.starts(Segment::chunk_count);
        ChunkSet { starts, bits: vec![0; sum.div_ceil(64)] }
    }

    /// The chunks of a set of this index, and where they are in it.
    pub fn chunks_of<'a>(&'a self, set: &'a ChunkSet) -> impl Iterator<Item = (ChunkId, Location)> + 'a {
        set.records().filter_map(|(segment, record)| {
            let hit = self.segments.get(segment as usize)?.chunk(record)?;
            Some((hit.id, Location { segment, block: hit.block, record, offset: hit.offset, len_bytes: hit.len_bytes }))
        })
    }

    /// A set of blocks of this index with nothing in it: one bit for each.
    #[must_use]
    pub fn block_set(&self) -> BlockSet {
        let (starts, sum) = self.starts(Segment::block_count);
        BlockSet { starts, bits: (0..sum.div_ceil(64)).map(|_| AtomicU64::new(0)).collect() }
    }

    /// A length of zero for each block of this index.
    #[must_use]
    pub fn block_lengths(&self) -> BlockLengths {
        let (starts, sum) = self.starts(Segment::block_count);
        BlockLengths { starts, lengths: vec![0; sum] }
    }

    /// Where the numbers of each segment begin when all are numbered through, and how many they are.
    fn starts(&self, count: impl Fn(&Segment) -> u32) -> (Vec<usize>, usize) {
        let mut starts = Vec::with_capacity(self.segments.len());
        let mut sum = 0;
        for segment in &self.segments {
            starts.push(sum);
            sum += count(segment) as usize;
        }
        (starts, sum)
    }

    /// Blocks that have to be decoded for this one, itself among them, when each base is taken from where it needs the fewest. Some may be
    /// counted several times; no more are counted than may be.
    #[must_use]
    pub fn reach(&self, block: BlockKey) -> usize {
        self.reaches.of(self, block)
    }

    /// Blocks to decode before this one; the most that can be told when the segment is damaged there.
    #[must_use]
    pub fn depth(&self, block: BlockKey) -> u8 {
        self.place(block).map_or(u8::MAX, |place| place.depth)
    }

    /// How many blocks lie before the deepest block of each pack.
    #[must_use]
    pub fn pack_depths(&self) -> HashMap<PackId, u8> {
        let mut depths = HashMap::new();
        for place in self.blocks().filter_map(|block| self.place(block)) {
            let depth = depths.entry(place.pack).or_default();
            *depth = place.depth.max(*depth);
        }
        depths
    }

    /// Puts a chunk into a set at the first of its places; `false` when it was in it, or is not in the index.
    pub fn insert(&self, set: &mut ChunkSet, id: &ChunkId) -> bool {
        self.lookup(id).is_some_and(|location| set.insert(&location))
    }

    /// Where the payload of a block lies and how it is encoded; `None` when the segment is damaged there.
    #[must_use]
    pub fn place(&self, block: BlockKey) -> Option<BlockPlace> {
        self.segments.get(block.segment as usize)?.place(block.block)
    }

    /// All packs that the segments list.
    #[must_use]
    pub fn packs(&self) -> HashMap<PackId, ListedPack> {
        self.segments.iter().flat_map(|segment| segment.packs()).map(|pack| (pack.id, pack)).collect()
    }

    /// Whether some segment lists a pack with this length in bytes.
    #[must_use]
    pub fn lists_pack(&self, id: PackId, len_bytes: u64) -> bool {
        let mut packs = self.segments.iter().flat_map(|segment| segment.packs());
        packs.any(|pack| (pack.id, pack.len_bytes) == (id, len_bytes))
    }

    /// Chunks that all segments list together.
    #[must_use]
    pub fn chunk_count(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.chunk_count())).sum()
    }
}

impl DeltaGraph for Index {
    fn depth(&self, block: BlockKey) -> u8 {
        self.depth(block)
    }

    fn bases(&self, block: BlockKey) -> Vec<BaseId> {
        self.block(block).map(|(_, bases)| bases).unwrap_or_default()
    }

    fn blocks_with(&self, base: &BaseId, depth: u8) -> Vec<BlockKey> {
        self.base_locations(base, depth).map(|(_, location)| location.block_key()).collect()
    }
}
