//! Whether a place in a script lies within a string, a quoted name or a comment, where nothing is a statement.
//!
//! Follows PostgreSQL's lexical rules: `'…'` with doubled quotes, `E'…'` with backslashes, `"…"`, `$tag$…$tag$`,
//! `--` to the end of the line and nested `/* … */`.

/// What a byte of a script lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Outside,
    String {
        backslashes: bool,
    },
    /// After a backslash in a string.
    Escaped,
    /// After a quote that ends a string, unless it is doubled.
    StringEnd {
        backslashes: bool,
    },
    Name,
    /// After `$`, while the tag is read.
    Tag(Vec<u8>),
    /// Within dollar quotes; so many bytes of the closing tag have been seen.
    Dollar {
        closing: Vec<u8>,
        matched: usize,
    },
    Line,
    Block {
        depth: u32,
    },
}

/// Follows a script byte by byte.
#[derive(Debug)]
pub(crate) struct Quoting {
    place: Place,
    last: u8,
    before_last: u8,
    /// Whether every string understands backslashes, as old servers say in their dumps.
    backslashes: bool,
    /// Whether a backslash stood outside since that was asked for.
    backslash_outside: bool,
}

impl Default for Quoting {
    fn default() -> Self {
        Self { place: Place::Outside, last: b'\n', before_last: b'\n', backslashes: false, backslash_outside: false }
    }
}

impl Quoting {
    /// Whether a statement could begin here.
    pub(crate) const fn is_outside(&self) -> bool {
        matches!(self.place, Place::Outside | Place::StringEnd { .. })
    }

    /// From here on every string understands backslashes.
    pub(super) const fn all_strings_escape(&mut self) {
        self.backslashes = true;
    }

    /// Whether a backslash has stood where a statement could since this was last asked: the beginning of a command of `psql`.
    pub(super) const fn take_backslash(&mut self) -> bool {
        std::mem::replace(&mut self.backslash_outside, false)
    }

    /// Goes over the next bytes.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
            self.before_last = self.last;
            self.last = *byte;
        }
    }

    fn step(&mut self, byte: u8) {
        self.backslash_outside |= byte == b'\\' && self.is_outside();
        match &mut self.place {
            Place::Outside => self.outside(byte),
            Place::String { backslashes } => match byte {
                b'\'' => self.place = Place::StringEnd { backslashes: *backslashes },
                b'\\' if *backslashes => self.place = Place::Escaped,
                _ => {}
            },
            Place::Escaped => self.place = Place::String { backslashes: true },
            Place::StringEnd { backslashes } if byte == b'\'' => {
                self.place = Place::String { backslashes: *backslashes };
            }
            Place::Name if byte == b'"' => self.place = Place::Outside,
            Place::Tag(tag) if byte == b'$' => {
                let closing = [b"$", tag.as_slice(), b"$"].concat();
                self.place = Place::Dollar { closing, matched: 0 };
            }
            Place::Tag(tag) if is_word(byte) => tag.push(byte),
            // What was begun has ended before this byte.
            Place::StringEnd { .. } | Place::Tag(_) => {
                self.place = Place::Outside;
                self.outside(byte);
            }
            Place::Dollar { closing, matched } => {
                *matched = if closing.get(*matched) == Some(&byte) { *matched + 1 } else { usize::from(byte == b'$') };
                if *matched == closing.len() {
                    self.place = Place::Outside;
                }
            }
            Place::Line if byte == b'\n' => self.place = Place::Outside,
            Place::Block { depth } if byte == b'/' && self.last == b'*' => {
                *depth -= 1;
                if *depth == 0 {
                    self.place = Place::Outside;
                }
            }
            Place::Block { depth } if byte == b'*' && self.last == b'/' => *depth += 1,
            Place::Name | Place::Line | Place::Block { .. } => {}
        }
    }

    fn outside(&mut self, byte: u8) {
        self.place = match (self.last, byte) {
            (last, b'\'') => {
                let escape_prefix = matches!(last, b'E' | b'e') && !is_word(self.before_last);
                Place::String { backslashes: self.backslashes || escape_prefix }
            }
            (_, b'"') => Place::Name,
            (last, b'$') if !is_word(last) => Place::Tag(Vec::new()),
            (b'-', b'-') => Place::Line,
            (b'/', b'*') => Place::Block { depth: 1 },
            _ => return,
        };
    }
}

/// A byte of a name, or of a longer character.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside_at_end(text: &str) -> bool {
        let mut quoting = Quoting::default();
        quoting.advance(text.as_bytes());
        quoting.is_outside()
    }

    #[test]
    fn quotes_and_comments_are_followed() {
        let closed = [
            "a",
            "'x'",
            "'it''s'",
            "E'\\''",
            "\"a\"\"b\"",
            "$$ ' $$",
            "$a$ $$ ' $b$ $a$",
            "-- it's\n",
            "/* /* ' */ */",
            "'a\\'",
            "a$b$'x'",
            "$1 + '$'",
            "E'\\\\'",
            "price$'x'",
        ];
        for text in closed {
            assert!(outside_at_end(text), "{text}");
        }
        for text in ["'", "'it'' ", "E'\\'", "\"a", "$$ x $a$", "$a$ $$", "-- x", "/* /* */", "$a$ $a"] {
            assert!(!outside_at_end(text), "{text}");
        }
    }

    #[test]
    fn a_server_may_say_that_all_strings_escape() {
        let mut quoting = Quoting::default();
        quoting.all_strings_escape();
        quoting.advance(b"'a\\'b");
        assert!(!quoting.is_outside());
    }
}
