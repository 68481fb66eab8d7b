//! Live restores that have not come to their end: what they leave is partly old and partly new, and no backup of it is complete.
//!
//! A note of each lies in the state folder of this host, from before anything is written until the restore has ended.

mod note;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use larder::clock::LocalTime;
use larder::model::{Parts, Snapshot};
use larder::pipeline::backup::{ComponentSource, Origin};
use larder::pipeline::restore::{ComponentRestore, Destination, RestoreJob, RestoreReport};
use larder::repo::Repository;
use larder::rooted::Trust;

use self::note::{Found, Note, Place};
use crate::app::context::Context;
use crate::app::invocation::Invocation;
use crate::error::{BusyError, UsageError};
use crate::host::shell::quoted;
use crate::host::state;

/// Most bytes of paths that are noted; where there are more, it is all of the components.
const PATHS_BYTES_MAX: usize = 1 << 16;
/// Longest command that is noted; in the place of a longer one, that of all of the component is told.
const COMMAND_BYTES_MAX: usize = 1 << 12;

/// A restore that goes on.
#[derive(Debug)]
pub(crate) struct Restoring {
    /// Where its note is, which is locked as long as it is open; `None` where there is nothing to note.
    file: Option<(PathBuf, File)>,
    note: Note,
}

/// A place that a restore has left half-written, or is writing now.
#[derive(Debug)]
pub(crate) struct HalfRestored {
    /// `None` where nobody knows: any may be.
    place: Option<Place>,
    why: String,
}

impl fmt::Display for HalfRestored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(formatter, "{}: {}", place.name, self.why),
            None => formatter.write_str(&self.why),
        }
    }
}

/// Refuses to restore where another restore of this host writes now.
///
/// # Errors
/// [`BusyError`].
pub(crate) fn check_nobody_restores(jobs: &[RestoreJob<'_>]) -> Result<(), BusyError> {
    check_others(jobs, None)
}

fn check_others(jobs: &[RestoreJob<'_>], own: Option<&Path>) -> Result<(), BusyError> {
    let written: Vec<Place> = jobs.iter().filter_map(|job| Place::of(&job.destination)).collect();
    let others = note::all().into_iter().filter(|found| found.is_live && Some(found.file.as_path()) != own);
    for note in others.filter_map(|found| found.note.ok()) {
        if let Some(place) = note.all_places().find(|place| written.iter().any(|one| one.overlaps(place))) {
            let message = format!("another restore writes {} now, from {}", place.name, note.snapshot);
            return Err(BusyError::with_advice(message, "nothing was restored: wait until it has ended"));
        }
    }
    Ok(())
}

impl Restoring {
    /// Notes what is about to be written. Databases are not: an old one serves on until the new one is whole.
    ///
    /// # Errors
    /// [`BusyError`] where another restore writes; [`UsageError`] where nothing can be noted.
    pub(crate) fn begin(
        (repository, context): (&Repository, &Context<'_>),
        (snapshot, wanted): (&Snapshot, &str),
        jobs: &[RestoreJob<'_>],
        parts: Option<&Parts>,
    ) -> anyhow::Result<Self> {
        let path = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let mut paths: Vec<String> = parts.map_or_else(Vec::new, |parts| parts.paths().map(path).collect());
        if paths.iter().map(String::len).sum::<usize>() > PATHS_BYTES_MAX {
            paths.clear();
        }
        let given = &context.invocation;
        let (command, directory) = (command(given, snapshot.name.as_str(), wanted), given.directory.clone());
        let note = Note { paths, command, directory, ..Note::new(snapshot.name.as_str(), jobs) };
        if note.places.is_empty() {
            return Ok(Self { file: None, note });
        }
        let Some(folder) = state::restoring(repository) else {
            context
                .events
                .warn("that this restore has begun cannot be noted, in case that it does not end: there is no home");
            return Ok(Self { file: None, note });
        };
        let begun = begin_in(&folder, &note).map_err(|error| {
            let message = format!(
                "that a restore begins cannot be noted in {}, so that nobody would know if it did not end: {error}",
                folder.display()
            );
            let advice = "nothing was restored: make room there, or set STATE_DIRECTORY to another folder";
            UsageError::with_advice(message, advice)
        })?;
        // The other one may have begun at the same time.
        if let Err(busy) = check_others(jobs, Some(&begun.0)) {
            let _ = Note { places: BTreeMap::new(), ..note }.replace(&begun.0);
            return Err(busy.into());
        }
        Ok(Self { file: Some(begun), note })
    }

    /// Takes the note away, but for places of which only a part could be written. What earlier ones have left is whole again where this
    /// one has written all of it without an error, from a component that is whole itself. Says which places are not.
    pub(crate) fn end(mut self, report: Option<&RestoreReport>, jobs: &[RestoreJob<'_>]) -> Vec<HalfRestored> {
        let results = report.map(|report| report.components.as_slice()).unwrap_or_default();
        // What stands in the volume of a restore that failed was put back, or could not be.
        let is_volume = |name: &str| {
            let is_it = |job: &&RestoreJob<'_>| job.component.name.as_str() == name;
            jobs.iter().find(is_it).is_some_and(|job| matches!(job.destination, Destination::Volume(_)))
        };
        let is_half = |result: &&ComponentRestore| {
            let is_changed = result.written + result.removed > 0 || (result.touched && is_volume(&result.name));
            is_changed && !result.failed.is_empty()
        };
        let half: Vec<&str> = results.iter().filter(is_half).map(|result| result.name.as_str()).collect();
        let ended = |job: &&RestoreJob<'_>| {
            let result = results.iter().find(|result| result.name == job.component.name.as_str());
            job.component.is_good() && result.is_some_and(|result| result.failed.is_empty())
        };
        let ended: Vec<&RestoreJob<'_>> = jobs.iter().filter(ended).collect();
        let written = std::mem::take(&mut self.note.places);
        self.note.places = written.iter().filter(|(_, name)| half.contains(&name.as_str())).map(owned).collect();
        let folder = self.file.as_ref().and_then(|(path, _)| path.parent()).map(Path::to_owned);
        if let Some((path, locked)) = self.file.take() {
            // One that stays says less than it should only to whoever looks twice.
            let _ = self.note.replace(&path);
            drop(locked);
        }
        for Found { file, note, is_live } in note::all() {
            let Some(note) = note.ok().filter(|_| !is_live) else { continue };
            let mut left = note.clone();
            let is_same = !note.command.is_empty() && note.command == self.note.command;
            for job in &ended {
                left.remove(job, is_same);
            }
            if left != note {
                let _ = left.replace(&file);
            }
        }
        if let Some(folder) = folder {
            // It goes when nothing is left in it.
            let _ = fs::remove_dir(&folder).and_then(|()| fs::remove_dir(folder.parent().unwrap_or(&folder)));
        }
        let is_own = |half: &HalfRestored| half.place.as_ref().is_none_or(|place| written.contains_key(&place.name));
        half_restored().into_iter().filter(is_own).collect()
    }
}

/// Writes a note into a folder, which is made.
fn begin_in(folder: &Path, note: &Note) -> io::Result<(PathBuf, File)> {
    // Nothing is made where a link of somebody else leads.
    Trust::default().check_way(folder)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(format!("{}-{}.json", std::process::id(), LocalTime::now().stamp()));
    let locked = note.begin(&path)?;
    Ok((path, locked))
}

/// The command that runs, with the snapshot's own name: `latest` may be another one next time.
fn command(given: &Invocation, snapshot: &str, wanted: &str) -> String {
    let word = |word: &String| match word.strip_prefix(wanted) {
        Some(rest) if !wanted.is_empty() && (rest.is_empty() || rest.starts_with(':')) => {
            quoted(&format!("{snapshot}{rest}"))
        }
        _ => quoted(word),
    };
    let command = given.words.iter().map(word).collect::<Vec<_>>().join(" ");
    if command.len() > COMMAND_BYTES_MAX { String::new() } else { command }
}

fn owned((place, component): (&String, &String)) -> (String, String) {
    (place.clone(), component.clone())
}

/// The places of this host that are half-restored, from whatever repository.
pub(crate) fn half_restored() -> Vec<HalfRestored> {
    let mut half = Vec::new();
    for Found { file, note, is_live } in note::all() {
        let shown = file.display();
        let note = match note {
            Ok(note) => note,
            Err(error) => {
                let why = format!(
                    "{shown} cannot be read: it says of a restore that it has not ended well, and where that wrote it may be partly old and \
                     partly new ({error}); remove it when everything is as it should be"
                );
                half.push(HalfRestored { place: None, why });
                continue;
            }
        };
        let (snapshot, directory) = (&note.snapshot, &note.directory);
        for place in note.all_places() {
            let component = &note.places[&place.name];
            let again = if note.command.is_empty() {
                format!("`larder restore {snapshot} --components {component}`")
            } else {
                format!("`{}` in {directory}", note.command)
            };
            let why = if is_live {
                format!("a restore of {snapshot} writes it now, so it may be partly old and partly new")
            } else {
                format!(
                    "a restore of {snapshot} into it has not ended well, so it may be partly old and partly new: {again} writes it again, \
                     and so does a restore of all of it from another snapshot; if it is as it should be, remove {shown}"
                )
            };
            half.push(HalfRestored { place: Some(place), why });
        }
    }
    half
}

/// The snapshots of a repository that restores have not brought to their end: what is half-restored is written again from them.
pub(crate) fn needed(repository: &Repository) -> BTreeSet<String> {
    note::of_repository(repository).into_iter().filter_map(|found| Some(found.note.ok()?.snapshot)).collect()
}

/// Why a source is not whole, if it is one of these places, or is in one, or has one in it.
pub(crate) fn why_not_whole(found: &[HalfRestored], source: &ComponentSource) -> Option<String> {
    match &source.origin {
        Origin::Directory(directory) => why_of_directory(found, directory.root()),
        Origin::Volume(volume) => why_of_volume(found, volume.source.engine().host(), &volume.source.volume().name),
        _ => None,
    }
}

/// Why a directory is not whole.
pub(crate) fn why_of_directory(found: &[HalfRestored], folder: &Path) -> Option<String> {
    why(found, &Place::of_directory(folder))
}

/// Why a volume of an engine is not whole.
pub(crate) fn why_of_volume(found: &[HalfRestored], host: &str, name: &str) -> Option<String> {
    why(found, &Place::of_volume(host, name))
}

fn why(found: &[HalfRestored], place: &Place) -> Option<String> {
    let is_about = |half: &&HalfRestored| half.place.as_ref().is_none_or(|half| half.overlaps(place));
    let said = |half: &HalfRestored| match &half.place {
        Some(other) if other.name != place.name => half.to_string(),
        _ => half.why.clone(),
    };
    let all: Vec<String> = found.iter().filter(is_about).map(said).collect();
    (!all.is_empty()).then(|| all.join("; "))
}
