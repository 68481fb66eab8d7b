//! How well delta blocks would compress by themselves, measured on a few of them that are spread evenly.
//!
//! Neighbours are taken together, because that is how they would have been compressed: the larger a block, the better.

use crate::id::ChunkId;
use crate::index::BlockKey;
use crate::limits::{BLOCK_BYTES_TARGET, SAVINGS_RUN_BLOCKS_MAX, SAVINGS_RUNS_MAX};
use crate::monitor::Monitor;
use crate::pack::{BlockEncoder, RawBlock};
use crate::repo::ChunkReader;

use crate::pipeline::Error;

/// Delta blocks that lie one after another and would be about one plain block.
type Run<Key> = Vec<Key>;

/// Chooses runs of blocks from a stream of unknown length: every run at first, every second one when there are too many,
/// and so on.
#[derive(Debug)]
pub(super) struct Sample<Key = BlockKey> {
    runs: Vec<Run<Key>>,
    run: Run<Key>,
    run_bytes: usize,
    /// Runs that have ended.
    ended: u64,
    /// One of so many is kept.
    stride: u64,
}

impl<Key> Default for Sample<Key> {
    fn default() -> Self {
        Self { runs: Vec::new(), run: Vec::new(), run_bytes: 0, ended: 0, stride: 1 }
    }
}

impl<Key: Copy + PartialEq> Sample<Key> {
    /// The next delta block of the stream. One that is offered again right away counts once.
    pub(super) fn offer(&mut self, block: Key, raw_bytes: u32) {
        if self.run.contains(&block) {
            return;
        }
        let raw_bytes = raw_bytes as usize;
        if self.run_bytes + raw_bytes > BLOCK_BYTES_TARGET || self.run.len() >= SAVINGS_RUN_BLOCKS_MAX {
            self.end_run();
        }
        self.run.push(block);
        self.run_bytes += raw_bytes;
    }

    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        self.run_bytes = 0;
        if run.is_empty() {
            return;
        }
        if self.ended.is_multiple_of(self.stride) {
            self.runs.push(run);
        }
        self.ended += 1;
        if self.runs.len() >= 2 * SAVINGS_RUNS_MAX {
            let mut number = 0_usize;
            self.runs.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.stride *= 2;
        }
    }
}

impl Sample {
    /// Compresses the sample; gives its length as it is and compressed. What is damaged is left out and listed.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Repo`].
    pub(super) fn measure(
        mut self,
        (reader, encoder): (&mut ChunkReader, &mut BlockEncoder),
        damage: &mut Vec<String>,
        monitor: &Monitor<'_>,
    ) -> Result<(u64, u64), Error> {
        self.end_run();
        let (mut raw_bytes, mut compressed_bytes) = (0, 0);
        for run in self.runs {
            monitor.check()?;
            let mut plain = RawBlock::default();
            for key in run {
                match reader.read_block(key) {
                    // The encoder does not look at names of chunks.
                    Ok(block) => plain.push((ChunkId::from_bytes([0; 32]), &block), BLOCK_BYTES_TARGET),
                    Err(error) if error.is_damage() => damage.push(error.to_string()),
                    Err(error) => return Err(error.into()),
                }
            }
            if !plain.is_empty() {
                raw_bytes += plain.len_bytes() as u64;
                let encoded = encoder.encode(plain).map_err(crate::repo::Error::from)?;
                compressed_bytes += encoded.payload.len() as u64;
            }
        }
        Ok((raw_bytes, compressed_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_and_spread_over_the_stream() {
        const BLOCKS: u32 = 10_000;
        let mut sample = Sample::default();
        for key in 0..BLOCKS {
            sample.offer(key, 128 << 10);
            sample.offer(key, 128 << 10);
        }
        assert!(sample.runs.len() < 2 * SAVINGS_RUNS_MAX);
        assert!(sample.runs.len() >= SAVINGS_RUNS_MAX / 2);
        let places: Vec<u32> = sample.runs.iter().map(|run| run[0]).collect();
        assert_eq!(places.first(), Some(&0));
        assert!(places.windows(2).all(|pair| pair[1] - pair[0] == places[1]), "evenly: {places:?}");
        assert!(places.last().is_some_and(|last| *last > BLOCKS * 3 / 4), "to the end: {places:?}");
        assert!(sample.runs.iter().all(|run| run.len() == 4), "as many as fit a plain block");
    }
}
