//! Copying whole blocks out of packs that are broken or were put aside, as far as what they need can be found.
//!
//! A block is taken by its own header and checksum; its chunks are computed from its plaintext, so that nothing that a
//! damaged directory says counts. Where that is not whole and the directory of the pack is, a block is taken as the directory lists it:
//! readers, who find it by the index, can read it too. Blocks that need others come after those.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::pack_of;
use crate::chunk::ChunkRef;
use crate::events::Phase;
use crate::id::{BaseId, ChunkId, PackId};
use crate::index::{Index, SegmentBuilder};
use crate::limits::{DELTA_DEPTH_MAX, DELTA_PREFIX_BYTES_MAX, SEGMENT_CHUNKS_TARGET};
use crate::monitor::Monitor;
use crate::pack::{
    BlockDecoder, BlockEntry, BlockScan, EncodedBlock, FinishedPack, FoundBlock, PackKind, PackReader, PackWriter,
    Scanned,
};
use crate::repo::reach::is_within_reach;
use crate::repo::{ChunkReader, Error, Repository};
use crate::storage::{Area, Key};

/// What was copied.
#[derive(Debug, Clone, Default)]
pub struct Salvaged {
    /// Chunks that the index finds again.
    pub chunks: u64,
    /// Their plaintext in bytes.
    pub bytes: u64,
    /// Beginnings of the ids of chunks that are nowhere, and without which other blocks cannot be decoded.
    pub wanted: HashSet<BaseId>,
    /// Paths of packs that were not looked through to the end, because too much in them looks like a block and is none, and
    /// the byte from which on they were not.
    pub given_up: Vec<(String, u64)>,
}

/// A block that may be copied.
#[derive(Clone)]
enum Candidate {
    /// One with a whole header, which begins here.
    Whole(u64),
    /// One that only the directory knows.
    Listed(BlockEntry),
}

/// Where a pack lies, and what it was called.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) key: Key,
    pub(super) id: PackId,
}

impl Repository {
    /// Looks into everything that was put aside for blocks that can be decoded now, and copies those that have a chunk which is
    /// needed, or which another block there is encoded against.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Cancelled`], [`Error::Storage`].
    pub fn salvage(&self, needed: &HashSet<ChunkId>, monitor: &Monitor<'_>) -> Result<Salvaged, Error> {
        self.config.check_writable()?;
        let quarantine = self.storage().list(Area::Quarantine)?.into_iter();
        let places = quarantine.filter_map(|object| {
            let id = pack_of(&object.name)?;
            Some(Place { key: Key::new(Area::Quarantine, object.name), id })
        });
        let mut salvager = Salvager::new(self, self.index()?, HashSet::new())?;
        salvager.needed = Some(needed);
        salvager.run(places.collect(), monitor)?;
        Ok(salvager.finish().1)
    }
}

/// Copies blocks, and knows an index that lists them then.
pub(super) struct Salvager<'a> {
    repository: &'a Repository,
    index: Index,
    decoder: BlockDecoder,
    writers: [Option<PackWriter>; 2],
    builder: SegmentBuilder,
    /// Chunks that are copied and not listed yet.
    pending: HashSet<ChunkId>,
    /// Nothing is copied but these and what blocks are encoded against; `None` for everything.
    needed: Option<&'a HashSet<ChunkId>>,
    /// What the blocks that were found are encoded against.
    bases: HashSet<BaseId>,
    result: Salvaged,
}

impl<'a> Salvager<'a> {
    pub(super) fn new(repository: &'a Repository, mut index: Index, avoided: HashSet<PackId>) -> Result<Self, Error> {
        index.avoid(avoided);
        index.avoid_undecodable();
        Ok(Self {
            repository,
            index,
            decoder: BlockDecoder::new()?,
            writers: [None, None],
            builder: SegmentBuilder::default(),
            pending: HashSet::new(),
            needed: None,
            bases: HashSet::new(),
            result: Salvaged::default(),
        })
    }

    /// Finds nothing in these packs from now on.
    pub(super) fn avoid(&mut self, packs: HashSet<PackId>) {
        self.index.avoid(packs);
        self.index.avoid_undecodable();
    }

    /// Packs with blocks that need what is nowhere.
    pub(super) fn undecodable(&self) -> HashSet<PackId> {
        self.index.undecodable()
    }

    pub(super) fn finish(self) -> (Index, Salvaged) {
        (self.index, self.result)
    }

    /// Copies what can be decoded of these packs and is not in the index.
    pub(super) fn run(&mut self, places: Vec<Place>, monitor: &Monitor<'_>) -> Result<(), Error> {
        monitor.begin(Phase::SalvagingPacks, None);
        self.result.wanted.clear();
        let storage = self.repository.storage();
        let mut by_depth = vec![Vec::new(); usize::from(DELTA_DEPTH_MAX) + 1];
        let mut readers = Vec::new();
        for Place { key, id } in places {
            match PackReader::open_at(storage, key, id) {
                Ok(reader) => readers.push(reader),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error.into()),
            }
        }
        for reader in &readers {
            let mut listed = listed(reader)?;
            let mut scan = BlockScan::new(reader);
            loop {
                monitor.check()?;
                match scan.step()? {
                    Scanned::Block(block) => {
                        self.bases.extend(&block.bases);
                        let is_new = listed.remove(&block.offset).is_none_or(|entry| self.has_news(&entry));
                        if let Some(blocks) = by_depth.get_mut(usize::from(block.depth)).filter(|_| is_new) {
                            blocks.push((reader, Candidate::Whole(block.offset)));
                        }
                    }
                    Scanned::Nothing => {}
                    Scanned::End => break,
                    Scanned::GivenUp(offset) => self.result.given_up.push((reader.path(), offset)),
                }
            }
            let listed: Vec<BlockEntry> = listed.into_values().filter(|entry| self.has_news(entry)).collect();
            for entry in listed {
                self.bases.extend(&entry.bases);
                if let Some(blocks) = by_depth.get_mut(usize::from(entry.depth)) {
                    blocks.push((reader, Candidate::Listed(entry)));
                }
            }
        }
        for blocks in by_depth.into_iter().filter(|blocks| !blocks.is_empty()) {
            let mut bases = self.repository.reader_with(&Arc::new(self.index.clone()))?;
            for (reader, candidate) in blocks {
                monitor.check()?;
                let (block, listed) = match candidate {
                    Candidate::Whole(offset) => (FoundBlock::at(reader, offset)?, None),
                    Candidate::Listed(entry) => (FoundBlock::listed(reader, &entry)?, Some(entry.chunks)),
                };
                if let Some(block) = block {
                    let kind = reader.kind()?.unwrap_or_else(|| reader.id().kind());
                    self.block(&mut bases, (block, listed.as_deref()), kind)?;
                }
            }
            self.write()?;
        }
        Ok(())
    }

    /// Whether a block is said to have a chunk that the index does not find: there is no need to decode others.
    fn has_news(&self, block: &BlockEntry) -> bool {
        !block.chunks.iter().all(|chunk| self.index.lookup(&chunk.id).is_some())
    }

    /// Copies a block that has something new; of one that is `listed`, only chunks count that it is said to have.
    fn block(
        &mut self,
        bases: &mut ChunkReader,
        (block, listed): (FoundBlock, Option<&[ChunkRef]>),
        kind: PackKind,
    ) -> Result<(), Error> {
        let Some((prefix, depth)) = self.prefix(bases, &block)? else { return Ok(()) };
        let Ok(chunks) = block.chunks(&mut self.decoder, self.repository.ids(), &prefix) else { return Ok(()) };
        let is_there = |chunk: &ChunkRef| {
            let is_none = listed.is_some_and(|listed| !listed.contains(chunk));
            is_none || self.pending.contains(&chunk.id) || self.index.lookup(&chunk.id).is_some()
        };
        let is_needed = |chunk: &ChunkRef| {
            self.needed.is_none_or(|needed| needed.contains(&chunk.id) || self.bases.contains(&chunk.id.into()))
        };
        if !chunks.iter().any(|chunk| is_needed(chunk) && !is_there(chunk)) {
            return Ok(());
        }
        for chunk in chunks.iter().filter(|chunk| !is_there(chunk)) {
            self.result.chunks += 1;
            self.result.bytes += u64::from(chunk.len_bytes);
        }
        self.pending.extend(chunks.iter().map(|chunk| chunk.id));
        self.add(kind, block.encoded(chunks, depth))
    }

    /// The plaintext of the bases of a block, and how deep it is; `None` when they are not all there, or need too many blocks.
    fn prefix(&mut self, reader: &mut ChunkReader, block: &FoundBlock) -> Result<Option<(Vec<u8>, u8)>, Error> {
        let (mut prefix, mut depth) = (Vec::new(), 0);
        for base in &block.bases {
            let Some((id, location)) = self.index.shallowest_base(base, block.depth) else {
                self.result.wanted.insert(*base);
                return Ok(None);
            };
            match reader.read_at(id, location) {
                Ok(plaintext) => prefix.extend_from_slice(&plaintext),
                Err(error) if error.is_damage() => return Ok(None),
                Err(error) => return Err(error),
            }
            if prefix.len() > DELTA_PREFIX_BYTES_MAX {
                return Ok(None);
            }
            depth = depth.max(self.index.depth(location.block_key()).saturating_add(1));
        }
        // It is not copied for readers that refuse it.
        let is_readable = is_within_reach(&self.index, &block.bases, depth);
        Ok(is_readable.then_some((prefix, depth)))
    }

    const fn writer(&mut self, kind: PackKind) -> &mut Option<PackWriter> {
        let [data, tree] = &mut self.writers;
        match kind {
            PackKind::Data => data,
            PackKind::Tree => tree,
        }
    }

    fn add(&mut self, kind: PackKind, block: EncodedBlock) -> Result<(), Error> {
        let storage = self.repository.storage();
        let writer = match self.writer(kind) {
            Some(writer) => writer,
            slot => slot.insert(PackWriter::new(storage, kind)?),
        };
        writer.add(block)?;
        if writer.is_full() { self.close(kind) } else { Ok(()) }
    }

    fn close(&mut self, kind: PackKind) -> Result<(), Error> {
        let Some(writer) = self.writer(kind).take() else { return Ok(()) };
        let FinishedPack { id, len_bytes, directory } = writer.finish()?;
        self.builder.add(id, len_bytes, &directory);
        if self.builder.chunk_count() >= SEGMENT_CHUNKS_TARGET { self.write_segment() } else { Ok(()) }
    }

    /// Makes everything durable that was copied, so that the index finds it.
    fn write(&mut self) -> Result<(), Error> {
        self.close(PackKind::Data)?;
        self.close(PackKind::Tree)?;
        self.write_segment()?;
        self.pending.clear();
        self.index.avoid_undecodable();
        Ok(())
    }

    fn write_segment(&mut self) -> Result<(), Error> {
        if !self.builder.is_empty() {
            let segment = std::mem::take(&mut self.builder).write(self.repository.storage())?;
            self.index.add(segment);
        }
        Ok(())
    }
}

/// The blocks of a pack by where they begin, as far as it has a directory.
fn listed(reader: &PackReader<'_>) -> Result<BTreeMap<u64, BlockEntry>, Error> {
    match reader.directory() {
        Ok(directory) => Ok(directory.blocks.into_iter().map(|block| (block.offset.into(), block)).collect()),
        Err(error) if error.is_damage() => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}
