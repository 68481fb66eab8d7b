//! How long the entries of a dump are, line by line while it passes: a restore takes each as a whole, up to a bound.
//!
//! It tells entries apart as `ScriptReader` does, and holds none of them.

use super::part::{is_comment, is_title, starts_data};
use crate::limits::ENTRY_BYTES_MAX;

const COMMENT_LINE: &[u8] = b"--";
/// What a title begins with, whatever it is of.
const TITLE_START: &str = "-- ";

/// Measures the entries of a dump.
#[derive(Debug, Default)]
pub(super) struct EntryLengths {
    title: Vec<u8>,
    /// Bytes of the entry so far.
    bytes: u64,
    /// Whether it is given out in pieces, or there is none: then its length does not matter.
    is_in_pieces: bool,
    /// Whether a statement of it has begun.
    has_statement: bool,
    /// Whether the last line was the first of a title.
    is_titled: bool,
    too_long: Option<String>,
}

impl EntryLengths {
    /// A line of so many bytes has passed that is no row. `start` is its beginning, without its end; `is_outside` says whether it
    /// began outside of everything.
    pub(super) fn line(&mut self, start: &[u8], len: u64, is_outside: bool) {
        if is_outside && self.is_titled && is_title(start) {
            *self = Self { title: start.to_vec(), too_long: self.too_long.take(), ..Self::default() };
        } else if is_outside && !is_comment(start) {
            // Rows may follow other statements, and are never held.
            self.is_in_pieces |= starts_data(start) && (!self.has_statement || !start.starts_with(b"SELECT "));
            self.has_statement = true;
        }
        self.is_titled = is_outside && start == COMMENT_LINE;
        self.bytes += len;
        if self.bytes > ENTRY_BYTES_MAX as u64
            && !self.is_in_pieces
            && !self.title.is_empty()
            && self.too_long.is_none()
        {
            let title = String::from_utf8_lossy(&self.title);
            self.too_long = Some(title.strip_prefix(TITLE_START).unwrap_or(&title).to_owned());
        }
    }

    /// Rows follow. What comes after them in the entry is given out by itself.
    pub(super) const fn rows(&mut self) {
        self.is_in_pieces = true;
    }

    /// The title of the first entry that is longer than a restore takes.
    pub(super) fn too_long(&self) -> Option<&str> {
        self.too_long.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "--\n-- PostgreSQL database dump\n--\n\nSET x = 1;\n\n";

    /// Measures text in which each `…` is a line that is nearly as long as an entry may be.
    fn too_long(text: &str) -> Option<String> {
        let mut lengths = EntryLengths::default();
        let mut is_outside = true;
        for line in text.lines() {
            let len = if line == "…" { ENTRY_BYTES_MAX as u64 - 200 } else { line.len() as u64 + 1 };
            lengths.line(line.as_bytes(), len, is_outside);
            // In these texts only dollars quote.
            is_outside ^= line.matches("$$").count() % 2 == 1;
        }
        lengths.too_long().map(str::to_owned)
    }

    #[test]
    fn what_is_held_as_a_whole_is_measured() {
        let entry = |kind: &str, text: &str| {
            format!("--\n-- Name: {kind} f; Type: {kind}; Schema: m; Owner: o\n--\n\n{text}\n\n")
        };
        let function = entry("FUNCTION", "CREATE FUNCTION f() AS $$\n…\n$$;");
        assert_eq!(too_long(&format!("{HEAD}{function}{function}{function}")), None, "each by itself");
        let long =
            entry("VIEW", "CREATE FUNCTION f() AS $$\n--\n-- Name: x; Type: x\n…\nINSERT INTO a VALUES (1)\n…\n$$;");
        let told = Some("Name: VIEW f; Type: VIEW; Schema: m; Owner: o".to_owned());
        assert_eq!(too_long(&format!("{HEAD}{function}{long}{function}")), told);
        assert_eq!(too_long(&format!("{HEAD}{}", entry("BLOBS", "BEGIN;\n\nSELECT lo_open();\n…\n…\nCOMMIT;"))), None);
        assert_eq!(too_long(&format!("{HEAD}{}", entry("SEQUENCE SET", "SELECT setval();\n…\n…"))), None);
        assert_eq!(too_long(&format!("{HEAD}{}", entry("TABLE DATA", "INSERT INTO a VALUES (1);\n…\n…"))), None);
        assert_eq!(too_long(&format!("{HEAD}…\n…\n")), None, "it is told apart by no titles");
    }
}
