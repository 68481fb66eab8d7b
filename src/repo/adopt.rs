//! Taking over packs that no segment lists: a run that was killed has left them, or somebody has put them there.
//!
//! Nothing that such a pack says of itself counts: it is read as a whole, every block is decoded, and every chunk is compared
//! with its id. One that is not what it says is put aside at the end.

use std::collections::HashSet;
use std::sync::Arc;

use super::inventory::Inventory;
use super::{ChunkReader, Error, Repository};
use crate::events::Phase;
use crate::id::PackId;
use crate::index::{Index, SegmentBuilder};
use crate::limits::SEGMENT_CHUNKS_TARGET;
use crate::monitor::Monitor;
use crate::pack::{self, BlockPlace, Directory, PackReader, check_block};

/// More threads than this only make more memory.
const THREADS_MAX: usize = 8;

/// What a transaction found of packs that no segment listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Those that it has taken over.
    pub packs: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Those that are not what they say.
    pub untrue: Vec<PackId>,
    /// For each of these what is wrong with it.
    pub refused: Vec<String>,
}

/// A pack and its length in bytes.
type Unlisted = (PackId, u64);

/// What was found of a pack.
enum Verdict {
    Whole(Directory),
    Untrue(Error),
    /// Something that it is encoded against cannot be read, as far as is known now.
    Open,
}

/// Lists packs that no segment knows in segments of their own, and finds packs that are not as the index says.
pub(super) fn adopt(
    repository: &Repository,
    index: &mut Index,
    monitor: &Monitor<'_>,
) -> Result<(Adopted, HashSet<PackId>), Error> {
    let mut adopted = Adopted::default();
    let Inventory { broken, unlisted: mut left } = Inventory::compare(repository.storage(), index)?;
    if !left.is_empty() {
        monitor.begin(Phase::AdoptingPacks, Some(left.iter().map(|(_, bytes)| bytes).sum()));
    }
    // One that needs another comes after it; one that needs what is gone is never adopted.
    while !left.is_empty() {
        let before = left.len();
        left = adopt_decodable(repository, index, &left, &mut adopted, monitor)?;
        if left.len() == before {
            break;
        }
    }
    if !adopted.refused.is_empty() {
        // Nobody knows whether a snapshot needs what was in them.
        repository.note_losses()?;
        index.note_losses();
    }
    Ok((adopted, broken))
}

/// Lists those of the packs that are whole, and returns those that need what is not there.
fn adopt_decodable(
    repository: &Repository,
    index: &mut Index,
    packs: &[Unlisted],
    adopted: &mut Adopted,
    monitor: &Monitor<'_>,
) -> Result<Vec<Unlisted>, Error> {
    let reader = repository.reader_with(&Arc::new(index.clone()))?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX);
    let mut builder = SegmentBuilder::default();
    let mut left = Vec::new();
    for group in packs.chunks(threads) {
        let look = |pack: &Unlisted| look_at(repository, pack.0, reader.sibling()?, monitor);
        let verdicts: Vec<Result<Verdict, Error>> = std::thread::scope(|scope| {
            let threads: Vec<_> = group.iter().map(|pack| scope.spawn(move || look(pack))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::WriterStopped))).collect()
        });
        for (pack, verdict) in group.iter().zip(verdicts) {
            match verdict? {
                Verdict::Whole(directory) => {
                    builder.add(pack.0, pack.1, &directory);
                    adopted.packs += 1;
                    adopted.bytes += pack.1;
                }
                Verdict::Untrue(error) => {
                    let path = pack::key(pack.0).path();
                    adopted.untrue.push(pack.0);
                    adopted.refused.push(format!("{path} is not what it says, and is not used: {error}"));
                }
                Verdict::Open => left.push(*pack),
            }
            if builder.chunk_count() >= SEGMENT_CHUNKS_TARGET {
                index.add(std::mem::take(&mut builder).write(repository.storage())?);
            }
        }
    }
    if !builder.is_empty() {
        index.add(builder.write(repository.storage())?);
    }
    Ok(left)
}

/// Reads a pack whole, and compares it with its name, and each of its chunks with its id.
fn look_at(
    repository: &Repository,
    id: PackId,
    mut reader: ChunkReader,
    monitor: &Monitor<'_>,
) -> Result<Verdict, Error> {
    match read(repository, id, &mut reader, monitor) {
        Ok(Some(directory)) => Ok(Verdict::Whole(directory)),
        Err(Error::Cancelled(cancelled)) => Err(cancelled.into()),
        Err(error) if is_untrue(id, &error) => Ok(Verdict::Untrue(error)),
        // It is gone, or cannot be read at the moment, or something that it needs is damaged.
        Ok(None) | Err(_) => Ok(Verdict::Open),
    }
}

/// Whether the pack itself is damaged, and not something that it needs.
fn is_untrue(id: PackId, error: &Error) -> bool {
    error.is_damage() && matches!(error, Error::Pack(error) if error.pack() == Some(id))
}

/// The directory of a pack once everything in it is found to be so; `None` when a base is not in the index.
fn read(
    repository: &Repository,
    id: PackId,
    reader: &mut ChunkReader,
    monitor: &Monitor<'_>,
) -> Result<Option<Directory>, Error> {
    let pack_reader = PackReader::open(repository.storage(), id)?;
    let directory = pack_reader.directory()?;
    let index = Arc::clone(reader.index());
    let mut bases = directory.blocks.iter().flat_map(|block| block.bases.iter().map(|base| (base, block.depth)));
    if bases.any(|(base, depth)| index.base_locations(base, depth).next().is_none()) {
        return Ok(None);
    }
    pack_reader.check_name(|bytes| monitor.advance(bytes))?;
    for entry in &directory.blocks {
        monitor.check()?;
        let plaintext = reader.read_unlisted(id, entry)?;
        check_block(repository.ids(), &BlockPlace::of(id, entry), entry, &plaintext)?;
    }
    Ok(Some(directory))
}
