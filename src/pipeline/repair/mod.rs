//! Repair: a repository in which everything that is listed can be read, and the exact list of what is lost.
//!
//! Manifests and packs are compared with their checksums, the index is written anew where it or a pack is damaged, every
//! block is decoded, and every snapshot is walked. Lost chunks are looked for in what was put aside and in live files.

mod live;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::causes::with_causes;
use super::presence::Presence;
use super::verify::{Affected, Damage, Found, check_blocks, check_names, list};
use super::{Error, lookup};
use crate::events::Phase;
use crate::id::ChunkId;
use crate::limits::MANIFEST_BYTES_MAX;
use crate::model::{self, Snapshot, decode_snapshot};
use crate::monitor::Monitor;
use crate::repo::{self, Rebuilt, Repository, Salvaged};
use crate::storage::{self, Area, ExclusiveLease, Key, Storage};

use live::Wanted;

/// What a repair found and did.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// Objects that were damaged.
    pub damage: Vec<Damage>,
    /// Objects that are again as they were written, by their parity.
    pub restored: Vec<String>,
    /// Where damaged objects lie now.
    pub set_aside: Vec<String>,
    /// Whether the index was written anew.
    pub is_rebuilt: bool,
    /// Packs that it lists since then and did not list before.
    pub unlisted: u64,
    /// Chunks that were found in what was damaged, and their plaintext in bytes.
    pub salvaged: (u64, u64),
    /// Lost chunks that live files had, and their length in bytes.
    pub fetched: (u64, u64),
    /// Names of the snapshots that can be read.
    pub snapshots: Vec<String>,
    /// Entries of their trees.
    pub entries: u64,
    /// Names of the snapshots whose manifest is lost.
    pub lost_snapshots: Vec<String>,
    /// Files that are lost.
    pub lost: Affected,
    /// Live files that could not be read.
    pub unreadable: Vec<String>,
}

impl RepairReport {
    /// Whether everything that was saved can be restored.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.lost.is_empty() && self.lost_snapshots.is_empty()
    }

    /// Whether nothing was wrong.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.damage.is_empty()
            && self.restored.is_empty()
            && self.is_whole()
            && !self.is_rebuilt
            && self.salvaged.0 == 0
            && self.fetched.0 == 0
    }

    fn add_found(&mut self, found: &Found) {
        self.damage.extend(found.damage());
    }

    fn add_rebuilt(&mut self, rebuilt: Rebuilt) {
        self.is_rebuilt = true;
        self.unlisted += rebuilt.unlisted;
        self.set_aside.extend(rebuilt.set_aside);
        self.add_salvaged(&rebuilt.salvaged);
    }

    fn add_salvaged(&mut self, salvaged: &Salvaged) {
        self.salvaged.0 += salvaged.chunks;
        self.salvaged.1 += salvaged.bytes;
        self.damage.extend(salvaged.given_up.iter().map(|(object, offset)| Damage {
            object: object.clone(),
            what: format!(
                "from byte {offset} on it was not looked through: too much in it looks like a block and is none"
            ),
        }));
    }
}

/// Opens a repository that is to be repaired; with `write`, a config that is damaged or gone is restored, or made anew. Says what was
/// wrong with it.
///
/// # Errors
/// Those of [`Repository::open_damaged`]; [`Error::Manifest`] of a newer program, and then nothing is written.
pub fn open(storage: Arc<dyn Storage>, write: bool) -> Result<(Repository, Option<repo::Error>), Error> {
    let (repository, wrong) = Repository::open_damaged(Arc::clone(&storage), false)?;
    refuse_newer(lookup::snapshots(&repository)?.unreadable)?;
    if wrong.is_none() || !write {
        return Ok((repository, wrong));
    }
    drop(repository);
    Ok(Repository::open_damaged(storage, true)?)
}

/// Refuses a repository with a manifest of a newer program.
fn refuse_newer(unreadable: Vec<(String, model::Error)>) -> Result<(), Error> {
    match unreadable.into_iter().find(|(_, error)| error.is_newer()) {
        Some((name, source)) => Err(Error::Manifest { name, source }),
        None => Ok(()),
    }
}

/// Repairs a repository. `live` are files and directories that may still have what is lost.
///
/// # Errors
/// [`Error::Repo`] when others use the repository all the time, or when it cannot be read or written, and
/// [`Error::Cancelled`]. No less can be read then than before, and another repair goes on.
pub fn repair(repository: &Repository, live: &[PathBuf], monitor: &Monitor<'_>) -> Result<RepairReport, Error> {
    monitor.begin(Phase::WaitingUntilAlone, None);
    let report = repository.when_alone(|alone| run(repository, live, alone, monitor))?;
    report.ok_or_else(|| {
        let place = repository.storage().describe();
        repo::Error::Storage(storage::Error::Locked { place }).into()
    })
}

fn run(
    repository: &Repository,
    live: &[PathBuf],
    alone: &ExclusiveLease,
    monitor: &Monitor<'_>,
) -> Result<RepairReport, Error> {
    let mut report = RepairReport { damage: index_damage(repository, monitor)?, ..RepairReport::default() };
    let found = check_names(repository, &list(repository)?.0, monitor)?;
    report.add_found(&found);
    let mut broken = found.damaged_packs();
    let mended = repository.mend(&mut broken, monitor)?;
    report.restored = mended.restored;
    report.damage.extend(mended.damaged.iter().map(|(path, error)| damage(path, error)));
    monitor.begin(Phase::ReadingManifests, None);
    manifests(repository, alone, &mut report)?;
    if !repository.is_index_sound(monitor)? || !broken.is_empty() {
        repository.note_losses()?;
        report.add_rebuilt(repository.rebuild(&broken, alone, monitor)?);
    }
    // A pack may be as it was written and have been wrong then.
    let mut found = Found::default();
    check_blocks(repository, list(repository)?.0, &mut found, monitor)?;
    report.add_found(&found);
    let broken = found.damaged_packs();
    if !broken.is_empty() {
        repository.note_losses()?;
        report.add_rebuilt(repository.rebuild(&broken, alone, monitor)?);
    }
    let missing = walk(repository, &mut report, monitor)?;
    if !report.lost.is_empty() {
        look_for(repository, missing, live, &mut report, monitor)?;
    }
    if report.lost.is_empty() && is_forgotten_whole(repository, monitor)? {
        repository.clear_losses()?;
    } else {
        repository.note_losses()?;
    }
    report.damage.sort();
    report.damage.dedup();
    Ok(report)
}

/// Puts manifests aside that cannot be read.
fn manifests(repository: &Repository, alone: &ExclusiveLease, report: &mut RepairReport) -> Result<(), Error> {
    let found = lookup::snapshots(repository)?;
    if found.unreadable.iter().any(|(_, error)| error.is_newer()) {
        return refuse_newer(found.unreadable);
    }
    for (name, error) in found.unreadable {
        put_aside((repository, alone), &Key::new(Area::Snapshots, &name), error, report)?;
        report.lost_snapshots.push(name);
    }
    for key in forgotten(repository)? {
        if let Err(error) = read_forgotten(repository, &key) {
            put_aside((repository, alone), &key, error, report)?;
        }
    }
    Ok(())
}

fn forgotten(repository: &Repository) -> Result<impl Iterator<Item = Key>, Error> {
    Ok(repository.forgotten_names()?.into_iter().map(|name| Key::new(Area::Forgotten, name)))
}

fn read_forgotten(repository: &Repository, key: &Key) -> Result<Snapshot, model::Error> {
    let bytes = repository.storage().get(key, MANIFEST_BYTES_MAX as u64).map_err(repo::Error::from)?;
    decode_snapshot(&bytes)
}

/// Whether a backup can rely on every snapshot that may be put back.
fn is_forgotten_whole(repository: &Repository, monitor: &Monitor<'_>) -> Result<bool, Error> {
    let (mut presence, mut entries) = (Presence::new(repository)?, 0);
    for key in forgotten(repository)? {
        for component in &read_forgotten(repository, &key)?.components {
            if !presence.lost((component, None), &mut entries, monitor)?.is_empty() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn put_aside(
    (repository, alone): (&Repository, &ExclusiveLease),
    key: &Key,
    error: model::Error,
    report: &mut RepairReport,
) -> Result<(), Error> {
    if !error.is_damage() {
        return Err(error.into());
    }
    report.damage.push(damage(&key.path(), &error));
    report.set_aside.push(repository.set_aside(key, alone)?);
    Ok(())
}

fn damage(object: &str, error: &dyn std::error::Error) -> Damage {
    Damage { object: object.to_owned(), what: with_causes(error) }
}

/// What is wrong with the segments, and with the packs that they list.
fn index_damage(repository: &Repository, monitor: &Monitor<'_>) -> Result<Vec<Damage>, Error> {
    let presence = Presence::new(repository)?;
    let mut report = super::verify::VerifyReport::default();
    super::verify::check_index(repository, &presence, true, &mut report);
    super::verify::check_segments(repository, &presence, &mut report, monitor)?;
    Ok(report.damage)
}

/// Finds what is lost, and the chunks that are missing for it.
fn walk(repository: &Repository, report: &mut RepairReport, monitor: &Monitor<'_>) -> Result<HashSet<ChunkId>, Error> {
    monitor.begin(Phase::WalkingSnapshots, None);
    (report.lost, report.entries) = (Affected::default(), 0);
    report.snapshots.clear();
    let mut presence = Presence::new(repository)?;
    for snapshot in lookup::snapshots(repository)?.snapshots {
        for component in &snapshot.components {
            for lost in presence.lost((component, None), &mut report.entries, monitor)? {
                report.lost.add(&snapshot.name, &lost);
            }
        }
        report.snapshots.push(snapshot.name.into());
    }
    Ok(presence.into_missing())
}

/// Looks for lost chunks in what was put aside and in live files. What is found may tell what else is missing, and others may
/// be decoded with its help.
fn look_for(
    repository: &Repository,
    mut missing: HashSet<ChunkId>,
    mut live: &[PathBuf],
    report: &mut RepairReport,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    while !report.lost.is_empty() {
        let salvaged = repository.salvage(&missing, monitor)?;
        report.add_salvaged(&salvaged);
        if salvaged.chunks == 0 {
            // No file has a directory, so that another look at them would find nothing more.
            let paths = std::mem::take(&mut live);
            if paths.is_empty() {
                return Ok(());
            }
            let fetched = live::fetch(repository, &Wanted { chunks: missing, bases: salvaged.wanted }, paths, monitor)?;
            report.fetched = (fetched.chunks, fetched.bytes);
            report.unreadable = fetched.unreadable;
        }
        missing = walk(repository, report, monitor)?;
    }
    Ok(())
}
