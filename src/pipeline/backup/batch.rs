//! What travels from reading to storing: bytes with their cuts, and the shape of the tree around them.

use crossbeam_channel::{Receiver, bounded};

use crate::clock::Timing;
use crate::id::{ChunkId, IdScheme};
use crate::limits::{BATCH_BYTES, BATCH_STEPS_MAX};
use crate::model::{Content, DatabaseFacts, Hole, Node, Problems};
use crate::source::HardLinks;

/// One step of a component, in order.
#[derive(Debug)]
pub(super) enum Step {
    /// A component begins.
    Begin { number: usize },
    /// A directory begins, and what its tree was before.
    Enter { node: Box<Node>, previous: Option<Box<Content>> },
    /// The innermost directory ends.
    Leave,
    /// An entry that is complete: special, or unchanged since the parent.
    Entry(Box<Node>),
    /// What the file that is being read was before.
    Previous(Box<Content>),
    /// The next chunks of the batch belong to the file that is being read.
    Chunks { count: usize },
    /// What was read of the current file is to be forgotten.
    Restart,
    /// The file that is being read is at its end.
    File { node: Box<Node>, holes: Vec<Hole> },
    /// The component ends.
    End(Box<Ending>),
}

/// What the reading side knows about a component at its end.
#[derive(Debug, Default)]
pub(super) struct Ending {
    pub(super) failed: bool,
    pub(super) errors: Problems,
    pub(super) notes: Problems,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) bytes_read: u64,
    pub(super) timing: Timing,
    pub(super) facts: Facts,
}

/// What a source knows of itself when it has been read.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) database: Option<DatabaseFacts>,
    /// Further names of files, which are to be completed.
    pub(super) links: HardLinks,
}

impl Facts {
    pub(super) fn of_database(facts: DatabaseFacts) -> Self {
        Self { database: Some(facts), ..Self::default() }
    }
}

/// A buffer that is filled by reading, with what the bytes are.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) buffer: Vec<u8>,
    pub(super) filled: usize,
    /// End of what has been cut into chunks.
    pub(super) cut: usize,
    pub(super) chunk_lens: Vec<u32>,
    /// Where the chunk with the same number begins.
    pub(super) chunk_starts: Vec<u32>,
    pub(super) steps: Vec<Step>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            buffer: vec![0; BATCH_BYTES],
            filled: 0,
            cut: 0,
            chunk_lens: Vec::new(),
            chunk_starts: Vec::new(),
            steps: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.filled = 0;
        self.cut = 0;
        self.chunk_lens.clear();
        self.chunk_starts.clear();
        self.steps.clear();
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.buffer.len() || self.steps.len() >= BATCH_STEPS_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunk_lens.is_empty() && self.steps.is_empty()
    }

    /// The bytes that have been read and not cut.
    pub(super) fn uncut(&self) -> &[u8] {
        self.buffer.get(self.cut..self.filled).unwrap_or_default()
    }

    /// The bytes of the chunk with this number.
    pub(super) fn chunk(&self, number: usize) -> &[u8] {
        let start = self.chunk_starts.get(number).copied().unwrap_or(0) as usize;
        let len = self.chunk_lens.get(number).copied().unwrap_or(0) as usize;
        self.buffer.get(start..start + len).expect("chunks lie within the buffer")
    }

    /// Takes the next `len` uncut bytes as a chunk of the current file.
    pub(super) fn add_chunk(&mut self, len: usize) {
        let as_u32 = |value| u32::try_from(value).expect("a batch is shorter than 4 GiB");
        self.chunk_starts.push(as_u32(self.cut));
        self.chunk_lens.push(as_u32(len));
        self.cut += len;
        if let Some(Step::Chunks { count }) = self.steps.last_mut() {
            *count += 1;
        } else {
            self.steps.push(Step::Chunks { count: 1 });
        }
    }

    /// Hashes the chunks on rayon's threads; the result arrives in its own time.
    pub(super) fn hash(self, ids: IdScheme) -> HashedBatch {
        let (sender, receiver) = bounded(1);
        if self.chunk_lens.is_empty() {
            drop(sender.send((self, Vec::new())));
            return HashedBatch(receiver);
        }
        rayon::spawn(move || {
            let chunk_ids = (0..self.chunk_lens.len()).map(|number| ids.chunk_id(self.chunk(number))).collect();
            // The receiver is gone when the backup has been given up.
            drop(sender.send((self, chunk_ids)));
        });
        HashedBatch(receiver)
    }
}

/// A batch and the ids of its chunks, when they are known.
pub(super) struct HashedBatch(Receiver<(Batch, Vec<ChunkId>)>);

impl HashedBatch {
    /// Waits for the ids.
    pub(super) fn wait(self) -> Option<(Batch, Vec<ChunkId>)> {
        self.0.recv().ok()
    }
}
