//! The storing side: takes hashed batches in order, stores what is new, and builds contents and trees.

use super::batch::{Batch, Ending, HashedBatch, Step};
use crate::chunk::ChunkRef;
use crate::clock::Timing;
use crate::id::ChunkId;
use crate::model::{ChunkList, Component, Content, Hole, Node, NodeKind, Previous, TreeWriter};
use crate::pack::PackKind;
use crate::pipeline::Error;
use crate::repo::{Account, Transaction};
use crate::source::HardLinks;

/// What became of one component.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The number of the component.
    pub(super) number: usize,
    /// Whether it was read to its end.
    pub(super) ended: bool,
    root: Option<Node>,
    bytes_new: u64,
    ending: Ending,
}

impl Outcome {
    /// The further names of files that are to be completed.
    pub(super) fn take_links(&mut self) -> HardLinks {
        std::mem::take(&mut self.ending.facts.links)
    }

    /// When the component was read.
    pub(super) const fn timing(&self) -> Timing {
        self.ending.timing
    }

    /// Writes it into the component's manifest.
    pub(super) fn fill(self, component: &mut Component) {
        let Ending { failed, errors, notes, files, bytes, bytes_read, timing, facts } = self.ending;
        component.root = if failed { None } else { self.root };
        component.files = files;
        component.bytes = bytes;
        // A component may be read more than once.
        component.bytes_read += bytes_read;
        component.bytes_new += self.bytes_new;
        component.millis += timing.millis;
        component.errors = errors;
        component.notes = notes;
        component.database = facts.database;
    }
}

pub(super) struct Assembler<'t, 'r> {
    transaction: &'t mut Transaction<'r>,
    outcomes: Vec<Outcome>,
    open: Vec<(Node, TreeWriter)>,
    list: ChunkList,
    /// What the file that is being read was before.
    previous: Option<Previous>,
    with_deltas: bool,
}

impl<'t, 'r> Assembler<'t, 'r> {
    pub(super) fn new(transaction: &'t mut Transaction<'r>, with_deltas: bool) -> Self {
        let (outcomes, open, list) = (Vec::new(), Vec::new(), ChunkList::default());
        Self { transaction, outcomes, open, list, previous: None, with_deltas }
    }

    /// Takes the next batch in, and gives it back. Its entries stay in it: they were made by the reading thread, and what one
    /// thread makes and another one frees costs both of them time.
    pub(super) fn take(&mut self, batch: HashedBatch) -> Result<Batch, Error> {
        let (mut batch, ids) = batch.wait().ok_or_else(|| Error::Refused("a hashing thread stopped".to_owned()))?;
        let mut steps = std::mem::take(&mut batch.steps);
        let mut next_chunk = 0;
        for step in &mut steps {
            match step {
                Step::Begin { number } => {
                    self.transaction.set_account(Account(*number))?;
                    self.outcomes.push(Outcome { number: *number, ..Outcome::default() });
                    self.end_previous()?;
                    self.open.clear();
                    self.list = ChunkList::default();
                }
                Step::Enter { node, previous } => {
                    let previous = previous.as_deref().filter(|_| self.with_deltas);
                    self.open.push((node.as_ref().clone(), TreeWriter::against(previous)));
                }
                Step::Leave => self.leave()?,
                Step::Entry(node) => self.add(node)?,
                Step::Chunks { count } => {
                    for number in next_chunk..next_chunk + *count {
                        let id = *ids.get(number).expect("every chunk of a batch was hashed");
                        self.chunk(id, batch.chunk(number))?;
                    }
                    next_chunk += *count;
                }
                Step::Previous(content) => self.follow(content)?,
                Step::Restart => {
                    self.end_previous()?;
                    self.list = ChunkList::default();
                }
                Step::File { node, holes } => self.file(node, std::mem::take(holes))?,
                Step::End(ending) => {
                    let notes = std::mem::take(&mut self.outcome().ending.notes);
                    notes.messages.into_iter().for_each(|note| ending.notes.push(note));
                    let outcome = self.outcome();
                    outcome.ending = std::mem::take(ending.as_mut());
                    outcome.ended = true;
                }
            }
        }
        batch.steps = steps;
        Ok(batch)
    }

    /// What became of the components that were begun.
    pub(super) fn finish(self) -> Vec<Outcome> {
        self.outcomes
    }

    fn outcome(&mut self) -> &mut Outcome {
        self.outcomes.last_mut().expect("steps come after the beginning of a component")
    }

    fn chunk(&mut self, id: ChunkId, plaintext: &[u8]) -> Result<(), Error> {
        let len_bytes = u32::try_from(plaintext.len()).expect("a chunk is at most CHUNK_BYTES_MAX long");
        if self.transaction.store(PackKind::Data, id, plaintext, &mut self.previous)? {
            self.outcome().bytes_new += u64::from(len_bytes);
        }
        Ok(self.list.push(self.transaction, ChunkRef { id, len_bytes })?)
    }

    /// What comes now is compared with an older content.
    fn follow(&mut self, content: &Content) -> Result<(), Error> {
        self.end_previous()?;
        self.transaction.expect_gain();
        if self.with_deltas {
            self.previous = Previous::new(content);
            self.list = ChunkList::against(content);
        }
        Ok(())
    }

    fn end_previous(&mut self) -> Result<(), Error> {
        Ok(self.transaction.end_likeness(PackKind::Data, &mut self.previous.take())?)
    }

    fn file(&mut self, node: &mut Node, holes: Vec<Hole>) -> Result<(), Error> {
        self.end_previous()?;
        let content = std::mem::take(&mut self.list).finish(self.transaction)?;
        let hole_bytes: u64 = holes.iter().map(|hole| hole.len_bytes).sum();
        assert_eq!(
            content.len_bytes + hole_bytes,
            node.metadata.size_bytes,
            "what was read of a file adds up to its size"
        );
        node.kind = NodeKind::File { content, holes };
        self.add(node)
    }

    fn leave(&mut self) -> Result<(), Error> {
        let (mut node, writer) = self.open.pop().expect("a directory ends after it began");
        let tree = writer.finish(self.transaction)?;
        node.kind = NodeKind::Directory { tree };
        self.add(&node)
    }

    fn add(&mut self, node: &Node) -> Result<(), Error> {
        match self.open.last_mut() {
            Some((_, writer)) if writer.follows(&node.name) => writer.push(self.transaction, node)?,
            // A directory that is changed while it is listed can show a name twice.
            Some(_) => self.outcome().ending.notes.push(format!("'{}' was listed twice", node.name.to_text())),
            None => self.outcome().root = Some(node.clone()),
        }
        Ok(())
    }
}
