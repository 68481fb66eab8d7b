//! Deleting what a collection found dead, when nobody else uses the repository, after a second look.
//!
//! Packs and snapshots that have appeared since the plan are kept with all that they need. Then the order of the steps
//! is what makes it safe: copies of deleted manifests, the index without the packs, the packs. A crash between any two
//! leaves garbage at worst, which the next collection removes.

use std::collections::HashSet;

use super::Collection;
use super::decide::PackAction;
use super::places::PlaceCheck;
use super::rewrite::Rewritten;
use crate::events::Phase;
use crate::id::{ChunkId, PackId};
use crate::index::{self, Index, Location, leave_out};
use crate::monitor::Monitor;
use crate::pack;
use crate::parity;
use crate::repo::inventory::Inventory;
use crate::repo::{ChunkReader, Error, Repository};
use crate::storage::{self, ExclusiveLease, Storage};

/// What a collection did.
#[derive(Debug, Default)]
pub struct Collected {
    /// Others used the repository all the time, or have changed it since the plan, so nothing is deleted yet.
    pub is_waiting: bool,
    /// Packs that were deleted, and their length.
    pub deleted: (u64, u64),
    /// Packs that were written, and their length.
    pub written: (u64, u64),
    /// Packs that were to go and that something needs by now.
    pub rescued: u64,
    /// Packs that do not have a chunk where the index said, and what was wrong. It was taken from another place.
    pub untrue: Vec<(PackId, Error)>,
    /// Packs that stay as they are because something in them is damaged, and what.
    pub damaged: Vec<(PackId, Error)>,
    /// The storage was too full to write packs anew; the others are deleted.
    pub was_full: bool,
}

impl Collected {
    /// Nothing is deleted yet.
    fn begin(rewritten: &Rewritten) -> Self {
        let written = (rewritten.packs.len() as u64, rewritten.bytes);
        Self { written, was_full: rewritten.is_full, ..Self::default() }
    }
}

/// What appeared since the plan: told the names of manifests that are there now, it gives each chunk that those need which
/// the plan did not see.
pub type SecondLook<'a> =
    &'a mut dyn FnMut(&mut ChunkReader, &mut dyn FnMut(&ChunkId) -> Result<(), Error>) -> Result<(), Error>;

impl Collection {
    /// Carries the collection out. `forgotten` are manifests that were deleted before the plan and did not count in it:
    /// they cannot be brought back from now on.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Storage`], [`Error::Index`], and those of `second_look`; then nothing is lost.
    /// [`Error::Changed`].
    pub fn execute(
        self,
        repository: &Repository,
        forgotten: &[String],
        second_look: SecondLook<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<Collected, Error> {
        repository.config().check_deletable()?;
        let rewritten = self.rewrite(repository, monitor)?;
        monitor.begin(Phase::WaitingUntilAlone, None);
        let deleted = repository.when_alone(|alone| {
            monitor.begin(Phase::DeletingGarbage, None);
            let collected = Collected::begin(&rewritten);
            let deleting = Deleting { storage: repository.storage(), alone, collected, monitor };
            self.delete(deleting, repository, forgotten, (&rewritten, second_look))
        })?;
        let waiting = || Collected { is_waiting: true, ..Collected::begin(&rewritten) };
        let collected = deleted.unwrap_or_else(waiting);
        Ok(Collected { damaged: rewritten.damaged, untrue: self.untrue, ..collected })
    }

    fn delete(
        &self,
        mut deleting: Deleting<'_>,
        repository: &Repository,
        forgotten: &[String],
        (rewritten, second_look): (&Rewritten, SecondLook<'_>),
    ) -> Result<Collected, Error> {
        let index = std::sync::Arc::new(repository.sound_index()?);
        let places = PlaceCheck::new(repository, &index)?;
        let mut going = Going::new(self, (&index, places), rewritten)?;
        let mut reader = repository.reader_with(&index)?;
        second_look(&mut reader, &mut |chunk| going.need_chunk(chunk))?;
        going.keep_whole()?;
        deleting.collected.rescued = going.rescued;
        for name in forgotten {
            deleting.monitor.check()?;
            repository.drop_forgotten(name)?;
        }
        // What else has come since was not looked into.
        let mut unlisted = Inventory::compare(deleting.storage, &index)?.unlisted;
        unlisted.retain(|pack| self.unlisted.contains(pack));
        let listed = index.packs();
        let gone = going.packs.iter().filter_map(|id| Some((*id, listed.get(id)?.len_bytes)));
        let gone: Vec<(PackId, u64)> = gone.collect();
        // Those that no segment lists need none to be written.
        deleting.packs(&unlisted)?;
        deleting.storage.sweep(deleting.alone)?;
        deleting.listed_packs(&index, &gone)?;
        Ok(deleting.collected)
    }
}

/// What is deleted while nobody else uses the repository.
struct Deleting<'a> {
    storage: &'a dyn Storage,
    alone: &'a ExclusiveLease,
    collected: Collected,
    monitor: &'a Monitor<'a>,
}

impl Deleting<'_> {
    /// Deletes packs, and before them what segments say of them.
    fn listed_packs(&mut self, index: &Index, gone: &[(PackId, u64)]) -> Result<(), Error> {
        let leaving: Vec<PackId> = gone.iter().map(|(id, _)| *id).collect();
        let mut packs_first = false;
        let shrunk = match leave_out(self.storage, index.segments(), &leaving, self.alone) {
            Err(index::Error::Storage(storage::Error::Full { .. })) => {
                // Packs that are listed and missing are no harm to anything that does not need them.
                (self.collected.was_full, packs_first) = (true, true);
                self.packs(gone)?;
                leave_out(self.storage, Index::open(self.storage)?.segments(), &leaving, self.alone)?
            }
            result => result?,
        };
        for segment in shrunk.replaced {
            parity::delete(self.storage, &index::key(segment), self.alone)?;
        }
        if packs_first { Ok(()) } else { self.packs(gone) }
    }

    fn packs(&mut self, packs: &[(PackId, u64)]) -> Result<(), Error> {
        for (id, len_bytes) in packs {
            self.monitor.check()?;
            parity::delete(self.storage, &pack::key(*id), self.alone)?;
            self.collected.deleted.0 += 1;
            self.collected.deleted.1 += len_bytes;
        }
        Ok(())
    }
}

/// The packs that go, unless something turns out to need them.
struct Going<'a> {
    index: &'a Index,
    check: PlaceCheck<'a>,
    packs: HashSet<PackId>,
    /// Packs that this collection has written. What is in them was looked at where anything else went for it.
    written: &'a HashSet<PackId>,
    /// Packs that stay, and of which it is not known that all is there that their blocks need.
    unchecked: HashSet<PackId>,
    rescued: u64,
}

impl<'a> Going<'a> {
    fn new(
        collection: &Collection,
        (index, check): (&'a Index, PlaceCheck<'a>),
        rewritten: &'a Rewritten,
    ) -> Result<Self, Error> {
        let listed = index.packs();
        let stays = |id: &PackId| listed.contains_key(id) && !index.broken().contains(id);
        if !collection.packs(PackAction::Keep).iter().chain(&rewritten.packs).all(stays) {
            return Err(Error::Changed);
        }
        let mut packs: HashSet<PackId> = collection.packs(PackAction::Dead).into_iter().collect();
        let mut unchecked: HashSet<PackId> =
            listed.keys().filter(|id| !collection.actions.contains_key(id)).copied().collect();
        let damaged: HashSet<PackId> = rewritten.damaged.iter().map(|(id, _)| *id).collect();
        for id in collection.packs(PackAction::Rewrite) {
            if rewritten.is_full || damaged.contains(&id) {
                unchecked.insert(id);
            } else {
                packs.insert(id);
            }
        }
        // What was written may be byte for byte what an earlier collection wrote.
        packs.retain(|id| !rewritten.packs.contains(id));
        Ok(Self { index, check, packs, written: &rewritten.packs, unchecked, rescued: 0 })
    }

    /// A chunk is needed.
    fn need_chunk(&mut self, id: &ChunkId) -> Result<(), Error> {
        let places: Vec<(ChunkId, Location)> = self.index.locations(id).map(|location| (*id, location)).collect();
        if places.is_empty() {
            return Err(Error::MissingChunk { chunk: *id });
        }
        self.keep_one(places)
    }

    /// Keeps what the blocks of all packs need that stay.
    fn keep_whole(&mut self) -> Result<(), Error> {
        while !self.unchecked.is_empty() {
            let packs = std::mem::take(&mut self.unchecked);
            for block in self.index.blocks() {
                let Some(place) = self.index.place(block) else { continue };
                if place.depth == 0 || !packs.contains(&place.pack) {
                    continue;
                }
                for base in self.index.block(block)?.1 {
                    // What is nowhere was so before.
                    self.keep_one(self.index.base_locations(&base, place.depth).collect())?;
                }
            }
        }
        Ok(())
    }

    /// Keeps a place that has its chunk, of several.
    fn keep_one(&mut self, mut places: Vec<(ChunkId, Location)>) -> Result<(), Error> {
        if places.iter().all(|(_, location)| self.stays(*location)) {
            return Ok(());
        }
        places.sort_by_cached_key(|(_, location)| {
            let (reach, depth, location) = self.index.order_of(*location);
            (reach, !self.stays(location), depth, location)
        });
        let is_only = places.len() == 1;
        for (id, location) in &places {
            let is_there = is_only || self.is_written(*location) || self.is_there(*id, *location)?;
            if is_there {
                self.rescue(*location);
                return Ok(());
            }
        }
        // Not one of them is as it should be: nothing of that goes.
        for (_, location) in places {
            self.rescue(location);
        }
        Ok(())
    }

    fn is_there(&mut self, id: ChunkId, location: Location) -> Result<bool, Error> {
        match self.check.look_at(id, location) {
            Ok(()) => Ok(true),
            Err(error) if error.is_damage() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_written(&self, location: Location) -> bool {
        self.index.place(location.block_key()).is_some_and(|place| self.written.contains(&place.pack))
    }

    fn stays(&self, location: Location) -> bool {
        self.index.place(location.block_key()).is_some_and(|place| !self.packs.contains(&place.pack))
    }

    fn rescue(&mut self, location: Location) {
        let Some(place) = self.index.place(location.block_key()) else { return };
        if self.packs.remove(&place.pack) {
            self.rescued += 1;
            self.unchecked.insert(place.pack);
        }
    }
}
