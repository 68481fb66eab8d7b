//! Chunks with several places. None of them goes on the word of another one that was not looked at: a place is believed once
//! the directory of its pack has the chunk there, and its plaintext has the id of the chunk.
//!
//! Only what would go costs anything: of a chunk with one place, or whose places all stay, nothing is read.

use std::collections::HashMap;
use std::sync::Arc;

use super::Marks;
use super::decide::PackAction;
use crate::id::{BaseId, ChunkId, PackId};
use crate::index::{self, Index, Location};
use crate::limits::PLACES_CHECKED_MAX;
use crate::monitor::Monitor;
use crate::pack::{BlockEntry, BlockPlace, Directory, PackReader};
use crate::repo::{ChunkReader, Error, Repository};

/// Looks at places.
pub(super) struct PlaceCheck<'a> {
    repository: &'a Repository,
    reader: ChunkReader,
    /// What was read last.
    directory: Option<(PackId, Directory)>,
}

impl<'a> PlaceCheck<'a> {
    pub(super) fn new(repository: &'a Repository, index: &Arc<Index>) -> Result<Self, Error> {
        Ok(Self { repository, reader: repository.reader_with(index)?, directory: None })
    }

    /// Whether the chunk is where the index says.
    ///
    /// # Errors
    /// Damage where it is not.
    pub(super) fn look_at(&mut self, id: ChunkId, location: Location) -> Result<(), Error> {
        let (place, bases) = self.reader.index().block(location.block_key())?;
        let directory = match self.directory.take() {
            Some((pack, directory)) if pack == place.pack => directory,
            _ => PackReader::open(self.repository.storage(), place.pack)?.directory()?,
        };
        let is_there = has(&directory, (place, &bases), id, location);
        self.directory = Some((place.pack, directory));
        if !is_there {
            let segment = self.reader.index().segment_of(location.block_key());
            return Err(index::Error::Contradicted { segment, pack: place.pack, chunk: id }.into());
        }
        self.reader.read_at(id, location).map(drop)
    }
}

/// Whether a directory has the chunk there, in a block that is encoded so.
fn has(directory: &Directory, (place, bases): (BlockPlace, &[BaseId]), id: ChunkId, location: Location) -> bool {
    let Ok(number) = directory.blocks.binary_search_by_key(&place.payload_offset, BlockEntry::payload_offset) else {
        return false;
    };
    let Some(entry) = directory.blocks.get(number) else { return false };
    let mut offset = 0;
    let mut is_there = false;
    for chunk in &entry.chunks {
        is_there |= (chunk.id, chunk.len_bytes, offset) == (id, location.len_bytes, location.offset);
        offset += chunk.len_bytes;
    }
    is_there && BlockPlace::of(place.pack, entry) == place && entry.bases == bases
}

/// Whether two segments say the same of a chunk.
pub(super) fn is_same(index: &Index, one: Location, other: Location) -> bool {
    let block = |location: Location| index.block(location.block_key()).ok();
    (one.offset, one.len_bytes) == (other.offset, other.len_bytes) && block(one) == block(other)
}

/// The places that are in use, on whose word others would go, and that do not have their chunk.
pub(super) fn find_untrue(
    repository: &Repository,
    marks: &Marks,
    actions: &HashMap<PackId, PackAction>,
    unlisted: &[(PackId, u64)],
    monitor: &Monitor<'_>,
) -> Result<HashMap<Location, (PackId, Error)>, Error> {
    let Marks { index, .. } = marks;
    let mut places = Places { check: None, repository, index, waiting: Vec::new(), untrue: HashMap::new() };
    for (id, location) in marks.several() {
        if frees_another(marks, actions, (id, location)) {
            places.add(id, location, monitor)?;
        }
    }
    for (pack, _) in unlisted {
        // One without a directory has nothing that anybody could find.
        let opened = PackReader::open(repository.storage(), *pack).and_then(|reader| reader.directory());
        let directory = match opened {
            Ok(directory) => directory,
            Err(error) if error.is_damage() => continue,
            Err(error) => return Err(error.into()),
        };
        for chunk in directory.blocks.iter().flat_map(|block| &block.chunks) {
            for (id, location) in marks.places_like(chunk.id) {
                places.add(id, location, monitor)?;
            }
        }
    }
    places.look_at_all(monitor)?;
    Ok(places.untrue)
}

/// Whether the chunk, or another one that blocks may take for the same base, would no more be at another place than this one.
fn frees_another(marks: &Marks, actions: &HashMap<PackId, PackAction>, (id, location): (ChunkId, Location)) -> bool {
    let (index, base) = (&marks.index, BaseId::from(id));
    let mut others = index.all_base_locations(&base).filter(|(_, other)| *other != location);
    others.any(|(_, other)| {
        let pack = index.place(other.block_key()).map(|place| place.pack);
        let goes = pack.is_some_and(|pack| actions.get(&pack) != Some(&PackAction::Keep));
        goes && !is_same(index, location, other)
    })
}

/// Places that are to be looked at, some together, in the order in which they lie.
struct Places<'a> {
    check: Option<PlaceCheck<'a>>,
    repository: &'a Repository,
    index: &'a Arc<Index>,
    waiting: Vec<(Location, ChunkId)>,
    untrue: HashMap<Location, (PackId, Error)>,
}

impl Places<'_> {
    fn add(&mut self, id: ChunkId, location: Location, monitor: &Monitor<'_>) -> Result<(), Error> {
        self.waiting.push((location, id));
        if self.waiting.len() >= PLACES_CHECKED_MAX { self.look_at_all(monitor) } else { Ok(()) }
    }

    fn look_at_all(&mut self, monitor: &Monitor<'_>) -> Result<(), Error> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        waiting.dedup();
        for (location, id) in waiting {
            monitor.check()?;
            let checker = match &mut self.check {
                Some(checker) => checker,
                slot => slot.insert(PlaceCheck::new(self.repository, self.index)?),
            };
            let Some(place) = self.index.place(location.block_key()) else { continue };
            match checker.look_at(id, location) {
                Err(error) if error.is_damage() => drop(self.untrue.insert(location, (place.pack, error))),
                result => result?,
            }
        }
        Ok(())
    }
}
