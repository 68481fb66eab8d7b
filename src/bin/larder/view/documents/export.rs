//! What `export` says.

use std::path::Path;

use larder::model::SnapshotName;
use serde::Serialize;

use crate::app::export::{ExportAllOutcome, Exported};

/// A snapshot that was exported.
#[derive(Debug, Serialize)]
pub(crate) struct ExportDocument<'a> {
    name: &'a SnapshotName,
    path: &'a Path,
    bytes: u64,
    left_out: &'a [String],
    notes: &'a [String],
}

/// What became of all snapshots.
#[derive(Debug, Serialize)]
pub(crate) struct ExportAllDocument<'a> {
    exported: Vec<ExportDocument<'a>>,
    /// How many had a folder already.
    standing: u64,
    failed: u64,
}

impl<'a> ExportDocument<'a> {
    pub(crate) fn new(exported: &'a Exported) -> Self {
        let Exported { name, report } = exported;
        Self { name, path: &report.path, bytes: report.bytes, left_out: &report.left_out, notes: &report.notes }
    }
}

impl<'a> ExportAllDocument<'a> {
    pub(crate) fn new(outcome: &'a ExportAllOutcome) -> Self {
        Self {
            exported: outcome.exported.iter().map(ExportDocument::new).collect(),
            standing: outcome.standing,
            failed: outcome.failed,
        }
    }
}
