//! What new chunks are like: which old chunks stood where they stand now, so that blocks are encoded against these.
//!
//! The transaction asks for each chunk, in the order in which the chunks are stored; whoever knows an older state answers. What a state
//! is of is not known here.

use super::ChunkReader;
use crate::chunk::ChunkRef;
use crate::id::ChunkId;

/// An older state of what is being stored, and where in it the new state has come to.
pub trait Likeness {
    /// Before each chunk: reads of the older state what is needed for that. What cannot be read is like nothing.
    fn look_ahead(&mut self, reader: &mut ChunkReader);

    /// A chunk comes that is stored already. What stood before it in the place of the new chunks since the last answer; `None` when it is
    /// not where the older state goes on.
    fn replaced_before(&mut self, stored: &ChunkId) -> Option<Vec<ChunkRef>>;

    /// A new chunk of so many bytes comes. Whether something can have stood in its place: then it counts among the new chunks that the next
    /// answer is about.
    fn take_new(&mut self, len_bytes: usize) -> bool;

    /// What stood in the place of the new chunks since the last answer; `None` when there are none.
    fn replaced_by_new(&mut self) -> Option<Vec<ChunkRef>>;
}

/// What is like nothing that is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlike;

impl Likeness for Unlike {
    fn look_ahead(&mut self, _: &mut ChunkReader) {}

    fn replaced_before(&mut self, _: &ChunkId) -> Option<Vec<ChunkRef>> {
        None
    }

    fn take_new(&mut self, _: usize) -> bool {
        false
    }

    fn replaced_by_new(&mut self) -> Option<Vec<ChunkRef>> {
        None
    }
}

/// Without an older state, like nothing.
impl<L: Likeness> Likeness for Option<L> {
    fn look_ahead(&mut self, reader: &mut ChunkReader) {
        if let Some(like) = self {
            like.look_ahead(reader);
        }
    }

    fn replaced_before(&mut self, stored: &ChunkId) -> Option<Vec<ChunkRef>> {
        self.as_mut()?.replaced_before(stored)
    }

    fn take_new(&mut self, len_bytes: usize) -> bool {
        self.as_mut().is_some_and(|like| like.take_new(len_bytes))
    }

    fn replaced_by_new(&mut self) -> Option<Vec<ChunkRef>> {
        self.as_mut()?.replaced_by_new()
    }
}
