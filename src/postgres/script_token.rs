//! The tokens of a statement of a script, and what stood before each: the names, words and parentheses so far.
//!
//! All of it has a fixed size, however long names are.

/// What is kept of a name or a word, in bytes: servers cut them at 63.
const SHORT_BYTES: usize = 64;

/// A token of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A word without quotes, in capital letters.
    Word(&'t [u8]),
    /// A quoted name.
    Name(&'t [u8]),
    /// A string; the beginning of it, where it has no escapes.
    Text(&'t [u8]),
    Number,
    /// A byte of anything else.
    Mark(u8),
}

/// What stood last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Start,
    Word,
    Name,
    Text,
    Number,
    Mark(u8),
    /// `::`
    Cast,
}

/// The beginning of a name or a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Short {
    bytes: [u8; SHORT_BYTES],
    len: usize,
    pub(super) is_quoted: bool,
}

impl Short {
    pub(super) const EMPTY: Self = Self { bytes: [0; SHORT_BYTES], len: 0, is_quoted: false };

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let len = room.len().min(bytes.len());
        if let (Some(room), Some(bytes)) = (room.get_mut(..len), bytes.get(..len)) {
            room.copy_from_slice(bytes);
        }
        self.len += len;
    }

    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn get(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(super) fn of(bytes: &[u8], is_quoted: bool) -> Self {
        let mut short = Self { is_quoted, ..Self::EMPTY };
        short.push(bytes);
        short
    }

    /// As the server understands it.
    pub(super) fn folded(&self) -> Vec<u8> {
        if self.is_quoted { self.get().to_vec() } else { self.get().to_ascii_lowercase() }
    }

    pub(super) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.folded()).escape_debug().to_string();
        if self.is_quoted { format!("\"{text}\"") } else { text }
    }
}

/// Names that dots join, as far as they have been read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain {
    /// What stood before it.
    pub(super) before: Last,
    /// The word that stood before it, where one did.
    pub(super) before_word: Short,
    /// How many names it has.
    pub(super) parts: u32,
    pub(super) first: Short,
    pub(super) last: Short,
    /// How many there were before it in the statement.
    pub(super) number: u32,
}

impl Chain {
    pub(super) const NONE: Self = Self {
        before: Last::Start,
        before_word: Short::EMPTY,
        parts: 0,
        first: Short::EMPTY,
        last: Short::EMPTY,
        number: 0,
    };

    pub(super) fn is_after(&self, words: &[&[u8]]) -> bool {
        self.before == Last::Word && words.contains(&self.before_word.get())
    }

    pub(super) fn shown(&self) -> String {
        match self.parts {
            0 => String::new(),
            1 => self.last.shown(),
            _ => format!("{}.{}", self.first.shown(), self.last.shown()),
        }
    }
}

/// Where in a statement a token stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) last: Last,
    pub(super) chain: Chain,
    /// Open parentheses.
    pub(super) depth: u32,
}
