//! A content's older state, walked in step with the new one, which finds for each new chunk the old ones that stood in its
//! place.
//!
//! A chunk that both have puts the cursor behind it. What the cursor passes over between two such chunks is what the new
//! chunks there have replaced: their bases. Without such a chunk the cursor moves on by the length of what is new. Bases
//! stay aligned; what has moved far is not looked for, because reading it back would decode too much.

use std::collections::{HashMap, VecDeque};

use super::{Content, ContentReader};
use crate::chunk::ChunkRef;
use crate::id::ChunkId;
use crate::limits::PREVIOUS_CHUNKS_MAX;
use crate::repo::{ChunkReader, Likeness};

/// A chunk that lies further ahead than this, in bytes, is only taken for the same place when the next one follows it.
const LEAP_BYTES: u64 = 2 << 20;
/// For a shorter chunk the name of a base would cost more than is gained.
const CHUNK_BYTES_MIN: usize = 512;

/// The cursor in an older state of a content.
#[derive(Debug)]
pub struct Previous {
    /// `None` when everything is in the window.
    rest: Option<ContentReader>,
    /// What lies behind the cursor, as far as is looked at.
    window: VecDeque<ChunkRef>,
    /// The number of the first chunk in the window.
    first: u64,
    /// The next place of each chunk in the window.
    numbers: HashMap<ChunkId, u64>,
    /// Where the first chunk of the window begins in the old content.
    first_offset: u64,
    /// New bytes whose bases are not known yet.
    new_bytes: u64,
    /// Where in the old content they would begin if nothing was inserted or cut out.
    expected_offset: u64,
    /// Where the content goes on if the next chunk is the one there.
    leap: Option<u64>,
}

impl Previous {
    /// A cursor at the beginning; `None` when there is nothing.
    #[must_use]
    pub fn new(content: &Content) -> Option<Self> {
        let rest = ContentReader::new(content.clone()).ok().filter(|_| !content.chunks.is_empty());
        let (window, numbers) = (VecDeque::new(), HashMap::new());
        rest.map(|rest| Self {
            rest: Some(rest),
            window,
            first: 0,
            numbers,
            first_offset: 0,
            new_bytes: 0,
            expected_offset: 0,
            leap: None,
        })
    }

    /// How many chunks lie between the cursor and this one, if it is where the content goes on.
    fn find(&mut self, id: &ChunkId) -> Option<usize> {
        let number = *self.numbers.get(id)?;
        let distance = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let passed: u64 = self.window.range(..distance).map(|chunk| u64::from(chunk.len_bytes)).sum();
        let expected = self.leap.take() == Some(number);
        if passed > 2 * self.new_bytes + LEAP_BYTES && !expected {
            self.leap = Some(number + 1);
            return None;
        }
        Some(distance)
    }

    /// The chunk that lies so far ahead is here again: moves the cursor behind it, and returns what stood before it in the
    /// place of what is new.
    fn meet(&mut self, distance: usize) -> Vec<ChunkRef> {
        let mut replaced = Vec::new();
        let mut bytes = 0;
        for _ in 0..distance {
            let Some(chunk) = self.pass_one() else { break };
            // What was only cut out between two chunks is no base of anything.
            if bytes < 2 * self.new_bytes {
                replaced.push(chunk);
            }
            bytes += u64::from(chunk.len_bytes);
        }
        self.pass_one();
        self.new_bytes = 0;
        self.expected_offset = self.first_offset;
        replaced
    }

    /// Moves the cursor on by the length of what is new; returns what stood in its place.
    fn pass_new(&mut self) -> Vec<ChunkRef> {
        self.expected_offset += std::mem::take(&mut self.new_bytes);
        let mut replaced = Vec::new();
        while let Some(chunk) = self.window.front().filter(|_| self.first_offset < self.expected_offset) {
            replaced.push(*chunk);
            // The rest of it may be what the next new chunk replaces.
            if self.first_offset + u64::from(chunk.len_bytes) > self.expected_offset {
                break;
            }
            self.pass_one();
        }
        replaced
    }

    fn pass_one(&mut self) -> Option<ChunkRef> {
        let chunk = self.window.pop_front()?;
        if self.numbers.get(&chunk.id) == Some(&self.first) {
            self.numbers.remove(&chunk.id);
        }
        self.first += 1;
        self.first_offset += u64::from(chunk.len_bytes);
        Some(chunk)
    }
}

impl Likeness for Previous {
    /// An older state that cannot be read any further has nothing more.
    fn look_ahead(&mut self, reader: &mut ChunkReader) {
        if self.window.len() > PREVIOUS_CHUNKS_MAX / 2 {
            return;
        }
        while let Some(rest) = self.rest.as_mut().filter(|_| self.window.len() < PREVIOUS_CHUNKS_MAX) {
            match rest.next(reader) {
                Ok(Some(chunk)) => {
                    let number = self.first + self.window.len() as u64;
                    self.numbers.entry(chunk.id).or_insert(number);
                    self.window.push_back(chunk);
                }
                Ok(None) | Err(_) => self.rest = None,
            }
        }
    }

    fn replaced_before(&mut self, stored: &ChunkId) -> Option<Vec<ChunkRef>> {
        let distance = self.find(stored)?;
        Some(self.meet(distance))
    }

    fn take_new(&mut self, len_bytes: usize) -> bool {
        let is_like = !self.window.is_empty() && len_bytes >= CHUNK_BYTES_MIN;
        self.new_bytes += if is_like { len_bytes as u64 } else { 0 };
        is_like
    }

    fn replaced_by_new(&mut self) -> Option<Vec<ChunkRef>> {
        (self.new_bytes > 0).then(|| self.pass_new())
    }
}
