//! Finding the blocks of a pack without its directory, by their own headers and checksums.
//!
//! Anything may look like the beginning of a block. What is read for those that are none is bounded by the length of the pack.

use crate::chunk::ChunkRef;
use crate::id::{BaseId, IdScheme};
use crate::limits::{BLOCK_BYTES_MAX, SCAN_IN_VAIN_MAX};

use super::layout::{
    BLOCK_HEADER_BYTES, BLOCK_MAGIC, BlockEntry, BlockHeader, Encoding, HEADER_BYTES, block_prefix_bytes,
};
use super::reader::{PackReader, RawEntry};
use super::{BlockDecoder, EncodedBlock, Error};

/// Bytes in which the beginning of a block is looked for at once.
const SEARCH_BYTES: usize = 1 << 16;
/// What a try costs at least, in bytes: about what could be read in its time.
const TRY_BYTES: u64 = 1 << 12;

/// A block that was found without the directory of its pack, with its payload as it is stored.
#[derive(Debug)]
pub struct FoundBlock {
    /// Where its header begins in the pack.
    pub offset: u64,
    /// How the payload is made.
    pub encoding: Encoding,
    /// Blocks to decode before this one.
    pub depth: u8,
    /// Length of the plaintext in bytes.
    pub raw_bytes: u32,
    /// Lengths of the chunks in bytes, in the order of their plaintext.
    pub lengths: Vec<u32>,
    /// The chunks whose plaintext the block is encoded against, in order.
    pub bases: Vec<BaseId>,
    /// The bytes that are stored. They match their checksum, where the block was found by its own header.
    pub payload: Vec<u8>,
}

impl FoundBlock {
    /// The block that begins at `offset`, or `None` when none begins there that is whole.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn at(reader: &PackReader<'_>, offset: u64) -> Result<Option<Self>, Error> {
        header(reader, offset)?.map_or(Ok(None), |header| Self::of(reader, offset, header))
    }

    /// The block that a directory lists, whatever its own header and its checksum say: what is in it is told by the ids of its chunks.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn listed(reader: &PackReader<'_>, entry: &BlockEntry) -> Result<Option<Self>, Error> {
        let mut payload = vec![0; entry.stored_bytes as usize];
        match reader.read(entry.payload_offset(), &mut payload) {
            Err(error) if error.is_damage() => return Ok(None),
            read => read?,
        }
        let lengths = entry.chunks.iter().map(|chunk| chunk.len_bytes).collect();
        let BlockEntry { encoding, depth, raw_bytes, .. } = *entry;
        let (offset, bases) = (entry.offset.into(), entry.bases.clone());
        Ok(Some(Self { offset, encoding, depth, raw_bytes, lengths, bases, payload }))
    }

    fn of(reader: &PackReader<'_>, offset: u64, header: BlockHeader) -> Result<Option<Self>, Error> {
        let RawEntry { header, lengths, bases, payload } = match reader.raw_block_of(offset, header) {
            Err(error) if error.is_damage() => return Ok(None),
            entry => entry?,
        };
        let BlockHeader { encoding, depth, raw_bytes, .. } = header;
        Ok(Some(Self { offset, encoding, depth, raw_bytes, lengths, bases, payload }))
    }

    /// Where the block ends in the pack.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset + (block_prefix_bytes(self.lengths.len(), self.bases.len()) + self.payload.len()) as u64
    }

    /// Decodes the block, with the plaintext of its bases as `prefix`, and computes its chunks.
    ///
    /// # Errors
    /// What is wrong when it cannot be decoded.
    pub fn chunks(
        &self,
        decoder: &mut BlockDecoder,
        ids: IdScheme,
        prefix: &[u8],
    ) -> Result<Vec<ChunkRef>, &'static str> {
        let mut plaintext = Vec::new();
        decoder.decode(self.encoding, &self.payload, prefix, self.raw_bytes as usize, &mut plaintext)?;
        let mut rest = plaintext.as_slice();
        let mut chunks = Vec::with_capacity(self.lengths.len());
        for len_bytes in &self.lengths {
            let split = rest.split_at_checked(*len_bytes as usize);
            let (bytes, after) = split.ok_or("the lengths of its chunks do not add up")?;
            chunks.push(ChunkRef { id: ids.chunk_id(bytes), len_bytes: *len_bytes });
            rest = after;
        }
        Ok(chunks)
    }

    /// The block as it is, to be written into another pack.
    #[must_use]
    pub fn encoded(self, chunks: Vec<ChunkRef>, depth: u8) -> EncodedBlock {
        let Self { encoding, bases, payload, raw_bytes, .. } = self;
        EncodedBlock { encoding, depth, bases, payload, raw_bytes, chunks }
    }
}

/// What a step of a scan came to.
#[derive(Debug)]
pub enum Scanned {
    /// A whole block.
    Block(FoundBlock),
    /// Nothing yet.
    Nothing,
    /// There is nothing more.
    End,
    /// From this byte on nothing is looked for any more: too much looked like a block and was none.
    GivenUp(u64),
}

/// Looks through a pack for whole blocks, in the order in which they lie. What lies between and is damaged is passed over.
#[derive(Debug)]
pub struct BlockScan<'a> {
    reader: &'a PackReader<'a>,
    offset: u64,
    /// Whether a block may begin there; otherwise the next place is looked for where one may.
    may_begin: bool,
    /// The bytes of the pack that were searched last, and where they begin.
    window: (u64, Vec<u8>),
    /// Bytes that may still be read in vain.
    left_bytes: u64,
}

impl<'a> BlockScan<'a> {
    /// A scan that begins at the first block.
    #[must_use]
    pub const fn new(reader: &'a PackReader<'a>) -> Self {
        let left_bytes = (reader.len_bytes() + BLOCK_BYTES_MAX as u64).saturating_mul(SCAN_IN_VAIN_MAX);
        Self { reader, offset: HEADER_BYTES as u64, may_begin: true, window: (0, Vec::new()), left_bytes }
    }

    /// Goes on by one place, or by one piece without any. Takes no longer than reading a block.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn step(&mut self) -> Result<Scanned, Error> {
        if self.offset + BLOCK_HEADER_BYTES as u64 > self.reader.len_bytes() {
            return Ok(Scanned::End);
        }
        if self.may_begin { self.look() } else { self.search().map(|()| Scanned::Nothing) }
    }

    /// Looks at the place where a block may begin.
    fn look(&mut self) -> Result<Scanned, Error> {
        let mut cost = TRY_BYTES;
        if let Some(header) = header(self.reader, self.offset)? {
            if let Some(block) = FoundBlock::of(self.reader, self.offset, header)? {
                self.offset = block.end();
                return Ok(Scanned::Block(block));
            }
            let prefix_bytes = block_prefix_bytes(header.chunks.into(), header.bases.into());
            cost = cost.max(prefix_bytes as u64 + u64::from(header.stored_bytes));
        }
        let Some(left_bytes) = self.left_bytes.checked_sub(cost) else {
            let given_up = self.offset;
            self.offset = self.reader.len_bytes();
            return Ok(Scanned::GivenUp(given_up));
        };
        self.left_bytes = left_bytes;
        self.offset += 1;
        self.may_begin = false;
        Ok(Scanned::Nothing)
    }

    /// Looks for the next place in one piece of the pack.
    fn search(&mut self) -> Result<(), Error> {
        let (begin, window) = &mut self.window;
        let passed = usize::try_from(self.offset.saturating_sub(*begin)).unwrap_or(usize::MAX);
        let mut rest = window.get(passed..).unwrap_or_default();
        if rest.len() < BLOCK_MAGIC.len() {
            let left = self.reader.len_bytes() - self.offset;
            window.resize(usize::try_from(left).map_or(SEARCH_BYTES, |left| left.min(SEARCH_BYTES)), 0);
            self.reader.read(self.offset, window)?;
            (*begin, rest) = (self.offset, window.as_slice());
        }
        let position = rest.windows(BLOCK_MAGIC.len()).position(|bytes| bytes == BLOCK_MAGIC);
        self.may_begin = position.is_some();
        self.offset += position.unwrap_or(rest.len() - BLOCK_MAGIC.len() + 1) as u64;
        Ok(())
    }
}

fn header(reader: &PackReader<'_>, offset: u64) -> Result<Option<BlockHeader>, Error> {
    match reader.block_header(offset) {
        Err(error) if error.is_damage() => Ok(None),
        header => header,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Digest, PackId};
    use crate::pack::{BlockEncoder, PackKind, PackWriter, RawBlock, key};
    use crate::storage::{MemoryStorage, Storage};

    fn block(seed: u8) -> EncodedBlock {
        let of_number = |number: u32| *Digest::of(&[&number.to_le_bytes()[..], &[seed]].concat()).as_bytes();
        let plaintext: Vec<u8> = (0..1_250).flat_map(of_number).collect();
        let mut block = RawBlock::default();
        block.push((IdScheme::plain().chunk_id(&plaintext), &plaintext), 0);
        BlockEncoder::new(crate::pack::LEVEL).expect("memory").encode(block).expect("encoded")
    }

    /// A pack with as many beginnings of blocks as fit, each of which claims as much as a block may have, was read as often.
    #[test]
    fn what_is_read_in_vain_is_bounded_and_what_is_given_up_is_said() {
        let storage = MemoryStorage::default();
        let mut writer = PackWriter::new(&storage, PackKind::Data).expect("memory");
        for seed in 0..2 {
            writer.add(block(seed)).expect("memory");
        }
        let pack = writer.finish().expect("memory");
        let whole = storage.get(&key(pack.id), 1 << 20).expect("it is there");
        let first =
            pack.directory.blocks.first().map(|block| usize::try_from(block.end()).expect("small")).expect("two");
        let (begin, end) = whole.split_at(first);
        let header = begin.get(HEADER_BYTES..HEADER_BYTES + BLOCK_HEADER_BYTES).expect("a header");
        for (lies, found) in [(3, 2), (30_000, 1)] {
            let bytes = [begin, &header.repeat(lies), end].concat();
            let id = PackId::new(PackKind::Data, Digest::from_bytes([lies.to_le_bytes()[0]; 32]));
            storage.overwrite(&key(id), bytes);
            let reader = PackReader::open(&storage, id).expect("long enough");
            let (mut scan, mut blocks, mut steps, mut given_up) = (BlockScan::new(&reader), 0, 0, None);
            loop {
                steps += 1;
                match scan.step().expect("memory") {
                    Scanned::Block(_) => blocks += 1,
                    Scanned::Nothing => {}
                    Scanned::GivenUp(offset) => given_up = Some(offset),
                    Scanned::End => break,
                }
            }
            assert_eq!((blocks, given_up.is_some()), (found, found == 1), "{lies}");
            assert!(steps < 1_000, "{steps} steps for {lies}");
        }
    }
}
