//! Copying whole blocks out of packs that are broken or were put aside, as far as what they need can be found.
//!
//! A block is taken by its own header and checksum; its chunks are computed from its plaintext, so that nothing that a
//! damaged directory says counts. Blocks that need others come after those.

use std::collections::HashSet;
use std::sync::Arc;

use super::pack_of;
use crate::chunk::ChunkRef;
use crate::id::{BaseId, ChunkId, PackId};
use crate::index::{Index, SegmentBuilder};
use crate::limits::{DELTA_DEPTH_MAX, DELTA_PREFIX_BYTES_MAX, SEGMENT_CHUNKS_TARGET};
use crate::pack::{
    BlockDecoder, BlockScan, EncodedBlock, FinishedPack, FoundBlock, PackKind, PackReader, PackWriter, Scanned,
};
use crate::progress::{self, Progress};
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
    pub fn salvage(&self, needed: &HashSet<ChunkId>, progress: &dyn Progress) -> Result<Salvaged, Error> {
        self.config.check_writable()?;
        let quarantine = self.storage().list(Area::Quarantine)?.into_iter();
        let places = quarantine.filter_map(|object| {
            let id = pack_of(&object.name)?;
            Some(Place { key: Key::new(Area::Quarantine, object.name), id })
        });
        let mut salvager = Salvager::new(self, self.index()?, HashSet::new())?;
        salvager.needed = Some(needed);
        salvager.run(places.collect(), progress)?;
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
    pub(super) fn run(&mut self, places: Vec<Place>, progress: &dyn Progress) -> Result<(), Error> {
        progress.begin("looking for whole blocks in broken packs", None);
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
            let known = self.known(reader)?;
            let mut scan = BlockScan::new(reader);
            loop {
                progress::check(progress)?;
                match scan.step()? {
                    Scanned::Block(block) => {
                        self.bases.extend(&block.bases);
                        let blocks = by_depth.get_mut(usize::from(block.depth));
                        if let Some(blocks) = blocks.filter(|_| !known.contains(&block.offset)) {
                            blocks.push((reader, block.offset));
                        }
                    }
                    Scanned::Nothing => {}
                    Scanned::End => break,
                    Scanned::GivenUp(offset) => self.result.given_up.push((reader.path(), offset)),
                }
            }
        }
        for blocks in by_depth.into_iter().filter(|blocks| !blocks.is_empty()) {
            let mut bases = self.repository.reader_with(&Arc::new(self.index.clone()))?;
            for (reader, offset) in blocks {
                progress::check(progress)?;
                if let Some(block) = FoundBlock::at(reader, offset)? {
                    self.block(&mut bases, block, reader.kind()?.unwrap_or(PackKind::Data))?;
                }
            }
            self.write()?;
        }
        Ok(())
    }

    /// Where the blocks of a pack begin that hold nothing new, as far as it has a directory: there is no need to decode them.
    fn known(&self, reader: &PackReader<'_>) -> Result<HashSet<u64>, Error> {
        let blocks = match reader.directory() {
            Ok(directory) => directory.blocks,
            Err(error) if error.is_damage() => return Ok(HashSet::new()),
            Err(error) => return Err(error.into()),
        };
        let is_there = |chunk: &ChunkRef| self.index.lookup(&chunk.id).is_some();
        let known = blocks.iter().filter(|block| block.chunks.iter().all(is_there));
        Ok(known.map(|block| block.offset.into()).collect())
    }

    fn block(&mut self, bases: &mut ChunkReader, block: FoundBlock, kind: PackKind) -> Result<(), Error> {
        let Some((prefix, depth)) = self.prefix(bases, &block)? else { return Ok(()) };
        let Ok(chunks) = block.chunks(&mut self.decoder, self.repository.ids(), &prefix) else { return Ok(()) };
        let is_there = |chunk: &ChunkRef| self.pending.contains(&chunk.id) || self.index.lookup(&chunk.id).is_some();
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
