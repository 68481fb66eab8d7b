//! Reading blocks, those too that are encoded against others: the way to a delta block leads through its bases.
//!
//! No depth of input deepens a call: what waits for its bases waits in a list of at most [`DELTA_DEPTH_MAX`] and one
//! entries, because bases must lie less deep than what needs them. How many blocks one block may cost is bounded.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use super::Error;
use super::cache::{Block, BlockCache, Cached, Claim};
use super::reach::is_within_reach;
use crate::id::{BaseId, ChunkId, IdScheme};
use crate::index::{BlockKey, Index, Location};
use crate::limits::{DELTA_DEPTH_MAX, DELTA_PREFIX_BYTES_MAX, DELTA_REACH_MAX, NEEDED_BYTES_MAX};
use crate::pack::{self, BlockDecoder, BlockPlace};
use crate::storage::Storage;

/// Reads blocks of one index.
#[derive(Debug)]
pub(super) struct BlockReader {
    storage: Arc<dyn Storage>,
    pub(super) index: Arc<Index>,
    ids: IdScheme,
    decoder: BlockDecoder,
    cache: Arc<BlockCache>,
}

/// Hears of every block that is decoded: which one it is, its place and its plaintext.
pub(super) type Observer<'a> = &'a mut dyn FnMut(BlockKey, &BlockPlace, &[u8]);

/// Blocks that are decoded for one, those too that turn out to be of no use, and those that were decoded before.
const DECODED_MAX: usize = 4 * DELTA_REACH_MAX;

const TOO_MANY: &str = "it needs more blocks than any block should";

/// A decoded block and which one it is.
type Decoded = (Option<BlockKey>, Block);

/// Blocks that were decoded for another one. In trust the last one only: the cache has most of the others.
#[derive(Default)]
struct Needed {
    blocks: HashMap<BlockKey, Block>,
    bytes: usize,
}

impl Needed {
    fn get(&self, key: BlockKey) -> Option<&Block> {
        self.blocks.get(&key)
    }

    fn clear(&mut self) {
        self.blocks.clear();
        self.bytes = 0;
    }

    /// Keeps a block, in the place of all others when there is no room for it.
    fn insert(&mut self, key: BlockKey, block: Block) {
        if self.bytes > NEEDED_BYTES_MAX {
            self.clear();
        }
        self.bytes += block.plaintext.capacity();
        self.blocks.insert(key, block);
    }
}

/// How far the bases of a block, and the cache, are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Whoever asked for the block checks what it gets.
    Full,
    /// Every base is checked, nothing that was decoded in trust is used, and a base that is not whole at one place is looked
    /// for at the others. Blocks are decoded once, however small the cache is, as long as they fit into bounded room.
    None,
}

/// A block whose bases are being gathered.
struct Waiting {
    /// `None` for a block that the index does not have.
    key: Option<BlockKey>,
    place: BlockPlace,
    bases: Vec<BaseId>,
    /// How many of the bases have come.
    gathered: usize,
    /// Blocks that were decoded for it, itself among them; those that several bases need are counted several times.
    reach: usize,
    /// The block of the base that came last.
    last: Option<BlockKey>,
    /// Places of the base that is to come now, the next one to try last.
    candidates: Vec<(ChunkId, Location)>,
    /// Why a place was of no use.
    error: Option<Error>,
    prefix: Vec<u8>,
    /// Keeps other threads from decoding it too.
    _claim: Option<Claim>,
}

enum Step {
    /// This block has to be decoded first.
    Needs(BlockKey, Option<Claim>),
    Done(Result<Decoded, Error>),
}

impl BlockReader {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        index: Arc<Index>,
        ids: IdScheme,
        cache: Arc<BlockCache>,
    ) -> Result<Self, Error> {
        Ok(Self { storage, index, ids, decoder: BlockDecoder::new()?, cache })
    }

    /// Another reader of the same blocks, for another thread.
    pub(super) fn sibling(&self) -> Result<Self, Error> {
        Self::new(Arc::clone(&self.storage), Arc::clone(&self.index), self.ids, Arc::clone(&self.cache))
    }

    /// Plaintext of all blocks that this reader and its siblings have decoded, in bytes.
    pub(super) fn decoded_bytes(&self) -> u64 {
        self.cache.decoded_bytes()
    }

    /// The plaintext of a block, in trust: when a base is damaged it is wrong, or an error that blames the wrong pack, and
    /// when the cache is too small for its bases it may be an error too. Then ask [`BlockReader::read_checked`].
    pub(super) fn read(&mut self, key: BlockKey, observer: Observer<'_>) -> Result<Arc<Vec<u8>>, Error> {
        match self.cache.get_or_claim(key) {
            Cached::Block(block) => Ok(block.plaintext),
            Cached::Claimed(claim) => {
                let first = self.begin(key, Some(claim))?;
                self.read_waiting(first, Trust::Full, observer)
            }
        }
    }

    /// The plaintext of a block, every base of which is found to be right first. Its own chunks are not checked.
    pub(super) fn read_checked(&mut self, key: BlockKey) -> Result<Arc<Vec<u8>>, Error> {
        let first = self.begin(key, None)?;
        self.read_waiting(first, Trust::None, &mut |_, _, _| {})
    }

    /// The plaintext of a block that the index does not have, as [`BlockReader::read_checked`] gives it.
    pub(super) fn read_unlisted(&mut self, place: BlockPlace, bases: Vec<BaseId>) -> Result<Arc<Vec<u8>>, Error> {
        self.read_waiting(Waiting::new((None, None), place, bases, self)?, Trust::None, &mut |_, _, _| {})
    }

    fn read_waiting(&mut self, first: Waiting, trust: Trust, observer: Observer<'_>) -> Result<Arc<Vec<u8>>, Error> {
        let mut waiting = vec![first];
        let mut needed = Needed::default();
        let mut decoded = 0;
        while let Some(last) = waiting.last_mut() {
            match self.step(last, &mut needed, trust, observer) {
                Step::Needs(base, claim) => match self.begin(base, claim) {
                    Ok(base) => waiting.push(base),
                    Err(error) => last.reject(error),
                },
                Step::Done(result) => {
                    decoded += 1;
                    if decoded > DECODED_MAX {
                        return Err(damaged(&last.place, TOO_MANY));
                    }
                    waiting.pop();
                    match (waiting.last_mut(), result) {
                        (None, result) => return result.map(|(_, block)| block.plaintext),
                        (Some(next), Err(error)) => next.reject(error),
                        (Some(_), Ok((key, block))) => {
                            if trust == Trust::Full {
                                needed.clear();
                            }
                            if let Some(key) = key {
                                needed.insert(key, block);
                            }
                        }
                    }
                }
            }
        }
        unreachable!("the first block to wait ends the loop when it is done")
    }

    fn begin(&self, key: BlockKey, claim: Option<Claim>) -> Result<Waiting, Error> {
        let (place, bases) = self.index.block(key)?;
        Waiting::new((Some(key), claim), place, bases, self)
    }

    /// Gathers bases as long as their blocks are at hand, and decodes the block when it has all.
    fn step(&mut self, block: &mut Waiting, needed: &mut Needed, trust: Trust, observer: Observer<'_>) -> Step {
        loop {
            let Some((chunk, location)) = block.candidates.last() else {
                if let Some(error) = block.error.take() {
                    return Step::Done(Err(error));
                }
                let Some(base) = block.bases.get(block.gathered) else {
                    return Step::Done(self.decode(block, observer));
                };
                // The one that needs the fewest others comes first, as a writer takes it.
                block.candidates.extend(self.index.base_locations(base, block.place.depth));
                if block.candidates.len() > 1 {
                    let order = |(_, location): &(ChunkId, Location)| Reverse(self.index.order_of(*location));
                    block.candidates.sort_by_cached_key(order);
                }
                if block.candidates.is_empty() {
                    return Step::Done(Err(damaged(&block.place, "a chunk that it is encoded against is nowhere")));
                }
                continue;
            };
            let key = location.block_key();
            let base = match needed.get(key) {
                Some(base) => base.clone(),
                None if trust == Trust::None => return Step::Needs(key, None),
                None => match self.cache.get_or_claim(key) {
                    Cached::Block(base) => base,
                    Cached::Claimed(claim) => return Step::Needs(key, Some(claim)),
                },
            };
            match self.chunk_of(&base.plaintext, *chunk, *location, trust) {
                Ok(bytes) if block.prefix.len() + bytes.len() > DELTA_PREFIX_BYTES_MAX => {
                    return Step::Done(Err(damaged(&block.place, "what it is encoded against is too long")));
                }
                Ok(bytes) => {
                    block.prefix.extend_from_slice(bytes);
                    block.gather(key, base.reach);
                }
                Err(error) => block.reject(error),
            }
        }
    }

    fn chunk_of<'a>(
        &self,
        block: &'a [u8],
        chunk: ChunkId,
        location: Location,
        trust: Trust,
    ) -> Result<&'a [u8], Error> {
        let place = self.index.place(location.block_key()).ok_or(Error::MissingChunk { chunk })?;
        match trust {
            Trust::None => Ok(pack::check_chunk(self.ids, &place, block, chunk, location.range())?),
            Trust::Full => Ok(pack::chunk_range(&place, block, location.range())?),
        }
    }

    fn decode(&mut self, block: &mut Waiting, observer: Observer<'_>) -> Result<Decoded, Error> {
        if block.reach > DELTA_REACH_MAX {
            if !is_within_reach(&self.index, &block.bases, block.place.depth) {
                return Err(damaged(&block.place, TOO_MANY));
            }
            block.reach = DELTA_REACH_MAX;
        }
        let mut plaintext = self.cache.room(block.place.raw_bytes as usize);
        let Self { storage, decoder, .. } = self;
        pack::read_block(storage.as_ref(), decoder, &block.place, &block.prefix, &mut plaintext)?;
        self.cache.give_back(std::mem::take(&mut block.prefix));
        self.cache.count_decoded(plaintext.len());
        let decoded = Block { plaintext: Arc::new(plaintext), reach: block.reach };
        if let Some(key) = block.key {
            observer(key, &block.place, &decoded.plaintext);
            self.cache.insert(key, &decoded);
        }
        Ok((block.key, decoded))
    }
}

impl Waiting {
    fn new(
        (key, claim): (Option<BlockKey>, Option<Claim>),
        place: BlockPlace,
        bases: Vec<BaseId>,
        reader: &BlockReader,
    ) -> Result<Self, Error> {
        let BlockReader { index, cache, .. } = reader;
        if place.depth > DELTA_DEPTH_MAX {
            return Err(damaged(&place, "it says that it is deeper than any block can be"));
        }
        let len_of =
            |base| index.base_locations(base, place.depth).next().map_or(0, |(_, found)| found.len_bytes as usize);
        let prefix_bytes: usize = bases.iter().map(len_of).sum();
        let mut prefix =
            if bases.is_empty() { Vec::new() } else { cache.room(prefix_bytes.min(DELTA_PREFIX_BYTES_MAX)) };
        prefix.clear();
        let (candidates, error) = (Vec::new(), None);
        Ok(Self { key, place, bases, gathered: 0, reach: 1, last: None, candidates, error, prefix, _claim: claim })
    }

    /// The base that was to come has come, from a block with this reach.
    fn gather(&mut self, key: BlockKey, reach: usize) {
        if self.last.replace(key) != Some(key) {
            self.reach = self.reach.saturating_add(reach);
        }
        self.gathered += 1;
        self.candidates.clear();
        self.error = None;
    }

    /// The place that was tried is of no use.
    fn reject(&mut self, error: Error) {
        self.candidates.pop();
        self.error.get_or_insert(error);
    }
}

fn damaged(place: &BlockPlace, what: &'static str) -> Error {
    pack::Error::Damaged { pack: place.pack, offset: place.payload_offset, what }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::ChunkRef;
    use crate::index::SegmentBuilder;
    use crate::pack::{EncodedBlock, Encoding, PackKind, PackWriter};
    use crate::storage::MemoryStorage;

    /// A chunk that is encoded against others, all with the same plaintext for each number.
    struct Crafted {
        number: u16,
        depth: u8,
        bases: Vec<u16>,
    }

    fn plaintext(number: u16) -> Vec<u8> {
        number.to_le_bytes().repeat(50)
    }

    /// A repository with one chunk in each block, encoded and described as asked for.
    fn reader_of(chunks: &[Crafted]) -> (BlockReader, Arc<Index>) {
        let storage = MemoryStorage::default();
        let mut pack_writer = PackWriter::new(&storage, PackKind::Data).expect("memory");
        for Crafted { number, depth, bases } in chunks {
            let plain = plaintext(*number);
            let payload = zstd_frame(&plain, &bases.iter().flat_map(|base| plaintext(*base)).collect::<Vec<u8>>());
            let block = EncodedBlock {
                encoding: if bases.is_empty() { Encoding::Zstd } else { Encoding::Delta },
                depth: *depth,
                bases: bases.iter().map(|base| IdScheme::plain().chunk_id(&plaintext(*base)).into()).collect(),
                payload,
                raw_bytes: 100,
                chunks: vec![ChunkRef { id: IdScheme::plain().chunk_id(&plain), len_bytes: 100 }],
            };
            pack_writer.add(block).expect("memory");
        }
        let pack = pack_writer.finish().expect("memory");
        let mut builder = SegmentBuilder::default();
        builder.add(pack.id, pack.len_bytes, &pack.directory);
        builder.write(&storage).expect("memory");
        let index = Arc::new(Index::open(&storage).expect("one segment"));
        let cache = Arc::new(BlockCache::new(0));
        let reader = BlockReader::new(Arc::new(storage), Arc::clone(&index), IdScheme::plain(), cache).expect("memory");
        (reader, index)
    }

    fn zstd_frame(plain: &[u8], prefix: &[u8]) -> Vec<u8> {
        let mut encoder = crate::pack::BlockEncoder::new(crate::pack::LEVEL).expect("memory");
        let mut block = crate::pack::RawBlock::default();
        block.push((IdScheme::plain().chunk_id(plain), plain), 0);
        let bases = if prefix.is_empty() { Vec::new() } else { vec![IdScheme::plain().chunk_id(prefix).into()] };
        let prefix = pack::Prefix { bases, bytes: prefix.to_vec(), depth: 1, far: false };
        encoder.encode_against(block, prefix).expect("encode").payload
    }

    fn read(chunks: &[Crafted], number: u16) -> Result<Vec<u8>, Error> {
        let (mut reader, index) = reader_of(chunks);
        let location = index.lookup(&IdScheme::plain().chunk_id(&plaintext(number))).expect("it is listed");
        let in_trust = reader.read(location.block_key(), &mut |_, _, _| {});
        in_trust.or_else(|_| reader.read_checked(location.block_key())).map(|block| block.to_vec())
    }

    fn chain(len: u8) -> Vec<Crafted> {
        let link =
            |depth: u8| Crafted { number: depth.into(), depth, bases: (0..u16::from(depth)).rev().take(1).collect() };
        (0..=len).map(link).collect()
    }

    /// A small pack that claims the bases of honest blocks at thousands of places took a megabyte of memory for each.
    #[test]
    fn what_is_kept_for_one_block_is_bounded() {
        let mut needed = Needed::default();
        let block = || Block { plaintext: Arc::new(Vec::with_capacity(1 << 20)), reach: 1 };
        let chunks: Vec<Crafted> = (0..200).map(|number| Crafted { number, depth: 0, bases: Vec::new() }).collect();
        for key in reader_of(&chunks).1.blocks() {
            needed.insert(key, block());
            assert!(needed.bytes <= NEEDED_BYTES_MAX + (2 << 20) && needed.get(key).is_some());
        }
        assert_eq!(needed.bytes, needed.blocks.len() << 20);
    }

    #[test]
    fn a_chain_is_read_through_a_cache_that_holds_nothing() {
        for number in 0..=DELTA_DEPTH_MAX.into() {
            assert_eq!(read(&chain(DELTA_DEPTH_MAX), number).expect("a sound chain"), plaintext(number));
        }
    }

    #[test]
    fn a_circle_of_bases_and_depths_that_are_wrong_are_errors() {
        let crafted = |number, depth, bases: &[u16]| Crafted { number, depth, bases: bases.to_vec() };
        let circle = [crafted(1, 1, &[2]), crafted(2, 1, &[1])];
        assert!(read(&circle, 1).expect_err("a circle").is_damage());
        let itself = [crafted(1, 1, &[1])];
        assert!(read(&itself, 1).expect_err("a circle of one").is_damage());
        let too_deep = [crafted(0, 0, &[]), crafted(1, 200, &[0])];
        assert!(read(&too_deep, 1).expect_err("no block is so deep").is_damage());
        let missing = [crafted(1, 1, &[7])];
        assert!(read(&missing, 1).expect_err("a base that is nowhere").is_damage());
    }

    /// Each level needs each chunk of the level below many times over, and the cache keeps nothing: read again for each of
    /// them, it would never end.
    #[test]
    fn what_many_blocks_need_is_decoded_once() {
        let mut crafted =
            vec![Crafted { number: 0, depth: 0, bases: vec![] }, Crafted { number: 1, depth: 0, bases: vec![] }];
        for depth in 1..=DELTA_DEPTH_MAX {
            let below = 2 * (u16::from(depth) - 1);
            let bases: Vec<u16> = [below, below + 1].repeat(50);
            crafted.push(Crafted { number: below + 2, depth, bases: bases.clone() });
            crafted.push(Crafted { number: below + 3, depth, bases });
        }
        let last = 2 * u16::from(DELTA_DEPTH_MAX);
        assert_eq!(read(&crafted, last).expect("eighteen blocks"), plaintext(last));
    }

    #[test]
    fn a_block_that_needs_too_many_others_is_an_error() {
        let many = u16::try_from(DELTA_REACH_MAX).expect("a small number") + 10;
        let mut crafted: Vec<Crafted> = (0..many).map(|number| Crafted { number, depth: 0, bases: vec![] }).collect();
        crafted.push(Crafted { number: many, depth: 1, bases: (0..many).collect() });
        assert!(read(&crafted, many).expect_err("more than any writer makes").is_damage());
    }

    /// What was in a cache was not counted, so that it could be read in one order and not in another.
    #[test]
    fn the_blocks_that_a_block_needs_count_whatever_is_in_the_cache() {
        let max = u16::try_from(DELTA_REACH_MAX).expect("a small number");
        for (count, is_whole) in [(max - 2, true), (max - 1, false)] {
            let crafted = (0..count).map(|number| Crafted { number, depth: 0, bases: vec![] });
            let middle = Crafted { number: count, depth: 1, bases: (0..3_000).collect() };
            // Those that both need are counted once.
            let bases = [count].into_iter().chain(2_500..count).collect();
            let last = Crafted { number: count + 1, depth: 2, bases };
            let (mut reader, index) = reader_of(&crafted.chain([middle, last]).collect::<Vec<_>>());
            reader.cache = Arc::new(BlockCache::new(1 << 30));
            let key = |number| {
                index.lookup(&IdScheme::plain().chunk_id(&plaintext(number))).expect("it is listed").block_key()
            };
            reader.read(key(count), &mut |_, _, _| {}).expect("a sound block");
            assert_eq!(reader.read(key(count + 1), &mut |_, _, _| {}).is_ok(), is_whole, "{count}");
            assert_eq!(reader.read_checked(key(count + 1)).is_ok(), is_whole, "{count}");
        }
    }

    #[test]
    fn a_block_that_many_threads_want_is_decoded_once() {
        let (mut reader, index) = reader_of(&chain(1));
        let key = index.lookup(&IdScheme::plain().chunk_id(&plaintext(1))).expect("it is listed").block_key();
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let (mut sibling, barrier) = (reader.sibling().expect("memory"), &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let block = sibling.read(key, &mut |_, _, _| {}).expect("a sound chain");
                    assert_eq!(*block, plaintext(1));
                });
            }
        });
        assert_eq!(reader.decoded_bytes(), 200, "the block and its base");
        assert!(reader.read(key, &mut |_, _, _| unreachable!("it is in the cache")).is_ok());
    }
}
