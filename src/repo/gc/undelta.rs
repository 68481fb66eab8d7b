//! Deltas that are cheaper without their bases, because nothing but deltas needs these any more.
//!
//! Every block that is in use only as a base is charged to the blocks that are encoded against it, in equal parts. One
//! that is charged with more than it would take without bases is to be stored so; the others then carry what it carried,
//! until nothing changes.

use std::collections::HashMap;

use super::Marks;
use crate::index::BlockKey;
use crate::pack::BlockPlace;

/// A block that is wanted, and that is encoded against some that are in use only as bases.
struct Carrier {
    block: BlockKey,
    stored_bytes: u64,
    /// About what it takes without bases.
    bytes_without_bases: u64,
    bases: Vec<usize>,
}

/// A block that is in use only as a base.
struct Carried {
    stored_bytes: u64,
    bases: Vec<usize>,
}

/// The blocks that are cheaper without bases, and about the bytes that they take then.
pub(super) fn cheaper_without_bases(marks: &Marks) -> HashMap<BlockKey, u64> {
    let mut only_bases: Vec<BlockKey> = marks.index.blocks().filter(|block| marks.is_only_base(*block)).collect();
    // Whatever a block is encoded against lies less deep, so it has a smaller number.
    only_bases.sort_by_key(|block| marks.index.depth(*block));
    let numbers: HashMap<BlockKey, usize> = only_bases.iter().copied().zip(0..).collect();
    if numbers.is_empty() {
        return HashMap::new();
    }
    let carried = only_bases.iter().filter_map(|block| {
        let stored_bytes = marks.index.place(*block)?.stored_bytes.into();
        Some(Carried { stored_bytes, bases: bases_of(marks, &numbers, *block) })
    });
    let carried: Vec<Carried> = carried.collect();
    let wanted = marks.index.blocks().filter(|block| marks.len_of(*block) > 0 && !numbers.contains_key(block));
    let carriers = wanted.filter_map(|block| {
        let place = marks.index.place(block).filter(|place| place.depth > 0)?;
        let bases = Some(bases_of(marks, &numbers, block)).filter(|bases| !bases.is_empty())?;
        let bytes_without_bases = bytes_without_bases(marks, block)?;
        Some(Carrier { block, stored_bytes: marks.stored_bytes(block, &place), bytes_without_bases, bases })
    });
    choose(carriers.collect(), &carried)
}

fn choose(mut carriers: Vec<Carrier>, carried: &[Carried]) -> HashMap<BlockKey, u64> {
    let mut without_bases = HashMap::new();
    loop {
        let shares = shares(&carriers, carried);
        let before = carriers.len();
        carriers.retain(|carrier| {
            let charged: u64 = carrier.bases.iter().filter_map(|base| shares.get(*base)).sum();
            let stays = carrier.stored_bytes + charged <= carrier.bytes_without_bases;
            if !stays {
                without_bases.insert(carrier.block, carrier.bytes_without_bases);
            }
            stays
        });
        if carriers.len() == before {
            return without_bases;
        }
    }
}

/// What each block that is encoded against a base is charged for it, in bytes.
fn shares(carriers: &[Carrier], carried: &[Carried]) -> Vec<u64> {
    let mut users = vec![0_u64; carried.len()];
    for base in carriers.iter().flat_map(|carrier| &carrier.bases) {
        users[*base] += 1;
    }
    for (number, carried) in carried.iter().enumerate().rev() {
        if users[number] > 0 {
            carried.bases.iter().for_each(|base| users[*base] += 1);
        }
    }
    let mut shares = vec![0; carried.len()];
    for (number, base) in carried.iter().enumerate() {
        let below: u64 = base.bases.iter().map(|base| shares[*base]).sum();
        shares[number] = (base.stored_bytes + below) / users[number].max(1);
    }
    shares
}

/// The blocks among these that a block is encoded against.
fn bases_of(marks: &Marks, numbers: &HashMap<BlockKey, usize>, block: BlockKey) -> Vec<usize> {
    let Ok((place, bases)) = marks.index.block(block) else { return Vec::new() };
    let places = bases.iter().filter_map(|base| marks.index.shallowest_base(base, place.depth));
    let mut found: Vec<usize> = places.filter_map(|(_, base)| numbers.get(&base.block_key()).copied()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// About the bytes that what is in use of a block takes without bases: it shrinks as its first base's first base does.
fn bytes_without_bases(marks: &Marks, block: BlockKey) -> Option<u64> {
    let (mut place, mut bases): (BlockPlace, _) = marks.index.block(block).ok()?;
    while let Some(base) = bases.first() {
        let (_, location) = marks.index.shallowest_base(base, place.depth)?;
        (place, bases) = marks.index.block(location.block_key()).ok()?;
    }
    Some(u64::from(marks.len_of(block)) * u64::from(place.stored_bytes) / u64::from(place.raw_bytes.max(1)))
}
