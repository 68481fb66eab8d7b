//! Collecting what nothing needs: which packs go, which are written anew, and which stay, as a plan that can be carried out.
//!
//! After a collection every block that the index lists can be decoded, whether anything needs it or not: a backup may find
//! a chunk of it and rely on it. So a pack that stays is kept with all that its blocks need, and what is written anew has
//! nothing in it that is not in use. Which chunks are in use comes from above: this knows no trees.

mod decide;
mod delete;
mod marks;
mod places;
mod rewrite;
mod undelta;

use std::collections::HashMap;

pub use decide::Limits;
pub use delete::{Collected, SecondLook};
pub use marks::Marks;

use super::inventory::Inventory;
use super::{Error, Repository};
use crate::id::PackId;
use crate::limits::PACK_LIVE_PERCENT_MIN;
use crate::monitor::Monitor;

use decide::{PackAction, decide_to_fixpoint};
use places::find_untrue;
use undelta::cheaper_without_bases;

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

    /// About the length of the packs afterwards.
    #[must_use]
    pub const fn packs_bytes(&self) -> u64 {
        self.kept.1 + self.written_bytes
    }

    /// Whether what is freed beyond another plan is worth what is written beyond it, as it is for a pack.
    const fn pays_beside(&self, other: &Self) -> bool {
        let freed = other.packs_bytes().saturating_sub(self.packs_bytes());
        freed > 0
            && freed * 100 >= self.written_bytes.saturating_sub(other.written_bytes) * (100 - PACK_LIVE_PERCENT_MIN)
    }
}

/// A collection that can be carried out.
#[derive(Debug)]
pub struct Collection {
    marks: Marks,
    actions: HashMap<PackId, PackAction>,
    /// Packs that no segment lists, and their length.
    unlisted: Vec<(PackId, u64)>,
    /// Packs that do not have a chunk where the index says, and what is wrong.
    untrue: Vec<(PackId, Error)>,
    sums: CollectionSums,
}

impl Collection {
    /// Decides about every pack. Nothing is changed. What is relied on instead of something that goes is read.
    ///
    /// # Errors
    /// [`Error::Index`] when a segment is damaged, [`Error::Pack`] or [`Error::Index`] when no place of a chunk in use has it,
    /// [`Error::Storage`], [`Error::Cancelled`].
    pub fn plan(
        repository: &Repository,
        mut marks: Marks,
        limits: Limits,
        monitor: &Monitor<'_>,
    ) -> Result<Self, Error> {
        let mut found = Vec::new();
        loop {
            let mut plan = Self::cheapest(marks, limits)?;
            plan.unlisted = Inventory::compare(repository.storage(), &plan.marks.index)?.unlisted;
            let untrue = find_untrue(repository, &plan.marks, &plan.actions, &plan.unlisted, monitor)?;
            if untrue.is_empty() {
                plan.sums.dead.0 += plan.unlisted.len() as u64;
                plan.sums.dead.1 += plan.unlisted.iter().map(|(_, len_bytes)| len_bytes).sum::<u64>();
                plan.untrue = found;
                return Ok(plan);
            }
            let without = plan.marks.without(untrue.keys().copied());
            found.extend(untrue.into_values());
            // What was wrong with the only place that a chunk had says more than that it has none.
            marks = without.map_err(|error| found.pop().map_or(error, |(_, untrue)| untrue))?;
        }
    }

    fn cheapest(marks: Marks, limits: Limits) -> Result<Self, Error> {
        let blocks = cheaper_without_bases(&marks);
        let other = if blocks.is_empty() { None } else { Some(marks.storing_without_bases(blocks)?) };
        let mut plan = Self::decide(marks, limits)?;
        if let Some(marks) = other {
            let other = Self::decide(marks, limits)?;
            if other.stores_without_bases() && other.sums.pays_beside(&plan.sums) {
                plan = other;
            }
        }
        Ok(plan)
    }

    fn decide(mut marks: Marks, limits: Limits) -> Result<Self, Error> {
        let (tallies, actions) = decide_to_fixpoint(&mut marks, limits)?;
        let mut sums = CollectionSums::default();
        for tally in &tallies {
            let (sum, len_bytes) = match actions.get(&tally.pack.id) {
                Some(PackAction::Dead) => (&mut sums.dead, tally.pack.len_bytes),
                Some(PackAction::Rewrite) => {
                    sums.written_bytes += tally.written_bytes();
                    (&mut sums.rewritten, tally.pack.len_bytes)
                }
                _ => (&mut sums.kept, tally.pack.len_bytes),
            };
            sum.0 += 1;
            sum.1 += len_bytes;
        }
        Ok(Self { marks, actions, unlisted: Vec::new(), untrue: Vec::new(), sums })
    }

    /// Whether every pack is written anew in which something is to be stored without bases.
    fn stores_without_bases(&self) -> bool {
        let mut places = self.marks.without_bases().filter_map(|block| self.marks.index.place(block));
        places.all(|place| self.actions.get(&place.pack) == Some(&PackAction::Rewrite))
    }

    /// Packs that do not have a chunk where the index says, and what is wrong. It is taken from another place.
    #[must_use]
    pub fn untrue(&self) -> &[(PackId, Error)] {
        &self.untrue
    }

    /// What it would do.
    #[must_use]
    pub const fn sums(&self) -> CollectionSums {
        self.sums
    }

    /// The packs that become this, in order.
    fn packs(&self, action: PackAction) -> Vec<PackId> {
        let mut packs: Vec<PackId> =
            self.actions.iter().filter(|(_, found)| **found == action).map(|(id, _)| *id).collect();
        packs.sort();
        packs
    }
}
