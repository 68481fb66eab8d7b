//! Whether a file has a content already, proven by hashing it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::id::IdScheme;
use crate::limits::CHUNK_BYTES_MAX;
use crate::model::{ContentReader, Error, Hole, Node, NodeKind};
use crate::repo::ChunkReader;
use crate::sink::Layout;

/// Whether the data of `file` is that of the node. Its length is known to be right.
///
/// # Errors
/// Those of reading the node's list of chunks. A file that cannot be read is one that does not match.
pub fn same_content(reader: &mut ChunkReader, ids: IdScheme, file: &File, node: &Node) -> Result<bool, Error> {
    let NodeKind::File { content, holes } = &node.kind else { return Ok(false) };
    if !holes_are_zero(file, holes) {
        return Ok(false);
    }
    let layout = Layout::new(node.metadata.size_bytes, holes);
    let mut chunks = ContentReader::new(content.clone())?;
    let mut buffer = Vec::new();
    let mut offset = 0;
    while let Some(chunk) = chunks.next(reader)? {
        if chunk.len_bytes > CHUNK_BYTES_MAX {
            return Ok(false);
        }
        let len = chunk.len_bytes as usize;
        buffer.resize(len, 0);
        for (position, range) in layout.pieces(offset, len) {
            let target = buffer.get_mut(range).expect("pieces lie within the chunk");
            if file.read_exact_at(target, position).is_err() {
                return Ok(false);
            }
        }
        if ids.chunk_id(&buffer) != chunk.id {
            return Ok(false);
        }
        offset += len as u64;
    }
    Ok(true)
}

/// A hole may be filled with zeros in the file; reading holes costs no disk.
fn holes_are_zero(file: &File, holes: &[Hole]) -> bool {
    let mut buffer = vec![0; 1 << 16];
    holes.iter().all(|hole| {
        let mut position = hole.offset;
        let end = hole.offset.saturating_add(hole.len_bytes);
        while position < end {
            // Whole runs of nothing are stepped over without being read.
            let data = rustix::fs::seek(file, rustix::fs::SeekFrom::Data(position)).unwrap_or(end);
            if data >= end {
                return true;
            }
            position = data.max(position);
            let len = usize::try_from(end - position).map_or(buffer.len(), |left| left.min(buffer.len()));
            let target = buffer.get_mut(..len).expect("bounded by its own length");
            if file.read_exact_at(target, position).is_err() || target.iter().any(|byte| *byte != 0) {
                return false;
            }
            position += len as u64;
        }
        true
    })
}
