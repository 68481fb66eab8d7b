//! Makes sure that the rows of a table are nothing else to a `psql` that is given them.
//!
//! `psql` looks for the line that ends rows by lines as C has them: a NUL ends what it sees of one, so that it takes a place in
//! the middle of a row for the beginning of a line. What stands behind such an end is a statement to it. No server writes a NUL
//! into rows, nor `\.` at the beginning of one.

use std::io;

const END_BEGIN: &[u8] = b"\n\\.";

/// Follows the rows of one table, piece by piece.
#[derive(Debug)]
pub(crate) struct WholeRows {
    /// The last bytes, as many as the beginning of an end may have.
    tail: Vec<u8>,
}

impl Default for WholeRows {
    fn default() -> Self {
        Self { tail: b"\n".to_vec() }
    }
}

impl WholeRows {
    /// The next bytes, before they are given to anybody.
    ///
    /// # Errors
    /// When they are not rows alone.
    pub(crate) fn check(&mut self, piece: &[u8]) -> io::Result<()> {
        if memchr::memchr(0, piece).is_some() {
            return Err(io::Error::other("its rows have a NUL, which no server writes"));
        }
        let kept = END_BEGIN.len() - 1;
        // What lies across the border.
        self.tail.extend_from_slice(piece.get(..kept).unwrap_or(piece));
        let has_end = |bytes: &[u8]| memchr::memmem::find(bytes, END_BEGIN).is_some();
        if has_end(&self.tail) || has_end(piece) {
            return Err(io::Error::other("its rows have a line that begins with '\\.', which no server writes"));
        }
        if piece.len() > kept {
            self.tail.clear();
            self.tail.extend_from_slice(piece.get(piece.len() - kept..).unwrap_or_default());
        } else {
            self.tail.drain(..self.tail.len().saturating_sub(kept));
        }
        Ok(())
    }

    /// There are no more.
    ///
    /// # Errors
    /// When the last one has no end: what follows would be part of it.
    pub(crate) fn end(&self) -> io::Result<()> {
        if self.tail.ends_with(b"\n") { Ok(()) } else { Err(io::Error::other("its last row is cut off")) }
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
            for rows in [&b"1\ta\n2\t\\\\.\n"[..], b"", b"\n", b"x\\.\n", b"\\N\n\\\\.\n.\n"] {
                assert!(check(rows, piece_len), "{rows:?} in pieces of {piece_len}");
            }
            for rows in [&b"1\ta\n\\.\nDO"[..], b"\\.\n", b"1\n\\.\r\n", b"a\0b\n", b"\n\\.x\n", b"1\n2"] {
                assert!(!check(rows, piece_len), "{rows:?} in pieces of {piece_len}");
            }
        }
    }
}
