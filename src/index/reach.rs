//! How many blocks have to be decoded for one, to tell the better of several places of a chunk.
//!
//! A true copy of a chunk may need many others. Where such copies are relied on, what is encoded against them needs more than a reader
//! decodes, although each of them is as it should be.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::BlockKey;
use crate::id::BaseId;
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

/// Which blocks are encoded against which.
pub(super) trait DeltaGraph {
    /// How many blocks lie before this one.
    fn depth(&self, block: BlockKey) -> u8;

    /// The bases of a block, in order; none where that cannot be told.
    fn bases(&self, block: BlockKey) -> Vec<BaseId>;

    /// The blocks less deep than `depth` that have a base.
    fn blocks_with(&self, base: &BaseId, depth: u8) -> Vec<BlockKey>;
}

impl Reaches {
    /// Other places are avoided from now on.
    pub(super) fn forget(&mut self) {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Blocks that have to be decoded for this one, as [`Index::reach`](super::Index::reach) has it.
    pub(super) fn of(&self, graph: &impl DeltaGraph, block: BlockKey) -> usize {
        if graph.depth(block) == 0 {
            return 1;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reach_with(graph, block, &mut known)
    }
}

/// Bases lie less deep than what needs them, so this does not go deeper than blocks may.
fn reach_with(graph: &impl DeltaGraph, block: BlockKey, known: &mut HashMap<BlockKey, usize>) -> usize {
    let depth = graph.depth(block);
    if depth == 0 || depth > DELTA_DEPTH_MAX {
        return if depth == 0 { 1 } else { TOO_FAR };
    }
    if let Some(reach) = known.get(&block) {
        return *reach;
    }
    let (mut reach, mut last) = (1, None);
    for base in &graph.bases(block) {
        let places = graph.blocks_with(base, depth);
        let nearest = places.into_iter().map(|place| (reach_with(graph, place, known), place)).min();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BASE_ID_BYTES;

    /// Each block needs those whose numbers it has; the number of a base is that of the block that has it.
    struct Graph(Vec<(u8, Vec<u8>)>);

    impl DeltaGraph for Graph {
        fn depth(&self, block: BlockKey) -> u8 {
            self.0[block.block as usize].0
        }

        fn bases(&self, block: BlockKey) -> Vec<BaseId> {
            let numbers = &self.0[block.block as usize].1;
            numbers.iter().map(|number| BaseId::from_bytes([*number; BASE_ID_BYTES])).collect()
        }

        fn blocks_with(&self, base: &BaseId, depth: u8) -> Vec<BlockKey> {
            let block = BlockKey { segment: 0, block: u32::from(base.as_bytes()[0]) };
            if self.depth(block) < depth { vec![block] } else { Vec::new() }
        }
    }

    #[test]
    fn a_block_reaches_itself_its_bases_and_theirs() {
        let graph = Graph(vec![(0, vec![]), (1, vec![0]), (1, vec![0, 0]), (2, vec![1, 2]), (1, vec![3])]);
        let reaches = Reaches::default();
        let reach = |block| reaches.of(&graph, BlockKey { segment: 0, block });
        assert_eq!([0, 1, 2, 3].map(reach), [1, 2, 2, 5]);
        assert_eq!(reach(4), TOO_FAR, "its base lies too deep");
    }
}
