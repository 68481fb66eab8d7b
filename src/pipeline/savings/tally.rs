//! Adding up components night by night: which of their chunks are new, and what all of them take.
//!
//! A subtree, or a long list of chunks, that was added up before is not walked again: its sums are remembered, up to a
//! bounded number of them. Which chunks were met is one bit for each chunk of the index.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::Arc;

use super::figures::Figures;
use super::sample::Sample;
use crate::id::{ChunkId, Digest};
use crate::index::{BlockKey, ChunkSet};
use crate::limits::{SAVINGS_DAMAGE_MAX, SAVINGS_SUMS_MAX};
use crate::model::{self, Component, Content, ListSums, Node, NodeKind, Step, Walk, show_path};
use crate::monitor::Monitor;
use crate::pack::{BlockEncoder, BlockPlace, Encoding, PackKind};
use crate::pipeline::Error;
use crate::repo::{self, ChunkReader};

/// Plaintext in delta blocks, which is yet to be compressed, of file content and of trees.
type InDeltas = [u64; 2];

/// Sums of everything below a directory, or of a long list, whatever was met before.
#[derive(Debug, Clone, Copy, Default)]
struct Whole {
    /// What its chunks in plain blocks take there.
    plain_bytes: f64,
    /// Its chunks in delta blocks.
    in_deltas: InDeltas,
}

impl AddAssign for Whole {
    fn add_assign(&mut self, other: Self) {
        self.plain_bytes += other.plain_bytes;
        add_all(&mut self.in_deltas, other.in_deltas);
    }
}

/// A directory that is being walked.
#[derive(Debug, Default)]
struct Open {
    identity: Option<Digest>,
    whole: Whole,
    damaged: bool,
}

/// Sums of the chunks that were new.
#[derive(Debug, Default)]
struct Fresh {
    chunks: u64,
    raw_bytes: u64,
    stored_bytes: f64,
    plain_bytes: f64,
    in_deltas: InDeltas,
    samples: [Sample; 2],
}

/// What is known from one component to the next.
pub(super) struct Tally {
    reader: ChunkReader,
    encoder: BlockEncoder,
    met: Met,
    trees: HashMap<Digest, Whole>,
    /// Those of file content, and those of trees.
    lists: [ListSums<Whole>; 2],
    /// How well delta blocks of each component compressed by themselves when they were last measured.
    ratios: HashMap<String, [Option<f64>; 2]>,
    /// The same of any component, for those that were never measured.
    latest: [Option<f64>; 2],
    damage: Vec<String>,
}

/// The chunks that were met.
struct Met {
    all: ChunkSet,
    /// Those of this component that were new.
    fresh: Fresh,
    block: Option<(BlockKey, BlockPlace)>,
}

impl Tally {
    pub(super) fn new(reader: ChunkReader) -> Result<Self, Error> {
        let met = Met { all: reader.index().chunk_set(), fresh: Fresh::default(), block: None };
        let encoder = BlockEncoder::new(crate::pack::LEVEL).map_err(repo::Error::from)?;
        let (trees, lists, ratios) = (HashMap::new(), Default::default(), HashMap::new());
        Ok(Self { reader, encoder, met, trees, lists, ratios, latest: [None; 2], damage: Vec::new() })
    }

    /// What was found damaged since this was last asked.
    pub(super) fn take_damage(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damage)
    }

    /// Adds up the next component.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Repo`], [`Error::Model`].
    pub(super) fn component(&mut self, component: &Component, monitor: &Monitor<'_>) -> Result<Figures, Error> {
        let Some(root) = component.root.clone() else { return Ok(Figures::default()) };
        let whole = self.walk(Walk::new(root, b""), monitor)?;
        let fresh = std::mem::take(&mut self.met.fresh);
        let mut ratios = self.ratios.get(component.name.as_str()).copied().unwrap_or_default();
        for ((ratio, latest), sample) in ratios.iter_mut().zip(&mut self.latest).zip(fresh.samples) {
            let (raw, compressed) = sample.measure((&mut self.reader, &mut self.encoder), &mut self.damage, monitor)?;
            if raw > 0 {
                *ratio = Some(compressed as f64 / raw as f64);
                *latest = *ratio;
            }
            *ratio = ratio.or(*latest);
        }
        self.damage.truncate(SAVINGS_DAMAGE_MAX);
        self.ratios.insert(component.name.to_string(), ratios);
        let alone = |plain_bytes: f64, in_deltas: InDeltas| {
            let measured = in_deltas.iter().zip(ratios).map(|(raw, ratio)| *raw as f64 * ratio.unwrap_or(1.0));
            whole_bytes(plain_bytes + measured.sum::<f64>())
        };
        Ok(Figures {
            live_bytes: component.bytes,
            copies_bytes: alone(whole.plain_bytes, whole.in_deltas),
            dedup_bytes: fresh.raw_bytes,
            compressed_bytes: alone(fresh.plain_bytes, fresh.in_deltas),
            stored_bytes: whole_bytes(fresh.stored_bytes),
            chunks: fresh.chunks,
        })
    }

    fn walk(&mut self, mut walk: Walk, monitor: &Monitor<'_>) -> Result<Whole, Error> {
        // The lowest is no directory but what is around the root.
        let mut open = vec![Open::default()];
        loop {
            let step = walk.next(&mut self.reader);
            monitor.check()?;
            if step.is_err()
                && let Some(last) = open.last_mut()
            {
                last.damaged = true;
            }
            let is_directory = matches!(&step, Ok(Some(Step::Entry(node))) if node.is_directory());
            self.close(&mut open, walk.depth() + usize::from(!is_directory));
            match step {
                Ok(None) => return Ok(open.pop().unwrap_or_default().whole),
                Ok(Some(Step::Leave)) => {}
                Ok(Some(Step::Entry(node))) => self.entry(*node, &mut walk, &mut open, monitor)?,
                Err(cause) => self.note(cause, walk.path(), &mut open)?,
            }
        }
    }

    /// Ends directories until so many are open, with what is around the root.
    fn close(&mut self, open: &mut Vec<Open>, len: usize) {
        while open.len() > len.max(1) {
            let Some(closed) = open.pop() else { return };
            if let Some(identity) = closed.identity.filter(|_| !closed.damaged && self.trees.len() < SAVINGS_SUMS_MAX) {
                self.trees.insert(identity, closed.whole);
            }
            if let Some(around) = open.last_mut() {
                around.whole += closed.whole;
                around.damaged |= closed.damaged;
            }
        }
    }

    fn entry(&mut self, node: Node, walk: &mut Walk, open: &mut Vec<Open>, monitor: &Monitor<'_>) -> Result<(), Error> {
        let (content, kind) = match node.kind {
            NodeKind::File { content, .. } => (content, PackKind::Data),
            NodeKind::Directory { tree } => (tree, PackKind::Tree),
            _ => return Ok(()),
        };
        let mut directory = Open::default();
        if kind == PackKind::Tree {
            let identity = content.identity();
            if let Some(whole) = self.trees.get(&identity) {
                if let Some(around) = open.last_mut() {
                    around.whole += *whole;
                }
                walk.skip();
                return Ok(());
            }
            directory.identity = Some(identity);
        }
        let counted = self.content(&content, kind, monitor);
        if kind == PackKind::Tree {
            open.push(directory);
        }
        match counted {
            Ok(whole) => {
                if let Some(around) = open.last_mut() {
                    around.whole += whole;
                }
            }
            Err(cause) => self.note(cause, walk.path(), open)?,
        }
        Ok(())
    }

    /// Notes damage, which the walk goes on after; everything around it is not remembered.
    fn note(&mut self, cause: model::Error, path: &[u8], open: &mut [Open]) -> Result<(), Error> {
        let cause = match cause {
            model::Error::Repo(repo::Error::Cancelled(cancelled)) => return Err(cancelled.into()),
            cause if !cause.is_damage() => return Err(cause.into()),
            cause => cause,
        };
        if self.damage.len() < SAVINGS_DAMAGE_MAX {
            let causes = std::iter::successors(Some(&cause as &dyn std::error::Error), |error| error.source());
            let causes: Vec<String> = causes.map(ToString::to_string).collect();
            let path = show_path(path.strip_prefix(b"/").unwrap_or(path));
            let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
            self.damage.push(format!("{place}{}", causes.last().map_or("", String::as_str)));
        }
        if let Some(last) = open.last_mut() {
            last.damaged = true;
        }
        Ok(())
    }

    /// Adds up the chunks of a content, and those of the lists that it is stored as.
    fn content(&mut self, content: &Content, kind: PackKind, monitor: &Monitor<'_>) -> Result<Whole, model::Error> {
        let Self { reader, met, lists: [of_files, of_trees], .. } = self;
        let lists = if kind == PackKind::Tree { of_trees } else { of_files };
        let (_, whole) = lists.add_up(content, reader, |reader, chunk, is_list| {
            // A list may be very long.
            monitor.check().map_err(repo::Error::from)?;
            met.chunk(reader, chunk.id, if is_list { PackKind::Tree } else { kind })
        })?;
        Ok(whole)
    }
}

impl Met {
    /// What a chunk takes.
    fn chunk(&mut self, reader: &mut ChunkReader, id: ChunkId, kind: PackKind) -> Result<Whole, model::Error> {
        let location = reader.locate(id)?;
        let key = location.block_key();
        let place = match self.block {
            Some((known, place)) if known == key => place,
            _ => reader.index().place(key).ok_or(repo::Error::MissingChunk { chunk: id })?,
        };
        self.block = Some((key, place));
        let len = u64::from(location.len_bytes);
        let share = f64::from(place.stored_bytes) * len as f64 / f64::from(place.raw_bytes.max(1));
        let is_delta = place.encoding == Encoding::Delta.number();
        let number = usize::from(kind == PackKind::Tree);
        let part = if is_delta {
            let mut in_deltas = InDeltas::default();
            in_deltas.iter_mut().skip(number).take(1).for_each(|sum| *sum = len);
            Whole { plain_bytes: 0.0, in_deltas }
        } else {
            Whole { plain_bytes: share, in_deltas: InDeltas::default() }
        };
        if !Arc::clone(reader.index()).insert(&mut self.all, &id) {
            return Ok(part);
        }
        self.fresh.chunks += 1;
        self.fresh.raw_bytes += len;
        self.fresh.stored_bytes += share;
        self.fresh.plain_bytes += part.plain_bytes;
        add_all(&mut self.fresh.in_deltas, part.in_deltas);
        if let Some(sample) = self.fresh.samples.get_mut(number).filter(|_| is_delta) {
            sample.offer(key, place.raw_bytes);
        }
        Ok(part)
    }
}

fn add_all(sums: &mut InDeltas, others: InDeltas) {
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of lengths is not negative")]
fn whole_bytes(bytes: f64) -> u64 {
    bytes.round() as u64
}
