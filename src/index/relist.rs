//! Packs that several segments list, listed anew as their directories say: where two segments do not say the same of a pack,
//! neither is taken at its word, and what is true is not lost in a merge.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Error, Segment, SegmentBuilder};
use crate::id::PackId;
use crate::limits::SEGMENT_CHUNKS_TARGET;
use crate::pack::{self, PackReader};
use crate::storage::Storage;

/// Segments of the packs that several of these list. A pack that is missing is left to them.
pub(super) fn relist(storage: &dyn Storage, segments: &[&Segment]) -> Result<Vec<Arc<Segment>>, Error> {
    let mut listed: HashMap<PackId, u32> = HashMap::new();
    for pack in segments.iter().flat_map(|segment| segment.packs()) {
        *listed.entry(pack.id).or_default() += 1;
    }
    let mut packs: Vec<PackId> = listed.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id).collect();
    packs.sort();
    let (mut written, mut builder) = (Vec::new(), SegmentBuilder::default());
    for id in packs {
        let opened = PackReader::open(storage, id);
        match opened.and_then(|reader| Ok((reader.len_bytes(), reader.directory()?))) {
            Ok((len_bytes, directory)) => builder.add(id, len_bytes, &directory),
            Err(pack::Error::Storage(error)) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
        if builder.chunk_count() >= SEGMENT_CHUNKS_TARGET {
            written.push(Arc::new(std::mem::take(&mut builder).write(storage)?));
        }
    }
    if !builder.is_empty() {
        written.push(Arc::new(builder.write(storage)?));
    }
    Ok(written)
}
