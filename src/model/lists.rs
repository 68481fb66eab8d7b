//! Sums over the chunks of contents. A stored list that occurs again, in the same content or in another one, is not gone through
//! again: a few lists that name one another can stand for more chunks than anybody could go through.

use std::collections::HashMap;
use std::ops::AddAssign;

use super::content_reader::ContentStep;
use super::{Content, ContentReader, Error};
use crate::chunk::ChunkRef;
use crate::id::ChunkId;
use crate::limits::LISTS_REMEMBERED_MAX;
use crate::repo::ChunkReader;

/// What is known of stored lists.
#[derive(Debug, Default)]
pub struct ListSums<S> {
    /// By the chunk of a list and the lists between its entries and the content: bytes of the content, and the sum.
    known: HashMap<(u8, ChunkId), (u64, S)>,
}

/// Nothing that is added up.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSum;

impl AddAssign for NoSum {
    fn add_assign(&mut self, _: Self) {}
}

/// A list that is being gone through.
struct Open<S> {
    key: (u8, ChunkId),
    bytes: u64,
    sum: S,
}

impl<S: Copy + Default + AddAssign> ListSums<S> {
    /// The length of all chunks of a content, in bytes, and the sum of what `each` says of them. It is asked of each chunk of the
    /// content, and with `true` of those of its lists, but for what lists have that were gone through before.
    ///
    /// # Errors
    /// Those of [`ContentReader::next`], and of `each`. A list that one of them ended is gone through again.
    pub fn add_up(
        &mut self,
        content: &Content,
        reader: &mut ChunkReader,
        mut each: impl FnMut(&mut ChunkReader, ChunkRef, bool) -> Result<S, Error>,
    ) -> Result<(u64, S), Error> {
        let mut chunks = ContentReader::new(content.clone())?;
        // The first is the content itself.
        let mut open = vec![Open { key: (u8::MAX, ChunkId::from_bytes([0; 32])), bytes: 0, sum: S::default() }];
        while let Some(step) = chunks.step(reader)? {
            let (bytes, sum) = match step {
                ContentStep::Chunk(chunk) => (chunk.len_bytes.into(), each(reader, chunk, false)?),
                ContentStep::List(chunk, depth) => {
                    let key = (depth, chunk.id);
                    let Some((bytes, sum)) = self.known.get(&key).copied() else {
                        let sum = each(reader, chunk, true)?;
                        open.push(Open { key, bytes: 0, sum });
                        continue;
                    };
                    chunks.skip(bytes)?;
                    (bytes, sum)
                }
                ContentStep::Leave => {
                    let Some(Open { key, bytes, sum }) = open.pop() else { continue };
                    if self.known.len() < LISTS_REMEMBERED_MAX {
                        self.known.insert(key, (bytes, sum));
                    }
                    (bytes, sum)
                }
            };
            if let Some(around) = open.last_mut() {
                around.bytes = around.bytes.saturating_add(bytes);
                around.sum += sum;
            }
        }
        Ok(open.pop().map_or((0, S::default()), |content| (content.bytes, content.sum)))
    }

    /// Forgets what is known.
    pub fn clear(&mut self) {
        self.known.clear();
    }
}
