//! Earlier backups as snapshots: folders of the old tool or of this one, and dumps that lie alone, under their old names and
//! with their old times.
//!
//! Taken in the order of their dates, each is compared with the one before it, so that years of nights become differences. What
//! a folder says of itself is not trusted: checksums are checked, and no path is followed.

mod folder;
mod metadata;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

pub use folder::OldBackup;
pub use metadata::{FolderComponent, FolderMetadata, parse};

use super::backup::{self, BackupOptions, ComponentSource, Origin};
use super::{Error, lookup};
use crate::cancel::Cancelled;
use crate::clock::LocalTime;
use crate::events::Phase;
use crate::model::{ComponentName, Snapshot};
use crate::monitor::Monitor;
use crate::repo::Repository;
use crate::rooted::Trust;
use crate::source::postgres::DumpFile;
use crate::source::{ArchiveFile, CommandSource, DirSource, Excludes};

use folder::{Part, Place};

/// What follows what tells a backup from others, where something is wrong with it.
const DOUBTED: &str = " (doubted)";

/// A word that every imported snapshot has.
pub const IMPORTED_TAG: &str = "imported";

/// What became of an earlier backup.
#[derive(Debug)]
pub enum Outcome {
    /// It is a snapshot now, of which so many bytes were new.
    Imported(Box<Snapshot>, u64),
    /// It would be imported: it was only looked at.
    ToDo,
    /// It was imported before, as the snapshot of this name.
    Known(String),
    /// It is imported only when that is insisted on.
    Refused(Vec<String>),
    /// It could not be read, and nothing of it was kept.
    Failed(String),
}

/// Imports one backup after the other.
#[derive(Debug)]
pub struct Importer<'a> {
    repository: Option<&'a Repository>,
    /// Names of snapshots by what tells the folders that they were imported from.
    known: HashMap<String, String>,
    /// Names of snapshots by when they were made.
    made: BTreeMap<LocalTime, String>,
    options: BackupOptions,
    /// Whether backups are taken in which something is wrong.
    force: bool,
}

/// The backups at these paths, and in directories of backups, oldest first. Links on the way are followed when their owners are believed.
///
/// # Errors
/// [`Error::NoBackup`] when there is nothing to import at a path, or it cannot be read.
pub fn find(paths: &[PathBuf], trust: &Trust) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for path in paths {
        let failed = |why: String| Error::NoBackup { path: path.display().to_string(), why };
        // A path that ends in a dot or a slash has a name all the same.
        let path = &trust.real_path(path).map_err(|refusal| failed(refusal.to_string()))?;
        if let Some(time) = folder::time_of(path) {
            found.push((time, path.clone()));
            continue;
        }
        let before = found.len();
        if path.is_dir() {
            for entry in std::fs::read_dir(path).map_err(|error| failed(error.to_string()))? {
                let entry = entry.map_err(|error| failed(error.to_string()))?.path();
                found.extend(folder::time_of(&entry).map(|time| (time, entry)));
            }
        }
        if found.len() == before {
            let why = "it is no folder system_backup_YYYYMMDD_HHMMSS, no dump NAME_YYYYMMDD_HHMMSS.sql or .sql.gz, and no \
                directory that has one of these";
            return Err(failed(why.to_owned()));
        }
    }
    found.sort();
    found.dedup();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The system of the snapshot that a folder was exported from, where that is said.
#[must_use]
pub fn exported_system(folder: &Path) -> Option<String> {
    metadata::exported_system(folder)
}

/// The directories that a folder of the old tool was copied from, by their components, as far as it says so.
#[must_use]
pub fn copied_from(folder: &Path) -> Vec<(ComponentName, PathBuf)> {
    metadata::copied_from(folder)
}

impl<'a> Importer<'a> {
    /// Looks at what was imported before; without a repository, nothing was. `force` takes backups in which something is wrong, too.
    ///
    /// # Errors
    /// [`Error::Repo`].
    pub fn new(repository: Option<&'a Repository>, options: BackupOptions, force: bool) -> Result<Self, Error> {
        let snapshots = repository.map(lookup::snapshots).transpose()?.unwrap_or_default().snapshots;
        let made = snapshots.iter().map(|snapshot| (snapshot.time, snapshot.name.to_string())).collect();
        let known = snapshots.into_iter().filter_map(|snapshot| Some((snapshot.imported?, snapshot.name.to_string())));
        Ok(Self { repository, known: known.collect(), made, options, force })
    }

    /// Imports the backup at `path`; with `only_look`, says what would become of it as far as that is known before. The
    /// second value is its length in bytes.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Repo`]. What is wrong with the backup itself is an outcome.
    pub fn import(&mut self, path: &Path, only_look: bool, monitor: &Monitor<'_>) -> Result<(Outcome, u64), Error> {
        let backup = match OldBackup::look(path) {
            Ok(Some(backup)) => backup,
            Ok(None) => return Ok((Outcome::Failed("it is no backup any more".to_owned()), 0)),
            Err(error) => return Ok((Outcome::Failed(error.to_string()), 0)),
        };
        let bytes = backup.bytes;
        // What was exported from here is here already.
        let made = backup.exported.and_then(|time| self.made.get(&time));
        if let Some(name) = self.known.get(&backup.fingerprint).or(made) {
            return Ok((Outcome::Known(name.clone()), bytes));
        }
        monitor.begin(Phase::CheckingImport { path }, None);
        let wrong = match backup.wrong_checksums(monitor) {
            Ok(wrong) => wrong,
            Err(error) if Cancelled::is_cause_of(&error) => return Err(Error::Cancelled(Cancelled)),
            Err(error) => return Ok((Outcome::Failed(error.to_string()), bytes)),
        };
        let doubts: Vec<String> =
            backup.doubts.iter().cloned().chain(wrong.iter().map(|(_, why)| why.clone())).collect();
        if !doubts.is_empty() && !self.force {
            return Ok((Outcome::Refused(doubts), bytes));
        }
        let mut backup = backup;
        if !doubts.is_empty() {
            // A copy of it that is as it should be is another one.
            backup.fingerprint.push_str(DOUBTED);
            if let Some(name) = self.known.get(&backup.fingerprint) {
                return Ok((Outcome::Known(name.clone()), bytes));
            }
        }
        for (number, why) in wrong {
            if let Some(part) = backup.parts.get_mut(number) {
                part.errors.push(why);
            }
        }
        let Some(repository) = self.repository.filter(|_| !only_look) else {
            return Ok((Outcome::ToDo, bytes));
        };
        self.store(repository, backup, monitor).map(|outcome| (outcome, bytes))
    }

    fn store(&mut self, repository: &Repository, backup: OldBackup, monitor: &Monitor<'_>) -> Result<Outcome, Error> {
        let reserved = backup::reserve_from(repository, backup.time)?;
        let options = BackupOptions {
            kind: backup.kind,
            system: backup.system.unwrap_or_else(|| self.options.system.clone()),
            dropped: backup.dropped,
            tags: tagged(backup.tags),
            imported: Some(backup.fingerprint.clone()),
            not_whole: Vec::new(),
            ..self.options.clone()
        };
        let force = self.force;
        let sources: Vec<ComponentSource> = backup.parts.into_iter().map(|part| source(part, force)).collect();
        match backup::run(repository, reserved, &sources, &options, monitor) {
            Ok(report) => {
                if backup.pinned {
                    repository.pin(report.snapshot.name.as_str())?;
                }
                self.known.insert(backup.fingerprint, report.snapshot.name.to_string());
                Ok(Outcome::Imported(Box::new(report.snapshot), report.stored.total_bytes))
            }
            Err(Error::NothingSaved { errors }) => Ok(Outcome::Failed(errors.join("; "))),
            Err(error) => Err(error),
        }
    }
}

/// The words of an imported snapshot: those that it had, and that it was imported.
fn tagged(mut tags: Vec<String>) -> Vec<String> {
    if !tags.iter().any(|tag| tag == IMPORTED_TAG) {
        tags.push(IMPORTED_TAG.to_owned());
    }
    tags
}

fn source(part: Part, force: bool) -> ComponentSource {
    let Part { name, place, errors, .. } = part;
    let origin = match place {
        Place::Dump(file, facts) => {
            Origin::DumpFile(Box::new(DumpFile::new(file, *facts).even_if_cut(force).reporting(errors)))
        }
        Place::Directory(path) => {
            Origin::Directory(DirSource::new(path, Excludes::default()).with_caches().reporting(errors))
        }
        Place::Archive(file, facts) => Origin::Archive(Box::new(ArchiveFile::new(file, facts).reporting(errors))),
        Place::Stream(file) => Origin::Command(CommandSource::File(file)),
        Place::Missing(kind, why) => Origin::missing(kind, why),
    };
    ComponentSource { name, origin }
}
