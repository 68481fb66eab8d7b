//! Adding to a repository: chunks into blocks, blocks into packs, packs into segments, and the manifest last.
//!
//! The order of the writes is the commit: until the manifest stands, everything is garbage that the next transaction
//! adopts. Blocks are encoded on rayon's threads; one thread writes packs, another one waits for the disk. All queues
//! are bounded.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::{ChunkReader, Error, Repository, Reservation};
use crate::chunk::Chunker;
use crate::id::{ChunkId, PackId};
use crate::index::{Index, Pending, SegmentBuilder, merge_full_tiers};
use crate::limits::{BLOCKS_IN_FLIGHT, SEGMENT_CHUNKS_TARGET};
use crate::pack::{self, BlockEncoder, EncodedBlock, FinishedPack, PackKind, PackReader, PackWriter, RawBlock};
use crate::progress::Progress;
use crate::storage::{Area, Storage};

/// What a transaction found of earlier ones that never committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Packs that no segment listed.
    pub packs: u64,
    /// Their length in bytes.
    pub bytes: u64,
}

/// What a transaction has written.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Bytes in packs for each account, in the order of their numbers.
    pub account_bytes: Vec<u64>,
    /// Bytes of all packs and segments.
    pub total_bytes: u64,
}

struct Job {
    kind: PackKind,
    account: usize,
    block: Receiver<Result<EncodedBlock, pack::Error>>,
}

type PackThread = JoinHandle<Result<Vec<u64>, Error>>;

/// Chunks on their way into the repository.
pub struct Transaction<'a> {
    repository: &'a Repository,
    index: Index,
    pending: Pending,
    adopted: Adopted,
    open: [RawBlock; 2],
    account: usize,
    chunker: Chunker,
    jobs: Option<Sender<Job>>,
    finished: Receiver<FinishedPack>,
    writer: Option<PackThread>,
    /// Bytes in packs for each account, up to the last checkpoint.
    account_bytes: Vec<u64>,
    packs: Vec<(PackId, u64)>,
    segment_bytes: u64,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(repository: &'a Repository) -> Result<Self, Error> {
        let mut index = repository.index()?;
        let (adopted, broken) = adopt(repository.storage(), &mut index)?;
        // What lies in them is stored again.
        index.avoid(broken);
        let (jobs, finished, writer) = start_writer(repository)?;
        Ok(Self {
            repository,
            index,
            pending: Pending::default(),
            adopted,
            open: [RawBlock::default(), RawBlock::default()],
            account: 0,
            chunker: repository.chunker(),
            jobs,
            finished,
            writer,
            account_bytes: Vec::new(),
            packs: Vec::new(),
            segment_bytes: 0,
        })
    }

    /// What was found of earlier transactions that never committed.
    #[must_use]
    pub const fn adopted(&self) -> Adopted {
        self.adopted
    }

    /// How chunks are named.
    #[must_use]
    pub const fn ids(&self) -> crate::id::IdScheme {
        self.repository.ids()
    }

    /// Finds the ends of chunks as everywhere in this repository.
    #[must_use]
    pub const fn chunker(&self) -> &Chunker {
        &self.chunker
    }

    /// A reader of what was committed before the transaction began, or stored before its last checkpoint.
    ///
    /// # Errors
    /// [`Error::Pack`].
    pub fn reader(&self) -> Result<ChunkReader, Error> {
        self.repository.reader_with(&Arc::new(self.index.clone()))
    }

    /// What follows is counted on this account. Blocks do not span accounts.
    ///
    /// # Errors
    /// Those of an earlier write.
    pub fn set_account(&mut self, account: usize) -> Result<(), Error> {
        if account != self.account {
            self.send_blocks()?;
            self.account = account;
        }
        Ok(())
    }

    /// Stores a chunk unless it is stored already; says whether it was new.
    ///
    /// # Errors
    /// Those of an earlier write: [`Error::Storage`], [`Error::Pack`].
    pub fn store(&mut self, kind: PackKind, id: ChunkId, plaintext: &[u8]) -> Result<bool, Error> {
        if self.index.lookup(&id).is_some() || !self.pending.insert(id) {
            return Ok(false);
        }
        if self.open_block(kind).is_full(plaintext.len()) {
            self.send_block(kind)?;
        }
        self.open_block(kind).push(id, plaintext);
        Ok(true)
    }

    /// Makes everything durable that was stored so far, so that [`Transaction::reader`] gives it, and goes on.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Pack`], [`Error::Index`].
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        self.settle()?;
        (self.jobs, self.finished, self.writer) = start_writer(self.repository)?;
        Ok(())
    }

    /// Waits until everything is durable and listed by a segment.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Pack`], [`Error::Index`].
    pub fn finish(mut self) -> Result<Finished<'a>, Error> {
        self.settle()?;
        let account_bytes = std::mem::take(&mut self.account_bytes);
        let total_bytes = self.segment_bytes + self.packs.iter().map(|(_, len_bytes)| len_bytes).sum::<u64>();
        let stored = Stored { account_bytes, total_bytes };
        let (index, packs) = (std::mem::take(&mut self.index), std::mem::take(&mut self.packs));
        Ok(Finished { repository: self.repository, index, packs, stored })
    }

    fn settle(&mut self) -> Result<(), Error> {
        self.send_blocks()?;
        let account_bytes = self.join_writer()?;
        self.account_bytes.resize(self.account_bytes.len().max(account_bytes.len()), 0);
        for (sum, bytes) in self.account_bytes.iter_mut().zip(account_bytes) {
            *sum += bytes;
        }
        while let Ok(pack) = self.finished.try_recv() {
            self.take_finished(pack)?;
        }
        self.write_segment()
    }

    const fn open_block(&mut self, kind: PackKind) -> &mut RawBlock {
        let [data, tree] = &mut self.open;
        match kind {
            PackKind::Data => data,
            PackKind::Tree => tree,
        }
    }

    fn send_blocks(&mut self) -> Result<(), Error> {
        self.send_block(PackKind::Data)?;
        self.send_block(PackKind::Tree)
    }

    fn send_block(&mut self, kind: PackKind) -> Result<(), Error> {
        let block = self.open_block(kind).take();
        if block.is_empty() {
            return Ok(());
        }
        let (result, receiver) = bounded(1);
        let job = Job { kind, account: self.account, block: receiver };
        if self.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            return Err(self.join_writer().err().unwrap_or(Error::WriterStopped));
        }
        // The receiver is gone only when the writer has failed, and then it says so itself.
        rayon::spawn(move || drop(result.send(encode(block))));
        while let Ok(pack) = self.finished.try_recv() {
            self.take_finished(pack)?;
        }
        Ok(())
    }

    fn join_writer(&mut self) -> Result<Vec<u64>, Error> {
        self.jobs = None;
        let writer = self.writer.take().ok_or(Error::WriterStopped)?;
        writer.join().map_err(|_| Error::WriterStopped)?
    }

    fn take_finished(&mut self, pack: FinishedPack) -> Result<(), Error> {
        self.packs.push((pack.id, pack.len_bytes));
        self.pending.pack_finished(pack);
        if self.pending.is_segment_due() { self.write_segment() } else { Ok(()) }
    }

    fn write_segment(&mut self) -> Result<(), Error> {
        if let Some(segment) = self.pending.write_segment(self.repository.storage())? {
            self.segment_bytes += segment.len_bytes();
            self.index.add(segment);
        }
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // A transaction that is given up must not go on writing when its lock is gone. What it wrote is adopted later.
        drop(self.join_writer());
    }
}

/// A transaction whose chunks are durable, and that only lacks its manifest.
#[derive(Debug)]
pub struct Finished<'a> {
    repository: &'a Repository,
    index: Index,
    packs: Vec<(PackId, u64)>,
    stored: Stored,
}

impl Finished<'_> {
    /// What was written.
    #[must_use]
    pub const fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Writes the manifest, which makes the snapshot stand.
    ///
    /// # Errors
    /// [`Error::Storage`]; it says [`is_exists`](crate::storage::Error::is_exists) when the name is taken.
    pub fn commit(&self, reservation: &Reservation, manifest: &[u8]) -> Result<(), Error> {
        self.repository.write_manifest(reservation, manifest)
    }

    /// Merges segments where there are too many. A failure costs nothing but speed.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub fn merge_segments(&self) -> Result<(), Error> {
        merge_full_tiers(self.repository.storage(), self.index.segments())?;
        Ok(())
    }

    /// Reads every pack that was written back from the storage and compares it with its name.
    ///
    /// # Errors
    /// [`Error::Pack`] when the storage gives other bytes back.
    pub fn read_back(&self, progress: &dyn Progress) -> Result<(), Error> {
        let next = std::sync::atomic::AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(4);
        let check = || -> Result<(), Error> {
            loop {
                let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some((pack, _)) = self.packs.get(number) else { return Ok(()) };
                PackReader::open(self.repository.storage(), *pack)?.check_name(|bytes| progress.advance(bytes))?;
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.min(self.packs.len())).map(|_| scope.spawn(check)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| Error::WriterStopped)?)
        })
    }

    /// Bytes of all packs that were written.
    #[must_use]
    pub fn pack_bytes(&self) -> u64 {
        self.packs.iter().map(|(_, len_bytes)| len_bytes).sum()
    }
}

fn encode(block: RawBlock) -> Result<EncodedBlock, pack::Error> {
    thread_local! {
        static ENCODER: RefCell<Option<BlockEncoder>> = const { RefCell::new(None) };
    }
    ENCODER.with_borrow_mut(|slot| {
        let encoder = match slot {
            Some(encoder) => encoder,
            None => slot.insert(BlockEncoder::new()?),
        };
        encoder.encode(block)
    })
}

/// The thread that writes packs: its queue, and what comes out of it.
#[expect(clippy::type_complexity, reason = "three fields of a transaction")]
fn start_writer(
    repository: &Repository,
) -> Result<(Option<Sender<Job>>, Receiver<FinishedPack>, Option<PackThread>), Error> {
    let (jobs, job_queue) = bounded(BLOCKS_IN_FLIGHT);
    let (finished_sender, finished) = unbounded();
    let storage = Arc::clone(&repository.storage);
    let writer = std::thread::Builder::new()
        .name("packs".to_owned())
        .spawn(move || write_packs(storage.as_ref(), &job_queue, &finished_sender))
        .map_err(|_| Error::WriterStopped)?;
    Ok((Some(jobs), finished, Some(writer)))
}

/// Takes encoded blocks in order and puts them into packs of their kind, until the queue ends.
fn write_packs(
    storage: &dyn Storage,
    jobs: &Receiver<Job>,
    finished: &Sender<FinishedPack>,
) -> Result<Vec<u64>, Error> {
    std::thread::scope(|scope| {
        let (full, full_packs) = bounded::<Option<PackWriter>>(1);
        let finisher = scope.spawn(move || -> Result<(), Error> {
            for pack_writer in full_packs.into_iter().flatten() {
                // The receiver is gone when the transaction has been given up.
                drop(finished.send(pack_writer.finish()?));
            }
            Ok(())
        });
        let result = fill_packs(storage, jobs, &full);
        drop(full);
        let finisher_result = finisher.join().map_err(|_| Error::WriterStopped)?;
        // A full queue to a finisher that failed shows as a stopped writer: the finisher knows the cause.
        finisher_result.and(result)
    })
}

fn fill_packs(
    storage: &dyn Storage,
    jobs: &Receiver<Job>,
    full: &Sender<Option<PackWriter>>,
) -> Result<Vec<u64>, Error> {
    let mut account_bytes = Vec::new();
    let (mut data, mut tree) = (None, None);
    for job in jobs {
        let block = job.block.recv().map_err(|_| Error::WriterStopped)??;
        let slot = match job.kind {
            PackKind::Data => &mut data,
            PackKind::Tree => &mut tree,
        };
        let pack_writer = match slot {
            Some(pack_writer) => pack_writer,
            None => slot.insert(PackWriter::new(storage, job.kind)?),
        };
        let bytes = pack_writer.add(block)?;
        account_bytes.resize(account_bytes.len().max(job.account + 1), 0);
        if let Some(sum) = account_bytes.get_mut(job.account) {
            *sum += bytes;
        }
        if pack_writer.is_full() {
            full.send(slot.take()).map_err(|_| Error::WriterStopped)?;
        }
    }
    for pack_writer in [data, tree] {
        full.send(pack_writer).map_err(|_| Error::WriterStopped)?;
    }
    Ok(account_bytes)
}

/// Lists packs that no segment knows in segments of their own, and finds packs that are not as the index says.
fn adopt(storage: &dyn Storage, index: &mut Index) -> Result<(Adopted, HashSet<PackId>), Error> {
    let mut listed = index.packs();
    let mut adopted = Adopted::default();
    let mut builder = SegmentBuilder::default();
    let mut broken = HashSet::new();
    for object in storage.list(Area::Packs)? {
        let Ok(id) = object.name.parse::<PackId>() else { continue };
        if let Some(known) = listed.remove(&id) {
            if known.len_bytes != object.len_bytes {
                broken.insert(id);
            }
            continue;
        }
        // A damaged pack that nobody knows is nobody's loss; `verify` reports it.
        let Ok(directory) = PackReader::open(storage, id).and_then(|reader| reader.directory()) else { continue };
        builder.add(id, object.len_bytes, &directory);
        adopted.packs += 1;
        adopted.bytes += object.len_bytes;
        if builder.chunk_count() >= SEGMENT_CHUNKS_TARGET {
            index.add(std::mem::take(&mut builder).write(storage)?);
        }
    }
    broken.extend(listed.into_keys());
    if !builder.is_empty() {
        index.add(builder.write(storage)?);
    }
    Ok((adopted, broken))
}
