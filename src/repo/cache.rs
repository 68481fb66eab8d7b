//! Decoded blocks, kept in memory up to a number of bytes. Threads that read with the same index share one cache.
//!
//! A block is known by its place in an index, so a cache never outlives the index that it was made for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::index::BlockKey;

/// Most blocks in the cache, whatever their size.
const BLOCKS_MAX: usize = 512;

/// The blocks that were used last.
#[derive(Debug)]
pub(super) struct BlockCache {
    bytes_max: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    blocks: HashMap<BlockKey, (Arc<Vec<u8>>, u64)>,
    bytes: usize,
    clock: u64,
}

impl BlockCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, used: Mutex::default() }
    }

    pub(super) fn get(&self, key: BlockKey) -> Option<Arc<Vec<u8>>> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.clock += 1;
        let clock = used.clock;
        let (block, last) = used.blocks.get_mut(&key)?;
        *last = clock;
        Some(Arc::clone(block))
    }

    /// Keeps a block, and forgets those that were not used for the longest time.
    pub(super) fn insert(&self, key: BlockKey, block: &Arc<Vec<u8>>) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.clock += 1;
        let clock = used.clock;
        used.bytes += block.len();
        if let Some((before, _)) = used.blocks.insert(key, (Arc::clone(block), clock)) {
            used.bytes -= before.len();
        }
        while (used.bytes > self.bytes_max || used.blocks.len() > BLOCKS_MAX) && used.blocks.len() > 1 {
            let oldest = used.blocks.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| *key);
            let Some((block, _)) = oldest.and_then(|key| used.blocks.remove(&key)) else { return };
            used.bytes -= block.len();
        }
    }
}
