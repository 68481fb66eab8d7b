//! How many blocks have to be decoded for a block, whatever a cache has of them.

use std::collections::HashSet;

use crate::id::BaseId;
use crate::index::Index;
use crate::limits::DELTA_REACH_MAX;

/// Whether no more blocks than may be have to be decoded for one of this depth with these bases, itself among them. Each base
/// is taken from where it needs the fewest blocks before it.
pub(super) fn is_within_reach(index: &Index, bases: &[BaseId], depth: u8) -> bool {
    let mut needed = HashSet::new();
    let mut waiting = vec![(bases.to_vec(), depth)];
    while let Some((bases, depth)) = waiting.pop() {
        for (_, location) in bases.iter().filter_map(|base| index.shallowest_base(base, depth)) {
            let key = location.block_key();
            if !needed.insert(key) {
                continue;
            }
            if needed.len() >= DELTA_REACH_MAX {
                return false;
            }
            if let Ok((place, bases)) = index.block(key) {
                waiting.push((bases, place.depth));
            }
        }
    }
    true
}
