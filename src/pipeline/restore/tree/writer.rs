//! Filling files with their chunks: threads of their own decode block by block in the order of the files, each block once,
//! while the next files are being planned.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::chunk::ChunkRef;
use crate::index::Location;
use crate::model;
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::repo::{self, ChunkReader};
use crate::sink::{self, FileTarget};

/// More threads than this only make more memory.
const THREADS_MAX: usize = 8;
/// Neighbouring blocks that one thread takes at once: each thread follows the bases of its own, and seldom has to wait for
/// one that another thread is decoding.
const RUN_BLOCKS: usize = 16;

/// A file that is being filled.
pub(super) struct Filling {
    pub(super) target: FileTarget,
    /// Files are filled in this order.
    number: usize,
    /// Chunks that are not there yet.
    missing: AtomicUsize,
    failure: Mutex<Option<Error>>,
}

impl Filling {
    /// Whether every chunk is in its place.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None if self.missing.load(Ordering::Relaxed) > 0 => Err(repo::Error::WriterStopped.into()),
            None => Ok(()),
        }
    }

    fn fill(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let written = self.target.write_at(offset, bytes);
        written.map_err(|source| sink::Error::io("write", "a restored file", source))?;
        self.missing.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    fn fail(&self, error: Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

struct Write {
    location: Location,
    chunk: ChunkRef,
    file: Arc<Filling>,
    offset: u64,
}

impl Write {
    /// What is longer than the file says would be written over what follows.
    fn fill(&self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() != self.chunk.len_bytes as usize {
            let why = format!("chunk {} has another length than it lists", self.chunk.id);
            return Err(model::Error::Damaged { what: "content", why }.into());
        }
        self.file.fill(self.offset, bytes)
    }
}

/// Neighbouring blocks for one thread, the chunks of a block together. It holds its group until it is done with it.
struct Run {
    writes: Vec<Write>,
    _group: Sender<()>,
}

/// The chunks of a group of files, all of which have been handed over.
pub(super) struct Written(Receiver<()>);

impl Written {
    /// Waits until each of them has been written, or has failed.
    pub(super) fn wait(self) {
        // Nothing is ever sent: the channel closes with the last run.
        let _ = self.0.recv();
    }
}

/// Chunks that are to be written, and the way to those who write them.
pub(super) struct ChunkWriter {
    reader: ChunkReader,
    runs: Sender<Run>,
    files: usize,
    writes: Vec<Write>,
    group: (Sender<()>, Receiver<()>),
}

impl ChunkWriter {
    /// The writer, and those who do the work, each on a thread of its own, until the writer is gone.
    pub(super) fn new(reader: ChunkReader) -> Result<(Self, Vec<Worker>), Error> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX);
        let (runs, queue) = bounded(2 * threads);
        let worker = |_| Ok(Worker { reader: reader.sibling()?, queue: queue.clone() });
        let workers = (0..threads).map(worker).collect::<Result<_, Error>>()?;
        Ok((Self { reader, runs, files: 0, writes: Vec::new(), group: bounded(0) }, workers))
    }

    /// A file whose chunks follow.
    pub(super) fn add_file(&mut self, target: FileTarget) -> Arc<Filling> {
        self.files += 1;
        Arc::new(Filling { target, number: self.files, missing: AtomicUsize::new(0), failure: Mutex::default() })
    }

    /// Plans to write a chunk at an offset of a file's content.
    pub(super) fn add_chunk(&mut self, file: &Arc<Filling>, offset: u64, chunk: ChunkRef) -> Result<(), model::Error> {
        let location = self.reader.locate(chunk.id)?;
        file.missing.fetch_add(1, Ordering::Relaxed);
        self.writes.push(Write { location, chunk, file: Arc::clone(file), offset });
        Ok(())
    }

    /// Chunks that are planned and have not been handed over.
    pub(super) fn planned(&self) -> usize {
        self.writes.len()
    }

    /// Hands over what is planned; waits while there is enough to do without it.
    pub(super) fn write(&mut self) {
        let mut writes = std::mem::take(&mut self.writes);
        writes.sort_unstable_by_key(|write| (write.location, write.file.number, write.offset));
        let mut blocks: Vec<Vec<Write>> = Vec::new();
        for write in writes {
            match blocks.last_mut() {
                Some(block) if is_same_block(block, &write) => block.push(write),
                _ => blocks.push(vec![write]),
            }
        }
        // In the order of the files, not of the packs: a place in a file that changed night by night needs the blocks of
        // all these nights, and finds those of its neighbours in the cache.
        blocks.sort_by_cached_key(|block| block.iter().map(|write| (write.file.number, write.offset)).min());
        let mut blocks = blocks.into_iter().peekable();
        while blocks.peek().is_some() {
            let writes = blocks.by_ref().take(RUN_BLOCKS).flatten().collect();
            // Nobody takes it only when every worker has panicked: its files then miss their chunks.
            drop(self.runs.send(Run { writes, _group: self.group.0.clone() }));
        }
    }

    /// Hands over what is planned. What comes now belongs to the next group.
    pub(super) fn end_group(&mut self) -> Written {
        self.write();
        let (_, written) = std::mem::replace(&mut self.group, bounded(0));
        Written(written)
    }
}

fn is_same_block(block: &[Write], write: &Write) -> bool {
    block.first().is_some_and(|first| first.location.block_key() == write.location.block_key())
}

/// Decodes blocks and writes their chunks.
pub(super) struct Worker {
    reader: ChunkReader,
    queue: Receiver<Run>,
}

impl Worker {
    pub(super) fn work(mut self, monitor: &Monitor<'_>) {
        while let Ok(run) = self.queue.recv() {
            for write in &run.writes {
                if monitor.is_cancelled() {
                    break;
                }
                // Perhaps the chunk was stored a second time; otherwise this says what is wrong with the first.
                let read = self.reader.read_at(write.chunk.id, write.location);
                let read = read.or_else(|_: repo::Error| self.reader.read(write.chunk.id));
                match read.map_err(Error::from).and_then(|data| write.fill(&data)) {
                    Ok(()) => monitor.advance(write.chunk.len_bytes.into()),
                    Err(error) => write.file.fail(error),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use crate::clock::LocalTime;
    use crate::id::IdScheme;
    use crate::model::{Content, NodeKind};
    use crate::monitor::Monitor;
    use crate::pack::PackKind;
    use crate::repo::{Repository, Unlike};
    use crate::source::made_node;
    use crate::storage::MemoryStorage;

    const PLAINTEXT: &[u8] = b"a chunk";

    fn reader_of_one_chunk() -> (ChunkReader, ChunkRef) {
        let repository = Repository::open_or_create(Arc::new(MemoryStorage::default())).expect("memory");
        let id = IdScheme::plain().chunk_id(PLAINTEXT);
        let mut transaction = repository.begin(&Monitor::unheard(&Cancel::new())).expect("memory");
        transaction.store(PackKind::Data, id, PLAINTEXT, &mut Unlike).expect("memory");
        drop(transaction.finish().expect("memory"));
        (repository.reader().expect("memory"), ChunkRef { id, len_bytes: 7 })
    }

    fn plan_a_file(writer: &mut ChunkWriter, chunk: ChunkRef) -> Arc<Filling> {
        let kind = NodeKind::File { content: Content::default(), holes: Vec::new() };
        let mut node = made_node("file", kind, LocalTime::now());
        node.metadata.size_bytes = chunk.len_bytes.into();
        let target = FileTarget::new(tempfile::tempfile().expect("temporary file"), &node).expect("temporary file");
        let file = writer.add_file(target);
        writer.add_chunk(&file, 0, chunk).expect("it is listed");
        file
    }

    #[test]
    fn a_file_is_whole_when_its_group_has_been_written() {
        let (reader, chunk) = reader_of_one_chunk();
        let (mut writer, workers) = ChunkWriter::new(reader).expect("memory");
        let file = plan_a_file(&mut writer, chunk);
        std::thread::scope(|scope| {
            for worker in workers {
                scope.spawn(|| worker.work(&Monitor::unheard(&Cancel::new())));
            }
            writer.end_group().wait();
            drop(writer);
        });
        file.check().expect("its chunk is there");
    }

    /// As when every one of them has panicked: a queue that still had a reader would never be empty.
    #[test]
    fn a_file_whose_workers_are_gone_is_not_whole_and_nobody_waits_for_it() {
        let (reader, chunk) = reader_of_one_chunk();
        let (mut writer, workers) = ChunkWriter::new(reader).expect("memory");
        drop(workers);
        let file = plan_a_file(&mut writer, chunk);
        writer.end_group().wait();
        assert!(file.check().is_err(), "its chunk was never written");
    }
}
