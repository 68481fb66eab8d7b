//! The packs that a storage has, beside those that the index lists.

use std::collections::HashSet;

use super::{Error, Repository};
use crate::id::PackId;
use crate::index::{self, Index};
use crate::pack::{self, ListedPack};
use crate::storage::Storage;

/// The packs of a storage beside those that the index lists.
pub(super) struct Inventory {
    /// Listed and missing, or of another length.
    pub(super) broken: HashSet<PackId>,
    /// Listed by no segment, and their length.
    pub(super) unlisted: Vec<(PackId, u64)>,
}

impl Inventory {
    pub(super) fn compare(storage: &dyn Storage, index: &Index) -> Result<Self, Error> {
        let mut listed = index.packs();
        let mut found = Self { broken: HashSet::new(), unlisted: Vec::new() };
        for ListedPack { id, len_bytes } in pack::list(storage)? {
            match listed.remove(&id) {
                Some(known) if known.len_bytes == len_bytes => {}
                // Segments do not say the same of it, and one of them is right.
                Some(_) if index.lists_pack(id, len_bytes) => {}
                Some(_) => drop(found.broken.insert(id)),
                None => found.unlisted.push((id, len_bytes)),
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
            return Err(index::Error::Damaged { segment, what }.into());
        }
        index.avoid(Inventory::compare(self.storage(), &index)?.broken);
        Ok(index)
    }
}
