//! Filling files with their chunks: block by block in the order of the files, decoded in parallel, each block once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::chunk::ChunkRef;
use crate::id::ChunkId;
use crate::index::Location;
use crate::model;
use crate::pipeline::Error;
use crate::progress::Progress;
use crate::repo::{self, ChunkReader};
use crate::sink::{self, FileTarget};

/// More threads than this only make more memory.
const THREADS_MAX: usize = 8;
/// Neighbouring blocks that one thread takes at once where there are many: each thread follows the bases of its own, and
/// seldom has to wait for one that another thread is decoding.
const RUN_MAX: usize = 16;

struct Write {
    location: Location,
    chunk: ChunkId,
    file: usize,
    offset: u64,
}

/// Chunks that are to be written, and the files that they belong to.
pub(super) struct ChunkWriter {
    reader: ChunkReader,
    files: Vec<Arc<FileTarget>>,
    writes: Vec<Write>,
    failures: HashMap<usize, Error>,
}

impl ChunkWriter {
    pub(super) fn new(reader: ChunkReader) -> Self {
        Self { reader, files: Vec::new(), writes: Vec::new(), failures: HashMap::new() }
    }

    /// Adds a file; its number is good until the next [`ChunkWriter::forget_files`].
    pub(super) fn add_file(&mut self, file: FileTarget) -> usize {
        self.files.push(Arc::new(file));
        self.files.len() - 1
    }

    /// The file with this number.
    pub(super) fn file(&self, number: usize) -> &FileTarget {
        self.files.get(number).expect("numbers come from add_file")
    }

    /// Plans to write a chunk at an offset of a file's content.
    pub(super) fn add_chunk(&mut self, file: usize, offset: u64, chunk: ChunkRef) -> Result<(), model::Error> {
        let location = self.reader.locate(chunk.id)?;
        self.writes.push(Write { location, chunk: chunk.id, file, offset });
        Ok(())
    }

    /// Chunks that are planned.
    pub(super) fn planned(&self) -> usize {
        self.writes.len()
    }

    /// Files that are open.
    pub(super) fn open_files(&self) -> usize {
        self.files.len()
    }

    /// Writes everything that is planned.
    pub(super) fn write(&mut self, progress: &dyn Progress) {
        let mut writes = std::mem::take(&mut self.writes);
        writes.sort_unstable_by_key(|write| (write.location, write.file, write.offset));
        let mut blocks: Vec<&[Write]> =
            writes.chunk_by(|a, b| a.location.block_key() == b.location.block_key()).collect();
        // In the order of the files, not of the packs: a place in a file that changed night by night needs the blocks of
        // all these nights, and finds those of its neighbours in the cache.
        blocks.sort_by_cached_key(|block| block.iter().map(|write| (write.file, write.offset)).min());
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX);
        let runs: Vec<&[&[Write]]> = blocks.chunks((blocks.len() / (2 * threads)).clamp(1, RUN_MAX)).collect();
        let next = AtomicUsize::new(0);
        let failures = Mutex::new(Vec::new());
        let work = || {
            let mut reader = self.reader.sibling();
            while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                for block in *run {
                    if progress.cancelled() {
                        return;
                    }
                    let failed = self.write_block(block, &mut reader, progress);
                    failures.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(runs.len()) {
                scope.spawn(work);
            }
            work();
        });
        self.failures.extend(failures.into_inner().unwrap_or_else(PoisonError::into_inner));
    }

    /// Why a file could not be filled, if so.
    pub(super) fn take_failure(&mut self, file: usize) -> Option<Error> {
        self.failures.remove(&file)
    }

    /// Closes all files.
    pub(super) fn forget_files(&mut self) {
        self.files.clear();
        self.failures.clear();
    }

    /// Decodes a block and writes its chunks; returns the files that failed and why.
    fn write_block(
        &self,
        writes: &[Write],
        reader: &mut Result<ChunkReader, repo::Error>,
        progress: &dyn Progress,
    ) -> Vec<(usize, Error)> {
        let mut failed = Vec::new();
        for write in writes {
            let read = match reader {
                // Perhaps the chunk was stored a second time; otherwise this says what is wrong with the first.
                Ok(reader) => reader.read_at(write.chunk, write.location).or_else(|_| reader.read(write.chunk)),
                Err(_) => Err(repo::Error::MissingChunk { chunk: write.chunk }),
            };
            let written = read.map_err(Error::from).and_then(|data| self.put(write, &data));
            match written {
                Ok(()) => progress.advance(write.location.len_bytes.into()),
                Err(error) => failed.push((write.file, error)),
            }
        }
        failed
    }

    fn put(&self, write: &Write, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file(write.file).write_at(write.offset, bytes);
        written.map_err(|source| sink::Error::io("write", "a restored file", source).into())
    }
}
