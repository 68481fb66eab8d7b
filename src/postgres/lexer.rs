//! Whether a place in a script lies within a string, a quoted name or a comment, where nothing is a statement.
//!
//! Follows the lexical rules of `psql`: `'…'` with doubled quotes, `E'…'` with backslashes, `"…"`, `$tag$…$tag$`, names and
//! numbers, `--` to the end of the line and nested `/* … */`. It says too where versions of `psql`, or settings of a session
//! that only the server knows, make something else of a text. The words, names and strings of the statements are given to those
//! who look at what they do.

use super::script_token::{Short, Token};
use super::statement::Statements;

/// Comments that may lie in one another.
const COMMENT_DEPTH_MAX: u32 = 8;

/// What a byte of a script lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Outside,
    /// A name without quotes, which may have `$` in it.
    Word,
    Number,
    /// After the `e` of a number; its digits are still to come.
    Exponent {
        has_sign: bool,
    },
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
    /// After a quote that ends a name, unless it is doubled.
    NameEnd,
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
    /// Whether every string understands backslashes, as old servers say in their dumps.
    backslashes: bool,
    /// Whether a backslash stood outside since that was asked for.
    backslash_outside: bool,
    /// The word, quoted name or string that is read.
    token: Short,
    /// A byte that may begin a comment.
    mark: Option<u8>,
    /// What the statements are, where that is asked for.
    statements: Option<Box<Statements>>,
}

impl Default for Lexer {
    fn default() -> Self {
        Self {
            place: Place::Outside,
            last: b'\n',
            word_len: 0,
            backslashes: false,
            backslash_outside: false,
            token: Short::EMPTY,
            mark: None,
            statements: None,
        }
    }
}

impl Lexer {
    /// Looks at the statements too.
    pub(crate) fn of_statements() -> Self {
        Self { statements: Some(Box::default()), ..Self::default() }
    }

    /// Whether a statement could begin here.
    pub(crate) const fn is_outside(&self) -> bool {
        matches!(
            self.place,
            Place::Outside
                | Place::Word
                | Place::Number
                | Place::Exponent { .. }
                | Place::Parameter
                | Place::StringEnd { .. }
                | Place::NameEnd
        )
    }

    /// From here on every string understands backslashes.
    pub(crate) fn all_strings_escape(&mut self) {
        self.backslashes = true;
        if let Some(statements) = &mut self.statements {
            statements.all_strings_escape();
        }
    }

    /// Whether a backslash has stood where a statement could since this was last asked: the beginning of a command of `psql`.
    pub(crate) const fn take_backslash(&mut self) -> bool {
        std::mem::replace(&mut self.backslash_outside, false)
    }

    /// What the statements are, where that is asked for.
    pub(crate) fn statements(&self) -> Option<&Statements> {
        self.statements.as_deref()
    }

    /// Goes over the next bytes.
    pub(crate) fn advance(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            rest = self.skip(rest);
            let Some((byte, after)) = rest.split_first() else { return };
            rest = after;
            let depth = self.comment_depth();
            self.step(*byte);
            // What begins or ends a comment is no part of what follows.
            self.last = if self.comment_depth() == depth { *byte } else { b' ' };
        }
    }

    /// How many comments lie in one another here.
    const fn comment_depth(&self) -> u32 {
        match self.place {
            Place::Block { depth } => depth,
            _ => 0,
        }
    }

    /// There are no more bytes: what was read so far is all.
    pub(crate) fn end(&mut self) {
        self.end_token();
        self.end_mark(0);
        if let Some(statements) = &mut self.statements {
            if !matches!(self.place, Place::Outside | Place::Line) {
                statements.is_cut();
            }
            statements.end();
        }
    }

    /// Goes over bytes of a string, a quoted name or a comment that mean nothing, and returns the others.
    fn skip<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = match &self.place {
            Place::String { backslashes: false } => memchr::memchr2(b'\'', 0, bytes),
            Place::String { backslashes: true } => memchr::memchr3(b'\'', b'\\', 0, bytes),
            Place::Name => memchr::memchr2(b'"', 0, bytes),
            Place::Dollar { matched: 0, .. } => memchr::memchr2(b'$', 0, bytes),
            Place::Line => memchr::memchr3(b'\n', b'\r', 0, bytes),
            _ => return bytes,
        };
        let (passed, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        if let Some(last) = passed.last() {
            self.last = *last;
            if matches!(self.place, Place::Name | Place::String { .. }) {
                self.token.push(passed);
            }
        }
        rest
    }

    fn step(&mut self, byte: u8) {
        self.backslash_outside |= byte == b'\\' && self.is_outside();
        if byte == 0 {
            self.read_in_several_ways();
        }
        match &mut self.place {
            Place::Outside => self.outside(byte),
            Place::Word if is_word(byte) || byte == b'$' => {
                self.word_len += 1;
                self.token.push(&[byte.to_ascii_uppercase()]);
            }
            Place::Word if byte == b'\'' && self.word_len == 1 && matches!(self.last, b'E' | b'e') => {
                self.token.clear();
                self.begin_string(true);
            }
            Place::Number if byte.is_ascii_digit() || byte == b'.' => {}
            Place::Number if matches!(byte, b'E' | b'e') => self.place = Place::Exponent { has_sign: false },
            Place::Exponent { .. } if byte.is_ascii_digit() => self.place = Place::Number,
            Place::Exponent { has_sign: false } if matches!(byte, b'+' | b'-') => {
                self.place = Place::Exponent { has_sign: true };
            }
            Place::Exponent { has_sign } => {
                // It was a word, or the beginning of a string, and what follows is no number.
                let is_word = !*has_sign;
                self.read_in_several_ways();
                self.end_token();
                if is_word {
                    (self.place, self.word_len) = (Place::Word, 1);
                    self.token.push(b"E");
                    self.step(byte);
                } else {
                    self.outside(byte);
                }
            }
            Place::Number if is_word(byte) || matches!(byte, b'$' | b'\'' | b'"') => {
                // Versions differ in where a number ends.
                self.read_in_several_ways();
                self.end_of_token(byte);
            }
            Place::Parameter if byte.is_ascii_digit() => {}
            Place::Parameter if is_word(byte) || byte == b'$' => {
                self.read_in_several_ways();
                self.end_of_token(byte);
            }
            // What was begun has ended before this byte.
            Place::Word | Place::Number | Place::Parameter => self.end_of_token(byte),
            _ => self.within(byte),
        }
    }

    /// A byte of a string, a quoted name or a comment, or behind one.
    fn within(&mut self, byte: u8) {
        match &mut self.place {
            Place::String { backslashes } => match byte {
                b'\'' => {
                    self.place = Place::StringEnd { backslashes: *backslashes };
                }
                b'\\' if *backslashes => {
                    self.token.push(b"\\");
                    self.place = Place::Escaped;
                }
                _ => {}
            },
            Place::Escaped => self.place = Place::String { backslashes: true },
            Place::StringEnd { backslashes } if byte == b'\'' => {
                self.token.push(b"'");
                self.place = Place::String { backslashes: *backslashes };
            }
            Place::Name if byte == b'"' => self.place = Place::NameEnd,
            Place::NameEnd if byte == b'"' => {
                self.token.push(b"\"");
                self.place = Place::Name;
            }
            Place::Tag(tag) if byte == b'$' => {
                let closing = [b"$", tag.as_slice(), b"$"].concat();
                self.place = Place::Dollar { closing, matched: 0 };
            }
            Place::Tag(tag) if tag.is_empty() && byte.is_ascii_digit() => self.place = Place::Parameter,
            Place::Tag(tag) if is_word(byte) => tag.push(byte),
            // It has ended before this byte.
            Place::StringEnd { .. } | Place::NameEnd | Place::Tag(_) => self.end_of_token(byte),
            Place::Dollar { closing, matched } => {
                *matched = if closing.get(*matched) == Some(&byte) { *matched + 1 } else { usize::from(byte == b'$') };
                if *matched == closing.len() {
                    self.end_token();
                }
            }
            Place::Line if matches!(byte, b'\n' | b'\r') => {
                self.place = Place::Outside;
            }
            Place::Block { depth } if byte == b'/' && self.last == b'*' => {
                *depth -= 1;
                if *depth == 0 {
                    self.place = Place::Outside;
                }
            }
            Place::Block { depth } if byte == b'*' && self.last == b'/' => {
                *depth += 1;
                if *depth > COMMENT_DEPTH_MAX
                    && let Some(statements) = &mut self.statements
                {
                    statements.has_deep_comments();
                }
            }
            _ => {}
        }
    }

    /// What stands here is read in several ways, whatever the session is set to.
    fn read_in_several_ways(&mut self) {
        if let Some(statements) = &mut self.statements {
            statements.is_unclear();
        }
    }

    fn end_of_token(&mut self, byte: u8) {
        self.end_token();
        self.outside(byte);
    }

    /// What was read is a token of a statement.
    fn end_token(&mut self) {
        if let Some(statements) = &mut self.statements {
            let read = self.token.get();
            match self.place {
                Place::Word => statements.token(Token::Word(read)),
                Place::NameEnd => statements.token(Token::Name(read)),
                Place::StringEnd { .. } | Place::Dollar { .. } => statements.token(Token::Text(read)),
                Place::Number | Place::Exponent { .. } | Place::Parameter => statements.token(Token::Number),
                Place::Tag(_) => statements.token(Token::Mark(b'$')),
                Place::Outside
                | Place::Name
                | Place::String { .. }
                | Place::Escaped
                | Place::Line
                | Place::Block { .. } => {}
            }
        }
        self.token.clear();
        if self.is_outside() || matches!(self.place, Place::Dollar { .. } | Place::Tag(_)) {
            self.place = Place::Outside;
        }
    }

    /// A byte that could have begun a comment did not.
    fn end_mark(&mut self, byte: u8) {
        if let Some(mark) = self.mark.take()
            && !matches!((mark, byte), (b'-', b'-') | (b'/', b'*'))
            && let Some(statements) = &mut self.statements
        {
            statements.token(Token::Mark(mark));
        }
    }

    fn outside(&mut self, byte: u8) {
        self.end_mark(byte);
        // `:name` is replaced by a variable of `psql`; `::type` is a cast.
        let is_variable = self.last == b':'
            && (is_word(byte) && !byte.is_ascii_digit() || matches!(byte, b'\'' | b'"' | b'{'))
            && !self.is_cast();
        if is_variable {
            self.read_in_several_ways();
        }
        self.place = match (self.last, byte) {
            (_, b'"') => Place::Name,
            (_, b'\'') => return self.begin_string(self.backslashes),
            (_, b'$') => Place::Tag(Vec::new()),
            (b'-', b'-') => Place::Line,
            (b'/', b'*') => Place::Block { depth: 1 },
            (_, byte) if byte.is_ascii_digit() => Place::Number,
            (_, byte) if is_word(byte) => {
                self.word_len = 1;
                self.token.push(&[byte.to_ascii_uppercase()]);
                Place::Word
            }
            (last, byte) => {
                self.outside_of_words(byte);
                self.word_len = if (last, byte) == (b':', b':') { usize::MAX } else { 0 };
                return;
            }
        };
    }

    fn begin_string(&mut self, backslashes: bool) {
        self.place = Place::String { backslashes };
        if let Some(statements) = &mut self.statements {
            statements.string_begins();
        }
    }

    /// A byte of no word.
    fn outside_of_words(&mut self, byte: u8) {
        if matches!(byte, b'-' | b'/') {
            self.mark = Some(byte);
        } else if let Some(statements) = self.statements.as_mut().filter(|_| byte > b' ' && byte != 0x7f) {
            if byte == b'\\' {
                statements.stop();
            }
            statements.token(Token::Mark(byte));
        }
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
            "/*/ ' */",
            "/* /*/ ' */ */",
            "/* /* */*/",
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
}
