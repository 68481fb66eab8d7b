//! The way of a block into a pack: its bases are read, it is encoded on rayon's threads, one thread fills packs in the
//! order in which blocks were sent, another one waits for the disk.
//!
//! All queues are bounded but that of finished packs, which whoever sends blocks empties. What blocks hold is not known
//! here.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::account::{Account, AccountBytes};
use super::block_writer::FullBlock;
use super::delta_bases::{Gain, Reaches, gather};
use super::{ChunkReader, Error};
use crate::limits::BLOCKS_IN_FLIGHT;
use crate::pack::{self, BlockEncoder, EncodedBlock, Encoding, FinishedPack, PackKind, PackWriter, Prefix, RawBlock};
use crate::storage::Storage;

type BlockResult = Result<EncodedBlock, pack::Error>;
type PackThread = JoinHandle<Result<AccountBytes, Error>>;

/// A block on its way, in the order of the packs.
struct Job {
    kind: PackKind,
    account: Account,
    block: Receiver<BlockResult>,
}

/// A block whose bases are to be read.
struct DeltaJob {
    block: FullBlock,
    result: Sender<BlockResult>,
}

/// Threads that turn blocks into packs.
pub(super) struct Packing {
    jobs: Option<Sender<Job>>,
    deltas: Option<Sender<DeltaJob>>,
    finished: Receiver<FinishedPack>,
    writer: Option<PackThread>,
    bases: Option<JoinHandle<()>>,
    gain: Arc<Gain>,
    encoders: Arc<Encoders>,
}

/// Encoders that rayon's threads take and give back: as many as were needed at once. Their level is that of this packing, and no other
/// transaction uses them.
struct Encoders {
    level: i32,
    idle: Mutex<Vec<BlockEncoder>>,
}

impl Encoders {
    fn encode(&self, block: RawBlock, prefix: Option<Prefix>) -> BlockResult {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut encoder = taken.map_or_else(|| BlockEncoder::new(self.level), Ok)?;
        let encoded = match prefix {
            Some(prefix) => encoder.encode_against(block, prefix),
            None => encoder.encode(block),
        };
        idle().push(encoder);
        encoded
    }
}

impl Packing {
    /// Starts the threads. `reader` gives the plaintext of bases. Blocks are compressed with the usual level.
    pub(super) fn start(storage: &Arc<dyn Storage>, reader: ChunkReader) -> Result<Self, Error> {
        let (jobs, job_queue) = bounded(BLOCKS_IN_FLIGHT);
        let (deltas, delta_queue) = bounded::<DeltaJob>(BLOCKS_IN_FLIGHT);
        let (finished_sender, finished) = unbounded();
        let storage = Arc::clone(storage);
        let gain = Arc::<Gain>::default();
        let writer = named("packs", move || write_packs(storage.as_ref(), &job_queue, &finished_sender))?;
        let encoders = Arc::new(Encoders { level: pack::LEVEL, idle: Mutex::default() });
        let (told, shared) = (Arc::clone(&gain), Arc::clone(&encoders));
        let bases = named("bases", move || read_bases(reader, delta_queue, &told, &shared))?;
        let (jobs, deltas, writer, bases) = (Some(jobs), Some(deltas), Some(writer), Some(bases));
        Ok(Self { jobs, deltas, finished, writer, bases, gain, encoders })
    }

    /// Whether blocks that are encoded against others have lately become smaller by it.
    pub(super) fn deltas_pay(&self) -> bool {
        self.gain.is_there()
    }

    /// Forgets what is known of gains: what comes now is something else.
    pub(super) fn expect_gain(&self) {
        self.gain.expect();
    }

    /// Sends a block, which is encoded against the bases, if there are any.
    pub(super) fn send(&mut self, kind: PackKind, account: Account, block: FullBlock) -> Result<(), Error> {
        let (result, receiver) = bounded(1);
        let job = Job { kind, account, block: receiver };
        if self.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            return Err(self.join().err().unwrap_or(Error::WriterStopped));
        }
        if block.bases.is_empty() {
            // The receiver is gone only when the writer has failed, and then it says so itself.
            let encoders = Arc::clone(&self.encoders);
            rayon::spawn(move || drop(result.send(encoders.encode(block.block, None))));
            return Ok(());
        }
        let job = DeltaJob { block, result };
        self.deltas.as_ref().and_then(|deltas| deltas.send(job).ok()).ok_or(Error::WriterStopped)
    }

    /// A pack that is durable since the last call.
    pub(super) fn next_finished(&self) -> Option<FinishedPack> {
        self.finished.try_recv().ok()
    }

    /// Waits until everything that was sent is durable; returns the bytes in packs of each account.
    pub(super) fn join(&mut self) -> Result<AccountBytes, Error> {
        self.deltas = None;
        if let Some(bases) = self.bases.take() {
            bases.join().map_err(|_| Error::WriterStopped)?;
        }
        self.jobs = None;
        let writer = self.writer.take().ok_or(Error::WriterStopped)?;
        writer.join().map_err(|_| Error::WriterStopped)?
    }
}

fn named<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|_| Error::WriterStopped)
}

/// Reads the bases of blocks, and hands them on to be encoded.
fn read_bases(mut reader: ChunkReader, jobs: Receiver<DeltaJob>, gain: &Arc<Gain>, encoders: &Arc<Encoders>) {
    let mut reaches = Reaches::default();
    for DeltaJob { block: FullBlock { block, bases }, result } in jobs {
        let prefix = gather(&mut reader, &mut reaches, &bases);
        let (gain, encoders) = (Arc::clone(gain), Arc::clone(encoders));
        rayon::spawn(move || {
            let encoded = encoders.encode(block, Some(prefix));
            if let Ok(encoded) = &encoded {
                gain.tell(encoded.encoding == Encoding::Delta);
            }
            drop(result.send(encoded));
        });
    }
}

/// Takes encoded blocks in order and puts them into packs of their kind, until the queue ends.
fn write_packs(
    storage: &dyn Storage,
    jobs: &Receiver<Job>,
    finished: &Sender<FinishedPack>,
) -> Result<AccountBytes, Error> {
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
) -> Result<AccountBytes, Error> {
    let mut account_bytes = AccountBytes::default();
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
        account_bytes.add(job.account, bytes);
        if pack_writer.is_full() {
            full.send(slot.take()).map_err(|_| Error::WriterStopped)?;
        }
    }
    for pack_writer in [data, tree] {
        full.send(pack_writer).map_err(|_| Error::WriterStopped)?;
    }
    Ok(account_bytes)
}
