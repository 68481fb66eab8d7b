//! Writing packs anew with what is in use in them, beside running backups.
//!
//! A block that is in use as a whole is copied as it is, once it matches its checksum; of others what is in use is encoded
//! again, against the same bases or none, and each chunk is compared with its id. A pack in which something is wrong stays as it
//! is.

use std::collections::{HashMap, HashSet};

use super::Collection;
use super::decide::PackAction;
use crate::chunk::ChunkRef;
use crate::events::Phase;
use crate::id::PackId;
use crate::index::{Location, SegmentBuilder};
use crate::limits::SEGMENT_CHUNKS_TARGET;
use crate::monitor::Monitor;
use crate::pack::{
    self, BlockEncoder, BlockEntry, BlockPlace, EncodedBlock, FinishedPack, PackKind, PackReader, PackWriter, Prefix,
    RawBlock,
};
use crate::repo::{ChunkReader, Error, Repository};

/// What was written anew.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    /// The packs that were written, and their length in all.
    pub(super) packs: HashSet<PackId>,
    pub(super) bytes: u64,
    /// Packs that stay as they are because something in them is damaged, and what.
    pub(super) damaged: Vec<(PackId, Error)>,
    /// The storage was full, and every pack stays as it is that was to be written anew.
    pub(super) is_full: bool,
}

impl Collection {
    pub(super) fn rewrite(&self, repository: &Repository, monitor: &Monitor<'_>) -> Result<Rewritten, Error> {
        let packs = self.packs(PackAction::Rewrite);
        if packs.is_empty() {
            return Ok(Rewritten::default());
        }
        monitor.begin(Phase::RewritingPacks, Some(self.sums.rewritten.1));
        let reader = repository.reader_with(&self.marks.index)?;
        let mut rewriter = Rewriter {
            repository,
            collection: self,
            reader,
            encoder: BlockEncoder::new(pack::LEVEL)?,
            open: [Open::default(), Open::default()],
            builder: SegmentBuilder::default(),
            written: Vec::new(),
            result: Rewritten::default(),
        };
        match rewriter.run(&packs, monitor) {
            Ok(()) => {}
            Err(error) if error.is_full() => rewriter.result.is_full = true,
            Err(error) => return Err(error),
        }
        Ok(rewriter.result)
    }
}

fn differing(pack: PackId) -> Error {
    let what = "its directory and the index do not list the same chunks, or bases";
    pack::Error::Damaged { pack, offset: 0, what }.into()
}

/// A pack in the making, and the chunks that wait for the next block of it.
#[derive(Default)]
struct Open {
    writer: Option<PackWriter>,
    block: RawBlock,
}

struct Rewriter<'a> {
    repository: &'a Repository,
    collection: &'a Collection,
    reader: ChunkReader,
    encoder: BlockEncoder,
    open: [Open; 2],
    builder: SegmentBuilder,
    /// Packs that are durable, on their way into a segment.
    written: Vec<(PackId, u64)>,
    result: Rewritten,
}

impl Rewriter<'_> {
    fn run(&mut self, packs: &[PackId], monitor: &Monitor<'_>) -> Result<(), Error> {
        let expected = self.expected(packs);
        for pack in packs {
            monitor.check()?;
            match self.pack(*pack, expected.get(pack).copied(), monitor) {
                Err(error) if error.is_damage() => self.result.damaged.push((*pack, error)),
                result => result?,
            }
        }
        for kind in [PackKind::Data, PackKind::Tree] {
            self.send_open(kind)?;
            self.close(kind)?;
        }
        self.write_segment()?;
        // What is about to be deleted has to be there a second time.
        for pack in &self.result.packs {
            PackReader::open(self.repository.storage(), *pack)?.check_name(|_| {})?;
        }
        Ok(())
    }

    /// Plaintext in use of each pack, in bytes, as the index has it.
    fn expected(&self, packs: &[PackId]) -> HashMap<PackId, u64> {
        let mut expected: HashMap<PackId, u64> = packs.iter().map(|pack| (*pack, 0)).collect();
        let marks = &self.collection.marks;
        for block in marks.index.blocks() {
            let pack = marks.index.place(block).map(|place| place.pack);
            if let Some(sum) = pack.and_then(|pack| expected.get_mut(&pack)) {
                *sum += u64::from(marks.len_of(block));
            }
        }
        expected
    }

    /// Stores what is in use of a pack, which has to be as much as the index says.
    fn pack(&mut self, id: PackId, expected_bytes: Option<u64>, monitor: &Monitor<'_>) -> Result<(), Error> {
        let mut found_bytes = 0;
        let reader = PackReader::open(self.repository.storage(), id)?;
        let directory = reader.directory()?;
        for entry in &directory.blocks {
            monitor.advance(entry.stored_bytes.into());
            let used: Vec<(ChunkRef, Location)> = entry
                .chunks
                .iter()
                .filter_map(|chunk| {
                    let location = self.collection.marks.place_in(&chunk.id, id, entry.payload_offset())?;
                    Some((*chunk, location))
                })
                .collect();
            let Some((_, first)) = used.first() else { continue };
            if self.collection.marks.index.block(first.block_key())? != (BlockPlace::of(id, entry), entry.bases.clone())
            {
                return Err(differing(id));
            }
            found_bytes += used.iter().map(|(chunk, _)| u64::from(chunk.len_bytes)).sum::<u64>();
            let is_without_bases =
                used.iter().any(|(_, location)| self.collection.marks.is_without_bases(location.block_key()));
            if used.len() == entry.chunks.len() && !is_without_bases {
                self.copy(directory.kind, &reader, entry)?;
            } else {
                self.encode(directory.kind, entry, &used, is_without_bases)?;
            }
        }
        if Some(found_bytes) == expected_bytes { Ok(()) } else { Err(differing(id)) }
    }

    /// Stores a block as it is.
    fn copy(&mut self, kind: PackKind, reader: &PackReader<'_>, entry: &BlockEntry) -> Result<(), Error> {
        let encoded = EncodedBlock {
            encoding: entry.encoding,
            depth: entry.depth,
            bases: entry.bases.clone(),
            payload: reader.payload(entry)?,
            raw_bytes: entry.raw_bytes,
            chunks: entry.chunks.clone(),
        };
        self.add(kind, encoded)
    }

    /// Stores these chunks of a block, against the same bases unless it is to have none.
    fn encode(
        &mut self,
        kind: PackKind,
        entry: &BlockEntry,
        used: &[(ChunkRef, Location)],
        is_without_bases: bool,
    ) -> Result<(), Error> {
        let mut block = RawBlock::default();
        for (chunk, location) in used {
            let plaintext = self.reader.read_at(chunk.id, *location)?;
            block.push((chunk.id, &plaintext), entry.raw_bytes as usize);
        }
        if !entry.bases.is_empty() && !is_without_bases {
            let prefix = self.prefix(entry)?;
            let encoded = self.encoder.encode_against(block, prefix)?;
            return self.add(kind, encoded);
        }
        if !self.open(kind).block.has_room_for(&block) {
            self.send_open(kind)?;
        }
        self.open(kind).block.append(block);
        Ok(())
    }

    /// What a block was encoded against, from where it needs the fewest other blocks.
    fn prefix(&mut self, entry: &BlockEntry) -> Result<Prefix, Error> {
        let index = std::sync::Arc::clone(self.reader.index());
        let mut prefix = Prefix { bases: entry.bases.clone(), ..Prefix::default() };
        for base in &entry.bases {
            // The block has been decoded with it.
            let Some((id, location)) = index.shallowest_base(base, entry.depth) else { return Ok(Prefix::default()) };
            prefix.bytes.extend_from_slice(&self.reader.read_at(id, location)?);
            prefix.depth = prefix.depth.max(index.depth(location.block_key()) + 1);
        }
        Ok(prefix)
    }

    fn send_open(&mut self, kind: PackKind) -> Result<(), Error> {
        let block = self.open(kind).block.take();
        if block.is_empty() {
            return Ok(());
        }
        let encoded = self.encoder.encode(block)?;
        self.add(kind, encoded)
    }

    fn add(&mut self, kind: PackKind, block: EncodedBlock) -> Result<(), Error> {
        let storage = self.repository.storage();
        let writer = match &mut self.open(kind).writer {
            Some(writer) => writer,
            slot => slot.insert(PackWriter::new(storage, kind)?),
        };
        writer.add(block)?;
        if writer.is_full() { self.close(kind) } else { Ok(()) }
    }

    fn close(&mut self, kind: PackKind) -> Result<(), Error> {
        let Some(writer) = self.open(kind).writer.take() else { return Ok(()) };
        let FinishedPack { id, len_bytes, directory } = writer.finish()?;
        self.builder.add(id, len_bytes, &directory);
        self.written.push((id, len_bytes));
        if self.builder.chunk_count() >= SEGMENT_CHUNKS_TARGET { self.write_segment() } else { Ok(()) }
    }

    fn write_segment(&mut self) -> Result<(), Error> {
        if self.builder.is_empty() {
            return Ok(());
        }
        std::mem::take(&mut self.builder).write(self.repository.storage())?;
        for (id, len_bytes) in self.written.drain(..) {
            self.result.packs.insert(id);
            self.result.bytes += len_bytes;
        }
        Ok(())
    }

    const fn open(&mut self, kind: PackKind) -> &mut Open {
        let [data, tree] = &mut self.open;
        match kind {
            PackKind::Data => data,
            PackKind::Tree => tree,
        }
    }
}
