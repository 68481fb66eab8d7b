//! Contents written as streams: lists of chunks, and bytes of our own making that are cut into chunks.

use super::content::{ENTRY_BYTES, encode_entry};
use super::{Content, Previous};
use crate::chunk::ChunkRef;
use crate::limits::CONTENT_CHUNKS_DIRECT;
use crate::pack::PackKind;
use crate::repo::{self, Transaction};

/// Collects the chunks of one content in order.
#[derive(Debug, Default)]
pub struct ChunkList {
    len_bytes: u64,
    direct: Vec<ChunkRef>,
    spilled: Option<Box<ContentWriter>>,
    /// The stored list of an older content.
    previous: Option<Content>,
}

impl ChunkList {
    /// A list that is likely to have much in common with that of an older content.
    #[must_use]
    pub fn against(previous: &Content) -> Self {
        Self { previous: previous.list(), ..Self::default() }
    }

    /// Appends a chunk.
    ///
    /// # Errors
    /// Those of [`Transaction::store`].
    pub fn push(&mut self, transaction: &mut Transaction<'_>, chunk: ChunkRef) -> Result<(), repo::Error> {
        self.len_bytes += u64::from(chunk.len_bytes);
        if let Some(writer) = &mut self.spilled {
            return writer.write(transaction, &encode_entry(chunk));
        }
        self.direct.push(chunk);
        if self.direct.len() > CONTENT_CHUNKS_DIRECT {
            let mut writer = Box::new(ContentWriter::of_units(ENTRY_BYTES, self.previous.as_ref()));
            for chunk in self.direct.drain(..) {
                writer.write(transaction, &encode_entry(chunk))?;
            }
            self.spilled = Some(writer);
        }
        Ok(())
    }

    /// The content of all chunks that were appended.
    ///
    /// # Errors
    /// Those of [`Transaction::store`].
    pub fn finish(self, transaction: &mut Transaction<'_>) -> Result<Content, repo::Error> {
        let Some(writer) = self.spilled else {
            return Ok(Content { len_bytes: self.len_bytes, depth: 0, chunks: self.direct });
        };
        let list = writer.finish(transaction)?;
        Ok(Content { len_bytes: self.len_bytes, depth: list.depth + 1, chunks: list.chunks })
    }
}

/// Cuts bytes of our own making (trees, chunk lists) into chunks of tree packs.
#[derive(Debug)]
pub struct ContentWriter {
    buffer: Vec<u8>,
    /// Chunks have a multiple of this many bytes, but for the last.
    unit_bytes: usize,
    list: ChunkList,
    previous: Option<Previous>,
}

impl Default for ContentWriter {
    fn default() -> Self {
        Self::against(None)
    }
}

impl ContentWriter {
    /// A writer of what is likely to have much in common with an older content.
    #[must_use]
    pub fn against(previous: Option<&Content>) -> Self {
        Self::of_units(1, previous)
    }

    /// A writer of entries of one length, which are not cut.
    fn of_units(unit_bytes: usize, previous: Option<&Content>) -> Self {
        let list = previous.map(ChunkList::against).unwrap_or_default();
        Self { buffer: Vec::new(), unit_bytes, list, previous: previous.and_then(Previous::new) }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Those of [`Transaction::store`].
    pub fn write(&mut self, transaction: &mut Transaction<'_>, bytes: &[u8]) -> Result<(), repo::Error> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < 2 * transaction.chunker().sizes().max() {
            return Ok(());
        }
        self.cut(transaction, false)
    }

    /// The content of everything that was written.
    ///
    /// # Errors
    /// Those of [`Transaction::store`].
    pub fn finish(mut self, transaction: &mut Transaction<'_>) -> Result<Content, repo::Error> {
        self.cut(transaction, true)?;
        transaction.end_likeness(PackKind::Tree, &mut self.previous)?;
        self.list.finish(transaction)
    }

    fn cut(&mut self, transaction: &mut Transaction<'_>, at_end: bool) -> Result<(), repo::Error> {
        let mut start = 0;
        while let Some(len) = self.buffer.get(start..).and_then(|rest| transaction.chunker().cut(rest, at_end)) {
            // A chunk is longer than a unit, so something is left of it.
            let len = len - len % self.unit_bytes;
            let chunk = self.buffer.get(start..start + len).expect("a chunk lies within what was cut");
            let id = transaction.ids().chunk_id(chunk);
            transaction.store(PackKind::Tree, id, chunk, &mut self.previous)?;
            let len_bytes = u32::try_from(len).expect("a chunk is at most CHUNK_BYTES_MAX long");
            self.list.push(transaction, ChunkRef { id, len_bytes })?;
            start += len;
        }
        self.buffer.drain(..start);
        Ok(())
    }
}
