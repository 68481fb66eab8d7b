//! Reading packs whole: which ones, their bytes against their names, and then their blocks, on all cores.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;

use super::blocks::BlockCheck;
use super::found::{Found, in_parallel};
use super::report::VerifyReport;
use crate::chunk::ChunkRef;
use crate::events::Phase;
use crate::id::{ChunkId, Digest, PackId, random_bytes};
use crate::index::{BlockKey, Index};
use crate::model::{ListSums, NoSum, NodeKind, Snapshot, Step, Walk};
use crate::monitor::Monitor;
use crate::pack::{self, PackKind, PackReader};
use crate::parity;
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::pipeline::presence::broken_packs;
use crate::repo::{self, ChunkReader, Repository};
use crate::storage::{Area, Key};

/// The packs that a snapshot refers to. What of it cannot be read is found by the walk that follows.
pub(super) fn packs_of(
    repository: &Repository,
    snapshot: &Snapshot,
    monitor: &Monitor<'_>,
) -> Result<HashSet<PackId>, Error> {
    let (mut needed, mut trees, mut lists) = (Needed::default(), HashSet::new(), ListSums::default());
    let mut index = repository.index()?;
    index.avoid(broken_packs(repository, &index)?);
    let mut reader = repository.reader_with(&Arc::new(index))?;
    for component in &snapshot.components {
        let Some(root) = component.root.clone() else { continue };
        let mut walk = Walk::new(root, b"");
        loop {
            monitor.check()?;
            let node = match walk.next(&mut reader) {
                Ok(None) => break,
                Ok(Some(Step::Entry(node))) => node,
                Ok(Some(Step::Leave)) | Err(_) => continue,
            };
            let content = match node.kind {
                NodeKind::Directory { tree } if !trees.insert(tree.identity()) => {
                    walk.skip();
                    continue;
                }
                NodeKind::File { content, .. } | NodeKind::Directory { tree: content } => content,
                _ => continue,
            };
            let add = |reader: &mut ChunkReader, chunk: ChunkRef, _| {
                monitor.check().map_err(repo::Error::from)?;
                needed.add(reader.index(), chunk.id);
                Ok(NoSum)
            };
            match lists.add_up(&content, &mut reader, add) {
                Err(error) if !error.is_damage() => return Err(error.into()),
                _ => {}
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
        let mut waiting: Vec<BlockKey> = index.locations(&chunk).map(|location| location.block_key()).collect();
        while let Some(key) = waiting.pop() {
            let Some((place, bases)) = index.block(key).ok().filter(|_| self.blocks.insert(key)) else { continue };
            self.packs.insert(place.pack);
            let places = bases.iter().flat_map(|base| index.base_locations(base, place.depth));
            waiting.extend(places.map(|(_, location)| location.block_key()));
        }
    }
}

/// Packs and their length in bytes.
pub(in crate::pipeline) type Packs = Vec<(PackId, u64)>;

/// Reads the packs, or those of `only`, and returns the chunks that are damaged.
pub(super) fn read(
    repository: &Repository,
    only: Option<&HashSet<PackId>>,
    subset_percent: Option<f64>,
    report: &mut VerifyReport,
    monitor: &Monitor<'_>,
) -> Result<Vec<ChunkId>, Error> {
    let (mut packs, strangers) = list(repository)?;
    match only {
        Some(only) => packs.retain(|(id, _)| only.contains(id)),
        None => report.notes.extend(strangers.iter().map(|path| format!("{path} is not a pack"))),
    }
    if let Some(percent) = subset_percent {
        packs = choose(packs, percent)?;
    }
    report.bytes_read = packs.iter().map(|(_, len_bytes)| len_bytes).sum();
    report.packs_read = packs.len() as u64;
    let mut found = check_names(repository, &packs, monitor)?;
    let unlisted = check_blocks(repository, packs, &mut found, monitor)?;
    if unlisted > 0 {
        report
            .notes
            .push(format!("packs that are listed nowhere, which `create` takes over or `prune` removes: {unlisted}"));
    }
    report.damage.extend(found.damage());
    if only.is_none() {
        check_parity(repository, report, monitor)?;
    }
    Ok(found.chunks)
}

/// Compares all parity with its own checksums.
fn check_parity(repository: &Repository, report: &mut VerifyReport, monitor: &Monitor<'_>) -> Result<(), Error> {
    for object in repository.storage().list(Area::Parity).map_err(repo::Error::from)? {
        monitor.check()?;
        let key = Key::new(Area::Parity, object.name);
        match parity::check(repository.storage(), &key) {
            // Gone with what it was for.
            Err(parity::Error::Storage(error)) if error.is_missing() => {}
            Err(error) if error.is_damage() => report.damaged(key.path(), with_causes(&error)),
            result => result.map_err(repo::Error::from)?,
        }
    }
    Ok(())
}

/// The packs that are there, with their length, and the paths of what lies beside them and is none.
pub(in crate::pipeline) fn list(repository: &Repository) -> Result<(Packs, Vec<String>), Error> {
    let (mut packs, mut strangers) = (Vec::new(), Vec::new());
    for area in PackKind::ALL.map(pack::area) {
        for object in repository.storage().list(area).map_err(repo::Error::from)? {
            match pack::id_of(&Key::new(area, &object.name)) {
                Some(id) => packs.push((id, object.len_bytes)),
                None => strangers.push(format!("{}/{}", area.folder(), object.name)),
            }
        }
    }
    Ok((packs, strangers))
}

/// Compares every byte of the packs with their names.
pub(in crate::pipeline) fn check_names(
    repository: &Repository,
    packs: &[(PackId, u64)],
    monitor: &Monitor<'_>,
) -> Result<Found, Error> {
    monitor.begin(Phase::ReadingPacks, Some(packs.iter().map(|(_, len_bytes)| len_bytes).sum()));
    let name = |(): &mut (), (id, _): &(PackId, u64), found: &mut Found| {
        let reader = PackReader::open(repository.storage(), *id);
        if let Err(error) = reader.and_then(|reader| reader.check_name(|bytes| monitor.advance(bytes))) {
            found.broken(*id, with_causes(&error));
        }
    };
    in_parallel(packs, 1, || (), name, monitor)
}

/// Decodes every block of the packs and compares each chunk with its id. Returns how many packs no segment lists: nothing
/// relies on what is in these, and what they need may be gone.
pub(in crate::pipeline) fn check_blocks(
    repository: &Repository,
    mut packs: Packs,
    found: &mut Found,
    monitor: &Monitor<'_>,
) -> Result<usize, Error> {
    let check = BlockCheck::new(repository)?;
    let (all, listed) = (packs.len(), check.index().packs());
    packs.retain(|(id, _)| listed.contains_key(id));
    let unlisted = all - packs.len();
    monitor.begin(Phase::DecodingBlocks, Some(packs.iter().map(|(_, len_bytes)| len_bytes).sum()));
    // The deepest first: what they need is decoded for them, and checked on the way.
    let depths = check.index().pack_depths();
    packs.sort_by_key(|(id, _)| Reverse(depths.get(id).copied()));
    for (id, _) in packs {
        check.pack(id, found, monitor)?;
    }
    Ok(unlisted)
}

/// A random choice of packs that makes up the given share, at least one.
fn choose(mut packs: Vec<(PackId, u64)>, percent: f64) -> Result<Vec<(PackId, u64)>, Error> {
    let seed = random_bytes().map_err(|source| repo::Error::Random { source })?;
    packs.sort_by_cached_key(|(id, _)| Digest::of(&[seed, *id.digest().as_bytes()].concat()));
    let wanted = (packs.len() as f64 * percent / 100.0).ceil();
    // A share of at most 100 % of a length is a length.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the number of packs")]
    packs.truncate((wanted as usize).max(1));
    Ok(packs)
}
