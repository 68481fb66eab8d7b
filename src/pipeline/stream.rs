//! Contents of snapshots as plain streams of bytes.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use super::Error;
use crate::model::{self, Content, ContentBytes, ContentReader, Node, NodeKind};
use crate::repo::ChunkReader;
use crate::sink;

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
/// Bytes that are passed over at once.
const PASSED_BYTES: usize = 64 << 10;

/// A part of a stream that is put together.
#[derive(Debug, Clone)]
pub(super) enum Segment {
    /// These bytes.
    Text(Vec<u8>),
    /// Those of a content from one place to another.
    Content { content: Content, begin: u64, end: u64 },
}

impl Segment {
    /// All of a content.
    pub(super) fn whole(content: &Content) -> Self {
        Self::Content { content: content.clone(), begin: 0, end: content.len_bytes }
    }
}

/// Contents, and what is put between them, as a reader. What goes wrong with the repository is the source of the `io::Error`.
pub(super) struct ContentStream<'a> {
    rest: VecDeque<Segment>,
    current: Option<(ContentBytes, u64)>,
    reader: &'a mut ChunkReader,
}

impl<'a> ContentStream<'a> {
    pub(super) fn new(content: &Content, reader: &'a mut ChunkReader) -> Self {
        Self::of_segments(vec![Segment::whole(content)], reader)
    }

    pub(super) fn of_segments(segments: Vec<Segment>, reader: &'a mut ChunkReader) -> Self {
        Self { rest: segments.into(), current: None, reader }
    }

    /// Goes to the beginning of a segment of a content.
    fn open(&mut self, content: Content, mut begin: u64, end: u64) -> Result<(), model::Error> {
        let mut bytes = ContentBytes::new(content)?;
        let len = end.saturating_sub(begin);
        let mut passed = vec![0; usize::try_from(begin).map_or(PASSED_BYTES, |begin| begin.min(PASSED_BYTES))];
        while begin > 0 {
            let step = usize::try_from(begin).map_or(passed.len(), |begin| begin.min(passed.len()));
            bytes.read(self.reader, passed.get_mut(..step).unwrap_or_default())?;
            begin -= step as u64;
        }
        self.current = Some((bytes, len));
        Ok(())
    }
}

impl Read for ContentStream<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((bytes, left)) = self.current.as_mut().filter(|(_, left)| *left > 0) {
                let len = usize::try_from(*left).map_or(target.len(), |left| left.min(target.len()));
                let target = target.get_mut(..len).expect("bounded by its own length");
                let complete = bytes.read(self.reader, target).map_err(io::Error::other)?;
                if len > 0 && !complete {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the content is shorter than it says"));
                }
                *left -= len as u64;
                return Ok(len);
            }
            match self.rest.front_mut() {
                None => return Ok(0),
                Some(Segment::Text(text)) if !text.is_empty() => {
                    let len = text.len().min(target.len());
                    let (from, to) = (text.drain(..len), target.get_mut(..len));
                    to.expect("bounded by the target").iter_mut().zip(from).for_each(|(to, from)| *to = from);
                    return Ok(len);
                }
                Some(Segment::Text(_)) => drop(self.rest.pop_front()),
                Some(Segment::Content { .. }) => {
                    if let Some(Segment::Content { content, begin, end }) = self.rest.pop_front() {
                        self.open(content, begin, end).map_err(io::Error::other)?;
                    }
                }
            }
        }
    }
}

/// Writes the bytes of a file, holes as zeros.
///
/// # Errors
/// [`Error::Path`] when the node is no file, [`Error::Model`] when it cannot be read, [`Error::Sink`] when `target`
/// fails.
pub fn write_content(reader: &mut ChunkReader, node: &Node, target: &mut dyn Write) -> Result<(), Error> {
    let NodeKind::File { content, holes } = &node.kind else {
        return Err(Error::Path { path: node.name.to_text(), why: "it is not a regular file".to_owned() });
    };
    let failed = |source| Error::Sink(sink::Error::io("write", "the output", source));
    let mut chunks = ContentReader::new(content.clone())?;
    let mut holes = holes.iter().peekable();
    let mut position = 0;
    let mut next_chunk = chunks.next(reader)?;
    while let Some(chunk) = next_chunk {
        let data = reader.read(chunk.id)?;
        let mut rest: &[u8] = &data;
        while !rest.is_empty() {
            while let Some(hole) = holes.next_if(|hole| hole.offset == position) {
                write_zeros(hole.len_bytes, target).map_err(failed)?;
                position += hole.len_bytes;
            }
            let until_hole = holes.peek().map_or(u64::MAX, |hole| hole.offset - position);
            let len = usize::try_from(until_hole).map_or(rest.len(), |len| len.min(rest.len()));
            let (piece, after) = rest.split_at(len);
            target.write_all(piece).map_err(failed)?;
            position += len as u64;
            rest = after;
        }
        next_chunk = chunks.next(reader)?;
    }
    holes.try_for_each(|hole| write_zeros(hole.len_bytes, target)).map_err(failed)
}

fn write_zeros(mut len: u64, target: &mut dyn Write) -> io::Result<()> {
    while len > 0 {
        let piece = usize::try_from(len).map_or(ZEROS.len(), |len| len.min(ZEROS.len()));
        target.write_all(ZEROS.get(..piece).unwrap_or(&ZEROS))?;
        len -= piece as u64;
    }
    Ok(())
}
