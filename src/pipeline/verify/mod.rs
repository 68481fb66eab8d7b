//! Proof that snapshots can be restored: their structure, every byte of their packs, or a restore itself.

mod blocks;
mod data;
mod found;
mod listings;
mod report;
mod test_restore;
mod throwaway;

pub(super) use data::{check_blocks, check_names, list};
pub(super) use found::Found;
pub use report::{Affected, Damage, VerifyReport};
pub use test_restore::{ComponentTest, Servers, TestPlaces, test_restore};

use super::causes::with_causes;
use super::database::SavedDatabase;
use super::presence::{LostPath, Presence};
use super::{Error, lookup};
use crate::events::Phase;
use crate::index;
use crate::model::{self, Snapshot};
use crate::monitor::Monitor;
use crate::repo::Repository;

/// How much to prove.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions {
    /// Read every byte of the packs and decode every block.
    pub read_data: bool,
    /// Read only this share of the packs, chosen anew each time.
    pub subset_percent: Option<f64>,
}

/// Verifies one snapshot, or all of them and everything else in the repository when none is given.
///
/// # Errors
/// [`Error::Repo`] when the storage cannot be used, [`Error::Cancelled`]. Damage is in the report.
pub fn verify(
    repository: &Repository,
    snapshot: Option<&Snapshot>,
    options: VerifyOptions,
    monitor: &Monitor<'_>,
) -> Result<VerifyReport, Error> {
    let mut report = VerifyReport::default();
    monitor.begin(Phase::ReadingIndex, None);
    let snapshots = match snapshot {
        Some(snapshot) => vec![snapshot.clone()],
        None => all_snapshots(repository, &mut report)?,
    };
    let mut presence = Presence::new(repository)?;
    check_index(repository, &presence, snapshot.is_none(), &mut report);
    if snapshot.is_none() || options.read_data {
        check_segments(repository, &presence, &mut report, monitor)?;
    }
    let damaged = if options.read_data {
        let only = snapshot.map(|snapshot| data::packs_of(repository, snapshot, monitor)).transpose()?;
        data::read(repository, only.as_ref(), options.subset_percent, &mut report, monitor)?
    } else {
        Vec::new()
    };
    presence.add_damaged(damaged);
    monitor.begin(Phase::WalkingSnapshots, None);
    for snapshot in &snapshots {
        report.snapshots.push(snapshot.name.to_string());
        walk(snapshot, &mut presence, &mut report, monitor)?;
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
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    for (segment, count) in repository.contradicted(presence.index(), monitor)? {
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
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    for component in &snapshot.components {
        for lost in presence.lost((component, None), &mut report.entries, monitor)? {
            report.affected.add(&snapshot.name, &lost);
        }
    }
    Ok(())
}
