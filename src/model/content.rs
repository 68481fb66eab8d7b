//! Contents: ordered lists of chunks, written and read as streams.
//!
//! A list that is too long for its node is itself stored as content, of a depth one higher, so that neither a node
//! nor the memory that it needs grows with the file.

use serde::{Deserialize, Serialize};

use super::{Error, Previous};
use crate::chunk::ChunkRef;
use crate::fields::FieldReader;
use crate::id::ChunkId;
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
            let mut writer = Box::new(ContentWriter::against(self.previous.as_ref()));
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
#[derive(Debug, Default)]
pub struct ContentWriter {
    buffer: Vec<u8>,
    list: ChunkList,
    previous: Option<Previous>,
}

impl ContentWriter {
    /// A writer of what is likely to have much in common with an older content.
    #[must_use]
    pub fn against(previous: Option<&Content>) -> Self {
        let list = previous.map(ChunkList::against).unwrap_or_default();
        Self { buffer: Vec::new(), list, previous: previous.and_then(Previous::new) }
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
    chunks: Chunks,
    /// Bytes of the content that no chunk was given for yet.
    left_bytes: u64,
}

#[derive(Debug)]
enum Chunks {
    Direct(std::vec::IntoIter<ChunkRef>),
    Listed(Box<ContentBytes>),
}

impl ContentReader {
    /// A reader at the first chunk.
    ///
    /// # Errors
    /// [`Error::Damaged`] when lists are nested too deep.
    pub fn new(content: Content) -> Result<Self, Error> {
        if content.depth > CONTENT_DEPTH_MAX {
            return Err(Error::Damaged { what: "content", why: "its lists are nested too deep".to_owned() });
        }
        let left_bytes = content.len_bytes;
        let chunks = match content.list() {
            None => Chunks::Direct(content.chunks.into_iter()),
            Some(list) => Chunks::Listed(Box::new(ContentBytes::new(list)?)),
        };
        Ok(Self { chunks, left_bytes })
    }

    /// The next chunk, or `None` after the last.
    ///
    /// # Errors
    /// Those of [`ChunkReader::read`]; [`Error::Damaged`], also when a list has more than the content, which a few of them that
    /// are nested and repeat themselves could have without an end.
    pub fn next(&mut self, reader: &mut ChunkReader) -> Result<Option<ChunkRef>, Error> {
        let next = match &mut self.chunks {
            Chunks::Direct(chunks) => chunks.next(),
            Chunks::Listed(bytes) => {
                let mut entry = [0; ENTRY_BYTES];
                if bytes.read(reader, &mut entry)? { decode_entry(&entry) } else { None }
            }
        };
        if let Some(chunk) = &next {
            let left = self.left_bytes.checked_sub(chunk.len_bytes.into()).filter(|_| chunk.len_bytes > 0);
            let why = || "its chunks are longer than it is, or empty".to_owned();
            self.left_bytes = left.ok_or_else(|| Error::Damaged { what: "content", why: why() })?;
        }
        Ok(next)
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
                return Err(Error::Damaged { what: "content", why: "it ends within an entry".to_owned() });
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
        let data = reader.read(chunk.id)?;
        if data.is_empty() || data.len() != chunk.len_bytes as usize {
            let why = format!("chunk {} has another length than it lists", chunk.id);
            return Err(Error::Damaged { what: "content", why });
        }
        self.current = Some((data, 0));
        Ok(true)
    }
}
