//! Pruning: which snapshots go, and freeing the space of everything that nothing needs any more.
//!
//! A plan changes nothing, and what is done is what it says; but what appears while it is carried out is kept too. A
//! repository of which not everything is known that the kept snapshots need is never pruned.

mod mark;
mod plan;

use std::collections::BTreeSet;

pub use plan::{Decision, PruneOptions, PrunePlan, plan};

use super::{Error, lookup};
use crate::clock::LocalTime;
use crate::model;
use crate::monitor::Monitor;
use crate::repo::{self, ChunkReader, Collected, Repository};

use mark::Marker;
use plan::Taken;

/// What a prune did.
#[derive(Debug, Default)]
pub struct PruneReport {
    /// Snapshots that were deleted.
    pub deleted: Vec<String>,
    /// Bytes that the repository took before, and takes now.
    pub bytes_before: u64,
    /// See there.
    pub bytes_after: u64,
    /// About the bytes that a later prune will free, because others were at work.
    pub later_bytes: u64,
    /// What happened to the packs.
    pub collected: Collected,
}

/// Snapshots by name and time: a name that is free again may be given to another one.
type Known = BTreeSet<(String, LocalTime)>;

/// Does what a plan says.
///
/// # Errors
/// [`Error::Repo`], [`Error::Lost`] when a snapshot that has appeared meanwhile is damaged, [`Error::Cancelled`]. Every
/// snapshot that is kept is whole then, and another prune goes on.
pub fn execute(repository: &Repository, plan: PrunePlan, monitor: &Monitor<'_>) -> Result<PruneReport, Error> {
    let mut report = PruneReport { bytes_before: plan.bytes_before, ..PruneReport::default() };
    let expected_bytes = plan.bytes_before.saturating_sub(plan.bytes_after);
    let is_nothing = plan.is_nothing();
    let kept = plan.decisions.iter().filter(|decision| decision.is_kept());
    let kept: Known = kept.map(|decision| (decision.name.to_string(), decision.time)).collect();
    let mut forgotten = plan.forgotten;
    for decision in plan.decisions.iter().filter(|decision| !decision.is_kept()) {
        monitor.check()?;
        match repository.forget(decision.name.as_str()) {
            Ok(_) => report.deleted.push(decision.name.to_string()),
            // Another prune, which had the same plan, was faster.
            Err(repo::Error::Storage(error)) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
        forgotten.push(decision.name.to_string());
    }
    if !is_nothing {
        let mut failed = None;
        let mut second_look = |reader: &mut ChunkReader, each: mark::Each<'_>| {
            look_again(repository, &kept, reader, each, monitor).map_err(|error| match error {
                Error::Repo(error) => error,
                Error::Cancelled(cancelled) => cancelled.into(),
                error => {
                    failed = Some(error);
                    repo::Error::Changed
                }
            })
        };
        let collected = plan.collection.execute(repository, &forgotten, &mut second_look, monitor);
        report.collected = match (collected, failed) {
            (Ok(collected), _) => collected,
            // Another prune was faster, and has freed what its own plan could free.
            (Err(repo::Error::Changed), None) => Collected { is_waiting: true, ..Collected::default() },
            (Err(error), failed) => return Err(failed.unwrap_or_else(|| from_repo(error))),
        };
        if report.collected.is_waiting {
            report.later_bytes = expected_bytes + report.collected.written.1;
        }
    }
    report.bytes_after = Taken::by(repository)?.sum();
    Ok(report)
}

/// Tells of the chunks of snapshots that are there now and were not known.
fn look_again(
    repository: &Repository,
    known: &Known,
    reader: &mut ChunkReader,
    each: mark::Each<'_>,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let mut marker = Marker::default();
    for name in repository.manifest_names()? {
        monitor.check()?;
        let snapshot = match lookup::by_name(repository, &name) {
            // Deleted since the listing.
            Err(Error::Manifest { source: model::Error::Repo(repo::Error::Storage(error)), .. })
                if error.is_missing() =>
            {
                continue;
            }
            found => found?,
        };
        if !known.contains(&(name, snapshot.time)) {
            marker.snapshot(reader, &snapshot, each, monitor)?;
        }
    }
    Ok(())
}

fn from_repo(error: repo::Error) -> Error {
    match error {
        repo::Error::Cancelled(cancelled) => Error::Cancelled(cancelled),
        error => error.into(),
    }
}
