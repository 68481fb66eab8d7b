//! Decoded blocks, kept in memory up to a number of bytes. Threads that read with the same index share one cache, and each
//! block is decoded by one of them while the others wait for it.
//!
//! A block is known by its place in an index, so a cache never outlives the index that it was made for.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::index::BlockKey;

/// Most blocks in the cache, whatever their size.
const BLOCKS_MAX: usize = 512;
/// Room for plaintext comes in multiples of so many bytes, so that it can be used again for other blocks. Memory that is
/// given back in pieces of all sizes is not used again as well: that took up to twice of what the cache holds.
const ROOM_BYTES: usize = 32 << 10;
/// Most pieces of room that are kept for the next blocks.
const SPARE_MAX: usize = 8;

/// The blocks that were used last, and those that are being decoded.
#[derive(Debug)]
pub(super) struct BlockCache {
    bytes_max: usize,
    used: Mutex<Used>,
    released: Condvar,
    decoded_bytes: AtomicU64,
}

/// A decoded block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) plaintext: Arc<Vec<u8>>,
    /// No more blocks than this are decoded for it, itself among them.
    pub(super) reach: usize,
}

#[derive(Debug, Default)]
struct Used {
    /// With when it was used last.
    blocks: HashMap<BlockKey, (Block, u64)>,
    claimed: HashSet<BlockKey>,
    spare: Vec<Vec<u8>>,
    bytes: usize,
    clock: u64,
}

/// What the cache has of a block.
#[derive(Debug)]
pub(super) enum Cached {
    Block(Block),
    /// Nothing, and nobody else decodes it as long as the claim is held.
    Claimed(Claim),
}

/// The right to decode a block.
#[derive(Debug)]
pub(super) struct Claim {
    cache: Arc<BlockCache>,
    key: BlockKey,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut used = self.cache.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.claimed.remove(&self.key);
        drop(used);
        self.cache.released.notify_all();
    }
}

impl Used {
    fn keep(&mut self, room: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && room.capacity() >= ROOM_BYTES {
            self.spare.push(room);
        }
    }
}

impl BlockCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, used: Mutex::default(), released: Condvar::new(), decoded_bytes: AtomicU64::new(0) }
    }

    /// The block, for which this waits while another thread decodes it. Whoever holds claims may only ask for a block that
    /// lies less deep than all of these, so that nobody waits in a circle.
    pub(super) fn get_or_claim(self: &Arc<Self>, key: BlockKey) -> Cached {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            used.clock += 1;
            let clock = used.clock;
            if let Some((block, last)) = used.blocks.get_mut(&key) {
                *last = clock;
                return Cached::Block(block.clone());
            }
            if used.claimed.insert(key) {
                return Cached::Claimed(Claim { cache: Arc::clone(self), key });
            }
            used = self.released.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Keeps a block that was decoded, and forgets those that were not used for the longest time.
    pub(super) fn insert(&self, key: BlockKey, block: &Block) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.clock += 1;
        let clock = used.clock;
        used.bytes += block.plaintext.capacity();
        if let Some((before, _)) = used.blocks.insert(key, (block.clone(), clock)) {
            used.bytes -= before.plaintext.capacity();
        }
        while (used.bytes > self.bytes_max || used.blocks.len() > BLOCKS_MAX) && used.blocks.len() > 1 {
            let oldest = used.blocks.iter().min_by_key(|(_, (_, last))| *last).map(|(key, _)| *key);
            let Some((block, _)) = oldest.and_then(|key| used.blocks.remove(&key)) else { return };
            used.bytes -= block.plaintext.capacity();
            if let Some(room) = Arc::into_inner(block.plaintext) {
                used.keep(room);
            }
        }
    }

    /// Takes room back that is not needed any more.
    pub(super) fn give_back(&self, room: Vec<u8>) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).keep(room);
    }

    /// Room for so many bytes, with anything in it.
    pub(super) fn room(&self, bytes: usize) -> Vec<u8> {
        let bytes = bytes.next_multiple_of(ROOM_BYTES);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting =
            used.spare.iter().enumerate().filter(|(_, spare)| (bytes..=2 * bytes).contains(&spare.capacity()));
        match fitting.min_by_key(|(_, spare)| spare.capacity()).map(|(number, _)| number) {
            Some(fitting) => used.spare.swap_remove(fitting),
            None => Vec::with_capacity(bytes),
        }
    }

    pub(super) fn count_decoded(&self, bytes: usize) {
        self.decoded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Plaintext of all blocks that were decoded for this cache, in bytes.
    pub(super) fn decoded_bytes(&self) -> u64 {
        self.decoded_bytes.load(Ordering::Relaxed)
    }
}
