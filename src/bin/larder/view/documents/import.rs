//! What `import` says.

use std::path::Path;

use larder::model::Status;
use larder::pipeline::import::Outcome;
use serde::Serialize;

use crate::app::import::ImportSums;

/// What was imported, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct ImportDocument {
    dry_run: bool,
    backups: Vec<BackupDocument>,
    bytes_before: u64,
    bytes_stored: u64,
}

/// What became of one backup.
#[derive(Debug, Serialize)]
pub(crate) struct BackupDocument {
    path: String,
    status: &'static str,
    /// The name of the snapshot.
    name: Option<String>,
    bytes: u64,
    bytes_stored: Option<u64>,
    errors: Vec<String>,
}

impl ImportDocument {
    pub(crate) const fn new(dry_run: bool, backups: Vec<BackupDocument>, sums: &ImportSums) -> Self {
        Self { dry_run, backups, bytes_before: sums.bytes_before, bytes_stored: sums.bytes_stored }
    }
}

impl BackupDocument {
    pub(crate) fn new(path: &Path, outcome: &Outcome, bytes: u64) -> Self {
        let (status, name, bytes_stored, errors) = match outcome {
            Outcome::Imported(snapshot, stored) => {
                let status = if snapshot.status == Status::Partial { "partial" } else { "imported" };
                (status, Some(snapshot.name.to_string()), Some(*stored), snapshot.errors().collect())
            }
            Outcome::ToDo => ("to do", None, None, Vec::new()),
            Outcome::Known(name) => ("known", Some(name.clone()), None, Vec::new()),
            Outcome::Refused(why) => ("refused", None, None, why.clone()),
            Outcome::Failed(why) => ("failed", None, None, vec![why.clone()]),
        };
        Self { path: path.display().to_string(), status, name, bytes, bytes_stored, errors }
    }
}
