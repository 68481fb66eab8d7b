//! Which chunks the blocks of packs have, kept small and in bounded memory while these blocks are checked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::{BaseId, IdScheme, PackId};
use crate::limits::LISTED_CHUNKS_KEPT;
use crate::pack::{self, PackReader};
use crate::storage::Storage;

/// The chunks of each block of a pack. Of their ids the half is kept that also names bases.
pub(super) struct Listing {
    /// Where the payload of each block begins in the pack, and the number of its first chunk.
    blocks: Vec<(u64, u32)>,
    chunks: Vec<(BaseId, u32)>,
}

impl Listing {
    fn read(storage: &dyn Storage, id: PackId) -> Result<Self, pack::Error> {
        let directory = PackReader::open(storage, id)?.directory()?;
        let mut blocks = Vec::with_capacity(directory.blocks.len());
        let mut chunks = Vec::with_capacity(directory.blocks.iter().map(|block| block.chunks.len()).sum());
        for block in &directory.blocks {
            let first = u32::try_from(chunks.len()).expect("a pack is shorter than 4 GiB");
            blocks.push((block.payload_offset(), first));
            chunks.extend(block.chunks.iter().map(|chunk| (BaseId::from(chunk.id), chunk.len_bytes)));
        }
        Ok(Self { blocks, chunks })
    }

    fn len(&self) -> usize {
        self.blocks.len() + self.chunks.len()
    }

    /// Whether this is the plaintext of the block whose payload begins there, every chunk of it.
    pub(super) fn matches(&self, ids: IdScheme, payload_offset: u64, plaintext: &[u8]) -> bool {
        let Ok(block) = self.blocks.binary_search_by_key(&payload_offset, |(offset, _)| *offset) else { return false };
        let first = |block: usize| self.blocks.get(block).map_or(self.chunks.len(), |(_, first)| *first as usize);
        let mut rest = plaintext;
        for (id, len_bytes) in self.chunks.get(first(block)..first(block + 1)).unwrap_or_default() {
            let Some((bytes, after)) = rest.split_at_checked(*len_bytes as usize) else { return false };
            if BaseId::from(ids.chunk_id(bytes)) != *id {
                return false;
            }
            rest = after;
        }
        rest.is_empty()
    }
}

/// Reads listings, and keeps those that were used last.
pub(super) struct Listings<'a> {
    storage: &'a dyn Storage,
    kept: Mutex<VecDeque<(PackId, Arc<Listing>)>>,
}

impl<'a> Listings<'a> {
    pub(super) fn new(storage: &'a dyn Storage) -> Self {
        Self { storage, kept: Mutex::default() }
    }

    pub(super) fn get(&self, id: PackId) -> Result<Arc<Listing>, pack::Error> {
        if let Some(known) = self.keep(id, None) {
            return Ok(known);
        }
        let listing = Arc::new(Listing::read(self.storage, id)?);
        self.keep(id, Some(&listing));
        Ok(listing)
    }

    /// Marks a listing as used last: the one that is known, or else the one that was read.
    fn keep(&self, id: PackId, read: Option<&Arc<Listing>>) -> Option<Arc<Listing>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.iter().position(|(kept, _)| *kept == id).and_then(|position| kept.remove(position));
        let (_, listing) = known.or_else(|| Some((id, Arc::clone(read?))))?;
        kept.push_back((id, Arc::clone(&listing)));
        while kept.len() > 1 && kept.iter().map(|(_, listing)| listing.len()).sum::<usize>() > LISTED_CHUNKS_KEPT {
            kept.pop_front();
        }
        Some(listing)
    }
}
