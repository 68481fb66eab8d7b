//! Reading chunks by id.
//!
//! Every chunk is checked against its id before anyone sees it.

use std::ops::{Deref, Range};
use std::sync::Arc;

use super::Error;
use super::block_reader::BlockReader;
use super::cache::BlockCache;
use crate::id::{ChunkId, IdScheme, PackId};
use crate::index::{BlockKey, Index, Location};
use crate::pack::{self, BlockEntry, BlockPlace};
use crate::storage::Storage;

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

/// Reads chunks by id, through a cache of decoded blocks that is bounded in bytes.
#[derive(Debug)]
pub struct ChunkReader {
    blocks: BlockReader,
    ids: IdScheme,
}

impl ChunkReader {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        index: Arc<Index>,
        ids: IdScheme,
        cache_bytes: usize,
    ) -> Result<Self, Error> {
        let cache = Arc::new(BlockCache::new(cache_bytes));
        Ok(Self { blocks: BlockReader::new(storage, index, ids, cache)?, ids })
    }

    /// Another reader with the same index and the same cache, for another thread.
    ///
    /// # Errors
    /// [`Error::Pack`].
    pub fn sibling(&self) -> Result<Self, Error> {
        Ok(Self { blocks: self.blocks.sibling()?, ids: self.ids })
    }

    /// The index that chunks are looked up in.
    #[must_use]
    pub const fn index(&self) -> &Arc<Index> {
        &self.blocks.index
    }

    /// Where a chunk lies.
    ///
    /// # Errors
    /// [`Error::MissingChunk`].
    pub fn locate(&self, chunk: ChunkId) -> Result<Location, Error> {
        self.index().lookup(&chunk).ok_or(Error::MissingChunk { chunk })
    }

    /// The plaintext of a chunk, from the first of its places that is whole.
    ///
    /// # Errors
    /// [`Error::MissingChunk`], [`Error::Pack`] when its block is damaged, [`Error::Storage`].
    pub fn read(&mut self, chunk: ChunkId) -> Result<ChunkData, Error> {
        let index = Arc::clone(self.index());
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
        let key = location.block_key();
        let place = self.index().place(key).ok_or(Error::MissingChunk { chunk })?;
        let range = location.range();
        if let Ok(block) = self.blocks.read(key, &mut |_, _, _| {})
            && pack::check_chunk(self.ids, &place, &block, chunk, range.clone()).is_ok()
        {
            return Ok(ChunkData { block, range });
        }
        // Something is damaged: this finds what, and gets along without it where that is possible.
        let block = self.blocks.read_checked(key)?;
        pack::check_chunk(self.ids, &place, &block, chunk, range.clone())?;
        Ok(ChunkData { block, range })
    }

    /// Decodes a block and those that it needs. `observer` hears of each that was not in the cache: which one it is, its
    /// place and its plaintext, which is not checked.
    ///
    /// # Errors
    /// [`Error::Pack`], [`Error::Storage`], without a word on which pack is the damaged one.
    pub fn visit(
        &mut self,
        block: BlockKey,
        observer: &mut dyn FnMut(BlockKey, &BlockPlace, &[u8]),
    ) -> Result<(), Error> {
        self.blocks.read(block, observer).map(drop)
    }

    /// The plaintext of a block, every base of which is checked; its own chunks are not.
    ///
    /// # Errors
    /// [`Error::Pack`] when it, or what it is encoded against, is damaged; [`Error::Storage`].
    pub fn read_block(&mut self, block: BlockKey) -> Result<Arc<Vec<u8>>, Error> {
        self.blocks.read_checked(block)
    }

    /// The same of a block that a directory of a pack lists and the index does not.
    ///
    /// # Errors
    /// Those of [`ChunkReader::read_block`].
    pub fn read_unlisted(&mut self, pack: PackId, entry: &BlockEntry) -> Result<Arc<Vec<u8>>, Error> {
        self.blocks.read_unlisted(BlockPlace::of(pack, entry), entry.bases.clone())
    }

    /// Plaintext of all blocks that were decoded by this reader and its siblings, in bytes.
    #[must_use]
    pub fn decoded_bytes(&self) -> u64 {
        self.blocks.decoded_bytes()
    }
}
