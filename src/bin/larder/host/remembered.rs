//! What this host remembers of repositories: which ones were used at a place, and how each system is called in them.
//!
//! It lies in the state folder, so that a disk that is not mounted, or another one in its place, is not taken for an empty folder.
//! Commands that run at once change it one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

use larder::events::Events;
use larder::rooted::{Refusal, Status, Trust};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::host::state::folder;

const FILE_NAME: &str = "repositories.json";
const DAMAGED_NAME: &str = "repositories.json.damaged";
const LOCK_NAME: &str = "repositories.lock";
/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The name of the newest snapshot, by system and series.
pub(crate) type Heads = BTreeMap<String, BTreeMap<String, String>>;

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Remembered {
    /// The ids of the repositories that were used at a place.
    places: BTreeMap<PathBuf, BTreeSet<String>>,
    /// How systems are called in a repository, by their directories.
    systems: BTreeMap<String, BTreeMap<PathBuf, String>>,
    /// The newest snapshots of a repository at its place when something was last made or deleted in it.
    heads: BTreeMap<String, Heads>,
    /// Those that were gone when they were looked for.
    missed: BTreeMap<String, BTreeSet<String>>,
    /// The file that could not be read, so that nothing of it is known.
    #[serde(skip)]
    pub(crate) unreadable: Option<PathBuf>,
}

impl Remembered {
    /// The repositories that were used at a place.
    pub(crate) fn at(&self, place: &Path) -> impl Iterator<Item = &String> {
        self.places.get(place).into_iter().flatten()
    }

    /// How the system in a directory is called in a repository.
    pub(crate) fn system(&self, repository: &str, base: &Path) -> Option<&String> {
        self.systems.get(repository)?.get(base)
    }

    /// How the systems of this host are called in a repository.
    pub(crate) fn systems(&self, repository: &str) -> impl Iterator<Item = &String> {
        self.systems.get(repository).into_iter().flat_map(BTreeMap::values)
    }

    /// The directories of the systems of a repository that are called so.
    pub(crate) fn called(&self, repository: &str, name: &str) -> impl Iterator<Item = &PathBuf> {
        let systems = self.systems.get(repository).into_iter().flatten();
        systems.filter(move |(_, known)| *known == name).map(|(base, _)| base)
    }

    /// The places of the repositories that the system in a directory was saved to.
    pub(crate) fn places_of(&self, base: &Path) -> impl Iterator<Item = &PathBuf> {
        let is_of_it = |id: &String| self.system(id, base).is_some();
        self.places.iter().filter(move |(_, ids)| ids.iter().any(is_of_it)).map(|(place, _)| place)
    }

    /// The newest snapshots that were known of a repository: system, series and name.
    pub(crate) fn heads(&self, repository: &str) -> impl Iterator<Item = (&String, &String, &String)> {
        let systems = self.heads.get(repository).into_iter().flatten();
        systems.flat_map(|(system, heads)| heads.iter().map(move |(series, name)| (system, series, name)))
    }

    /// The repositories that any were ever known of.
    pub(crate) fn all_with_heads(&self) -> impl Iterator<Item = &String> {
        self.heads.keys()
    }

    /// The snapshots of a repository that are missed.
    pub(crate) fn missed(&self, repository: &str) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.missed.get(repository).unwrap_or(&NONE)
    }

    /// Remembers the newest snapshots of a repository.
    pub(crate) fn set_heads(&mut self, repository: &str, heads: Heads) {
        self.heads.insert(repository.to_owned(), heads);
    }

    /// Remembers which snapshots of a repository are missed.
    pub(crate) fn set_missed(&mut self, repository: &str, names: BTreeSet<String>) {
        if names.is_empty() {
            self.missed.remove(repository);
        } else {
            self.missed.insert(repository.to_owned(), names);
        }
    }

    /// Remembers that a repository was used at a place.
    pub(crate) fn add_place(&mut self, place: &Path, repository: &str) {
        self.places.entry(place.to_owned()).or_default().insert(repository.to_owned());
    }

    /// Remembers how a system is called in a repository.
    pub(crate) fn add_system(&mut self, repository: &str, base: &Path, name: &str) {
        self.systems.entry(repository.to_owned()).or_default().insert(base.to_owned(), name.to_owned());
    }
}

/// What is remembered. Where that cannot be read, or not be believed, it is nothing, with a warning.
pub(crate) fn remembered(events: &dyn Events) -> Remembered {
    static TOLD: Once = Once::new();
    let Some(folder) = folder() else { return Remembered::default() };
    read(&folder).unwrap_or_else(|error| {
        let path = folder.join(FILE_NAME);
        TOLD.call_once(|| {
            let path = path.display();
            events.warn(&format!(
                "which repositories were used before is not known from {path}: {error}; the next backup begins it anew"
            ));
        });
        // What somebody else remembers is nothing to this user.
        let is_of_another = error.kind() == io::ErrorKind::PermissionDenied;
        Remembered { unreadable: (!is_of_another).then_some(path), ..Remembered::default() }
    })
}

/// Changes what is remembered. That it cannot be written down is a warning: nothing that was saved depends on it.
pub(crate) fn remember(events: &dyn Events, change: impl FnOnce(&mut Remembered)) {
    let written = folder().ok_or_else(|| io::ErrorKind::NotFound.into()).and_then(|folder| write(&folder, change));
    if let Err(error) = written {
        events.warn(&format!(
            "which repository was used cannot be remembered, so that another one is not noticed: {error}"
        ));
    }
}

fn read(folder: &Path) -> io::Result<Remembered> {
    let file = match Trust::default().open_file(&folder.join(FILE_NAME)) {
        Err(Refusal::Io { source, .. })
            if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Remembered::default());
        }
        Err(refusal @ Refusal::Io { .. }) => return Err(refusal.into()),
        // What is not believed is as good as damaged.
        opened => opened.map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal.to_string()))?,
    };
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

fn write(folder: &Path, change: impl FnOnce(&mut Remembered)) -> io::Result<()> {
    let trust = Trust::default();
    trust.check_way(folder)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    trust.check(folder, &Status::of(trust.open_directory(folder)?)?)?;
    let lock = File::options().create(true).truncate(false).write(true).mode(0o600).open(folder.join(LOCK_NAME))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let before = match read(folder) {
        Ok(before) => before,
        // What cannot be understood is put aside, for whoever wants to look at it.
        Err(error) if error.kind() == io::ErrorKind::InvalidData || error.kind() == io::ErrorKind::UnexpectedEof => {
            std::fs::rename(folder.join(FILE_NAME), folder.join(DAMAGED_NAME))?;
            Remembered::default()
        }
        Err(error) => return Err(error),
    };
    let mut known = before.clone();
    change(&mut known);
    if known == before {
        return Ok(());
    }
    let mut file = tempfile::Builder::new().prefix(".repositories-").tempfile_in(folder)?;
    file.write_all(&serde_json::to_vec_pretty(&known)?)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(FILE_NAME))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_read_again_and_added_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        assert_eq!(read(&state).expect("nothing is known"), Remembered::default());
        write(&state, |known| known.add_place(Path::new("/a"), "1")).expect("written");
        write(&state, |known| {
            known.add_place(Path::new("/a"), "2");
            known.add_system("1", Path::new("/srv"), "shop");
        })
        .expect("written");
        let known = read(&state).expect("written");
        assert_eq!(known.at(Path::new("/a")).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(known.system("1", Path::new("/srv")), Some(&"shop".to_owned()));
        assert_eq!(known.called("1", "shop").collect::<Vec<_>>(), [Path::new("/srv")]);
        assert!(known.at(Path::new("/b")).next().is_none() && known.system("2", Path::new("/srv")).is_none());
    }

    #[test]
    fn what_is_not_understood_is_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE_NAME), "{").expect("ours");
        read(folder.path()).expect_err("it is no JSON");
        write(folder.path(), |known| known.add_place(Path::new("/a"), "1")).expect("it is begun anew");
        assert_eq!(std::fs::read(folder.path().join(DAMAGED_NAME)).expect("it is put aside"), b"{");
        assert_eq!(read(folder.path()).expect("anew").at(Path::new("/a")).count(), 1);
    }
}
