//! Contents of snapshots as plain streams of bytes.

use std::io::{self, Read, Write};

use super::Error;
use crate::model::{Content, ContentBytes, ContentReader, Node, NodeKind};
use crate::repo::ChunkReader;
use crate::sink;

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// A content as a reader. What goes wrong with the repository is the source of the `io::Error`.
pub(super) struct ContentStream<'a> {
    bytes: ContentBytes,
    left: u64,
    reader: &'a mut ChunkReader,
}

impl<'a> ContentStream<'a> {
    pub(super) fn new(content: &Content, reader: &'a mut ChunkReader) -> Result<Self, Error> {
        Ok(Self { left: content.len_bytes, bytes: ContentBytes::new(content.clone())?, reader })
    }
}

impl Read for ContentStream<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.left).map_or(target.len(), |left| left.min(target.len()));
        let target = target.get_mut(..len).expect("bounded by its own length");
        let complete = self.bytes.read(self.reader, target).map_err(io::Error::other)?;
        if len > 0 && !complete {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the content is shorter than it says"));
        }
        self.left -= len as u64;
        Ok(len)
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
