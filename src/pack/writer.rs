//! Writing one pack, block by block.

use crate::id::{FileHasher, PackId, PackKind, random_bytes};
use crate::limits::{PACK_BYTES_TARGET, PACK_CHUNKS_TARGET};
use crate::storage::{PutMode, Storage, Upload};

use super::layout::{BlockEntry, Directory, directory_share_bytes, encode_block_prefix, encode_end, encode_header};
use super::{EncodedBlock, Error, area, key};

/// A pack in the making.
pub struct PackWriter {
    upload: Box<dyn Upload>,
    hasher: FileHasher,
    directory: Directory,
    len_bytes: u64,
    chunks: usize,
}

/// A pack that is durable.
#[derive(Debug)]
pub struct FinishedPack {
    /// Its name.
    pub id: PackId,
    /// Length of the file in bytes.
    pub len_bytes: u64,
    /// What it holds.
    pub directory: Directory,
}

impl PackWriter {
    /// Begins a pack.
    ///
    /// # Errors
    /// [`Error::Random`], [`Error::Storage`].
    pub fn new(storage: &dyn Storage, kind: PackKind) -> Result<Self, Error> {
        let mut pack_writer = Self {
            upload: storage.upload(area(kind))?,
            hasher: FileHasher::new(),
            directory: Directory { kind, blocks: Vec::new() },
            len_bytes: 0,
            chunks: 0,
        };
        pack_writer.write(&encode_header(kind, &random_bytes().map_err(Error::Random)?))?;
        Ok(pack_writer)
    }

    /// Appends a block and returns the bytes that it takes, its share of the directory included.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn add(&mut self, block: EncodedBlock) -> Result<u64, Error> {
        let entry = BlockEntry {
            offset: u32::try_from(self.len_bytes).expect("a pack is shorter than PACK_BYTES_MAX"),
            stored_bytes: u32::try_from(block.payload.len()).expect("a payload is at most BLOCK_BYTES_MAX long"),
            raw_bytes: block.raw_bytes,
            encoding: block.encoding,
            depth: block.depth,
            chunks: block.chunks,
            bases: block.bases,
        };
        let before = self.len_bytes;
        self.write(&encode_block_prefix(&entry, &block.payload))?;
        self.write(&block.payload)?;
        debug_assert_eq!(self.len_bytes, entry.end());
        let directory_share = directory_share_bytes(entry.chunks.len(), entry.bases.len()) as u64;
        self.chunks += entry.chunks.len();
        self.directory.blocks.push(entry);
        Ok(self.len_bytes - before + directory_share)
    }

    /// Whether the pack has reached the length at which it is closed.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.len_bytes >= PACK_BYTES_TARGET || self.chunks >= PACK_CHUNKS_TARGET
    }

    /// Writes the directory and makes the pack durable under its name.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn finish(mut self) -> Result<FinishedPack, Error> {
        let end = encode_end(&self.directory, self.len_bytes);
        self.write(&end)?;
        let id = PackId::new(self.directory.kind, self.hasher.finish());
        self.upload.finish(&key(id), PutMode::SameContent)?;
        Ok(FinishedPack { id, len_bytes: self.len_bytes, directory: self.directory })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        self.len_bytes += bytes.len() as u64;
        Ok(self.upload.write(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdScheme;
    use crate::pack::{BlockDecoder, BlockEncoder, BlockScan, Encoding, PackReader, Prefix, RawBlock, Scanned};
    use crate::storage::MemoryStorage;

    fn written(storage: &MemoryStorage) -> FinishedPack {
        let mut encoder = BlockEncoder::new(crate::pack::LEVEL).expect("an encoder");
        let mut pack_writer = PackWriter::new(storage, PackKind::Data).expect("memory");
        for text in ["one", "two"] {
            let mut block = RawBlock::default();
            for number in 0..20 {
                let plaintext = format!("{text} {number} ").repeat(200);
                block.push((IdScheme::plain().chunk_id(plaintext.as_bytes()), plaintext.as_bytes()), 0);
            }
            pack_writer.add(encoder.encode(block).expect("encode")).expect("memory");
        }
        let mut block = RawBlock::default();
        let (before, after) = (old_text(), old_text().replace("one 7", "seven"));
        block.push((IdScheme::plain().chunk_id(after.as_bytes()), after.as_bytes()), 0);
        let prefix = Prefix {
            bases: vec![IdScheme::plain().chunk_id(before.as_bytes()).into()],
            bytes: before.into_bytes(),
            depth: 1,
            far: false,
        };
        let delta = encoder.encode_against(block, prefix).expect("encode");
        assert_eq!((delta.encoding, delta.depth, delta.bases.len()), (Encoding::Delta, 1, 1));
        pack_writer.add(delta).expect("memory");
        pack_writer.finish().expect("memory")
    }

    /// What is older than the pack.
    fn old_text() -> String {
        (0..2000_u32).flat_map(|number| ["one ".to_owned(), number.to_string(), " ".to_owned()]).collect()
    }

    #[test]
    fn the_blocks_tell_what_a_pack_holds_when_its_directory_is_lost() {
        let storage = MemoryStorage::default();
        let pack = written(&storage);
        let (ids, mut decoder) = (IdScheme::plain(), BlockDecoder::new().expect("a decoder"));
        let reader = PackReader::open(&storage, pack.id).expect("open");
        assert_eq!(reader.directory().expect("a directory"), pack.directory);
        reader.check_name(|_| {}).expect("as it was written");

        let object = key(pack.id);
        let whole = storage.get(&object, 1 << 20).expect("get");
        let end = pack.directory.blocks.last().map(|block| usize::try_from(block.end()).expect("a small pack"));
        let mut cut = whole.get(..end.expect("two blocks")).expect("the blocks").to_vec();
        cut.extend_from_slice(&[0; 200]);
        let mut found_in = |bytes: Vec<u8>| {
            storage.overwrite(&object, bytes);
            let reader = PackReader::open(&storage, pack.id).expect("long enough");
            assert!(reader.directory().expect_err("no footer").is_damage());
            let (mut found, mut scan) = (Vec::new(), BlockScan::new(&reader));
            loop {
                match scan.step().expect("memory") {
                    // The checksum is that of the payload: a damaged header is seen when the block is decoded.
                    Scanned::Block(block) => {
                        let chunks = block.chunks(&mut decoder, ids, old_text().as_bytes());
                        found.extend(chunks.map(|chunks| (block.offset, block.depth, chunks)));
                    }
                    Scanned::Nothing => {}
                    Scanned::End => return found,
                    Scanned::GivenUp(offset) => panic!("given up at {offset}"),
                }
            }
        };
        let listed: Vec<_> = pack
            .directory
            .blocks
            .iter()
            .map(|block| (u64::from(block.offset), block.depth, block.chunks.clone()))
            .collect();
        assert_eq!(found_in(cut.clone()), listed);
        // A damaged block hides none of those behind it, wherever the damage is.
        for position in [0, 4, 9, 40, 100] {
            let mut damaged = cut.clone();
            let offset = usize::try_from(listed[0].0).expect("a small pack");
            damaged[offset + position] ^= 1;
            assert_eq!(found_in(damaged), listed[1..], "byte {position}");
        }
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let storage = MemoryStorage::default();
        let pack = written(&storage);
        let object = key(pack.id);
        let whole = storage.get(&object, 1 << 20).expect("get");
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            if let Some(byte) = damaged.get_mut(position) {
                *byte ^= 0x40;
            }
            storage.overwrite(&object, damaged);
            let reader = PackReader::open(&storage, pack.id).expect("the length is right");
            assert!(reader.check_name(|_| {}).expect_err("other bytes").is_damage(), "byte {position}");
        }
    }
}
