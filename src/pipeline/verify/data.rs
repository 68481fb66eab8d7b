//! Reading packs whole: their bytes against their names, their blocks against their chunks.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Damage, VerifyReport};
use crate::id::{ChunkId, PackId, RepositoryId};
use crate::index::{BlockKey, Index};
use crate::model::{ContentReader, NodeKind, Snapshot, Step, Walk};
use crate::pack::{self, PackReader};
use crate::pipeline::Error;
use crate::pipeline::presence::broken_packs;
use crate::pipeline::restore::with_causes;
use crate::progress::{self, Progress};
use crate::repo::{self, ChunkReader, Repository};
use crate::storage::Area;

/// More threads than this only make more memory.
const THREADS_MAX: usize = 8;

/// The packs that a snapshot refers to. What of it cannot be read is found by the walk that follows.
pub(super) fn packs_of(
    repository: &Repository,
    snapshot: &Snapshot,
    progress: &dyn Progress,
) -> Result<HashSet<PackId>, Error> {
    let mut needed = Needed::default();
    let mut index = repository.index()?;
    index.avoid(broken_packs(repository, &index)?);
    let mut reader = repository.reader_with(&Arc::new(index))?;
    for component in &snapshot.components {
        let Some(root) = component.root.clone() else { continue };
        let mut walk = Walk::new(root, b"");
        loop {
            progress::check(progress)?;
            let node = match walk.next(&mut reader) {
                Ok(None) => break,
                Ok(Some(Step::Entry(node))) => node,
                Ok(Some(Step::Leave)) | Err(_) => continue,
            };
            let (NodeKind::File { content, .. } | NodeKind::Directory { tree: content }) = node.kind else { continue };
            for chunk in &content.chunks {
                needed.add(reader.index(), chunk.id);
            }
            if content.depth > 0 {
                let mut chunks = ContentReader::new(content)?;
                while let Ok(Some(chunk)) = chunks.next(&mut reader) {
                    needed.add(reader.index(), chunk.id);
                }
            }
        }
    }
    Ok(needed.packs)
}

/// The packs that chunks lie in, and those that the bases of their blocks lie in, as far as that goes.
#[derive(Default)]
struct Needed {
    packs: HashSet<PackId>,
    blocks: HashSet<BlockKey>,
}

impl Needed {
    fn add(&mut self, index: &Index, chunk: ChunkId) {
        let mut waiting: Vec<BlockKey> =
            index.lookup(&chunk).map(|location| location.block_key()).into_iter().collect();
        while let Some(key) = waiting.pop() {
            let Some((place, bases)) = index.block(key).ok().filter(|_| self.blocks.insert(key)) else { continue };
            self.packs.insert(place.pack);
            let first = |base| index.base_locations(base, place.depth).next();
            waiting.extend(bases.iter().filter_map(first).map(|(_, location)| location.block_key()));
        }
    }
}

/// What one thread found.
#[derive(Default)]
struct Found {
    damage: Vec<Damage>,
    chunks: Vec<ChunkId>,
    packs: u64,
}

/// Reads the packs, or those of `only`, and returns the chunks that are damaged.
pub(super) fn read(
    repository: &Repository,
    only: Option<&HashSet<PackId>>,
    subset_percent: Option<f64>,
    report: &mut VerifyReport,
    progress: &dyn Progress,
) -> Result<Vec<ChunkId>, Error> {
    let chunks = repository.reader()?;
    let mut packs = Vec::new();
    for object in repository.storage().list(Area::Packs).map_err(repo::Error::from)? {
        match object.name.parse::<PackId>() {
            Ok(id) if only.is_none_or(|only| only.contains(&id)) => packs.push((id, object.len_bytes)),
            Err(_) if only.is_none() => report.notes.push(format!("packs/{} is not a pack", object.name)),
            _ => {}
        }
    }
    if let Some(percent) = subset_percent {
        packs = choose(packs, percent)?;
    }
    let total = packs.iter().map(|(_, len_bytes)| len_bytes).sum();
    progress.begin("reading the packs", Some(total));
    report.bytes_read = total;
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Found::default());
    let work = || {
        let mut found = Found::default();
        let mut chunks = chunks.sibling();
        while let Some((id, _)) = packs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if progress.cancelled() {
                break;
            }
            if let Ok(chunks) = &mut chunks {
                check_pack(repository, chunks, *id, &mut found, progress);
            }
        }
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.damage.append(&mut found.damage);
        all.chunks.append(&mut found.chunks);
        all.packs += found.packs;
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS_MAX);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(packs.len()) {
            scope.spawn(work);
        }
        work();
    });
    progress::check(progress)?;
    let found = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.damage.extend(found.damage);
    report.packs_read = found.packs;
    Ok(found.chunks)
}

fn check_pack(
    repository: &Repository,
    chunks: &mut ChunkReader,
    id: PackId,
    found: &mut Found,
    progress: &dyn Progress,
) {
    let object = pack::key(id).path();
    let mut damaged = |what: String| found.damage.push(Damage { object: object.clone(), what });
    found.packs += 1;
    let reader = match PackReader::open(repository.storage(), id) {
        Ok(reader) => reader,
        Err(error) => return damaged(with_causes(&error)),
    };
    let whole = reader.check_name(|bytes| progress.advance(bytes));
    if let Err(error) = &whole {
        damaged(with_causes(error));
    }
    // Without a directory nothing tells which chunks are lost; the walk over the snapshots cannot name their files.
    let directory = match reader.directory() {
        Ok(directory) => directory,
        Err(error) => {
            if whole.is_ok() {
                damaged(with_causes(&error));
            }
            return;
        }
    };
    for block in &directory.blocks {
        let plaintext = chunks.read_entry(id, block);
        let checked = plaintext.and_then(|plaintext| Ok(reader.check_block(repository.ids(), block, &plaintext)?));
        if let Err(error) = checked {
            // A pack that only needs what is damaged in another one, or gone with it, is whole.
            let other = match &error {
                repo::Error::Pack(pack::Error::Storage(error)) => error.is_missing(),
                repo::Error::Pack(error) => error.pack().is_some_and(|pack| pack != id),
                _ => false,
            };
            if whole.is_ok() && !other {
                damaged(with_causes(&error));
            }
            found.chunks.extend(block.chunks.iter().map(|chunk| chunk.id));
        }
    }
    let index = chunks.index();
    let unlisted =
        directory.blocks.iter().flat_map(|block| &block.chunks).filter(|chunk| index.lookup(&chunk.id).is_none());
    let unlisted = unlisted.count();
    if unlisted > 0 && index.packs().contains_key(&id) {
        damaged(format!("the index does not list {unlisted} of its chunks"));
    }
}

/// A random choice of packs that makes up the given share, at least one.
fn choose(mut packs: Vec<(PackId, u64)>, percent: f64) -> Result<Vec<(PackId, u64)>, Error> {
    let seed = RepositoryId::random().map_err(|source| repo::Error::Random { source })?;
    packs.sort_by_cached_key(|(id, _)| RepositoryId::of(&[seed.as_bytes().as_slice(), id.as_bytes()].concat()));
    let wanted = (packs.len() as f64 * percent / 100.0).ceil();
    // A share of at most 100 % of a length is a length.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the number of packs")]
    packs.truncate((wanted as usize).max(1));
    Ok(packs)
}
