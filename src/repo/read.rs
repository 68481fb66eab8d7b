//! Reading chunks through a cache of decoded blocks that is bounded in bytes.
//!
//! Every chunk is checked against its id before anyone sees it.

use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::Error;
use crate::id::{ChunkId, IdScheme};
use crate::index::{BlockKey, Index, Location};
use crate::limits::BLOCK_CACHE_BYTES;
use crate::pack::{self, BlockDecoder};
use crate::storage::Storage;

/// Most blocks in the cache, whatever their size.
const BLOCKS_MAX: usize = 512;

/// The plaintext of one chunk, shared with the cache.
#[derive(Debug, Clone)]
pub struct ChunkData {
    block: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for ChunkData {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.block.get(self.range.clone()).expect("the range was checked when the chunk was read")
    }
}

/// Reads chunks by id.
#[derive(Debug)]
pub struct ChunkReader {
    storage: Arc<dyn Storage>,
    index: Arc<Index>,
    ids: IdScheme,
    decoder: BlockDecoder,
    blocks: HashMap<BlockKey, (Arc<Vec<u8>>, u64)>,
    cached_bytes: usize,
    clock: u64,
}

impl ChunkReader {
    pub(super) fn new(storage: Arc<dyn Storage>, index: Arc<Index>, ids: IdScheme) -> Result<Self, Error> {
        let decoder = BlockDecoder::new()?;
        Ok(Self { storage, index, ids, decoder, blocks: HashMap::new(), cached_bytes: 0, clock: 0 })
    }

    /// The index that chunks are looked up in.
    #[must_use]
    pub const fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Where a chunk lies.
    ///
    /// # Errors
    /// [`Error::MissingChunk`].
    pub fn locate(&self, chunk: ChunkId) -> Result<Location, Error> {
        self.index.lookup(&chunk).ok_or(Error::MissingChunk { chunk })
    }

    /// The plaintext of a chunk, from the first of its places that is whole.
    ///
    /// # Errors
    /// [`Error::MissingChunk`], [`Error::Pack`] when its block is damaged, [`Error::Storage`].
    pub fn read(&mut self, chunk: ChunkId) -> Result<ChunkData, Error> {
        let index = Arc::clone(&self.index);
        let mut first_error = None;
        for location in index.locations(&chunk) {
            match self.read_at(chunk, location) {
                Ok(data) => return Ok(data),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(Error::MissingChunk { chunk }))
    }

    /// The plaintext of a chunk at one of its places.
    ///
    /// # Errors
    /// Those of [`ChunkReader::read`].
    pub fn read_at(&mut self, chunk: ChunkId, location: Location) -> Result<ChunkData, Error> {
        let place = self.index.place(location.block_key()).ok_or(Error::MissingChunk { chunk })?;
        let block = self.block(location.block_key(), &place)?;
        pack::check_chunk(self.ids, &place, &block, chunk, location.range())?;
        Ok(ChunkData { block, range: location.range() })
    }

    fn block(&mut self, key: BlockKey, place: &pack::BlockPlace) -> Result<Arc<Vec<u8>>, Error> {
        self.clock += 1;
        if let Some((block, used)) = self.blocks.get_mut(&key) {
            *used = self.clock;
            return Ok(Arc::clone(block));
        }
        let block = Arc::new(pack::read_block(self.storage.as_ref(), &mut self.decoder, place)?);
        self.cached_bytes += block.len();
        self.blocks.insert(key, (Arc::clone(&block), self.clock));
        while (self.cached_bytes > BLOCK_CACHE_BYTES || self.blocks.len() > BLOCKS_MAX) && self.blocks.len() > 1 {
            self.evict_oldest();
        }
        Ok(block)
    }

    fn evict_oldest(&mut self) {
        let oldest = self.blocks.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
        if let Some((block, _)) = oldest.and_then(|key| self.blocks.remove(&key)) {
            self.cached_bytes -= block.len();
        }
    }
}
