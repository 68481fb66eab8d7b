//! `larder export`: a snapshot as the documented folder.

use std::path::PathBuf;

use clap::Args;
use larder::pipeline::export::{ExportOptions, export};
use larder::pipeline::lookup;
use serde_json::json;

use super::Context;
use crate::console::{line, warning};
use crate::failure::Exit;
use crate::units::size;

/// Write a snapshot as a folder: the dump, the directories, an archive of each volume, and metadata.json with checksums.
#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// The snapshot: its name, the beginning of it, or `latest`.
    name: String,
    /// Where to put the folder, which has the snapshot's name.
    #[arg(long, value_name = "DIR", default_value = ".")]
    to: PathBuf,
    /// Write the dump as plain SQL.
    #[arg(long)]
    no_compress: bool,
}

impl ExportArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        context.progress.stop_cleanly()?;
        let repository = context.repository()?;
        let snapshot = lookup::snapshot(&repository, &self.name)?;
        let options = ExportOptions { compress: !self.no_compress };
        let report = export(&repository, &snapshot, &self.to, options, &context.progress);
        context.progress.end();
        let report = report?;
        report.notes.iter().for_each(|note| line(&format!("note: {note}")));
        for name in &report.left_out {
            warning(&format!("{} has no {name}: it could not be saved that night", snapshot.name));
        }
        if context.output.is_json() {
            context.output.json(&json!({
                "name": snapshot.name, "path": report.path, "bytes": report.bytes, "left_out": report.left_out,
                "notes": report.notes,
            }));
        } else {
            context.output.line(&format!("{} ({})", report.path.display(), size(report.bytes)));
        }
        Ok(if report.left_out.is_empty() { Exit::Done } else { Exit::Partial })
    }
}
