//! Scripts and rows that are read, part by part.

use std::io::Read;

use crate::postgres::part::Part;
use crate::postgres::script::ScriptReader;
use crate::sink::Error;

/// Small enough that its memory is used again and again.
const BUFFER_BYTES: usize = 64 << 10;

pub(super) fn next_part(reader: &mut ScriptReader<&mut dyn Read>) -> Result<Option<Part>, Error> {
    reader.next_part().map_err(unreadable)
}

pub(super) fn unreadable(source: std::io::Error) -> Error {
    Error::io("read", "the dump", source)
}

/// Whether there are only comments and empty lines.
pub(super) fn is_blank(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').all(|line| line.is_empty() || line.starts_with(b"--"))
}

/// The next bytes, or `None` at the end.
pub(super) fn read_piece(from: &mut dyn Read) -> Result<Option<Vec<u8>>, Error> {
    let mut piece = Vec::with_capacity(BUFFER_BYTES);
    let read = from.take(BUFFER_BYTES as u64).read_to_end(&mut piece);
    read.map_err(unreadable)?;
    Ok((!piece.is_empty()).then_some(piece))
}
