//! What a block is encoded against: which chunks, their plaintext, and whether it is worth it.
//!
//! A base that cannot be read, or that is damaged, is left out: nothing new is made to depend on it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::ChunkReader;
use crate::chunk::ChunkRef;
use crate::id::ChunkId;
use crate::index::{BlockKey, Index, Location};
use crate::limits::{BLOCK_BASES_MAX, DELTA_DEPTH_MAX, DELTA_PREFIX_BYTES_MAX, DELTA_REACH_TARGET};
use crate::pack::Prefix;

/// After this many blocks without a gain none is expected.
const FAILURES_MAX: u32 = 6;

/// Whether blocks become smaller by being encoded against others.
#[derive(Debug, Default)]
pub(super) struct Gain {
    failures: AtomicU32,
}

impl Gain {
    pub(super) fn is_there(&self) -> bool {
        self.failures.load(Ordering::Relaxed) < FAILURES_MAX
    }

    pub(super) fn expect(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    pub(super) fn tell(&self, gained: bool) {
        if gained {
            self.expect();
        } else {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Which blocks have to be decoded for a block, itself among them; `None` when they are too many.
#[derive(Debug, Default)]
pub(super) struct Reaches {
    known: HashMap<BlockKey, Option<Arc<BTreeSet<BlockKey>>>>,
}

impl Reaches {
    /// Blocks are asked about in the order of the streams, so that what is forgotten is not missed for long.
    const KNOWN_MAX: usize = 4_096;

    /// No deeper than blocks may be, because bases lie less deep than what needs them.
    fn of(&mut self, index: &Index, key: BlockKey) -> Option<Arc<BTreeSet<BlockKey>>> {
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let reach = self.find(index, key).map(Arc::new);
        if self.known.len() >= Self::KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(key, reach.clone());
        reach
    }

    fn find(&mut self, index: &Index, key: BlockKey) -> Option<BTreeSet<BlockKey>> {
        let (place, bases) = index.block(key).ok().filter(|(place, _)| place.depth <= DELTA_DEPTH_MAX)?;
        let mut reach = BTreeSet::from([key]);
        for base in bases {
            let places = index.base_locations(&base, place.depth);
            let (_, location) = places.min_by_key(|(_, location)| index.depth(location.block_key()))?;
            if !reach.contains(&location.block_key()) {
                reach.extend(self.of(index, location.block_key())?.iter());
            }
            if reach.len() > DELTA_REACH_TARGET {
                return None;
            }
        }
        Some(reach)
    }
}

/// The prefix that these chunks make. One with which more blocks would be needed than a block may need is left out.
pub(super) fn gather(reader: &mut ChunkReader, reaches: &mut Reaches, bases: &[ChunkRef]) -> Prefix {
    let (chosen, far) = choose(reader.index(), bases);
    let bytes: usize = chosen.iter().map(|(_, location, _)| location.len_bytes as usize).sum();
    let (mut prefix, mut needed) = (Prefix { far, ..Prefix::default() }, BTreeSet::<BlockKey>::new());
    prefix.bytes.reserve_exact(bytes.min(DELTA_PREFIX_BYTES_MAX));
    for (id, location, depth) in chosen {
        if prefix.bytes.len() + location.len_bytes as usize > DELTA_PREFIX_BYTES_MAX {
            break;
        }
        let Some(reach) = reaches.of(reader.index(), location.block_key()) else { continue };
        let more = reach.iter().filter(|key| !needed.contains(*key)).count();
        if needed.len() + more >= DELTA_REACH_TARGET {
            continue;
        }
        let Ok(plaintext) = reader.read_at(id, location) else { continue };
        needed.extend(reach.iter());
        prefix.bytes.extend_from_slice(&plaintext);
        prefix.bases.push(id.into());
        prefix.depth = prefix.depth.max(depth + 1);
    }
    prefix
}

/// A chunk, its place, and how many blocks lie before its own.
type Base = (ChunkId, Location, u8);

/// The bases to use for these, and whether there is one among them that lay too deep: then what stood in its place when its
/// chain was begun is used, and blocks become shallow again.
fn choose(index: &Index, bases: &[ChunkRef]) -> (Vec<Base>, bool) {
    let (mut chosen, mut seen, mut far) = (Vec::new(), HashSet::new(), false);
    for base in bases {
        let Some((location, depth)) = shallowest(index, &base.id) else { continue };
        if depth < DELTA_DEPTH_MAX {
            chosen.extend(seen.insert(base.id).then_some((base.id, location, depth)));
        } else {
            far = true;
            chosen.extend(beginnings(index, base.id, location).into_iter().filter(|(id, ..)| seen.insert(*id)));
        }
    }
    chosen.truncate(BLOCK_BASES_MAX);
    (chosen, far)
}

/// What stood in the place of a chunk when the chain was begun that it ends, in blocks that need no others. Bases are in the
/// order of what is encoded against them, so a chunk in the middle of a block is followed to the middle of its bases.
fn beginnings(index: &Index, id: ChunkId, location: Location) -> Vec<Base> {
    let (mut level, mut found, mut seen) = (vec![(id, location)], Vec::new(), HashSet::new());
    // Bases lie less deep than what needs them, so this ends.
    while !level.is_empty() {
        let mut below = Vec::new();
        for (id, location) in level {
            let Ok((place, bases)) = index.block(location.block_key()) else { continue };
            if bases.is_empty() {
                found.push((id, location, place.depth));
                continue;
            }
            let bases = bases.iter().filter_map(|base| index.base_locations(base, place.depth).next());
            let bases: Vec<(ChunkId, Location)> = bases.collect();
            let total: u64 = bases.iter().map(|(_, base)| u64::from(base.len_bytes)).sum();
            let scaled = |offset: u32| u64::from(offset) * total / u64::from(place.raw_bytes.max(1));
            let (start, end) = (scaled(location.offset), scaled(location.offset + location.len_bytes));
            let mut next = 0;
            for (id, base) in bases {
                let begun = next;
                next += u64::from(base.len_bytes);
                if begun < end && next > start && seen.insert(id) {
                    below.push((id, base));
                }
            }
        }
        level = below;
        level.truncate(BLOCK_BASES_MAX);
    }
    found
}

/// The place of a chunk that needs the fewest blocks to be decoded before, and how many these are.
fn shallowest(index: &Index, id: &ChunkId) -> Option<(Location, u8)> {
    let places = index.locations(id).map(|location| (location, index.depth(location.block_key())));
    places.min_by_key(|(_, depth)| *depth)
}
