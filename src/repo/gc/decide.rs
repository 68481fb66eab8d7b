//! What becomes of each pack: it stays, goes, or is written anew.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::Marks;
use crate::id::PackId;
use crate::limits::{PACK_LIVE_PERCENT_MIN, PACK_SMALL_BYTES, SMALL_PACKS_MAX};
use crate::pack::{ListedPack, PackKind};
use crate::repo::Error;

/// How much may be done to free space.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Most bytes of packs that are written anew; `None` for no bound.
    pub rewrite_bytes_max: Option<u64>,
    /// Length that the packs are not to exceed afterwards: packs that are mostly in use are written anew for it too.
    pub packs_bytes_max: Option<u64>,
}

/// What becomes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackAction {
    Keep,
    Rewrite,
    Dead,
}

/// What is known of a pack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    pub(super) pack: ListedPack,
    /// Bytes of its payloads, and of what is in use in them.
    stored_bytes: u64,
    live_bytes: u64,
    is_live: bool,
    /// Something in it is to be stored without bases.
    has_undelta: bool,
}

impl Tally {
    /// About the length of what is in use.
    pub(super) fn written_bytes(&self) -> u64 {
        let share = u128::from(self.pack.len_bytes) * u128::from(self.live_bytes);
        let bytes = u64::try_from(share / u128::from(self.stored_bytes.max(1))).unwrap_or(u64::MAX);
        if self.has_undelta { bytes } else { bytes.min(self.pack.len_bytes) }
    }

    fn is_wasteful(&self) -> bool {
        self.live_bytes * 100 < self.stored_bytes * PACK_LIVE_PERCENT_MIN
    }
}

/// Decides about every pack, and marks what the blocks of those need that stay.
pub(super) fn decide_to_fixpoint(
    marks: &mut Marks,
    limits: Limits,
) -> Result<(Vec<Tally>, HashMap<PackId, PackAction>), Error> {
    loop {
        let tallies = tally(marks);
        let actions = decide(&tallies, limits);
        if !keep_whole(marks, &actions)? {
            return Ok((tallies, actions));
        }
    }
}

/// Adds up each pack. One that several segments list is in use wherever one of them says so.
fn tally(marks: &Marks) -> Vec<Tally> {
    let mut tallies: HashMap<PackId, Tally> = HashMap::new();
    for pack in marks.index.packs().into_values() {
        tallies.insert(pack.id, Tally { pack, stored_bytes: 0, live_bytes: 0, is_live: false, has_undelta: false });
    }
    // The payloads are those of one listing.
    let mut counted: HashMap<PackId, u32> = HashMap::new();
    for block in marks.index.blocks() {
        let Some(place) = marks.index.place(block) else { continue };
        let Some(tally) = tallies.get_mut(&place.pack) else { continue };
        if *counted.entry(place.pack).or_insert(block.segment()) == block.segment() {
            tally.stored_bytes += u64::from(place.stored_bytes);
        }
        tally.live_bytes += marks.stored_bytes(block, &place);
        tally.is_live |= marks.len_of(block) > 0;
        tally.has_undelta |= marks.is_without_bases(block);
    }
    let mut tallies: Vec<Tally> = tallies.into_values().collect();
    tallies.sort_by_key(|tally| tally.pack.id);
    tallies
}

fn decide(tallies: &[Tally], limits: Limits) -> HashMap<PackId, PackAction> {
    let mut actions: HashMap<PackId, PackAction> = HashMap::new();
    let (mut candidates, mut others) = (Vec::new(), Vec::new());
    let mut small: HashMap<PackKind, Vec<&Tally>> = HashMap::new();
    for tally in tallies {
        actions.insert(tally.pack.id, if tally.is_live { PackAction::Keep } else { PackAction::Dead });
        if !tally.is_live {
        } else if tally.has_undelta || tally.is_wasteful() {
            candidates.push(tally);
        } else if tally.pack.len_bytes < PACK_SMALL_BYTES {
            small.entry(tally.pack.id.kind()).or_default().push(tally);
        } else {
            others.push(tally);
        }
    }
    // Those that free most for what is written.
    let gain = |tally: &&Tally| Reverse((tally.pack.len_bytes << 16) / tally.written_bytes().max(1));
    candidates.sort_by_key(gain);
    // What the candidates of a kind become may be another small one, and the next prune would find it.
    let count = |kind| usize::from(candidates.iter().any(|tally| tally.pack.id.kind() == kind));
    let (mut small, few): (Vec<_>, Vec<_>) =
        small.into_iter().partition(|(kind, packs)| packs.len() + count(*kind) > SMALL_PACKS_MAX);
    small.sort_by_key(|(kind, _)| *kind);
    let (small, few) = (small.into_iter().map(|(_, packs)| packs), few.into_iter().map(|(_, packs)| packs));
    others.extend(few.flatten());
    others.sort_by_key(gain);
    let mut left = limits.rewrite_bytes_max.unwrap_or(u64::MAX);
    let mut packs_bytes: u64 = tallies.iter().filter(|tally| tally.is_live).map(|tally| tally.pack.len_bytes).sum();
    let mut rewrite = |tally: &Tally, packs_bytes: &mut u64| {
        let written = tally.written_bytes();
        if written <= left {
            left -= written;
            *packs_bytes = packs_bytes.saturating_sub(tally.pack.len_bytes) + written;
            actions.insert(tally.pack.id, PackAction::Rewrite);
        }
    };
    candidates.into_iter().chain(small.flatten()).for_each(|tally| rewrite(tally, &mut packs_bytes));
    for tally in others {
        let is_too_much = limits.packs_bytes_max.is_some_and(|bytes_max| packs_bytes > bytes_max);
        if is_too_much && tally.written_bytes() < tally.pack.len_bytes {
            rewrite(tally, &mut packs_bytes);
        }
    }
    actions
}

/// Marks what the blocks of packs that stay need, those too that nothing uses. Says whether anything was added.
fn keep_whole(marks: &mut Marks, actions: &HashMap<PackId, PackAction>) -> Result<bool, Error> {
    let index = std::sync::Arc::clone(&marks.index);
    let mut added = false;
    for block in index.blocks() {
        let Some(place) = index.place(block) else { continue };
        if place.depth > 0 && marks.len_of(block) == 0 && actions.get(&place.pack) == Some(&PackAction::Keep) {
            added |= marks.insert_bases(block)?;
        }
    }
    Ok(added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;

    fn tally(number: u8, kind: PackKind, live_bytes: u64) -> Tally {
        let pack = ListedPack { id: PackId::new(kind, Digest::of(&[number])), len_bytes: 1000 };
        Tally { pack, stored_bytes: 1000, live_bytes, is_live: true, has_undelta: false }
    }

    /// The collection that followed found one small pack more than may be, and wrote all of them anew.
    #[test]
    fn the_small_pack_that_a_rewrite_leaves_is_counted() {
        let rewritten_beside = |kind| {
            let small = (0_u8..).take(SMALL_PACKS_MAX).map(|number| tally(number, PackKind::Data, 900));
            let tallies: Vec<Tally> = small.chain([tally(100, kind, 10)]).collect();
            let actions = decide(&tallies, Limits::default());
            actions.into_values().filter(|action| *action == PackAction::Rewrite).count()
        };
        assert_eq!(rewritten_beside(PackKind::Data), SMALL_PACKS_MAX + 1);
        assert_eq!(rewritten_beside(PackKind::Tree), 1);
    }
}
