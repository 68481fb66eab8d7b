//! Notes of live restores on this host: what they say, where they lie, and whether the restore goes on.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use larder::pipeline::restore::{Destination, RestoreJob};
use larder::repo::Repository;
use larder::rooted::{Identity, Trust};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::host::new_file::{self, Purpose};
use crate::host::real_path::{identity, real};
use crate::host::state;

/// Longest file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// A place that a restore writes: a directory, or a volume of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: String,
    /// Which directory it is, if it is there: it may be called otherwise later.
    pub(super) identity: Option<Identity>,
}

/// What a note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The snapshot that is restored.
    pub(super) snapshot: String,
    /// The places that are written, each with its component in the snapshot.
    pub(super) places: BTreeMap<String, String>,
    /// Which directories they are.
    #[serde(default)]
    pub(super) identities: BTreeMap<String, Identity>,
    /// The paths of the snapshot that are written; none for everything of these components.
    #[serde(default)]
    pub(super) paths: Vec<String>,
    /// The command that writes them, and the directory that it was given in.
    #[serde(default)]
    pub(super) command: String,
    #[serde(default)]
    pub(super) directory: String,
}

/// A note, or why it cannot be read.
pub(super) struct Found {
    pub(super) file: PathBuf,
    pub(super) note: io::Result<Note>,
    /// Whether the restore goes on.
    pub(super) is_live: bool,
}

impl Place {
    pub(super) fn of(destination: &Destination) -> Option<Self> {
        match destination {
            Destination::Live { folder, .. } => Some(Self::of_directory(folder)),
            Destination::Volume(target) => Some(Self::of_volume(target.engine.host(), &target.name)),
            Destination::Folder { .. } | Destination::Database(_) => None,
        }
    }

    pub(super) fn of_directory(folder: &Path) -> Self {
        Self { name: real(folder).to_string_lossy().into_owned(), identity: identity(folder) }
    }

    pub(super) fn of_volume(host: &str, name: &str) -> Self {
        Self { name: format!("the volume {name} of {host}"), identity: None }
    }

    /// Whether both are one, or one lies in the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let [one, two] = [Path::new(&self.name), Path::new(&other.name)];
        let is_same = self.identity.is_some() && self.identity == other.identity;
        is_same || one.starts_with(two) || two.starts_with(one)
    }
}

impl Note {
    pub(super) fn new(snapshot: &str, jobs: &[RestoreJob<'_>]) -> Self {
        let (mut places, mut identities) = (BTreeMap::new(), BTreeMap::new());
        for job in jobs {
            let Some(Place { name, identity }) = Place::of(&job.destination) else { continue };
            identities.extend(identity.map(|identity| (name.clone(), identity)));
            places.insert(name, job.component.name.to_string());
        }
        let (snapshot, none) = (snapshot.to_owned(), String::new());
        Self { snapshot, places, identities, paths: Vec::new(), command: none.clone(), directory: none }
    }

    /// The places that it is about.
    pub(super) fn all_places(&self) -> impl Iterator<Item = Place> {
        let place = |name: &String| Place { name: name.clone(), identity: self.identities.get(name).copied() };
        self.places.keys().map(place)
    }

    /// Takes away what a job has written; `is_same` says that its command is that of the note, which wrote as much.
    pub(super) fn remove(&mut self, job: &RestoreJob<'_>, is_same: bool) {
        let name = job.component.name.as_str();
        let Some(written) = Place::of(&job.destination) else { return };
        let is_it = |place: &Place| {
            place.name == written.name || (place.identity.is_some() && place.identity == written.identity)
        };
        let Some(place) = self.all_places().find(is_it).map(|place| place.name) else { return };
        let is_whole = self.paths.is_empty();
        let is_written = |path: &str| job.parts.as_ref().is_none_or(|parts| parts.covers(path.as_bytes()));
        self.paths.retain(|path| !(is_of(path, name) && is_written(path)));
        let is_left = if is_whole { job.parts.is_some() } else { self.paths.iter().any(|path| is_of(path, name)) };
        if is_same || !is_left {
            self.places.remove(&place);
        }
    }

    /// Writes it as one of a restore that goes on, as long as the file is open.
    pub(super) fn begin(&self, path: &Path) -> io::Result<File> {
        new_file::write_locked(path, &serde_json::to_vec(self)?)
    }

    /// Writes it as one of a restore that has ended; one that says nothing more goes.
    pub(super) fn replace(&self, path: &Path) -> io::Result<()> {
        if self.places.is_empty() {
            new_file::remove(path)
        } else {
            new_file::write(path, &serde_json::to_vec(self)?, Purpose::Text)
        }
    }
}

/// Whether a path is that of a component, or of something in it.
fn is_of(path: &str, component: &str) -> bool {
    path.strip_prefix(component).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// All notes of this host that nobody else can have written.
pub(super) fn all() -> Vec<Found> {
    in_folders(&state::all_restoring(None))
}

/// Those of restores from a repository.
pub(super) fn of_repository(repository: &Repository) -> Vec<Found> {
    in_folders(&state::all_restoring(Some(repository)))
}

fn in_folders(folders: &[PathBuf]) -> Vec<Found> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    entries.map(|entry| entry.path()).filter_map(read).collect()
}

/// The note in a file; `None` where there is none any more, or none yet.
fn read(file: PathBuf) -> Option<Found> {
    if file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
        return None;
    }
    let opened = match Trust::default().open_file(&file) {
        Ok(opened) => opened,
        Err(refusal) => {
            let error = io::Error::from(refusal);
            let is_gone = error.kind() == io::ErrorKind::NotFound;
            return (!is_gone).then_some(Found { file, note: Err(error), is_live: false });
        }
    };
    let is_live = flock(&opened, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    let mut text = Vec::new();
    let read = (&opened).take(BYTES_MAX).read_to_end(&mut text);
    let note = read.and_then(|_| Ok(serde_json::from_slice(&text)?));
    Some(Found { file, note, is_live })
}
