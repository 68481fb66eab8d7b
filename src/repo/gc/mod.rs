//! Collecting what nothing needs: which packs go, which are written anew, and which stay, as a plan that can be carried out.
//!
//! After a collection every block that the index lists can be decoded, whether anything needs it or not: a backup may find
//! a chunk of it and rely on it. So a pack that stays is kept with all that its blocks need, and what is written anew has
//! nothing in it that is not in use. Which chunks are in use comes from above: this knows no trees.

mod delete;
mod live;
mod rewrite;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

pub use delete::{Collected, SecondLook};
pub use live::Live;

use super::{Error, Repository};
use crate::id::PackId;
use crate::index::{Index, ListedPack};
use crate::limits::{PACK_LIVE_PERCENT_MIN, PACK_SMALL_BYTES, SMALL_PACKS_MAX};
use crate::progress::{self, Progress};
use crate::storage::{Area, Storage};

/// How much may be done to free space.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Most bytes of packs that are written anew; `None` for no bound.
    pub rewrite_bytes_max: Option<u64>,
}

/// What a collection would do, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectionSums {
    /// Packs that nothing needs, those that no segment lists among them, and their length.
    pub dead: (u64, u64),
    /// Packs that are written anew, and their length.
    pub rewritten: (u64, u64),
    /// About the length of what is written for them.
    pub written_bytes: u64,
    /// Packs that stay, and their length.
    pub kept: (u64, u64),
}

impl CollectionSums {
    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.dead.0 == 0 && self.rewritten.0 == 0
    }

    /// About the bytes by which the packs shrink.
    #[must_use]
    pub const fn freed_bytes(&self) -> u64 {
        (self.dead.1 + self.rewritten.1).saturating_sub(self.written_bytes)
    }
}

/// What becomes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Rewrite,
    Dead,
}

/// What is known of a pack.
#[derive(Debug, Clone, Copy)]
struct Tally {
    pack: ListedPack,
    /// Bytes of its payloads, and of what is in use in them.
    stored_bytes: u64,
    live_bytes: u64,
    is_live: bool,
}

impl Tally {
    /// About the length of what is in use.
    fn written_bytes(&self) -> u64 {
        let share = u128::from(self.pack.len_bytes) * u128::from(self.live_bytes);
        u64::try_from(share / u128::from(self.stored_bytes.max(1))).unwrap_or(u64::MAX).min(self.pack.len_bytes)
    }

    fn is_wasteful(&self) -> bool {
        self.live_bytes * 100 < self.stored_bytes * PACK_LIVE_PERCENT_MIN
    }
}

/// A collection that can be carried out.
#[derive(Debug)]
pub struct Collection {
    live: Live,
    fates: HashMap<PackId, Fate>,
    sums: CollectionSums,
}

impl Collection {
    /// Decides about every pack. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::Index`] when a segment is damaged, [`Error::Storage`].
    pub fn plan(repository: &Repository, mut live: Live, limits: Limits) -> Result<Self, Error> {
        let (tallies, fates) = loop {
            let tallies = tally(&live);
            let fates = decide(&tallies, limits);
            if !keep_whole(&mut live, &fates)? {
                break (tallies, fates);
            }
        };
        let mut sums = CollectionSums::default();
        for tally in &tallies {
            let (sum, len_bytes) = match fates.get(&tally.pack.id) {
                Some(Fate::Dead) => (&mut sums.dead, tally.pack.len_bytes),
                Some(Fate::Rewrite) => {
                    sums.written_bytes += tally.written_bytes();
                    (&mut sums.rewritten, tally.pack.len_bytes)
                }
                _ => (&mut sums.kept, tally.pack.len_bytes),
            };
            sum.0 += 1;
            sum.1 += len_bytes;
        }
        for (_, len_bytes) in Packs::compare(repository.storage(), &live.index)?.unlisted {
            sums.dead.0 += 1;
            sums.dead.1 += len_bytes;
        }
        Ok(Self { live, fates, sums })
    }

    /// What it would do.
    #[must_use]
    pub const fn sums(&self) -> CollectionSums {
        self.sums
    }

    /// The packs that become this, in order.
    fn packs(&self, fate: Fate) -> Vec<PackId> {
        let mut packs: Vec<PackId> =
            self.fates.iter().filter(|(_, found)| **found == fate).map(|(id, _)| *id).collect();
        packs.sort();
        packs
    }
}

/// The packs of a storage beside those that the index lists.
pub(super) struct Packs {
    /// Listed and missing, or of another length.
    pub(super) broken: HashSet<PackId>,
    /// Listed by no segment, and their length.
    pub(super) unlisted: Vec<(PackId, u64)>,
}

impl Packs {
    pub(super) fn compare(storage: &dyn Storage, index: &Index) -> Result<Self, Error> {
        let mut listed = index.packs();
        let mut found = Self { broken: HashSet::new(), unlisted: Vec::new() };
        for object in storage.list(Area::Packs)? {
            let Ok(id) = object.name.parse::<PackId>() else { continue };
            match listed.remove(&id) {
                Some(known) if known.len_bytes == object.len_bytes => {}
                Some(_) => drop(found.broken.insert(id)),
                None => found.unlisted.push((id, object.len_bytes)),
            }
        }
        found.broken.extend(listed.into_keys());
        Ok(found)
    }
}

impl Repository {
    /// The index as it is now, which avoids packs that are missing or have another length than it says.
    ///
    /// # Errors
    /// [`Error::Index`]; also when a segment is damaged, because then it is not known what the packs hold.
    pub fn sound_index(&self) -> Result<Index, Error> {
        let mut index = self.index()?;
        if let Some(segment) = index.damaged().first() {
            let (segment, what) = (segment.clone(), "it is not a segment");
            return Err(crate::index::Error::Damaged { segment, what }.into());
        }
        index.avoid(Packs::compare(self.storage(), &index)?.broken);
        Ok(index)
    }
}

/// Adds up each pack. One that several segments list is in use wherever one of them says so.
fn tally(live: &Live) -> Vec<Tally> {
    let mut tallies: HashMap<PackId, Tally> = HashMap::new();
    for pack in live.index.packs().into_values() {
        tallies.insert(pack.id, Tally { pack, stored_bytes: 0, live_bytes: 0, is_live: false });
    }
    // The payloads are those of one listing.
    let mut counted: HashMap<PackId, u32> = HashMap::new();
    for block in live.index.blocks() {
        let Some(place) = live.index.place(block) else { continue };
        let Some(tally) = tallies.get_mut(&place.pack) else { continue };
        if *counted.entry(place.pack).or_insert(block.segment()) == block.segment() {
            tally.stored_bytes += u64::from(place.stored_bytes);
        }
        let len = live.len_of(block);
        tally.live_bytes += u64::from(place.stored_bytes) * u64::from(len) / u64::from(place.raw_bytes.max(1));
        tally.is_live |= len > 0;
    }
    let mut tallies: Vec<Tally> = tallies.into_values().collect();
    tallies.sort_by_key(|tally| tally.pack.id);
    tallies
}

fn decide(tallies: &[Tally], limits: Limits) -> HashMap<PackId, Fate> {
    let mut fates: HashMap<PackId, Fate> = HashMap::new();
    let mut candidates: Vec<&Tally> = Vec::new();
    let mut small: HashMap<u8, Vec<&Tally>> = HashMap::new();
    for tally in tallies {
        fates.insert(tally.pack.id, if tally.is_live { Fate::Keep } else { Fate::Dead });
        if tally.is_live && tally.is_wasteful() {
            candidates.push(tally);
        } else if tally.is_live && tally.pack.len_bytes < PACK_SMALL_BYTES {
            small.entry(tally.pack.kind).or_default().push(tally);
        }
    }
    // Those that free most for what is written.
    candidates.sort_by_key(|tally| Reverse((tally.pack.len_bytes << 16) / tally.written_bytes().max(1)));
    let mut small: Vec<Vec<&Tally>> = small.into_values().filter(|packs| packs.len() > SMALL_PACKS_MAX).collect();
    small.sort_by_key(|packs| packs.first().map(|tally| tally.pack.kind));
    let mut left = limits.rewrite_bytes_max.unwrap_or(u64::MAX);
    for tally in candidates.into_iter().chain(small.into_iter().flatten()) {
        let written = tally.written_bytes();
        if written <= left {
            left -= written;
            fates.insert(tally.pack.id, Fate::Rewrite);
        }
    }
    fates
}

/// Marks what the blocks of packs that stay need, those too that nothing uses. Says whether anything was added.
fn keep_whole(live: &mut Live, fates: &HashMap<PackId, Fate>) -> Result<bool, Error> {
    let index = std::sync::Arc::clone(&live.index);
    let mut added = false;
    for block in index.blocks() {
        let Some(place) = index.place(block) else { continue };
        if place.depth > 0 && live.len_of(block) == 0 && fates.get(&place.pack) == Some(&Fate::Keep) {
            added |= live.insert_bases(block)?;
        }
    }
    Ok(added)
}

fn check(progress: &dyn Progress) -> Result<(), Error> {
    Ok(progress::check(progress)?)
}
