//! Adding to a repository: chunks into blocks, blocks into packs, packs into segments, and the manifest last.
//!
//! The order of the writes is the commit: until the manifest stands, everything is garbage that the next transaction
//! adopts.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::adopt::{Adopted, adopt};
use super::packing::Packing;
use super::{ChunkReader, Error, Repository, Reservation};
use crate::chunk::{ChunkRef, Chunker};
use crate::id::{ChunkId, PackId};
use crate::index::{Confirmed, Index, Pending, merge_full_tiers};
use crate::limits::{
    BASE_CACHE_BYTES, BLOCK_BYTES_TARGET, CHUNK_BYTES_MAX, DELTA_BYTES_TARGET, DELTA_PREFIX_BYTES_MAX, TREE_CACHE_BYTES,
};
use crate::pack::{self, PackKind, PackReader, RawBlock};
use crate::progress::Progress;

/// What a transaction has written.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Bytes in packs for each account, in the order of their numbers.
    pub account_bytes: Vec<u64>,
    /// Bytes of all packs and segments.
    pub total_bytes: u64,
}

/// Chunks that are new and wait until there are enough of them for a block.
#[derive(Default)]
struct Open {
    plain: RawBlock,
    /// Those that have something in common with older chunks, and these.
    delta: RawBlock,
    bases: Vec<ChunkRef>,
}

/// Chunks on their way into the repository.
pub struct Transaction<'a> {
    repository: &'a Repository,
    index: Index,
    /// What of the index may be relied on for what is new.
    confirmed: Confirmed,
    /// Packs of which a segment lists what they do not have.
    doubted: BTreeSet<PackId>,
    pending: Pending,
    adopted: Adopted,
    open: [Open; 2],
    account: usize,
    chunker: Chunker,
    /// Reads what the index had when the packing was started.
    reader: ChunkReader,
    packing: Packing,
    /// Bytes in packs for each account, up to the last checkpoint.
    account_bytes: Vec<u64>,
    packs: Vec<(PackId, u64)>,
    segment_bytes: u64,
}

impl Repository {
    /// Begins to add to the repository. Packs that no segment lists are read and taken over first.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Cancelled`], [`Error::Index`], [`Error::Storage`].
    pub fn begin(&self, progress: &dyn Progress) -> Result<Transaction<'_>, Error> {
        self.config.check_writable()?;
        Transaction::begin(self, progress)
    }
}

impl<'a> Transaction<'a> {
    fn begin(repository: &'a Repository, progress: &dyn Progress) -> Result<Self, Error> {
        let mut index = repository.index()?;
        if repository.has_losses()? {
            index.note_losses();
        }
        let confirmed = Confirmed::new(&index);
        let (adopted, broken) = adopt(repository, &mut index, progress)?;
        if adopted.packs > 0 {
            // Others may be gone with the segment that listed them.
            index.note_losses();
        }
        // What lies in them is stored again.
        index.avoid(broken);
        let (reader, packing) = start(repository, &index)?;
        Ok(Self {
            repository,
            index,
            confirmed,
            doubted: BTreeSet::new(),
            pending: Pending::default(),
            adopted,
            open: [Open::default(), Open::default()],
            account: 0,
            chunker: repository.chunker(),
            reader,
            packing,
            account_bytes: Vec::new(),
            packs: Vec::new(),
            segment_bytes: 0,
        })
    }

    /// What was found of earlier transactions that never committed.
    #[must_use]
    pub const fn adopted(&self) -> &Adopted {
        &self.adopted
    }

    /// How chunks are named.
    #[must_use]
    pub const fn ids(&self) -> crate::id::IdScheme {
        self.repository.ids()
    }

    /// Whether programs that read this repository know blocks that are encoded against others.
    #[must_use]
    pub fn allows_deltas(&self) -> bool {
        self.repository.config().allows_deltas()
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
        self.reader.sibling()
    }

    /// The transaction's own reader of the same.
    pub const fn stored(&mut self) -> &mut ChunkReader {
        &mut self.reader
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
        if self.is_stored(&id) || !self.pending.insert(id) {
            return Ok(false);
        }
        if self.open(kind).plain.is_full(plaintext.len()) {
            let block = self.open(kind).plain.take();
            self.send(kind, block, Vec::new())?;
        }
        self.open(kind).plain.push((id, plaintext), BLOCK_BYTES_TARGET);
        Ok(true)
    }

    /// Whether a chunk is stored, or on its way.
    #[must_use]
    pub fn has(&mut self, id: &ChunkId) -> bool {
        self.pending.contains(id) || self.is_stored(id)
    }

    /// Whether a pack has the chunk where a segment lists it, as far as the directory of the pack tells.
    fn is_stored(&mut self, id: &ChunkId) -> bool {
        let Self { repository, index, confirmed, doubted, .. } = self;
        index.locations(id).any(|location| {
            let is_there = confirmed.has(repository.storage(), index, &location);
            if !is_there {
                doubted.extend(index.place(location.block_key()).map(|place| place.pack));
            }
            is_there
        })
    }

    /// Stores a chunk that is not there, together with others that are encoded against the bases that follow by
    /// [`Transaction::add_bases`].
    pub fn store_delta(&mut self, kind: PackKind, id: ChunkId, plaintext: &[u8]) {
        self.pending.insert(id);
        self.open(kind).delta.push((id, plaintext), DELTA_BYTES_TARGET + CHUNK_BYTES_MAX as usize / 4);
    }

    /// What the chunks that were stored since the last call are like. Sends the block when it is large enough.
    ///
    /// # Errors
    /// Those of an earlier write.
    pub fn add_bases(&mut self, kind: PackKind, bases: impl IntoIterator<Item = ChunkRef>) -> Result<(), Error> {
        let open = self.open(kind);
        for base in bases {
            if open.bases.last() != Some(&base) {
                open.bases.push(base);
            }
        }
        let base_bytes: usize = open.bases.iter().map(|base| base.len_bytes as usize).sum();
        if open.delta.len_bytes() >= DELTA_BYTES_TARGET / 2 || base_bytes >= DELTA_PREFIX_BYTES_MAX / 2 {
            self.send_delta(kind)?;
        }
        Ok(())
    }

    /// Whether the chunks that wait for their bases are enough for a block.
    #[must_use]
    pub fn is_delta_full(&mut self, kind: PackKind) -> bool {
        self.open(kind).delta.len_bytes() >= DELTA_BYTES_TARGET
    }

    /// Whether encoding against other chunks has lately made anything smaller.
    #[must_use]
    pub fn deltas_pay(&self) -> bool {
        self.packing.deltas_pay()
    }

    /// What comes now is another file, whatever was gained by the last one.
    pub fn expect_gain(&self) {
        self.packing.expect_gain();
    }

    /// Makes everything durable that was stored so far, so that [`Transaction::reader`] gives it, and goes on.
    ///
    /// # Errors
    /// [`Error::Storage`], [`Error::Pack`], [`Error::Index`].
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        self.settle()?;
        (self.reader, self.packing) = start(self.repository, &self.index)?;
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
        let packs = std::mem::take(&mut self.packs);
        let doubted = std::mem::take(&mut self.doubted);
        let untrue = std::mem::take(&mut self.adopted.untrue);
        Ok(Finished { repository: self.repository, doubted, untrue, packs, stored })
    }

    fn settle(&mut self) -> Result<(), Error> {
        self.send_blocks()?;
        let account_bytes = self.packing.join()?;
        self.account_bytes.resize(self.account_bytes.len().max(account_bytes.len()), 0);
        for (sum, bytes) in self.account_bytes.iter_mut().zip(account_bytes) {
            *sum += bytes;
        }
        self.take_finished()?;
        self.write_segment()
    }

    const fn open(&mut self, kind: PackKind) -> &mut Open {
        let [data, tree] = &mut self.open;
        match kind {
            PackKind::Data => data,
            PackKind::Tree => tree,
        }
    }

    fn send_blocks(&mut self) -> Result<(), Error> {
        for kind in [PackKind::Data, PackKind::Tree] {
            let block = self.open(kind).plain.take();
            self.send(kind, block, Vec::new())?;
            self.send_delta(kind)?;
        }
        Ok(())
    }

    fn send_delta(&mut self, kind: PackKind) -> Result<(), Error> {
        let open = self.open(kind);
        let (block, bases) = (open.delta.take(), std::mem::take(&mut open.bases));
        self.send(kind, block, bases)
    }

    fn send(&mut self, kind: PackKind, block: RawBlock, bases: Vec<ChunkRef>) -> Result<(), Error> {
        if block.is_empty() {
            return Ok(());
        }
        self.packing.send((kind, self.account), block, bases)?;
        self.take_finished()
    }

    fn take_finished(&mut self) -> Result<(), Error> {
        while let Some(pack) = self.packing.next_finished() {
            self.packs.push((pack.id, pack.len_bytes));
            self.pending.pack_finished(pack);
            if self.pending.is_segment_due() {
                self.write_segment()?;
            }
        }
        Ok(())
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
        drop(self.packing.join());
    }
}

/// A transaction whose chunks are durable, and that only lacks its manifest.
#[derive(Debug)]
pub struct Finished<'a> {
    repository: &'a Repository,
    doubted: BTreeSet<PackId>,
    untrue: Vec<PackId>,
    packs: Vec<(PackId, u64)>,
    stored: Stored,
}

impl Finished<'_> {
    /// Packs of which a segment lists chunks that they do not have, or whose directory is damaged. What was to be found in
    /// them was stored again.
    #[must_use]
    pub const fn doubted(&self) -> &BTreeSet<PackId> {
        &self.doubted
    }

    /// What was written.
    #[must_use]
    pub const fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Writes the manifest, which makes the snapshot stand.
    ///
    /// # Errors
    /// [`Error::Storage`]; it says [`is_exists`](crate::storage::Error::is_exists) when the name is taken, and it is
    /// [`LockLost`](crate::storage::Error::LockLost) when others could delete beside this transaction: then there is no snapshot.
    pub fn commit(&self, reservation: &Reservation, manifest: &[u8]) -> Result<(), Error> {
        self.repository.write_manifest(reservation, manifest)
    }

    /// When nobody else uses the repository at this moment, puts packs aside that were not what they say, and merges segments where
    /// there are too many. Says what lies where now. The snapshot stands, and nothing that it relies on is looked for afterwards: others may
    /// come first. A failure costs nothing but room and speed.
    ///
    /// # Errors
    /// [`Error::Index`], [`Error::Storage`].
    pub fn tidy_up(&self) -> Result<Vec<String>, Error> {
        let places = self.repository.if_alone(|alone| {
            let mut places = Vec::new();
            for id in &self.untrue {
                let key = pack::key(*id);
                match self.repository.set_aside(&key, alone) {
                    Ok(place) => places.push(format!("{key} lies in {place} now")),
                    // Somebody else has.
                    Err(Error::Storage(error)) if error.is_missing() => {}
                    Err(error) => return Err(error),
                }
            }
            // Others may have merged some meanwhile.
            let index = self.repository.index()?;
            merge_full_tiers(self.repository.storage(), index.segments(), alone)?;
            Ok(places)
        })?;
        Ok(places.unwrap_or_default())
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

/// What reads, and what writes, beside the transaction. Trees and lists are read one after another, so that little of them
/// is kept; the bases of blocks have a cache of their own.
fn start(repository: &Repository, index: &Index) -> Result<(ChunkReader, Packing), Error> {
    let index = Arc::new(index.clone());
    let (storage, ids) = (&repository.storage, repository.ids());
    let reader = ChunkReader::new(Arc::clone(storage), Arc::clone(&index), ids, TREE_CACHE_BYTES)?;
    let bases = ChunkReader::new(Arc::clone(storage), index, ids, BASE_CACHE_BYTES)?;
    Ok((reader, Packing::start(storage, bases)?))
}
