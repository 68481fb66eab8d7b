//! The snapshot of what a restore is about to replace.

use rustix::time::{ClockId, clock_gettime};

use crate::docker::{Hold, Journals};
use crate::model::{Snapshot, SnapshotKind};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::backup::{self, BackupOptions, ComponentSource};
use crate::repo::Repository;
use crate::rooted::Instant;

/// What was there before: put back when a restore of volumes fails, and all that one of directories may remove. And the containers
/// that its making has left stopped.
#[derive(Debug, Default)]
pub struct Safety {
    /// The snapshot of what was there before; `None` where nothing was, or none is wanted.
    pub snapshot: Option<Snapshot>,
    /// When it was begun: what changed before has no later time. `None` where none is wanted.
    pub began: Option<Instant>,
    /// Containers that are stopped already.
    pub held: Vec<Hold>,
    /// Where those are noted that are stopped.
    pub journals: Journals,
}

/// Takes a snapshot of those sources that are there; of nothing when none is. The containers that were stopped for
/// volumes stay so.
///
/// # Errors
/// [`Error::NotSafe`] when something that is there cannot be saved; those of [`backup::run`].
pub fn safety_snapshot(
    repository: &Repository,
    sources: Vec<ComponentSource>,
    options: &BackupOptions,
    monitor: &Monitor<'_>,
) -> Result<Safety, Error> {
    let now = clock_gettime(ClockId::Realtime);
    let began = Some((now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or_default()));
    let mut present = Vec::new();
    for source in sources {
        // What does not exist yet has no source; this exists and cannot be read.
        if let Some(why) = source.why_missing() {
            let text = format!("{} would be replaced and cannot be saved first: {why}", source.name);
            return Err(Error::Refused(format!("{text} (`--no-snapshot` restores without)")));
        }
        if source.is_there(monitor)? {
            present.push(source);
        }
    }
    if present.is_empty() {
        return Ok(Safety { began, journals: options.journals.clone(), ..Safety::default() });
    }
    let name = backup::reserve(repository)?;
    let journals = options.journals.clone();
    let options = BackupOptions { kind: SnapshotKind::Safety, keep_held: true, ..options.clone() };
    let report = backup::run(repository, name, &present, &options, monitor)?;
    let error = report.snapshot.errors().next();
    match error {
        Some(error) => Err(Error::NotSafe { error, name: report.snapshot.name.to_string() }),
        None => Ok(Safety { snapshot: Some(report.snapshot), began, held: report.held, journals }),
    }
}
