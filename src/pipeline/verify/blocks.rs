//! Checking the blocks of packs: each is decoded, with those that it needs, and all of its chunks are compared with their
//! ids.
//!
//! A block that is decoded because another one needs it is checked then, and not decoded again for its own sake.

use std::sync::Arc;

use super::found::{Found, in_parallel};
use super::listings::Listings;
use crate::id::PackId;
use crate::index::{BlockKey, BlockSet, Index};
use crate::monitor::Monitor;
use crate::pack::{self, BlockEntry, BlockPlace, PackReader, check_block};
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::repo::{self, ChunkReader, Repository};

/// Neighbours in a pack that one thread takes at once: each follows the bases of its own.
const RUN: usize = 16;

/// A check of many packs.
pub(super) struct BlockCheck<'a> {
    repository: &'a Repository,
    reader: ChunkReader,
    /// Blocks that were found to be whole.
    whole: BlockSet,
    listings: Listings<'a>,
}

impl<'a> BlockCheck<'a> {
    pub(super) fn new(repository: &'a Repository) -> Result<Self, Error> {
        let reader = repository.reader()?;
        let whole = reader.index().block_set();
        Ok(Self { repository, reader, whole, listings: Listings::new(repository.storage()) })
    }

    pub(super) const fn index(&self) -> &Arc<Index> {
        self.reader.index()
    }

    /// Checks every block of a pack. Of a pack in `found.broken` nothing more is said than which chunks are lost.
    pub(super) fn pack(&self, id: PackId, found: &mut Found, monitor: &Monitor<'_>) -> Result<(), Error> {
        // Without a directory nothing tells which chunks are lost; the walk over the snapshots cannot name their files.
        let opened = PackReader::open(self.repository.storage(), id).and_then(|reader| reader.directory());
        let directory = match opened {
            Ok(directory) => directory,
            Err(error) => {
                found.broken(id, with_causes(&error));
                return Ok(());
            }
        };
        let is_broken = found.is_broken(id);
        let work = |reader: &mut Result<ChunkReader, repo::Error>, entry: &BlockEntry, found: &mut Found| {
            monitor.advance(entry.stored_bytes.into());
            let checked = match reader {
                Ok(reader) => self.block(id, entry, reader),
                Err(error) => Err(repo::Error::Pack(pack::Error::Compress(std::io::Error::other(error.to_string())))),
            };
            let Err(error) = checked else { return };
            // A pack that only needs what is damaged in another one, or gone with it, is whole.
            let other = match &error {
                repo::Error::Pack(pack::Error::Storage(error)) => error.is_missing(),
                repo::Error::Pack(error) => error.pack().is_some_and(|pack| pack != id),
                _ => false,
            };
            if !is_broken && !other {
                found.damage_of(id, with_causes(&error));
            }
            found.chunks.extend(entry.chunks.iter().map(|chunk| chunk.id));
        };
        found.merge(in_parallel(&directory.blocks, RUN, || self.reader.sibling(), work, monitor)?);
        let index = self.index();
        let chunks = directory.blocks.iter().flat_map(|block| &block.chunks);
        let unlisted = chunks.filter(|chunk| index.lookup(&chunk.id).is_none()).count();
        if unlisted > 0 && index.packs().contains_key(&id) {
            found.damage_of(id, format!("the index does not list {unlisted} of its chunks"));
        }
        Ok(())
    }

    fn block(&self, pack: PackId, entry: &BlockEntry, reader: &mut ChunkReader) -> Result<(), repo::Error> {
        let place = BlockPlace::of(pack, entry);
        let plaintext = match self.key_of(place, entry) {
            None => reader.read_unlisted(pack, entry)?,
            Some(key) => {
                if !self.whole.contains(key) {
                    // When this fails, the reading that follows says why.
                    let _ = reader.visit(key, &mut |key, place, plaintext| self.note_whole(key, place, plaintext));
                }
                if self.whole.contains(key) {
                    return Ok(());
                }
                reader.read_block(key)?
            }
        };
        Ok(check_block(self.repository.ids(), &place, entry, &plaintext)?)
    }

    fn key_of(&self, place: BlockPlace, entry: &BlockEntry) -> Option<BlockKey> {
        let index = self.index();
        let first = entry.chunks.first()?;
        index.locations(&first.id).map(|location| location.block_key()).find(|key| index.place(*key) == Some(place))
    }

    fn note_whole(&self, key: BlockKey, place: &BlockPlace, plaintext: &[u8]) {
        let Ok(listing) = self.listings.get(place.pack) else { return };
        if listing.matches(self.repository.ids(), place.payload_offset, plaintext) {
            self.whole.insert(key);
        }
    }
}
