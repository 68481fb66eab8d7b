//! Whether a place in a script lies within a string, a quoted name or a comment, where nothing is a statement.
//!
//! Follows the lexical rules of `psql`: `'…'` with doubled quotes, `E'…'` with backslashes, `"…"`, `$tag$…$tag$`, names and
//! numbers, `--` to the end of the line and nested `/* … */`. It says too where versions of `psql`, or settings of a session
//! that only the server knows, make something else of a text.

use super::statement::StatementWords;

/// What a byte of a script lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Outside,
    /// A name without quotes, which may have `$` in it.
    Word,
    Number,
    /// `$` and digits.
    Parameter,
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
pub(crate) struct Lexer {
    place: Place,
    last: u8,
    /// Bytes of the name that is read, as far as it matters how long it is.
    word_len: usize,
    /// Backslashes one after another before this place.
    backslash_run: usize,
    /// Whether every string understands backslashes, as old servers say in their dumps.
    backslashes: bool,
    /// Whether a backslash stood outside since that was asked for.
    backslash_outside: bool,
    /// Whether something stood there that can be read in several ways.
    is_ambiguous: bool,
    words: StatementWords,
}

impl Default for Lexer {
    fn default() -> Self {
        Self {
            place: Place::Outside,
            last: b'\n',
            word_len: 0,
            backslash_run: 0,
            backslashes: false,
            backslash_outside: false,
            is_ambiguous: false,
            words: StatementWords::default(),
        }
    }
}

impl Lexer {
    /// Whether a statement could begin here.
    pub(crate) const fn is_outside(&self) -> bool {
        matches!(self.place, Place::Outside | Place::Word | Place::Number | Place::Parameter | Place::StringEnd { .. })
    }

    /// From here on every string understands backslashes.
    pub(crate) const fn all_strings_escape(&mut self) {
        self.backslashes = true;
    }

    /// Whether a backslash has stood where a statement could since this was last asked: the beginning of a command of `psql`.
    pub(crate) const fn take_backslash(&mut self) -> bool {
        std::mem::replace(&mut self.backslash_outside, false)
    }

    /// Whether something has stood there that another version of `psql`, or a setting of the session, reads in another way:
    /// what is a string here could be a command there.
    pub(crate) const fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// A statement that would reach beyond the database that the script is for, where there was one.
    pub(crate) fn beyond_database(&self) -> Option<&str> {
        self.words.found()
    }

    /// Goes over the next bytes.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let was_comment = matches!(self.place, Place::Block { .. });
            self.step(*byte);
            self.backslash_run = if *byte == b'\\' { self.backslash_run + 1 } else { 0 };
            // The end of a comment is no part of what follows.
            self.last = if was_comment && self.place == Place::Outside { b' ' } else { *byte };
        }
    }

    fn step(&mut self, byte: u8) {
        self.backslash_outside |= byte == b'\\' && self.is_outside();
        self.is_ambiguous |= byte == 0;
        match &mut self.place {
            Place::Outside => self.outside(byte),
            Place::Word if is_word(byte) || byte == b'$' => {
                self.word_len += 1;
                self.words.letter(byte);
            }
            Place::Word if byte == b'\'' && self.word_len == 1 && matches!(self.last, b'E' | b'e') => {
                self.place = Place::String { backslashes: true };
            }
            Place::Number if byte.is_ascii_digit() || byte == b'.' => {}
            Place::Number if is_word(byte) || matches!(byte, b'$' | b'\'' | b'"') => {
                // Versions differ in where a number ends.
                self.is_ambiguous = true;
                self.end_of_token(byte);
            }
            Place::Parameter if byte.is_ascii_digit() => {}
            Place::Parameter if is_word(byte) || byte == b'$' => {
                self.is_ambiguous = true;
                self.end_of_token(byte);
            }
            Place::String { backslashes } => match byte {
                b'\'' => {
                    // Whether the backslash before it counts is up to the session.
                    self.is_ambiguous |= self.backslash_run % 2 == 1;
                    self.place = Place::StringEnd { backslashes: *backslashes };
                }
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
            Place::Tag(tag) if tag.is_empty() && byte.is_ascii_digit() => self.place = Place::Parameter,
            Place::Tag(tag) if is_word(byte) => tag.push(byte),
            // What was begun has ended before this byte.
            Place::Word | Place::Number | Place::Parameter | Place::StringEnd { .. } | Place::Tag(_) => {
                self.end_of_token(byte);
            }
            Place::Dollar { closing, matched } => {
                *matched = if closing.get(*matched) == Some(&byte) { *matched + 1 } else { usize::from(byte == b'$') };
                if *matched == closing.len() {
                    self.place = Place::Outside;
                }
            }
            Place::Line if matches!(byte, b'\n' | b'\r') => {
                self.is_ambiguous |= byte == b'\r';
                self.place = Place::Outside;
            }
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

    fn end_of_token(&mut self, byte: u8) {
        if self.place == Place::Word {
            self.words.end_word();
        }
        self.place = Place::Outside;
        self.outside(byte);
    }

    fn outside(&mut self, byte: u8) {
        // `:name` is replaced by a variable of `psql`; `::type` is a cast.
        self.is_ambiguous |= self.last == b':'
            && (is_word(byte) && !byte.is_ascii_digit() || matches!(byte, b'\'' | b'"' | b'{'))
            && !self.is_cast();
        self.place = match (self.last, byte) {
            (_, b'\'' | b'"') => {
                self.words.quote(byte);
                if byte == b'"' { Place::Name } else { Place::String { backslashes: self.backslashes } }
            }
            (_, b'$') => {
                self.words.quote(b'\'');
                Place::Tag(Vec::new())
            }
            (b'-', b'-') => Place::Line,
            (b'/', b'*') => Place::Block { depth: 1 },
            (_, byte) if byte.is_ascii_digit() => Place::Number,
            (_, byte) if is_word(byte) => {
                self.word_len = 1;
                self.words.letter(byte);
                Place::Word
            }
            (b':', b':') => {
                self.word_len = usize::MAX;
                return;
            }
            _ => {
                self.words.mark(byte);
                self.word_len = 0;
                return;
            }
        };
    }

    /// Whether the colon before this place is the second of two.
    const fn is_cast(&self) -> bool {
        self.word_len == usize::MAX
    }
}

/// A byte of a name, or of a longer character.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_end(text: &str) -> Lexer {
        let mut lexer = Lexer::default();
        lexer.advance(text.as_bytes());
        lexer
    }

    #[test]
    fn quotes_and_comments_are_followed() {
        let closed = [
            "a",
            "'x'",
            "'it''s'",
            "E'\\''",
            "e'\\''",
            "\"a\"\"b\"",
            "$$ ' $$",
            "$a$ $$ ' $b$ $a$",
            "-- it's\n",
            "/* /* ' */ */",
            "/* */*",
            "'a\\'",
            "a$b$'x'",
            "$1 + '$'",
            "E'\\\\'",
            "price$'x'",
            "SELECT $1$ ",
            "SELECT a$$$ ",
            "re'\\'",
        ];
        for text in closed {
            assert!(at_end(text).is_outside(), "{text}");
        }
        for text in
            ["'", "'it'' ", "E'\\'", "\"a", "$$ x $a$", "$a$ $$", "-- x", "/* /* */", "$a$ $a", "1$a$ x", "$_$ x"]
        {
            assert!(!at_end(text).is_outside(), "{text}");
        }
    }

    #[test]
    fn a_server_may_say_that_all_strings_escape() {
        let mut lexer = Lexer::default();
        lexer.all_strings_escape();
        lexer.advance(b"'a\\'b");
        assert!(!lexer.is_outside());
    }

    #[test]
    fn what_is_read_in_several_ways_is_told() {
        for text in [
            "SELECT '\\'; \\! id > f #'",
            "SELECT 1E'\\''",
            "SELECT 1$a$",
            "SELECT $1$",
            "SELECT :LAST_ERROR_MESSAGE",
            "SELECT :'x'",
            "a\0b",
            "-- x\r\\! id",
        ] {
            assert!(at_end(text).is_ambiguous(), "{text}");
        }
        for text in [
            "SELECT 'a\\\\', E'\\'', $$\\'$$, '\\d+'",
            "SELECT x::text, a[1:2], 1.5, b := 1, 'y'::\"char\", \"a\"::pg_catalog.text",
            "INSERT INTO t VALUES (1, -2, 'x');",
            "SELECT a1, a_1$2 FROM t1 -- x\n",
            "SELECT $1, $2",
        ] {
            assert!(!at_end(text).is_ambiguous(), "{text}");
        }
    }
}
