//! Reading blocks, those too that are encoded against others: the way to a delta block leads through its bases.
//!
//! No depth of input deepens a call: what waits for its bases waits in a list of at most [`DELTA_DEPTH_MAX`] and one
//! entries, because bases must lie less deep than what needs them. How many blocks one block may cost is bounded.

use std::sync::Arc;

use super::Error;
use super::cache::BlockCache;
use crate::id::{BaseId, ChunkId, IdScheme};
use crate::index::{BlockKey, Index, Location};
use crate::limits::{DELTA_CHAIN_BLOCKS_MAX, DELTA_DEPTH_MAX, DELTA_PREFIX_BYTES_MAX};
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
    /// Room for prefixes that is not needed now.
    spare: Vec<Vec<u8>>,
}

/// A decoded block and which one it is.
type Decoded = (Option<BlockKey>, Arc<Vec<u8>>);

/// A block whose bases are being gathered.
struct Waiting {
    /// `None` for a block that the index does not have.
    key: Option<BlockKey>,
    place: BlockPlace,
    /// Bases that are still to come, the next one last.
    bases: Vec<BaseId>,
    /// Places of the base that is to come now, the next one to try last.
    candidates: Vec<(ChunkId, Location)>,
    /// Why a place was of no use.
    error: Option<Error>,
    /// The block that was decoded for it last.
    given: Option<Decoded>,
    prefix: Vec<u8>,
}

enum Step {
    /// This block has to be decoded first.
    Needs(BlockKey),
    Done(Result<Decoded, Error>),
}

impl BlockReader {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        index: Arc<Index>,
        ids: IdScheme,
        cache: Arc<BlockCache>,
    ) -> Result<Self, Error> {
        Ok(Self { storage, index, ids, decoder: BlockDecoder::new()?, cache, spare: Vec::new() })
    }

    /// Another reader of the same blocks, for another thread.
    pub(super) fn sibling(&self) -> Result<Self, Error> {
        Self::new(Arc::clone(&self.storage), Arc::clone(&self.index), self.ids, Arc::clone(&self.cache))
    }

    /// The plaintext of a block. Its own chunks are not checked, those of its bases are.
    pub(super) fn read(&mut self, key: BlockKey) -> Result<Arc<Vec<u8>>, Error> {
        if let Some(block) = self.cache.get(key) {
            return Ok(block);
        }
        let first = self.begin(key)?;
        self.read_waiting(first)
    }

    /// The plaintext of a block that the index does not have.
    pub(super) fn read_unlisted(&mut self, place: BlockPlace, bases: Vec<BaseId>) -> Result<Arc<Vec<u8>>, Error> {
        self.read_waiting(Waiting::new(None, place, bases, Vec::new())?)
    }

    fn read_waiting(&mut self, first: Waiting) -> Result<Arc<Vec<u8>>, Error> {
        let mut waiting = vec![first];
        let mut decoded = 0;
        while let Some(last) = waiting.last_mut() {
            match self.step(last) {
                Step::Needs(base) => match self.begin(base) {
                    Ok(base) => waiting.push(base),
                    Err(error) => last.reject(error),
                },
                Step::Done(result) => {
                    decoded += 1;
                    if decoded > DELTA_CHAIN_BLOCKS_MAX {
                        return Err(damaged(&last.place, "it needs more blocks than any block should"));
                    }
                    let room = waiting.pop().map(|done| done.prefix).unwrap_or_default();
                    if self.spare.len() <= usize::from(DELTA_DEPTH_MAX) && room.capacity() > 0 {
                        self.spare.push(room);
                    }
                    match (waiting.last_mut(), result) {
                        (None, result) => return result.map(|(_, block)| block),
                        (Some(next), Ok(block)) => next.given = Some(block),
                        (Some(next), Err(error)) => next.reject(error),
                    }
                }
            }
        }
        unreachable!("the first block to wait ends the loop when it is done")
    }

    fn begin(&mut self, key: BlockKey) -> Result<Waiting, Error> {
        let (place, bases) = self.index.block(key)?;
        let room = if bases.is_empty() { Vec::new() } else { self.spare.pop().unwrap_or_default() };
        Waiting::new(Some(key), place, bases, room)
    }

    /// Gathers bases as long as their blocks are at hand, and decodes the block when it has all.
    fn step(&mut self, block: &mut Waiting) -> Step {
        loop {
            let Some((chunk, location)) = block.candidates.last() else {
                if let Some(error) = block.error.take() {
                    return Step::Done(Err(error));
                }
                let Some(base) = block.bases.pop() else { return Step::Done(self.decode(block)) };
                block.candidates.extend(self.index.base_locations(&base, block.place.depth));
                if block.candidates.is_empty() {
                    return Step::Done(Err(damaged(&block.place, "a chunk that it is encoded against is nowhere")));
                }
                continue;
            };
            let key = location.block_key();
            let given = block.given.take().filter(|(given, _)| *given == Some(key)).map(|(_, block)| block);
            let Some(base) = given.or_else(|| self.cache.get(key)) else { return Step::Needs(key) };
            let checked = match self.index.place(key) {
                Some(place) => {
                    pack::check_chunk(self.ids, &place, &base, *chunk, location.range()).map_err(Error::from)
                }
                None => Err(Error::MissingChunk { chunk: *chunk }),
            };
            match checked {
                Ok(bytes) if block.prefix.len() + bytes.len() > DELTA_PREFIX_BYTES_MAX => {
                    return Step::Done(Err(damaged(&block.place, "what it is encoded against is too long")));
                }
                Ok(bytes) => {
                    block.prefix.extend_from_slice(bytes);
                    block.candidates.clear();
                    block.error = None;
                }
                Err(error) => block.reject(error),
            }
        }
    }

    fn decode(&mut self, block: &Waiting) -> Result<Decoded, Error> {
        let plaintext = pack::read_block(self.storage.as_ref(), &mut self.decoder, &block.place, &block.prefix)?;
        let plaintext = Arc::new(plaintext);
        if let Some(key) = block.key {
            self.cache.insert(key, &plaintext);
        }
        Ok((block.key, plaintext))
    }
}

impl Waiting {
    fn new(
        key: Option<BlockKey>,
        place: BlockPlace,
        mut bases: Vec<BaseId>,
        mut prefix: Vec<u8>,
    ) -> Result<Self, Error> {
        if place.depth > DELTA_DEPTH_MAX {
            return Err(damaged(&place, "it says that it is deeper than any block can be"));
        }
        bases.reverse();
        if !bases.is_empty() {
            prefix.clear();
            prefix.reserve_exact(DELTA_PREFIX_BYTES_MAX);
        }
        Ok(Self { key, place, bases, candidates: Vec::new(), error: None, given: None, prefix })
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
        number: u8,
        depth: u8,
        bases: Vec<u8>,
    }

    fn plaintext(number: u8) -> Vec<u8> {
        vec![number; 1000]
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
                bases: bases.iter().map(|base| ChunkId::of(&plaintext(*base)).into()).collect(),
                payload,
                raw_bytes: 1000,
                chunks: vec![ChunkRef { id: ChunkId::of(&plain), len_bytes: 1000 }],
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
        let mut encoder = crate::pack::BlockEncoder::new().expect("memory");
        let mut block = crate::pack::RawBlock::default();
        block.push((ChunkId::of(plain), plain), 0);
        let bases = if prefix.is_empty() { Vec::new() } else { vec![ChunkId::of(prefix).into()] };
        let prefix = pack::Prefix { bases, bytes: prefix.to_vec(), depth: 1 };
        encoder.encode_against(block, prefix).expect("encode").payload
    }

    fn read(chunks: &[Crafted], number: u8) -> Result<Vec<u8>, Error> {
        let (mut reader, index) = reader_of(chunks);
        let location = index.lookup(&ChunkId::of(&plaintext(number))).expect("it is listed");
        reader.read(location.block_key()).map(|block| block.to_vec())
    }

    fn chain(len: u8) -> Vec<Crafted> {
        let link = |number: u8| Crafted { number, depth: number, bases: (0..number).rev().take(1).collect() };
        (0..=len).map(link).collect()
    }

    #[test]
    fn a_chain_is_read_through_a_cache_that_holds_nothing() {
        for number in 0..=DELTA_DEPTH_MAX {
            assert_eq!(read(&chain(DELTA_DEPTH_MAX), number).expect("a sound chain"), plaintext(number));
        }
    }

    #[test]
    fn a_circle_of_bases_and_depths_that_are_wrong_are_errors() {
        let crafted = |number, depth, bases: &[u8]| Crafted { number, depth, bases: bases.to_vec() };
        let circle = [crafted(1, 1, &[2]), crafted(2, 1, &[1])];
        assert!(read(&circle, 1).expect_err("a circle").is_damage());
        let itself = [crafted(1, 1, &[1])];
        assert!(read(&itself, 1).expect_err("a circle of one").is_damage());
        let too_deep = [crafted(0, 0, &[]), crafted(1, 200, &[0])];
        assert!(read(&too_deep, 1).expect_err("no block is so deep").is_damage());
        let missing = [crafted(1, 1, &[7])];
        assert!(read(&missing, 1).expect_err("a base that is nowhere").is_damage());
    }

    /// Each level needs each chunk of the level below many times over, and nothing is kept: without a bound it would never
    /// end.
    #[test]
    fn a_block_that_costs_too_much_is_an_error() {
        let mut crafted =
            vec![Crafted { number: 0, depth: 0, bases: vec![] }, Crafted { number: 1, depth: 0, bases: vec![] }];
        for depth in 1..=DELTA_DEPTH_MAX {
            let below = 2 * (depth - 1);
            let bases: Vec<u8> = [below, below + 1].repeat(50);
            crafted.push(Crafted { number: 2 * depth, depth, bases: bases.clone() });
            crafted.push(Crafted { number: 2 * depth + 1, depth, bases });
        }
        assert!(read(&crafted, 2 * DELTA_DEPTH_MAX).expect_err("millions of blocks").is_damage());
        assert_eq!(read(&crafted, 2).expect("two blocks"), plaintext(2));
    }
}
