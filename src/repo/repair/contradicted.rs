//! Segments that list chunks where the directories of their packs do not have them.

use std::collections::HashSet;

use crate::id::SegmentId;
use crate::index::{Confirmed, Index};
use crate::monitor::Monitor;
use crate::pack;
use crate::repo::{Error, Repository};

impl Repository {
    /// The segments that list chunks where the directories of their packs do not have them, and how many. Of packs that are
    /// missing, or whose directory is damaged, nothing is said.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Pack`] when a directory cannot be read for another reason than damage.
    pub fn contradicted(&self, index: &Index, monitor: &Monitor<'_>) -> Result<Vec<(SegmentId, u64)>, Error> {
        let mut confirmed = Confirmed::new(index);
        let mut not_known = index.broken().clone();
        let listed = (0_u32..).zip(index.segments());
        let listed: HashSet<_> =
            listed.flat_map(|(number, segment)| segment.packs().map(move |pack| (number, pack.id))).collect();
        for (segment, pack) in listed {
            monitor.check()?;
            if not_known.contains(&pack) {
                continue;
            }
            match confirmed.look_at(self.storage(), index, (segment, pack)) {
                Err(error) if error.is_damage() => drop(not_known.insert(pack)),
                Err(pack::Error::UnknownEncoding { .. }) => drop(not_known.insert(pack)),
                result => result?,
            }
        }
        Ok(confirmed.contradicted(index, &not_known))
    }
}
