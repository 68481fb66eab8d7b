//! Contents: ordered lists of chunks, written and read as streams.
//!
//! A list that is too long for its node is itself stored as content, of a depth one higher, so that neither a node
//! nor the memory that it needs grows with the file.

use serde::{Deserialize, Serialize};

use super::{Error, Previous};
use crate::chunk::ChunkRef;
use crate::fields::FieldReader;
use crate::id::{ChunkId, Digest};
use crate::limits::{CONTENT_CHUNKS_DIRECT, CONTENT_DEPTH_MAX, ID_BYTES};
use crate::pack::PackKind;
use crate::repo::{self, ChunkData, ChunkReader, Transaction};

/// Bytes of one entry of a stored list.
const ENTRY_BYTES: usize = ID_BYTES + 4;

/// An ordered list of chunks and the length of what they are together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Length of the plaintext in bytes.
    pub len_bytes: u64,
    /// 0: `chunks` are the content. Otherwise they are the content of a list of depth `depth - 1`.
    pub depth: u8,
    /// The chunks, or those of the list.
    pub chunks: Vec<ChunkRef>,
}

impl Content {
    /// The content that holds its list, where the list is stored. Its length is the most that the list may have.
    #[must_use]
    pub fn list(&self) -> Option<Self> {
        let depth = self.depth.checked_sub(1)?;
        // No chunk is empty, so it has no more entries than the content has bytes.
        let len_bytes = self.len_bytes.saturating_mul(ENTRY_BYTES as u64);
        Some(Self { len_bytes, depth, chunks: self.chunks.clone() })
    }

    /// One name for all contents of this length, depth and chunks.
    #[must_use]
    pub fn identity(&self) -> Digest {
        let Self { len_bytes, depth, chunks } = self;
        let mut bytes = Vec::with_capacity(9 + chunks.len() * ID_BYTES);
        bytes.extend_from_slice(&len_bytes.to_le_bytes());
        bytes.push(*depth);
        bytes.extend(chunks.iter().flat_map(|chunk| *chunk.id.as_bytes()));
        Digest::of(&bytes)
    }
}

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

fn encode_entry(chunk: ChunkRef) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    let (id, len) = entry.split_at_mut(ID_BYTES);
    id.copy_from_slice(chunk.id.as_bytes());
    len.copy_from_slice(&chunk.len_bytes.to_le_bytes());
    entry
}

fn decode_entry(bytes: &[u8; ENTRY_BYTES]) -> Option<ChunkRef> {
    let mut fields = FieldReader::new(bytes);
    Some(ChunkRef { id: ChunkId::from_bytes(fields.array()?), len_bytes: fields.u32()? })
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
        if let Some(previous) = self.previous {
            previous.finish(transaction, PackKind::Tree)?;
        }
        self.list.finish(transaction)
    }

    fn cut(&mut self, transaction: &mut Transaction<'_>, at_end: bool) -> Result<(), repo::Error> {
        let mut start = 0;
        while let Some(len) = self.buffer.get(start..).and_then(|rest| transaction.chunker().cut(rest, at_end)) {
            // A chunk is longer than a unit, so something is left of it.
            let len = len - len % self.unit_bytes;
            let chunk = self.buffer.get(start..start + len).expect("a chunk lies within what was cut");
            let id = transaction.ids().chunk_id(chunk);
            match &mut self.previous {
                Some(previous) => previous.store(transaction, PackKind::Tree, id, chunk)?,
                None => transaction.store(PackKind::Tree, id, chunk)?,
            };
            let len_bytes = u32::try_from(len).expect("a chunk is at most CHUNK_BYTES_MAX long");
            self.list.push(transaction, ChunkRef { id, len_bytes })?;
            start += len;
        }
        self.buffer.drain(..start);
        Ok(())
    }
}

/// Gives the chunks of a content one after another.
#[derive(Debug)]
pub struct ContentReader {
    /// Those that are being read: what the content itself lists, and within that stored lists.
    levels: Vec<Level>,
    /// A stored list whose entries come next.
    entered: Option<ChunkRef>,
    /// Bytes of the content that no chunk was given for yet.
    left_bytes: u64,
}

/// A list that is being read.
#[derive(Debug)]
struct Level {
    /// Stored lists that lie between its entries and the content.
    depth: u8,
    entries: Entries,
}

#[derive(Debug)]
enum Entries {
    Direct(std::vec::IntoIter<ChunkRef>),
    Stored(ChunkData, usize),
}

/// What a reader of a content meets.
#[derive(Debug, Clone, Copy)]
pub(super) enum ContentStep {
    /// A chunk of the content.
    Chunk(ChunkRef),
    /// A chunk of a stored list, with so many lists between its entries and the content. Its entries follow, if it is not skipped.
    List(ChunkRef, u8),
    /// The list that was met last, and has not ended yet, has.
    Leave,
}

impl ContentReader {
    /// A reader at the first chunk.
    ///
    /// # Errors
    /// [`Error::Damaged`] when lists are nested too deep.
    pub fn new(content: Content) -> Result<Self, Error> {
        let Content { len_bytes, depth, chunks } = content;
        if depth > CONTENT_DEPTH_MAX {
            return Err(damaged("its lists are nested too deep".to_owned()));
        }
        let level = Level { depth, entries: Entries::Direct(chunks.into_iter()) };
        Ok(Self { levels: vec![level], entered: None, left_bytes: len_bytes })
    }

    /// The next chunk, or `None` after the last.
    ///
    /// # Errors
    /// Those of [`ChunkReader::read`]; [`Error::Damaged`], also when a list has more than the content, which a few of them that
    /// are nested and repeat themselves could have without an end.
    pub fn next(&mut self, reader: &mut ChunkReader) -> Result<Option<ChunkRef>, Error> {
        while let Some(step) = self.step(reader)? {
            if let ContentStep::Chunk(chunk) = step {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    /// The next step, or `None` at the end.
    ///
    /// # Errors
    /// Those of [`ContentReader::next`].
    pub(super) fn step(&mut self, reader: &mut ChunkReader) -> Result<Option<ContentStep>, Error> {
        self.enter(reader)?;
        let Some(level) = self.levels.last_mut() else { return Ok(None) };
        let Some(chunk) = level.entries.next() else {
            self.levels.pop();
            return Ok((!self.levels.is_empty()).then_some(ContentStep::Leave));
        };
        if let Some(depth) = level.depth.checked_sub(1) {
            self.entered = Some(chunk);
            return Ok(Some(ContentStep::List(chunk, depth)));
        }
        self.pass(chunk.len_bytes.into())?;
        Ok(Some(ContentStep::Chunk(chunk)))
    }

    /// Goes past the list that was the last step, whose chunks have so many bytes of the content.
    ///
    /// # Errors
    /// [`Error::Damaged`] when those are more than the content has.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), Error> {
        self.entered = None;
        self.pass(bytes)
    }

    fn pass(&mut self, bytes: u64) -> Result<(), Error> {
        let left = self.left_bytes.checked_sub(bytes).filter(|_| bytes > 0);
        self.left_bytes = left.ok_or_else(|| damaged("its chunks are longer than it is, or empty".to_owned()))?;
        Ok(())
    }

    fn enter(&mut self, reader: &mut ChunkReader) -> Result<(), Error> {
        let (Some(list), Some(around)) = (self.entered.take(), self.levels.last()) else { return Ok(()) };
        let data = read_listed(reader, list)?;
        if data.len() % ENTRY_BYTES != 0 {
            return Err(damaged(format!("chunk {} of its list ends within an entry", list.id)));
        }
        let depth = around.depth.saturating_sub(1);
        self.levels.push(Level { depth, entries: Entries::Stored(data, 0) });
        Ok(())
    }
}

impl Entries {
    fn next(&mut self) -> Option<ChunkRef> {
        match self {
            Self::Direct(chunks) => chunks.next(),
            Self::Stored(data, position) => {
                let entry = data.get(*position..)?.first_chunk()?;
                *position += ENTRY_BYTES;
                decode_entry(entry)
            }
        }
    }
}

/// A chunk that has as many bytes as it is listed with, and any.
fn read_listed(reader: &mut ChunkReader, chunk: ChunkRef) -> Result<ChunkData, Error> {
    let data = reader.read(chunk.id)?;
    if data.is_empty() || data.len() != chunk.len_bytes as usize {
        return Err(damaged(format!("chunk {} has another length than it lists", chunk.id)));
    }
    Ok(data)
}

fn damaged(why: String) -> Error {
    Error::Damaged { what: "content", why }
}

/// Gives the bytes of a content one after another.
#[derive(Debug)]
pub struct ContentBytes {
    reader: ContentReader,
    current: Option<(ChunkData, usize)>,
}

impl ContentBytes {
    /// A reader at the first byte.
    ///
    /// # Errors
    /// [`Error::Damaged`] when lists are nested too deep.
    pub fn new(content: Content) -> Result<Self, Error> {
        Ok(Self { reader: ContentReader::new(content)?, current: None })
    }

    /// Fills `target`; `false` when the content is at its end.
    ///
    /// # Errors
    /// Those of [`ChunkReader::read`]; [`Error::Damaged`] when the content ends within `target`.
    pub fn read(&mut self, reader: &mut ChunkReader, target: &mut [u8]) -> Result<bool, Error> {
        let mut filled = 0;
        while filled < target.len() {
            let Some((chunk, position)) = &mut self.current else {
                if self.load(reader)? {
                    continue;
                }
                if filled == 0 {
                    return Ok(false);
                }
                return Err(damaged("it ends within an entry".to_owned()));
            };
            let rest = chunk.get(*position..).unwrap_or_default();
            let len = rest.len().min(target.len() - filled);
            let (from, to) = (rest.get(..len), target.get_mut(filled..filled + len));
            to.expect("bounded by the target").copy_from_slice(from.expect("bounded by the chunk"));
            filled += len;
            *position += len;
            if *position >= chunk.len() {
                self.current = None;
            }
        }
        Ok(true)
    }

    fn load(&mut self, reader: &mut ChunkReader) -> Result<bool, Error> {
        let Some(chunk) = self.reader.next(reader)? else { return Ok(false) };
        let data = read_listed(reader, chunk)?;
        self.current = Some((data, 0));
        Ok(true)
    }
}
