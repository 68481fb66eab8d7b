//! Live restores that have not come to their end: what they leave is partly old and partly new, and no backup of it is complete.
//!
//! A note of each lies in the state folder of this host, from before anything is written until the restore has ended.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use larder::clock::LocalTime;
use larder::model::{Parts, Snapshot};
use larder::pipeline::backup::{ComponentSource, Origin};
use larder::pipeline::restore::{ComponentRestore, Destination, RestoreJob, RestoreReport};
use larder::repo::Repository;
use larder::rooted::Trust;
use serde::{Deserialize, Serialize};

use crate::console::warning;
use crate::new_file::{self, Purpose};
use crate::real_path::real;
use crate::shell::quoted;
use crate::state;

/// Longest file that is read.
const BYTES_MAX: u64 = 1 << 20;
/// Most bytes of paths that are noted; where there are more, it is all of the components.
const PATHS_BYTES_MAX: usize = 1 << 16;
/// Longest command that is noted; in the place of a longer one, that of all of the component is told.
const COMMAND_BYTES_MAX: usize = 1 << 12;

/// What a note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The snapshot that is restored.
    snapshot: String,
    /// The directories and volumes that are written, each with its component in the snapshot.
    places: BTreeMap<String, String>,
    /// The paths of the snapshot that are written; none for everything of these components.
    #[serde(default)]
    paths: Vec<String>,
    /// The command that writes them, and the directory that it was given in.
    #[serde(default)]
    command: String,
    #[serde(default)]
    directory: String,
}

/// A restore that goes on.
#[derive(Debug)]
pub(crate) struct Restoring {
    /// Where its note is; `None` where there is nothing to note.
    file: Option<PathBuf>,
    note: Note,
    folder: Option<PathBuf>,
}

/// A place that a restore has left half-written, or is writing now.
#[derive(Debug)]
pub(crate) struct HalfRestored {
    place: String,
    why: String,
}

impl fmt::Display for HalfRestored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.why)
    }
}

impl Restoring {
    /// Notes what is about to be written. Databases are not: an old one serves on until the new one is whole.
    pub(crate) fn begin(
        repository: &Repository,
        (snapshot, wanted): (&Snapshot, &str),
        jobs: &[RestoreJob<'_>],
        parts: Option<&Parts>,
    ) -> Self {
        let path = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let mut paths: Vec<String> = parts.map_or_else(Vec::new, |parts| parts.paths().map(path).collect());
        if paths.iter().map(String::len).sum::<usize>() > PATHS_BYTES_MAX {
            paths.clear();
        }
        let place = |job: &RestoreJob<'_>| Some((place_of(&job.destination)?, job.component.name.to_string()));
        let places = jobs.iter().filter_map(place).collect();
        let (command, directory) = (command(snapshot.name.as_str(), wanted), current_directory());
        let note = Note { snapshot: snapshot.name.to_string(), places, paths, command, directory };
        let folder = state::restoring(repository);
        let mut restoring = Self { file: None, note, folder };
        if restoring.note.places.is_empty() {
            return restoring;
        }
        let written = restoring.write();
        if let Err(error) = written {
            (restoring.file, restoring.folder) = (None, None);
            warning(&format!("that this restore has begun cannot be noted, in case that it does not end: {error}"));
        }
        restoring
    }

    fn write(&mut self) -> io::Result<()> {
        let folder = self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?;
        // Nothing is made where a link of somebody else leads.
        Trust::default().check_way(folder)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let name = format!("{}-{}.json", std::process::id(), LocalTime::now().stamp());
        let file = self.file.insert(folder.join(name));
        save(file, &self.note)
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
        if let Some(file) = &self.file {
            // One that stays says less than it should only to whoever looks twice.
            let _ = replace(file, &self.note);
        }
        for (file, note) in all_notes() {
            let mut left = note.clone();
            let is_same = !note.command.is_empty() && note.command == self.note.command;
            for job in &ended {
                left.remove(place_of(&job.destination).as_deref(), job, is_same);
            }
            if left != note {
                let _ = replace(&file, &left);
            }
        }
        if let Some(folder) = &self.folder {
            // It goes when nothing is left in it.
            let _ = fs::remove_dir(folder).and_then(|()| fs::remove_dir(folder.parent().unwrap_or(folder)));
        }
        half_restored().into_iter().filter(|half| written.contains_key(&half.place)).collect()
    }
}

impl Note {
    /// Takes away what a job has written; `is_same` says that its command is that of the note, which wrote as much.
    fn remove(&mut self, place: Option<&str>, job: &RestoreJob<'_>, is_same: bool) {
        let name = job.component.name.as_str();
        let Some(place) = place.filter(|place| self.places.contains_key(*place)) else { return };
        let is_whole = self.paths.is_empty();
        let is_written = |path: &str| job.parts.as_ref().is_none_or(|parts| parts.covers(path.as_bytes()));
        self.paths.retain(|path| !(is_of(path, name) && is_written(path)));
        let is_left = if is_whole { job.parts.is_some() } else { self.paths.iter().any(|path| is_of(path, name)) };
        if is_same || !is_left {
            self.places.remove(place);
        }
    }
}

/// Whether a path is that of a component, or of something in it.
fn is_of(path: &str, component: &str) -> bool {
    path.strip_prefix(component).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The command that runs, with the snapshot's own name: `latest` may be another one next time.
fn command(snapshot: &str, wanted: &str) -> String {
    let word = |word: OsString| {
        let word = word.to_string_lossy().into_owned();
        match word.strip_prefix(wanted) {
            Some(rest) if !wanted.is_empty() && (rest.is_empty() || rest.starts_with(':')) => {
                quoted(&format!("{snapshot}{rest}"))
            }
            _ => quoted(&word),
        }
    };
    let command = std::env::args_os().map(word).collect::<Vec<_>>().join(" ");
    if command.len() > COMMAND_BYTES_MAX { String::new() } else { command }
}

fn current_directory() -> String {
    std::env::current_dir().unwrap_or_default().display().to_string()
}

fn owned((place, component): (&String, &String)) -> (String, String) {
    (place.clone(), component.clone())
}

/// The places of this host that are half-restored, from whatever repository.
pub(crate) fn half_restored() -> Vec<HalfRestored> {
    let mut found = Vec::new();
    for (file, Note { snapshot, places, command, directory, .. }) in all_notes() {
        for (place, component) in places {
            let again = if command.is_empty() {
                format!("`larder restore {snapshot} --components {component}`")
            } else {
                format!("`{command}` in {directory}")
            };
            let why = format!(
                "a restore of {snapshot} into it has not ended well, so it may be partly old and partly new: {again} writes it again; if it \
                 is as it should be, remove {}",
                file.display()
            );
            found.push(HalfRestored { place, why });
        }
    }
    found
}

/// Why a source is not whole, if it is one of these places.
pub(crate) fn why_not_whole(found: &[HalfRestored], source: &ComponentSource) -> Option<String> {
    match &source.origin {
        Origin::Directory(directory) => why_of_directory(found, directory.root()),
        Origin::Volume(volume) => why_of_volume(found, volume.source.engine().host(), &volume.source.volume().name),
        _ => None,
    }
}

/// Why a directory is not whole, if it is one of these places.
pub(crate) fn why_of_directory(found: &[HalfRestored], folder: &Path) -> Option<String> {
    why(found, &place_of_directory(folder))
}

/// Why a volume of an engine is not whole, if it is one of these places.
pub(crate) fn why_of_volume(found: &[HalfRestored], host: &str, name: &str) -> Option<String> {
    why(found, &place_of_volume(host, name))
}

fn why(found: &[HalfRestored], place: &str) -> Option<String> {
    let all: Vec<&str> = found.iter().filter(|half| half.place == place).map(|half| half.why.as_str()).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn place_of(destination: &Destination) -> Option<String> {
    match destination {
        Destination::Live { folder, .. } => Some(place_of_directory(folder)),
        Destination::Volume(target) => Some(place_of_volume(target.engine.host(), &target.name)),
        Destination::Folder { .. } | Destination::Database(_) => None,
    }
}

fn place_of_directory(folder: &Path) -> String {
    real(folder).to_string_lossy().into_owned()
}

fn place_of_volume(host: &str, name: &str) -> String {
    format!("the volume {name} of {host}")
}

/// Writes a note anew; one that says nothing more goes.
fn replace(file: &Path, note: &Note) -> io::Result<()> {
    if note.places.is_empty() { new_file::remove(file) } else { save(file, note) }
}

fn save(file: &Path, note: &Note) -> io::Result<()> {
    new_file::write(file, &serde_json::to_vec(note)?, Purpose::Text)
}

/// All notes of this host that nobody else can have written.
fn all_notes() -> Vec<(PathBuf, Note)> {
    state::all_restoring().iter().flat_map(|folder| notes(folder)).collect()
}

fn notes(folder: &Path) -> Vec<(PathBuf, Note)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let read = |path: PathBuf| match read_note(&path) {
        Ok(note) => Some((path, note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let path = path.display();
            warning(&format!(
                "{path} cannot be read: it says of a restore that it has not ended well, and what that wrote may be partly old and partly new \
                 ({error})"
            ));
            None
        }
    };
    entries.flatten().map(|entry| entry.path()).filter_map(read).collect()
}

fn read_note(path: &Path) -> io::Result<Note> {
    let mut text = Vec::new();
    Trust::default().open_file(path)?.take(BYTES_MAX).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
