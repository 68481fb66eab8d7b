//! One night's backup: sources are read on one thread, hashed and encoded on rayon's, put together on the caller's.
//!
//! Reading runs ahead by a bounded number of batches, so memory depends neither on files nor on the repository.

mod assemble;
mod batch;
mod jobs;
mod manifest;
mod options;
mod origin;
mod parent;
mod passes;
mod plan;
mod reader;
mod relink;
mod source;
mod sources;
mod volume_origin;

pub use options::BackupOptions;
pub use origin::{ComponentSource, Origin};
pub use plan::{ComponentPlan, plan};
pub use sources::MissingSource;
pub use volume_origin::VolumeOrigin;

use parent::Parents;
use passes::Passes;

use super::{Error, lookup};
use crate::cancel::Cancelled;
use crate::clock::{LocalTime, Stopwatch};
use crate::docker::Hold;
use crate::events::Phase;
use crate::limits::{COMPONENTS_MAX, TAGS_MAX};
use crate::model::{Component, Expectation, NodeKind, Snapshot, SnapshotKind, SnapshotName, StepTiming};
use crate::monitor::Monitor;
use crate::pack;
use crate::repo::{Adopted, Finished, Repository, Reservation, Stored};

/// How many seconds a name may move to be free.
const NAME_TRIES: i64 = 120;

/// Why this run, and those after it, look at everything that they take over.
const UNLISTED: &str = "the index does not list everything that snapshots need: unchanged files of which something is listed \
     nowhere are read and stored again, now and until `larder repair` has found everything";

/// What a backup did.
#[derive(Debug)]
pub struct BackupReport {
    /// The manifest of the snapshot.
    pub snapshot: Snapshot,
    /// What was written.
    pub stored: Stored,
    /// What was taken over from interrupted runs.
    pub adopted: Adopted,
    /// What is odd about the repository and keeps nothing from being saved.
    pub notes: Vec<String>,
    /// Containers that are still held.
    pub held: Vec<Hold>,
}

/// Reserves the name of a snapshot that begins now: the first second from now on that no other snapshot has.
///
/// # Errors
/// [`Error::Repo`]; [`Error::Refused`] when the next two minutes are taken.
pub fn reserve(repository: &Repository) -> Result<(Reservation, LocalTime), Error> {
    reserve_from(repository, LocalTime::now())
}

/// Reserves the name of a snapshot that began then: the first second from then on that no other snapshot has.
///
/// # Errors
/// [`Error::Repo`]; [`Error::Refused`] when two minutes are taken.
pub fn reserve_from(repository: &Repository, began: LocalTime) -> Result<(Reservation, LocalTime), Error> {
    for secs in 0..NAME_TRIES {
        let time = began.plus_secs(secs);
        if let Some(reservation) = repository.reserve(SnapshotName::at(time).as_str())? {
            return Ok((reservation, time));
        }
    }
    Err(Error::Refused("the names of the next two minutes are all taken by other snapshots".to_owned()))
}

/// Backs up the sources as one snapshot with the reserved name.
///
/// A source that fails makes the snapshot partial; only when all fail is nothing written.
///
/// # Errors
/// [`Error::NothingSaved`], [`Error::Cancelled`], [`Error::Repo`]; [`Error::Refused`] for more sources or tags than a
/// snapshot may have.
pub fn run(
    repository: &Repository,
    (reservation, time): (Reservation, LocalTime),
    sources: &[ComponentSource],
    options: &BackupOptions,
    monitor: &Monitor<'_>,
) -> Result<BackupReport, Error> {
    let run = Stopwatch::start();
    check_numbers(sources, options)?;
    let snapshots = lookup::snapshots(repository)?;
    let mut notes = note_losses(repository, &snapshots)?;
    let transaction = repository.begin(monitor)?;
    let adopted = transaction.adopted().clone();
    adopted.refused.iter().for_each(|note| monitor.warn(note));
    let parents = Parents::find(&snapshots, transaction.reader()?, sources, options.imported.as_ref().map(|_| time));
    let parent = parents.newest().cloned();
    notes.extend_from_slice(parents.unreadable());
    let mut passes = Passes::new(sources, time, options);
    let transaction = passes.run(transaction, parents, monitor)?;
    let Passes { components, mut steps, held, .. } = passes;
    if monitor.is_cancelled() {
        // What was stored so far is made durable, so that the next run need not store it again.
        transaction.finish()?;
        monitor.check()?;
        return Err(Error::Cancelled(Cancelled));
    }
    let writing = Stopwatch::start();
    let finished = transaction.finish()?;
    steps.push(StepTiming { component: None, step: "write".to_owned(), timing: writing.timing() });
    let mut notes = all_notes(notes, &adopted, &finished, monitor);
    let mut snapshot = manifest::begin(&reservation, time, sources, options)?;
    (snapshot.parent, snapshot.steps, snapshot.components) = (parent, steps, components);
    (snapshot.end, snapshot.millis) = (LocalTime::now(), run.timing().millis);
    complete(&mut snapshot.components, sources, options);
    measure(&mut snapshot, &snapshots.snapshots, options);
    for (component, bytes) in snapshot.components.iter_mut().zip(&finished.stored().account_bytes) {
        component.bytes_stored = *bytes;
    }
    let unread = |(component, source): (&Component, &ComponentSource)| {
        component.root.is_none() && source.why_missing().is_none()
    };
    let bytes = manifest::encode(&mut snapshot);
    let is_unread = options.imported.is_some() && snapshot.components.iter().zip(sources).any(unread);
    if is_unread || snapshot.components.iter().all(|component| component.root.is_none()) {
        return Err(Error::NothingSaved { errors: snapshot.errors().collect() });
    }
    finished.commit(&reservation, &bytes)?;
    manifest::read_back(repository, &snapshot)?;
    if options.read_back {
        monitor.begin(Phase::ReadingBack, Some(finished.pack_bytes()));
        finished.read_back(monitor)?;
    }
    let tidied =
        finished.tidy_up().unwrap_or_else(|error| vec![format!("the repository could not be tidied up: {error}")]);
    for note in &tidied {
        monitor.warn(note);
    }
    notes.extend(tidied);
    let mut stored = finished.stored().clone();
    stored.total_bytes += bytes.len() as u64;
    Ok(BackupReport { snapshot, stored, adopted, notes, held })
}

/// Adds to components what is known of their sources when they have been read.
fn complete(components: &mut [Component], sources: &[ComponentSource], options: &BackupOptions) {
    for (component, source) in components.iter_mut().zip(sources) {
        let not_whole = options.not_whole.iter().filter(|(name, _)| *name == component.name);
        not_whole.for_each(|(_, why)| component.errors.push(why.clone()));
        if let Some(facts) = source.source().facts_when_read() {
            component.volume = Some(facts);
        }
    }
}

/// Measures a backup against the last ones of its system: a component that has next to nothing any more, or is another database, has an
/// error. What was imported, or is about to be replaced, is as it is.
fn measure(snapshot: &mut Snapshot, newest_first: &[Snapshot], options: &BackupOptions) {
    if options.imported.is_some() || snapshot.kind == SnapshotKind::Safety {
        return;
    }
    let is_whole = |other: &Snapshot| other.system == snapshot.system && other.kind == SnapshotKind::Full;
    let series: &[&str] = match snapshot.kind {
        SnapshotKind::Stream => &[&snapshot.series],
        _ if newest_first.iter().any(is_whole) => &[SnapshotKind::Full.series()],
        _ => &SnapshotKind::PARTS.map(SnapshotKind::series),
    };
    let expectation = Expectation::of(newest_first, &snapshot.system, series, snapshot.time);
    for component in &mut snapshot.components {
        match expectation.doubt(component) {
            None => expectation.remarks(component).into_iter().for_each(|remark| component.notes.push(remark)),
            Some(_) if options.accepted.contains(&component.name) => component.accept(),
            Some(why) => component.errors.push(why),
        }
    }
}

fn check_numbers(sources: &[ComponentSource], options: &BackupOptions) -> Result<(), Error> {
    if sources.len() > COMPONENTS_MAX {
        return Err(Error::Refused(format!("a snapshot has at most {COMPONENTS_MAX} components")));
    }
    if options.tags.len() > TAGS_MAX {
        return Err(Error::Refused(format!("a snapshot has at most {TAGS_MAX} tags")));
    }
    Ok(())
}

/// Notes that something may be lost where no segment lists the root of a component, be it a tree, a list or data.
fn note_losses(repository: &Repository, snapshots: &lookup::Snapshots) -> Result<Vec<String>, Error> {
    let components = snapshots.snapshots.iter().flat_map(|snapshot| &snapshot.components);
    let contents = components.filter_map(|component| match &component.root.as_ref()?.kind {
        NodeKind::Directory { tree: content } | NodeKind::File { content, .. } => Some(content),
        _ => None,
    });
    let chunks = contents.flat_map(|content| &content.chunks).map(|chunk| chunk.id);
    Ok(repository.note_unlisted(chunks)?.then(|| UNLISTED.to_owned()).into_iter().collect())
}

/// What is odd about the repository: what is known already, and what was found. What was adopted was told then.
fn all_notes(mut notes: Vec<String>, adopted: &Adopted, finished: &Finished<'_>, monitor: &Monitor<'_>) -> Vec<String> {
    notes.extend(finished.doubted().iter().map(|pack| {
        let what =
            "does not have everything that the index lists there, so that is stored again: `larder repair` mends it";
        format!("{} {what}", pack::key(*pack).path())
    }));
    for note in &notes {
        monitor.warn(note);
    }
    [adopted.refused.clone(), notes].concat()
}
