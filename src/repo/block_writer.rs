//! New chunks of one kind, until there are enough of them for a block: which block each goes into, and when a block is sent.
//!
//! Chunks that have something in common with older ones are gathered apart from the others, with these as their bases. Blocks are
//! given out in the order in which they go into packs; where they go is not known here.

use super::likeness::Likeness;
use crate::chunk::ChunkRef;
use crate::id::ChunkId;
use crate::limits::{BLOCK_BYTES_TARGET, CHUNK_BYTES_MAX, DELTA_BYTES_TARGET, DELTA_PREFIX_BYTES_MAX};
use crate::pack::RawBlock;

/// A block that is to be encoded against its bases, if it has any. It may be empty.
#[derive(Debug, Default)]
pub(super) struct FullBlock {
    pub(super) block: RawBlock,
    pub(super) bases: Vec<ChunkRef>,
}

/// The blocks of one kind that are being filled.
#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    plain: RawBlock,
    /// Chunks that are like older ones, and these, as far as they are known.
    delta: FullBlock,
}

impl BlockWriter {
    /// Takes a new chunk, which may become a part of a delta where these pay. Returns a block that has become full.
    pub(super) fn push(
        &mut self,
        (id, plaintext): (ChunkId, &[u8]),
        like: &mut dyn Likeness,
        deltas_pay: bool,
    ) -> Option<FullBlock> {
        if !deltas_pay || !like.take_new(plaintext.len()) {
            return self.push_plain(id, plaintext);
        }
        self.delta.block.push((id, plaintext), DELTA_BYTES_TARGET + CHUNK_BYTES_MAX as usize / 4);
        if self.delta.block.len_bytes() >= DELTA_BYTES_TARGET { self.end(like) } else { None }
    }

    fn push_plain(&mut self, id: ChunkId, plaintext: &[u8]) -> Option<FullBlock> {
        let is_full = self.plain.is_full(plaintext.len());
        let full = is_full.then(|| FullBlock { block: self.plain.take(), bases: Vec::new() });
        self.plain.push((id, plaintext), BLOCK_BYTES_TARGET);
        full
    }

    /// A chunk comes that is stored already. Returns a block that has become full, now that more of its bases are known.
    pub(super) fn pass(&mut self, stored: &ChunkId, like: &mut dyn Likeness) -> Option<FullBlock> {
        let bases = like.replaced_before(stored)?;
        self.add_bases(bases)
    }

    /// No more is to be expected of what new chunks are like. Returns a block that has become full.
    pub(super) fn end(&mut self, like: &mut dyn Likeness) -> Option<FullBlock> {
        let bases = like.replaced_by_new()?;
        self.add_bases(bases)
    }

    fn add_bases(&mut self, bases: Vec<ChunkRef>) -> Option<FullBlock> {
        let delta = &mut self.delta;
        for base in bases {
            if delta.bases.last() != Some(&base) {
                delta.bases.push(base);
            }
        }
        let base_bytes: usize = delta.bases.iter().map(|base| base.len_bytes as usize).sum();
        let is_full = delta.block.len_bytes() >= DELTA_BYTES_TARGET / 2 || base_bytes >= DELTA_PREFIX_BYTES_MAX / 2;
        is_full.then(|| std::mem::take(delta))
    }

    /// Both blocks as they are, the plain one first.
    pub(super) fn take(&mut self) -> [FullBlock; 2] {
        [FullBlock { block: self.plain.take(), bases: Vec::new() }, std::mem::take(&mut self.delta)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdScheme;
    use crate::repo::{ChunkReader, Unlike};

    const LEN_BYTES: u32 = 32 << 10;

    /// Each new chunk stands where an old one of its length stood.
    struct Rewritten {
        old: std::vec::IntoIter<ChunkRef>,
        new: usize,
    }

    impl Rewritten {
        fn new(chunks: u32) -> Self {
            Self { old: (0..chunks).map(|number| chunk_ref(1_000 + number)).collect::<Vec<_>>().into_iter(), new: 0 }
        }
    }

    impl Likeness for Rewritten {
        fn look_ahead(&mut self, _: &mut ChunkReader) {}

        fn replaced_before(&mut self, _: &ChunkId) -> Option<Vec<ChunkRef>> {
            self.replaced_by_new()
        }

        fn take_new(&mut self, _: usize) -> bool {
            self.new += usize::from(!self.old.as_slice().is_empty());
            !self.old.as_slice().is_empty()
        }

        fn replaced_by_new(&mut self) -> Option<Vec<ChunkRef>> {
            let new = std::mem::take(&mut self.new);
            (new > 0).then(|| self.old.by_ref().take(new).collect())
        }
    }

    fn chunk_ref(number: u32) -> ChunkRef {
        ChunkRef { id: IdScheme::plain().chunk_id(&number.to_le_bytes()), len_bytes: LEN_BYTES }
    }

    fn push(
        writer: &mut BlockWriter,
        number: u32,
        like: &mut dyn Likeness,
        deltas_pay: bool,
    ) -> Option<(usize, usize)> {
        let plaintext = vec![0; LEN_BYTES as usize];
        let full = writer.push((chunk_ref(number).id, plaintext.as_slice()), like, deltas_pay);
        full.map(|full| (full.block.len_bytes() / LEN_BYTES as usize, full.bases.len()))
    }

    /// Lengths of blocks, and how many bases each has, decide what every later backup can be encoded against.
    #[test]
    fn a_block_goes_when_it_is_full_and_its_bases_are_known() {
        let mut writer = BlockWriter::default();
        let mut like = Rewritten::new(100);
        // A delta of 128 KiB.
        let sent: Vec<_> = (0..9).map(|number| push(&mut writer, number, &mut like, true)).collect();
        let full = Some((4, 4));
        assert_eq!(sent, [None, None, None, full, None, None, None, full, None]);
        // Half of it, where something stored tells the bases.
        assert!(writer.pass(&chunk_ref(0).id, &mut like).is_none());
        assert_eq!(push(&mut writer, 9, &mut like, true), None);
        let full = writer.pass(&chunk_ref(0).id, &mut like).expect("64 KiB are enough");
        assert_eq!((full.block.len_bytes(), full.bases.len()), (64 << 10, 2));
        // Where deltas do not pay, and where nothing is like it, 512 KiB.
        let plain: Vec<_> = (0..17).map(|number| push(&mut writer, number, &mut like, number % 2 == 1)).collect();
        assert_eq!(plain.iter().flatten().count(), 2, "of eight deltas, and of nine plain chunks none");
        let [plain, delta] = writer.take();
        assert_eq!((plain.block.len_bytes(), plain.bases.len(), delta.block.is_empty()), (9 * (32 << 10), 0, true));
        let plain: Vec<_> = (0..17).map(|number| push(&mut writer, number, &mut Unlike, true)).collect();
        assert_eq!(plain.iter().position(Option::is_some), Some(16));
        assert_eq!(plain.last(), Some(&Some((16, 0))));
    }
}
