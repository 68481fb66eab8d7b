//! Contents read as streams: their chunks, or their bytes, one after another.

use super::content::{ENTRY_BYTES, decode_entry};
use super::{Content, Error};
use crate::chunk::ChunkRef;
use crate::limits::CONTENT_DEPTH_MAX;
use crate::repo::{ChunkData, ChunkReader};

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
