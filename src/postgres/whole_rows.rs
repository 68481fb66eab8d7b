//! Makes sure that the rows of a table are nothing else to a `psql` and a server that are given them.
//!
//! `psql` looks for the line that ends rows by lines as C has them: a NUL ends what it sees of one, so that it takes a place in
//! the middle of a row for the beginning of a line. What stands behind such an end is a statement to it. Servers before 17 end
//! the rows wherever `\.` stands, and drop what follows. No server writes a NUL into rows, nor `\.`.

use std::io;

const END_MARK: &[u8] = b"\\.";

/// Follows the rows of one table, piece by piece.
#[derive(Debug)]
pub(crate) struct WholeRows {
    /// Whether a backslash stood last that is not one of two.
    is_escaped: bool,
    is_at_line: bool,
}

impl Default for WholeRows {
    fn default() -> Self {
        Self { is_escaped: false, is_at_line: true }
    }
}

impl WholeRows {
    /// The next bytes, before they are given to anybody.
    ///
    /// # Errors
    /// When they are not rows alone.
    pub(crate) fn check(&mut self, piece: &[u8]) -> io::Result<()> {
        let Some(last) = piece.last() else { return Ok(()) };
        if memchr::memchr(0, piece).is_some() {
            return Err(io::Error::other("its rows have a NUL, which no server writes"));
        }
        let across = self.is_escaped && piece.first() == Some(&b'.');
        let mut ends = memchr::memmem::find_iter(piece, END_MARK);
        if across || ends.any(|place| self.escapes(piece, place)) {
            return Err(io::Error::other("its rows have '\\.', which no server writes"));
        }
        self.is_escaped = *last == b'\\' && self.escapes(piece, piece.len() - 1);
        self.is_at_line = *last == b'\n';
        Ok(())
    }

    /// Whether the backslash at a place is the first of two bytes that are one.
    fn escapes(&self, piece: &[u8], place: usize) -> bool {
        let before = piece.get(..place).unwrap_or_default();
        let run = before.iter().rev().take_while(|byte| **byte == b'\\').count();
        (run + usize::from(self.is_escaped && run == before.len())) % 2 == 0
    }

    /// There are no more.
    ///
    /// # Errors
    /// When the last one has no end: what follows would be part of it.
    pub(crate) fn end(&self) -> io::Result<()> {
        if self.is_at_line { Ok(()) } else { Err(io::Error::other("its last row is cut off")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[u8], piece_len: usize) -> bool {
        let mut whole = WholeRows::default();
        rows.chunks(piece_len).all(|piece| whole.check(piece).is_ok()) && whole.end().is_ok()
    }

    #[test]
    fn rows_are_rows_however_they_are_cut() {
        for piece_len in 1..12 {
            for rows in [&b"1\ta\n2\t\\\\.\n"[..], b"", b"\n", b"x\\\\.\\\\\\\\.\n", b"\\N\n\\\\.\n.\n", b"a\\\\\\n.\n"]
            {
                assert!(check(rows, piece_len), "{rows:?} in pieces of {piece_len}");
            }
            for rows in [
                &b"1\ta\n\\.\nDO"[..],
                b"\\.\n",
                b"1\n\\.\r\n",
                b"a\0b\n",
                b"\n\\.x\n",
                b"1\n2",
                b"1\tx\\.\n",
                b"1\tx\\\\\\.\n",
            ] {
                assert!(!check(rows, piece_len), "{rows:?} in pieces of {piece_len}");
            }
        }
    }
}
