//! Adding to a repository: chunks into blocks, blocks into packs, packs into segments, and the manifest last.
//!
//! The order of the writes is the commit: until the manifest stands, everything is garbage that the next transaction
//! adopts.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::account::{Account, AccountBytes};
use super::adopt::{Adopted, adopt};
use super::block_writer::{BlockWriter, FullBlock};
use super::likeness::{Likeness, Unlike};
use super::packing::Packing;
use super::{ChunkReader, Error, Repository, Reservation};
use crate::chunk::Chunker;
use crate::id::{ChunkId, PackId};
use crate::index::{Confirmed, Index, Pending, merge_full_tiers};
use crate::limits::{BASE_CACHE_BYTES, TREE_CACHE_BYTES};
use crate::monitor::Monitor;
use crate::pack::{self, PackKind, PackReader};

/// What a transaction has written.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Bytes in packs for each account, in the order of their numbers.
    pub account_bytes: Vec<u64>,
    /// Bytes of all packs and segments.
    pub total_bytes: u64,
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
    data: BlockWriter,
    trees: BlockWriter,
    account: Account,
    chunker: Chunker,
    /// Reads what the index had when the packing was started.
    reader: ChunkReader,
    packing: Packing,
    /// Bytes in packs for each account, up to the last checkpoint.
    account_bytes: AccountBytes,
    packs: Vec<(PackId, u64)>,
    segment_bytes: u64,
}

impl Repository {
    /// Begins to add to the repository. Packs that no segment lists are read and taken over first.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Cancelled`], [`Error::Index`], [`Error::Storage`].
    pub fn begin(&self, monitor: &Monitor<'_>) -> Result<Transaction<'_>, Error> {
        self.config.check_writable()?;
        Transaction::begin(self, monitor)
    }
}

impl<'a> Transaction<'a> {
    fn begin(repository: &'a Repository, monitor: &Monitor<'_>) -> Result<Self, Error> {
        let mut index = repository.index()?;
        if repository.has_losses()? {
            index.note_losses();
        }
        let confirmed = Confirmed::new(&index);
        let (adopted, broken) = adopt(repository, &mut index, monitor)?;
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
            data: BlockWriter::default(),
            trees: BlockWriter::default(),
            account: Account::default(),
            chunker: repository.chunker(),
            reader,
            packing,
            account_bytes: AccountBytes::default(),
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

    /// What follows is counted on this account. Blocks do not span accounts.
    ///
    /// # Errors
    /// Those of an earlier write.
    pub fn set_account(&mut self, account: Account) -> Result<(), Error> {
        if account != self.account {
            self.send_blocks()?;
            self.account = account;
        }
        Ok(())
    }

    /// Stores a chunk unless it is stored already; says whether it was new. `like` is told of every chunk of what it is like, in order.
    ///
    /// # Errors
    /// Those of an earlier write: [`Error::Storage`], [`Error::Pack`].
    pub fn store(
        &mut self,
        kind: PackKind,
        id: ChunkId,
        plaintext: &[u8],
        like: &mut dyn Likeness,
    ) -> Result<bool, Error> {
        // Programs that read this repository may not know blocks that are encoded against others.
        let like = if self.repository.config().allows_deltas() { like } else { &mut Unlike };
        like.look_ahead(&mut self.reader);
        let is_stored = self.pending.contains(&id) || self.is_stored(&id);
        let full = if is_stored {
            self.blocks(kind).pass(&id, like)
        } else {
            self.pending.insert(id);
            let deltas_pay = self.packing.deltas_pay();
            self.blocks(kind).push((id, plaintext), like, deltas_pay)
        };
        full.map_or(Ok(()), |full| self.send(kind, full))?;
        Ok(!is_stored)
    }

    /// What the last chunks were like is at its end.
    ///
    /// # Errors
    /// Those of an earlier write.
    pub fn end_likeness(&mut self, kind: PackKind, like: &mut dyn Likeness) -> Result<(), Error> {
        let full = self.blocks(kind).end(like);
        full.map_or(Ok(()), |full| self.send(kind, full))
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
        let account_bytes = std::mem::take(&mut self.account_bytes).into_sums();
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
        self.account_bytes.add_all(account_bytes);
        self.take_finished()?;
        self.write_segment()
    }

    const fn blocks(&mut self, kind: PackKind) -> &mut BlockWriter {
        match kind {
            PackKind::Data => &mut self.data,
            PackKind::Tree => &mut self.trees,
        }
    }

    fn send_blocks(&mut self) -> Result<(), Error> {
        for kind in [PackKind::Data, PackKind::Tree] {
            for block in self.blocks(kind).take() {
                self.send(kind, block)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, kind: PackKind, block: FullBlock) -> Result<(), Error> {
        if block.block.is_empty() {
            return Ok(());
        }
        self.packing.send(kind, self.account, block)?;
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
    pub fn read_back(&self, monitor: &Monitor<'_>) -> Result<(), Error> {
        let next = std::sync::atomic::AtomicUsize::new(0);
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(4);
        let check = || -> Result<(), Error> {
            loop {
                let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some((pack, _)) = self.packs.get(number) else { return Ok(()) };
                PackReader::open(self.repository.storage(), *pack)?.check_name(|bytes| monitor.advance(bytes))?;
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
