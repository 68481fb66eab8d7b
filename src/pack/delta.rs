//! Encoding a block against plaintext that is stored already: what both have in common costs almost nothing.
//!
//! The method is a zstd dictionary of plain content: matches reach back into bytes that precede the frame and are not
//! part of it. Whoever decodes must have exactly the same bytes. Where they come from is not known here.

use zstd::zstd_safe::{CCtx, DCtx, compress_bound, get_error_name};

use crate::id::BaseId;

use super::Error;

/// The lowest level that finds the matches.
const LEVEL_MIN: i32 = 3;
/// What a dictionary that zstd has trained begins with. It would be taken for one, and not for plain content.
const DICTIONARY_MAGIC: [u8; 4] = 0xEC30_A437_u32.to_le_bytes();

/// What a block is encoded against.
#[derive(Debug, Clone, Default)]
pub struct Prefix {
    /// The bases, in order.
    pub bases: Vec<BaseId>,
    /// Their plaintext, joined in that order.
    pub bytes: Vec<u8>,
    /// Blocks to decode before a block with these bases: one more than the deepest of them.
    pub depth: u8,
    /// They are much older than what is to be encoded, and only a clear gain is worth it.
    pub far: bool,
}

/// Compresses against prefixes; one for each thread.
pub(super) struct DeltaEncoder {
    context: CCtx<'static>,
    level: i32,
    /// Room for the longest payload, so that short ones take only what they need.
    buffer: Vec<u8>,
}

impl DeltaEncoder {
    /// One of this zstd level, or of the lowest that finds the matches.
    pub(super) fn new(level: i32) -> Result<Self, Error> {
        let context = CCtx::try_create().ok_or_else(|| Error::Compress(std::io::ErrorKind::OutOfMemory.into()))?;
        Ok(Self { context, level: level.max(LEVEL_MIN), buffer: Vec::new() })
    }

    /// Compresses `plaintext` with `prefix` before it; `None` when zstd would take the prefix for something else.
    pub(super) fn compress(&mut self, plaintext: &[u8], prefix: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if prefix.starts_with(&DICTIONARY_MAGIC) {
            return Ok(None);
        }
        self.buffer.clear();
        self.buffer.reserve(compress_bound(plaintext.len()));
        let compressed = self.context.compress_using_dict(&mut self.buffer, plaintext, prefix, self.level);
        compressed.map_err(|code| Error::Compress(std::io::Error::other(get_error_name(code))))?;
        Ok(Some(self.buffer.clone()))
    }
}

/// Decompresses what a [`DeltaEncoder`] made; one for each thread.
pub(super) struct DeltaDecoder {
    context: DCtx<'static>,
}

impl DeltaDecoder {
    pub(super) fn new() -> Result<Self, Error> {
        let context = DCtx::try_create().ok_or_else(|| Error::Compress(std::io::ErrorKind::OutOfMemory.into()))?;
        Ok(Self { context })
    }

    /// Puts the plaintext of a payload that was compressed with `prefix` before it into the room of `plaintext`; `None` when
    /// it is none, or longer than that.
    pub(super) fn decompress(&mut self, payload: &[u8], prefix: &[u8], plaintext: &mut Vec<u8>) -> Option<()> {
        self.context.decompress_using_dict(plaintext, payload, prefix).ok()?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_prefix_has_costs_almost_nothing_and_comes_back_with_it_only() {
        let mut before = vec![0; 100_000];
        crate::id::expand_key(&[5; 32], &mut before);
        let mut after = before.clone();
        after.splice(50_000..50_000, *b"an insertion");
        let (mut encoder, mut decoder) =
            (DeltaEncoder::new(LEVEL_MIN).expect("memory"), DeltaDecoder::new().expect("memory"));
        let payload = encoder.compress(&after, &before).expect("compress").expect("a prefix");
        assert!(payload.len() < 200, "{} bytes", payload.len());
        let mut decompress = |payload: &[u8], prefix: &[u8], len| {
            let mut plaintext = Vec::with_capacity(len);
            decoder.decompress(payload, prefix, &mut plaintext).map(|()| plaintext)
        };
        assert_eq!(decompress(&payload, &before, after.len()), Some(after.clone()));
        assert_ne!(decompress(&payload, &before[1..], after.len()), Some(after.clone()));
        assert_eq!(decompress(&payload, &before, after.len() - 1), None);
        assert_eq!(decompress(b"no frame", &before, after.len()), None);
    }

    #[test]
    fn content_that_looks_like_a_dictionary_is_no_prefix() {
        let mut encoder = DeltaEncoder::new(LEVEL_MIN).expect("memory");
        let before = [&DICTIONARY_MAGIC[..], &[7; 1000]].concat();
        assert_eq!(encoder.compress(&[7; 1000], &before).expect("no failure"), None);
    }
}
