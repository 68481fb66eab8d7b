//! Reading packs: one block, the directory, or every byte.

use crate::id::{BaseId, ChunkId, FileHasher, IdScheme, PackId, PackKind, checksum};
use crate::limits::{BLOCK_BYTES_MAX, PACK_BYTES_MAX};
use crate::storage::{Key, Storage};

use super::layout::{
    BLOCK_HEADER_BYTES, BlockEntry, BlockHeader, Directory, Encoding, FOOTER_BYTES, HEADER_BYTES, block_prefix_bytes,
    decode_block_header, decode_block_lists, decode_end, decode_footer, decode_header,
};
use super::{BlockDecoder, Error, key};

/// Where a block's payload lies and how to decode it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockPlace {
    /// The pack.
    pub pack: PackId,
    /// Where the payload begins in the pack.
    pub payload_offset: u64,
    /// Length of the payload in bytes.
    pub stored_bytes: u32,
    /// Length of the plaintext in bytes.
    pub raw_bytes: u32,
    /// Number of the encoding.
    pub encoding: u8,
    /// Blocks to decode before this one.
    pub depth: u8,
}

impl BlockPlace {
    /// The place of a block that the directory of a pack lists.
    #[must_use]
    pub fn of(pack: PackId, entry: &BlockEntry) -> Self {
        Self {
            pack,
            payload_offset: entry.payload_offset(),
            stored_bytes: entry.stored_bytes,
            raw_bytes: entry.raw_bytes,
            encoding: entry.encoding.number(),
            depth: entry.depth,
        }
    }
}

/// Puts the plaintext of a block, with that of its bases as prefix, into `plaintext` in place of what is there. Its chunks
/// are not checked against their ids.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`], [`Error::UnknownEncoding`].
pub fn read_block(
    storage: &dyn Storage,
    decoder: &mut BlockDecoder,
    place: &BlockPlace,
    prefix: &[u8],
    plaintext: &mut Vec<u8>,
) -> Result<(), Error> {
    let (pack, offset, encoding) = (place.pack, place.payload_offset, place.encoding);
    let damaged = |what| Error::Damaged { pack, offset, what };
    let encoding = Encoding::from_number(encoding).ok_or(Error::UnknownEncoding { pack, offset, encoding })?;
    let (stored_bytes, raw_bytes) = (place.stored_bytes as usize, place.raw_bytes as usize);
    if stored_bytes > BLOCK_BYTES_MAX || raw_bytes > BLOCK_BYTES_MAX {
        return Err(damaged("the index gives the block an impossible length"));
    }
    if encoding == Encoding::Raw && stored_bytes == raw_bytes {
        plaintext.resize(raw_bytes, 0);
        return Ok(storage.get_range(&key(pack), offset, plaintext)?);
    }
    let mut payload = std::mem::take(&mut decoder.payload);
    payload.resize(stored_bytes, 0);
    let read = storage.get_range(&key(pack), offset, &mut payload).map_err(Error::from);
    let decoded = read.and_then(|()| decoder.decode(encoding, &payload, prefix, raw_bytes, plaintext).map_err(damaged));
    decoder.payload = payload;
    decoded
}

/// A block as it lies in the pack.
pub(super) struct RawEntry {
    pub(super) header: BlockHeader,
    pub(super) lengths: Vec<u32>,
    pub(super) bases: Vec<BaseId>,
    pub(super) payload: Vec<u8>,
}

impl RawEntry {
    /// Whether it is the one that a directory lists, as far as can be told without decoding it.
    fn is(&self, entry: &BlockEntry) -> bool {
        let lengths = entry.chunks.iter().map(|chunk| chunk.len_bytes);
        let Self { header, bases, .. } = self;
        (header.encoding, header.depth) == (entry.encoding, entry.depth)
            && (header.stored_bytes, header.raw_bytes) == (entry.stored_bytes, entry.raw_bytes)
            && *bases == entry.bases
            && self.lengths.iter().copied().eq(lengths)
    }
}

/// Reads a pack as a whole.
#[derive(Debug)]
pub struct PackReader<'a> {
    storage: &'a dyn Storage,
    id: PackId,
    key: Key,
    len_bytes: u64,
}

impl<'a> PackReader<'a> {
    /// A reader of the pack `id`.
    ///
    /// # Errors
    /// [`Error::Storage`] when it is missing, [`Error::Damaged`] when its length is impossible.
    pub fn open(storage: &'a dyn Storage, id: PackId) -> Result<Self, Error> {
        Self::open_at(storage, key(id), id)
    }

    /// A reader of the pack `id`, which lies elsewhere than packs do.
    ///
    /// # Errors
    /// Those of [`PackReader::open`].
    pub fn open_at(storage: &'a dyn Storage, key: Key, id: PackId) -> Result<Self, Error> {
        let len_bytes = storage.stat(&key)?;
        let reader = Self { storage, id, key, len_bytes };
        if len_bytes < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(reader.damaged(0, "it is too short"));
        }
        if len_bytes > PACK_BYTES_MAX {
            return Err(reader.damaged(0, "it is too long"));
        }
        Ok(reader)
    }

    /// The name of the pack.
    #[must_use]
    pub const fn id(&self) -> PackId {
        self.id
    }

    /// Length of the file in bytes.
    #[must_use]
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Where it lies in the repository.
    #[must_use]
    pub fn path(&self) -> String {
        self.key.path()
    }

    /// The directory, checked by its own checksum.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Damaged`].
    pub fn directory(&self) -> Result<Directory, Error> {
        let mut header = [0; HEADER_BYTES];
        self.read(0, &mut header)?;
        let kind = decode_header(&header).ok_or_else(|| self.damaged(0, "the header is not one of a pack"))?;
        let mut footer = [0; FOOTER_BYTES];
        let footer_offset = self.len_bytes - FOOTER_BYTES as u64;
        self.read(footer_offset, &mut footer)?;
        let footer = decode_footer(&footer, self.len_bytes)
            .ok_or_else(|| self.damaged(footer_offset, "the footer is not one of a pack"))?;
        let mut bytes = vec![0; footer.directory_bytes + FOOTER_BYTES];
        self.read(footer.directory_offset, &mut bytes)?;
        let directory = decode_end(footer, &bytes)
            .ok_or_else(|| self.damaged(footer.directory_offset, "the directory does not match its checksum"))?;
        if directory.kind != kind {
            return Err(self.damaged(0, "the header and the directory name different kinds"));
        }
        if kind != self.id.kind() {
            return Err(self.damaged(0, "it lies in the folder of the other kind"));
        }
        Ok(directory)
    }

    /// Reads every byte of the pack and compares the whole with its name. `each_piece` hears the length of every piece.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Damaged`] when the bytes are not those that were written.
    pub fn check_name(&self, mut each_piece: impl FnMut(u64)) -> Result<(), Error> {
        let mut hasher = FileHasher::new();
        let mut piece = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < self.len_bytes {
            let len = usize::try_from(self.len_bytes - offset).map_or(piece.len(), |left| left.min(piece.len()));
            let target = piece.get_mut(..len).expect("the length was bounded by the buffer");
            self.read(offset, target)?;
            hasher.update(target);
            offset += len as u64;
            each_piece(len as u64);
        }
        if hasher.finish() == self.id.digest() {
            return Ok(());
        }
        Err(self.first_damage().unwrap_or_else(|| self.damaged(0, "the file does not match its name")))
    }

    /// What the blocks hold, as the header says; `None` when it is damaged.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn kind(&self) -> Result<Option<PackKind>, Error> {
        let mut header = [0; HEADER_BYTES];
        self.read(0, &mut header)?;
        Ok(decode_header(&header))
    }

    /// The payload of a block that the directory lists, as it is stored.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::Damaged`] when it is not what was written, as far as its checksum tells.
    pub fn payload(&self, entry: &BlockEntry) -> Result<Vec<u8>, Error> {
        let found = self.raw_block(entry.offset.into())?.filter(|found| found.is(entry));
        let what = "the block is not the one that the directory lists";
        Ok(found.ok_or_else(|| self.damaged(entry.offset.into(), what))?.payload)
    }

    /// The block at `offset` with its payload checked but not decoded, or `None` when no block begins there.
    fn raw_block(&self, offset: u64) -> Result<Option<RawEntry>, Error> {
        self.block_header(offset)?.map(|header| self.raw_block_of(offset, header)).transpose()
    }

    /// The header of the block at `offset`, or `None` when no block begins there.
    pub(super) fn block_header(&self, offset: u64) -> Result<Option<BlockHeader>, Error> {
        let mut bytes = [0; BLOCK_HEADER_BYTES];
        if offset + BLOCK_HEADER_BYTES as u64 > self.len_bytes {
            return Ok(None);
        }
        self.read(offset, &mut bytes)?;
        Ok(decode_block_header(&bytes))
    }

    /// The block at `offset` that has this header, with its payload checked but not decoded.
    pub(super) fn raw_block_of(&self, offset: u64, header: BlockHeader) -> Result<RawEntry, Error> {
        let prefix_bytes = block_prefix_bytes(header.chunks.into(), header.bases.into());
        let mut lists = vec![0; prefix_bytes - BLOCK_HEADER_BYTES];
        self.read(offset + BLOCK_HEADER_BYTES as u64, &mut lists)?;
        let (lengths, bases) = decode_block_lists(header, &lists)
            .ok_or_else(|| self.damaged(offset, "the lengths of its chunks do not add up"))?;
        let mut payload = vec![0; header.stored_bytes as usize];
        self.read(offset + prefix_bytes as u64, &mut payload)?;
        if checksum(&payload) != header.checksum {
            return Err(self.damaged(offset, "the block does not match its checksum"));
        }
        Ok(RawEntry { header, lengths, bases, payload })
    }

    /// Where the first difference from what was written lies, as far as the checksums tell.
    fn first_damage(&self) -> Option<Error> {
        let directory = match self.directory() {
            Ok(directory) => directory,
            Err(error) => return Some(error),
        };
        directory.blocks.iter().find_map(|block| match self.raw_block(block.offset.into()) {
            Ok(Some(found)) if found.is(block) => None,
            Ok(_) => Some(self.damaged(block.offset.into(), "the block is not the one that the directory lists")),
            Err(error) => Some(error),
        })
    }

    pub(super) fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), Error> {
        Ok(self.storage.get_range(&self.key, offset, target)?)
    }

    const fn damaged(&self, offset: u64, what: &'static str) -> Error {
        Error::Damaged { pack: self.id, offset, what }
    }
}

/// The plaintext of a chunk within that of its block, unchecked.
///
/// # Errors
/// [`Error::Damaged`] when the block has no such bytes.
pub fn chunk_range<'a>(
    place: &BlockPlace,
    plaintext: &'a [u8],
    range: std::ops::Range<usize>,
) -> Result<&'a [u8], Error> {
    let what = "the index points outside the block";
    plaintext.get(range).ok_or(Error::Damaged { pack: place.pack, offset: place.payload_offset, what })
}

/// The plaintext of a chunk within that of its block, once its id has been found to be right.
///
/// # Errors
/// [`Error::WrongChunk`] when it is not; those of [`chunk_range`].
pub fn check_chunk<'a>(
    ids: IdScheme,
    place: &BlockPlace,
    plaintext: &'a [u8],
    chunk: ChunkId,
    range: std::ops::Range<usize>,
) -> Result<&'a [u8], Error> {
    let bytes = chunk_range(place, plaintext, range)?;
    if ids.chunk_id(bytes) == chunk {
        return Ok(bytes);
    }
    Err(Error::WrongChunk { pack: place.pack, offset: place.payload_offset, chunk })
}

/// Checks each chunk of a block that a directory lists against its plaintext.
///
/// # Errors
/// [`Error::Damaged`], [`Error::WrongChunk`].
pub fn check_block(ids: IdScheme, place: &BlockPlace, block: &BlockEntry, plaintext: &[u8]) -> Result<(), Error> {
    let (pack, offset) = (place.pack, place.payload_offset);
    let mut rest = plaintext;
    for chunk in &block.chunks {
        let split = rest.split_at_checked(chunk.len_bytes as usize);
        let (bytes, after) = split.ok_or(Error::Damaged { pack, offset, what: "its chunks are too long" })?;
        if ids.chunk_id(bytes) != chunk.id {
            return Err(Error::WrongChunk { pack, offset, chunk: chunk.id });
        }
        rest = after;
    }
    Ok(())
}
