//! Proof that snapshots can be restored: their structure, every byte of their packs, or a restore itself.

mod blocks;
mod data;
mod listings;
mod test_restore;
mod throwaway;

pub(super) use data::{Found, check_blocks, check_names, list};
pub use test_restore::{ComponentTest, Servers, TestPlaces, test_restore};

use super::database::SavedDatabase;
use super::presence::{LostPath, Presence};
use super::restore::with_causes;
use super::{Error, lookup};
use crate::index;
use crate::model::{self, Snapshot, SnapshotName};
use crate::progress::Progress;
use crate::repo::Repository;

/// Affected paths that a report lists; the rest are counted.
const AFFECTED_MAX: usize = 1_000;

/// How much to prove.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions {
    /// Read every byte of the packs and decode every block.
    pub read_data: bool,
    /// Read only this share of the packs, chosen anew each time.
    pub subset_percent: Option<f64>,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The object or path that it concerns.
    pub object: String,
    /// What is wrong.
    pub what: String,
}

/// Files of snapshots that cannot be restored.
#[derive(Debug, Default)]
pub struct Affected {
    /// The first of them: snapshot, path and cause.
    pub listed: Vec<(String, Damage)>,
    /// How many there are beyond those.
    pub more: u64,
}

impl Affected {
    /// Whether everything can be restored.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    pub(super) fn add(&mut self, snapshot: &SnapshotName, lost: &LostPath) {
        if self.listed.len() < AFFECTED_MAX {
            let damage = Damage { object: lost.shown(), what: with_causes(&lost.cause) };
            self.listed.push((snapshot.to_string(), damage));
        } else {
            self.more += 1;
        }
    }
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Names of the snapshots that were looked at.
    pub snapshots: Vec<String>,
    /// Entries of their trees.
    pub entries: u64,
    /// Packs that the index lists.
    pub packs: u64,
    /// Packs that were read.
    pub packs_read: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Objects that are damaged.
    pub damage: Vec<Damage>,
    /// Files of snapshots that cannot be restored.
    pub affected: Affected,
    /// What is odd and harmless.
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is damaged.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.damage.is_empty() && self.affected.is_empty()
    }

    fn damaged(&mut self, object: impl Into<String>, what: impl Into<String>) {
        self.damage.push(Damage { object: object.into(), what: what.into() });
    }
}

/// Verifies one snapshot, or all of them and everything else in the repository when none is given.
///
/// # Errors
/// [`Error::Repo`] when the storage cannot be used, [`Error::Cancelled`]. Damage is in the report.
pub fn verify(
    repository: &Repository,
    snapshot: Option<&Snapshot>,
    options: VerifyOptions,
    progress: &dyn Progress,
) -> Result<VerifyReport, Error> {
    let mut report = VerifyReport::default();
    progress.begin("reading the index", None);
    let snapshots = match snapshot {
        Some(snapshot) => vec![snapshot.clone()],
        None => all_snapshots(repository, &mut report)?,
    };
    let mut presence = Presence::new(repository)?;
    check_index(repository, &presence, snapshot.is_none(), &mut report);
    if snapshot.is_none() || options.read_data {
        check_segments(repository, &presence, &mut report, progress)?;
    }
    let damaged = if options.read_data {
        let only = snapshot.map(|snapshot| data::packs_of(repository, snapshot, progress)).transpose()?;
        data::read(repository, only.as_ref(), options.subset_percent, &mut report, progress)?
    } else {
        Vec::new()
    };
    presence.add_damaged(damaged);
    progress.begin("walking the snapshots", None);
    for snapshot in &snapshots {
        report.snapshots.push(snapshot.name.to_string());
        walk(snapshot, &mut presence, &mut report, progress)?;
        if options.read_data {
            check_records(snapshot, &mut presence, &mut report)?;
        }
    }
    report.damage.sort();
    report.damage.dedup();
    Ok(report)
}

fn all_snapshots(repository: &Repository, report: &mut VerifyReport) -> Result<Vec<Snapshot>, Error> {
    let found = lookup::snapshots(repository)?;
    for (name, source) in found.unreadable {
        if source.is_newer() {
            return Err(Error::Manifest { name, source });
        }
        report.damaged(format!("snapshots/{name}"), with_causes(&source));
    }
    Ok(found.snapshots)
}

/// Checks the segments, and with `packs` also that every pack is there that they list. One snapshot may need none of
/// those that are not, and what it needs is looked for in its trees.
pub(super) fn check_index(repository: &Repository, presence: &Presence, packs: bool, report: &mut VerifyReport) {
    let opened = presence.index();
    for name in opened.damaged() {
        report.damaged(format!("index/{name}"), "it is not a segment");
    }
    for segment in opened.segments() {
        match segment.check_name(repository.storage()) {
            // A backup has merged it since into another one.
            Err(index::Error::Storage(error)) if error.is_missing() => {}
            Err(error) => report.damaged(format!("index/{}", segment.id()), with_causes(&error)),
            Ok(()) => {}
        }
    }
    let listed = opened.packs();
    report.packs = listed.len() as u64;
    if !packs {
        return;
    }
    for pack in presence.index().broken() {
        let what = match repository.storage().stat(&crate::pack::key(*pack)) {
            Ok(found) => {
                let expected = listed.get(pack).map_or(0, |pack| pack.len_bytes);
                format!("it has {found} bytes where the index lists {expected}")
            }
            Err(_) => "it is missing".to_owned(),
        };
        report.damaged(crate::pack::key(*pack).path(), what);
    }
}

/// Compares the segments with the directories of the packs that they list.
pub(super) fn check_segments(
    repository: &Repository,
    presence: &Presence,
    report: &mut VerifyReport,
    progress: &dyn Progress,
) -> Result<(), Error> {
    for (segment, count) in repository.contradicted(presence.index(), progress)? {
        report
            .damaged(format!("index/{segment}"), format!("it lists {count} chunks where their packs do not have them"));
    }
    Ok(())
}

/// Reads what a restore has to understand of databases, as it does.
fn check_records(snapshot: &Snapshot, presence: &mut Presence, report: &mut VerifyReport) -> Result<(), Error> {
    for component in snapshot.components.iter().filter(|component| component.database.is_some()) {
        let path = component.name.as_str().as_bytes().to_vec();
        match SavedDatabase::find(presence.reader(), component).and_then(|saved| saved.plain().map(drop)) {
            Err(Error::Model(cause)) if cause.is_damage() || !matches!(cause, model::Error::Repo(_)) => {
                report.affected.add(&snapshot.name, &LostPath { path, cause });
            }
            Err(error @ (Error::Model(_) | Error::Repo(_))) => return Err(error),
            // Without a dump there is nothing to understand.
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn walk(
    snapshot: &Snapshot,
    presence: &mut Presence,
    report: &mut VerifyReport,
    progress: &dyn Progress,
) -> Result<(), Error> {
    for component in &snapshot.components {
        for lost in presence.lost((component, None), &mut report.entries, progress)? {
            report.affected.add(&snapshot.name, &lost);
        }
    }
    Ok(())
}
