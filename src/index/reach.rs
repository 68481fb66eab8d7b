//! How many blocks have to be decoded for one, to tell the better of several places of a chunk.
//!
//! A true copy of a chunk may need many others. Where such copies are relied on, what is encoded against them needs more than a reader
//! decodes, although each of them is as it should be.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{BlockKey, Index};
use crate::limits::{DELTA_DEPTH_MAX, DELTA_REACH_MAX};

/// More than any block may need.
const TOO_FAR: usize = DELTA_REACH_MAX + 1;
/// Blocks of which it is remembered.
const KNOWN_MAX: usize = 1 << 20;

/// What is known of blocks. A copy of an index knows nothing, because it may avoid other places.
#[derive(Debug, Default)]
pub(super) struct Reaches(Mutex<HashMap<BlockKey, usize>>);

impl Clone for Reaches {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Reaches {
    /// Other places are avoided from now on.
    pub(super) fn forget(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Index {
    /// Blocks that have to be decoded for this one, itself among them, when each base is taken from where it needs the fewest. Some may be
    /// counted several times; no more are counted than may be.
    #[must_use]
    pub fn reach(&self, block: BlockKey) -> usize {
        if self.depth(block) == 0 {
            return 1;
        }
        let mut known = self.reaches.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.reach_with(block, &mut known)
    }

    /// Bases lie less deep than what needs them, so this does not go deeper than blocks may.
    fn reach_with(&self, block: BlockKey, known: &mut HashMap<BlockKey, usize>) -> usize {
        let depth = self.depth(block);
        if depth == 0 || depth > DELTA_DEPTH_MAX {
            return if depth == 0 { 1 } else { TOO_FAR };
        }
        if let Some(reach) = known.get(&block) {
            return *reach;
        }
        let bases = self.block(block).map(|(_, bases)| bases).unwrap_or_default();
        let (mut reach, mut last) = (1, None);
        for base in &bases {
            let places: Vec<BlockKey> =
                self.base_locations(base, depth).map(|(_, location)| location.block_key()).collect();
            let nearest = places.into_iter().map(|place| (self.reach_with(place, known), place)).min();
            let (needed, place) = nearest.unwrap_or((TOO_FAR, block));
            if last.replace(place) != Some(place) {
                reach += needed;
            }
            if reach >= TOO_FAR {
                reach = TOO_FAR;
                break;
            }
        }
        if known.len() < KNOWN_MAX {
            known.insert(block, reach);
        }
        reach
    }
}
