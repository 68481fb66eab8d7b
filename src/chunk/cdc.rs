//! FastCDC: where chunks end.
//!
//! The method is that of Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based
//! Storage Systems" (2020), in the `fastcdc` crate; the golden cut points in the tests hold it to the same cuts for
//! ever. The gear tables are ours to give, so that an encrypted repository can have its own.

use std::borrow::Cow;

use fastcdc::v2020::{Normalization, cut_gear, get_gear_with_seed, select_masks};

use super::ChunkSizes;
use crate::limits::ID_BYTES;

const TABLE_LEN: usize = 256;

/// The random table that decides where chunks end, and its twin shifted left by one bit.
#[derive(Debug, Clone)]
pub struct Gear {
    table: Cow<'static, [u64]>,
    shifted: Cow<'static, [u64]>,
}

impl Gear {
    /// The public table of the method.
    #[must_use]
    pub fn public() -> Self {
        let (table, shifted) = get_gear_with_seed(0);
        Self { table, shifted }
    }

    /// A table that depends on `key` alone.
    #[must_use]
    pub fn from_key(key: &[u8; ID_BYTES]) -> Self {
        let mut bytes = [0; TABLE_LEN * 8];
        crate::id::expand_key(key, &mut bytes);
        let (entries, _) = bytes.as_chunks::<8>();
        let table: Vec<u64> = entries.iter().map(|entry| u64::from_le_bytes(*entry)).collect();
        let shifted = table.iter().map(|entry| entry << 1).collect();
        Self { table: Cow::Owned(table), shifted: Cow::Owned(shifted) }
    }
}

/// Finds the ends of chunks in a stream that the caller holds in a buffer.
#[derive(Debug, Clone)]
pub struct Chunker {
    sizes: ChunkSizes,
    gear: Gear,
    mask_short: u64,
    mask_long: u64,
}

impl Chunker {
    /// A chunker for these sizes and this table.
    #[must_use]
    pub fn new(sizes: ChunkSizes, gear: Gear) -> Self {
        let (mask_short, mask_long) = select_masks(sizes.avg(), Normalization::Level1);
        Self { sizes, gear, mask_short, mask_long }
    }

    /// The sizes that it cuts.
    #[must_use]
    pub const fn sizes(&self) -> &ChunkSizes {
        &self.sizes
    }

    /// Length of the first chunk of `data`, or `None` when more data is needed to know it.
    ///
    /// `data` is what is left of the stream, as far as it has been read; `at_end` says that nothing follows it.
    #[must_use]
    pub fn cut(&self, data: &[u8], at_end: bool) -> Option<usize> {
        if data.is_empty() || (!at_end && data.len() < self.sizes.max()) {
            return None;
        }
        let (_, len) = cut_gear(
            data,
            self.sizes.min(),
            self.sizes.avg(),
            self.sizes.max(),
            self.mask_short,
            self.mask_long,
            self.mask_short << 1,
            self.mask_long << 1,
            &self.gear.table,
            &self.gear.shifted,
        );
        assert!(len > 0 && len <= self.sizes.max().min(data.len()), "the cutter returned an impossible length");
        Some(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        crate::id::expand_key(&[7; ID_BYTES], &mut bytes);
        bytes
    }

    fn cuts(chunker: &Chunker, mut data: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(len) = chunker.cut(data, true) {
            lengths.push(len);
            data = &data[len..];
        }
        lengths
    }

    #[test]
    fn golden_cut_points() {
        let data = noise(300_000);
        let sizes = ChunkSizes::new(4 << 10, 16 << 10, 64 << 10).expect("valid sizes");
        let public = Chunker::new(sizes, Gear::public());
        assert_eq!(cuts(&public, &data), GOLDEN_PUBLIC);
        let keyed = Chunker::new(sizes, Gear::from_key(&[1; ID_BYTES]));
        assert_eq!(cuts(&keyed, &data), GOLDEN_KEYED);
    }

    const GOLDEN_PUBLIC: [usize; 13] =
        [17099, 41143, 22529, 22097, 29350, 17698, 20326, 46049, 13772, 28310, 17699, 6591, 17337];
    const GOLDEN_KEYED: [usize; 17] = [
        16470, 7539, 7865, 8621, 22400, 7393, 29741, 26455, 35152, 27511, 8386, 24885, 16662, 8433, 20431, 8336, 23720,
    ];

    #[test]
    fn cuts_do_not_depend_on_how_much_is_buffered() {
        let data = noise(1 << 20);
        let chunker = Chunker::new(ChunkSizes::DEFAULT, Gear::public());
        let whole = cuts(&chunker, &data);
        let (mut offset, mut pieces) = (0, Vec::new());
        while offset < data.len() {
            let end = (offset + chunker.sizes().max()).min(data.len());
            let len = chunker.cut(&data[offset..end], end == data.len()).expect("enough data");
            pieces.push(len);
            offset += len;
        }
        assert_eq!(pieces, whole);
    }

    #[test]
    fn waits_for_data_and_ends_with_it() {
        let chunker = Chunker::new(ChunkSizes::DEFAULT, Gear::public());
        assert_eq!(chunker.cut(&[0; 100], false), None);
        assert_eq!(chunker.cut(&[0; 100], true), Some(100));
        assert_eq!(chunker.cut(&[], true), None);
    }
}
