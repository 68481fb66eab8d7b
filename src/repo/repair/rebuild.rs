//! A new index from the directories of the packs, without those that are broken; what is whole in these is copied first.

use std::collections::HashSet;

use super::salvage::{Place, Salvaged, Salvager};
use crate::events::Phase;
use crate::id::{PackId, SegmentId};
use crate::index::{self, Index, SegmentBuilder, leave_out};
use crate::limits::SEGMENT_CHUNKS_TARGET;
use crate::monitor::Monitor;
use crate::pack::{self, PackReader};
use crate::parity;
use crate::repo::inventory::Inventory;
use crate::repo::{Error, Repository};
use crate::storage::{Area, ExclusiveLease, Key};

/// What a new index cost and brought.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Packs that the index lists now and did not list before.
    pub unlisted: u64,
    /// What was copied out of broken packs.
    pub salvaged: Salvaged,
    /// Where the broken packs lie now, and other objects that are none of ours.
    pub set_aside: Vec<String>,
}

impl Repository {
    /// Whether the index is as it was written, lists each pack that is there at its length and no other, says what the
    /// directories of the packs say, and has no block that needs what is nowhere. What is in the blocks is not looked at.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Index`] and [`Error::Storage`] when it cannot be read for another reason than damage.
    pub fn is_index_sound(&self, monitor: &Monitor<'_>) -> Result<bool, Error> {
        let mut index = self.index()?;
        let packs = Inventory::compare(self.storage(), &index)?;
        if !index.damaged().is_empty() || !packs.broken.is_empty() || !packs.unlisted.is_empty() {
            return Ok(false);
        }
        for segment in index.segments() {
            match segment.check_name(self.storage()) {
                Err(error) if error.is_damage() => return Ok(false),
                result => result?,
            }
        }
        if !self.contradicted(&index, monitor)?.is_empty() {
            return Ok(false);
        }
        index.avoid_undecodable();
        Ok(index.undecodable().is_empty())
    }

    /// Writes the index anew. Packs that are `broken`, and those with blocks that need what is nowhere, are put aside, and
    /// what can be decoded of them is copied to new packs before.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Cancelled`], [`Error::Storage`].
    pub fn rebuild(
        &self,
        broken: &HashSet<PackId>,
        alone: &ExclusiveLease,
        monitor: &Monitor<'_>,
    ) -> Result<Rebuilt, Error> {
        self.config.check_deletable()?;
        let storage = self.storage();
        let before = storage.list(Area::Index)?;
        let index = self.index()?;
        let (listed, contradicted) = (index.packs(), self.contradicted(&index, monitor)?);
        let mut leaving = broken.clone();
        monitor.begin(Phase::ListingPacks, None);
        let index = self.list_packs(&mut leaving, monitor)?;
        let unlisted = index.packs().keys().filter(|id| !listed.contains_key(id)).count() as u64;
        let mut salvager = Salvager::new(self, index, leaving.clone())?;
        let mut going = leaving.clone();
        loop {
            let places = going.iter().map(|id| Place { key: pack::key(*id), id: *id }).collect();
            salvager.run(places, monitor)?;
            going = salvager.undecodable();
            if going.is_empty() {
                break;
            }
            leaving.extend(&going);
            salvager.avoid(leaving.clone());
        }
        let (index, salvaged) = salvager.finish();
        let kept = self.replace(&index, &leaving, alone)?;
        let mut rebuilt = Rebuilt { unlisted, salvaged, ..Rebuilt::default() };
        for object in before {
            match object.name.parse::<SegmentId>() {
                Ok(id) if kept.contains(&id) => {}
                Ok(id) if contradicted.iter().any(|(segment, _)| *segment == id) => {
                    rebuilt.set_aside.push(self.set_aside(&index::key(id), alone)?);
                }
                // What a damaged segment said, the packs have said again.
                Ok(id) => parity::delete(storage, &index::key(id), alone)?,
                Err(_) => rebuilt.set_aside.push(self.set_aside(&Key::new(Area::Index, object.name), alone)?),
            }
        }
        for id in leaving {
            match self.set_aside(&pack::key(id), alone) {
                Err(Error::Storage(error)) if error.is_missing() => {}
                path => rebuilt.set_aside.push(path?),
            }
        }
        rebuilt.set_aside.sort();
        Ok(rebuilt)
    }

    /// New segments of all packs but those that are leaving; a pack without a directory leaves too.
    fn list_packs(&self, leaving: &mut HashSet<PackId>, monitor: &Monitor<'_>) -> Result<Index, Error> {
        let storage = self.storage();
        let mut packs: Vec<PackId> = pack::list(storage)?.into_iter().map(|pack| pack.id).collect();
        packs.sort();
        let (mut index, mut builder) = (Index::default(), SegmentBuilder::default());
        for id in packs {
            monitor.check()?;
            if leaving.contains(&id) {
                continue;
            }
            let opened = PackReader::open(storage, id);
            match opened.and_then(|reader| Ok((reader.len_bytes(), reader.directory()?))) {
                Ok((len_bytes, directory)) => builder.add(id, len_bytes, &directory),
                Err(error) if error.is_damage() => drop(leaving.insert(id)),
                Err(error) => return Err(error.into()),
            }
            if builder.chunk_count() >= SEGMENT_CHUNKS_TARGET {
                index.add(std::mem::take(&mut builder).write(storage)?);
            }
        }
        if !builder.is_empty() {
            index.add(builder.write(storage)?);
        }
        Ok(index)
    }

    /// Writes segments without the packs that are leaving in place of those that list them, and says which ones there are.
    fn replace(
        &self,
        index: &Index,
        leaving: &HashSet<PackId>,
        alone: &ExclusiveLease,
    ) -> Result<HashSet<SegmentId>, Error> {
        let mut kept: HashSet<SegmentId> = index.segments().iter().map(|segment| segment.id()).collect();
        let leaving: Vec<PackId> = leaving.iter().copied().collect();
        let shrunk = leave_out(self.storage(), index.segments(), &leaving, alone)?;
        for segment in shrunk.replaced {
            parity::delete(self.storage(), &index::key(segment), alone)?;
            kept.remove(&segment);
        }
        kept.extend(shrunk.written);
        Ok(kept)
    }
}
