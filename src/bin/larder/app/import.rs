//! An import from beginning to end: the backups that are found, and a snapshot of each.

use std::path::{Path, PathBuf};

use larder::docker::Journals;
use larder::model::{SnapshotKind, Status};
use larder::pipeline::import::{Importer, Outcome, find};

use super::context::Context;
use super::discovery::trust_now;
use super::identity::{remember_use, system_name};
use super::import_origin::check_origin;
use super::run_options::run_options;
use super::write_place;
use crate::exit::Exit;

/// An import as somebody wants it.
#[derive(Debug, Clone)]
pub(crate) struct ImportRequest {
    /// Folders, dumps, and directories that have some.
    pub(crate) paths: Vec<PathBuf>,
    /// The system that they are of unless they say another one; `None` for the one that is here.
    pub(crate) system: Option<String>,
    /// Whether backups are taken in which something is wrong.
    pub(crate) force: bool,
    /// Whether they are only looked at.
    pub(crate) dry_run: bool,
}

/// What became of all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImportSums {
    pub(crate) imported: u64,
    pub(crate) partial: u64,
    pub(crate) known: u64,
    pub(crate) to_do: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    /// Bytes of those that were imported, or would be.
    pub(crate) bytes_before: u64,
    pub(crate) bytes_stored: u64,
}

/// What was imported.
#[derive(Debug)]
pub(crate) struct ImportOutcome {
    pub(crate) sums: ImportSums,
    pub(crate) exit: Exit,
}

/// Imports one backup after the other. `each` is called with the path of each, what became of it, and its length in bytes.
pub(crate) fn run(
    context: &Context<'_>,
    request: &ImportRequest,
    each: &mut dyn FnMut(&Path, &Outcome, u64),
) -> anyhow::Result<ImportOutcome> {
    let found = find(&request.paths, &trust_now(context))?;
    write_place::check_temporary(context)?;
    let existing = context.repository_to_add_to(false)?;
    let own = system_name(context, existing.as_ref());
    if request.system.is_none() {
        check_origin(&context.settings, &own, &found)?;
    }
    let repository = if request.dry_run || existing.is_some() { existing } else { Some(context.repository_or_new()?) };
    let system = request.system.clone().unwrap_or_else(|| own.clone());
    let options = run_options(SnapshotKind::Full, Journals::default(), system);
    let mut importer = Importer::new(repository.as_ref(), options, request.force)?;
    let mut sums = ImportSums::default();
    for path in found {
        let (outcome, bytes) = importer.import(&path, request.dry_run, &context.monitor)?;
        sums.add(&outcome, bytes);
        each(&path, &outcome, bytes);
    }
    let changed = repository.as_ref().filter(|_| sums.imported > 0);
    if let Some(repository) = changed {
        remember_use(context, repository, &own)?;
    }
    let is_protected = changed.map_or(Ok(true), |repository| context.protect(repository))?;
    let exit = sums.exit(is_protected);
    Ok(ImportOutcome { sums, exit })
}

impl ImportSums {
    fn add(&mut self, outcome: &Outcome, bytes: u64) {
        match outcome {
            Outcome::Imported(snapshot, stored) => {
                self.imported += 1;
                self.partial += u64::from(snapshot.status == Status::Partial);
                self.bytes_before += bytes;
                self.bytes_stored += stored;
            }
            Outcome::ToDo => {
                self.to_do += 1;
                self.bytes_before += bytes;
            }
            Outcome::Known(_) => self.known += 1,
            Outcome::Refused(_) => self.refused += 1,
            Outcome::Failed(_) => self.failed += 1,
        }
    }

    const fn exit(&self, is_protected: bool) -> Exit {
        match (self.refused + self.failed, self.imported + self.known + self.to_do) {
            (0, _) if self.partial == 0 && is_protected => Exit::Done,
            (1.., 0) => Exit::Failed,
            _ => Exit::Partial,
        }
    }
}
