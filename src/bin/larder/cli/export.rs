//! `larder export`: snapshots as folders that need no Larder.

use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use larder::pipeline::export::Layout;

use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::export::{self, ExportAllOutcome, ExportRequest, Exported};
use crate::error::UsageError;
use crate::exit::Exit;
use crate::term::output::Output;
use crate::units::{count, size};
use crate::view::documents::export::{ExportAllDocument, ExportDocument};

/// Write snapshots as folders: the dump, the directories, an archive of each volume, and metadata.json with checksums.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder export latest --to /mnt/usb\n  larder export --all --to /mnt/usb\n  \
    larder export latest --layout upstream --to backups.old\n  larder export latest --mask mask.toml --to /srv/test\n  larder export latest --tar - | ssh host tar -x")]
pub(super) struct ExportArguments {
    /// The snapshot: its name, the beginning of it, or `latest`.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// Every snapshot that has no folder there yet.
    #[arg(long)]
    all: bool,
    /// Where to put the folder, which has the snapshot's name.
    #[arg(long, value_name = "DIR", default_value = ".")]
    to: PathBuf,
    /// Where files lie in the folder: as documented, as the old tool has them, or both in one.
    #[arg(long, value_name = "LAYOUT", default_value = "documented")]
    layout: LayoutName,
    /// Write dumps as plain SQL, and archives as plain tar.
    #[arg(long)]
    no_compress: bool,
    /// Replace a folder that is there already.
    #[arg(long)]
    force: bool,
    /// Mask columns of databases by the rules of this file. Volumes that hold a database are left out then.
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Write the folder as a tar archive to this file, or with `-` to standard output.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "to"])]
    tar: Option<PathBuf>,
    #[command(flatten)]
    select: SelectArguments,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutName {
    Documented,
    Upstream,
    Both,
}

impl ExportArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        terminal.console.stop_cleanly()?;
        let (context, request) = (&terminal.context, self.request());
        let Some(name) = &self.name else { return self.all(terminal, &request) };
        let exported = match &self.tar {
            None => terminal.ended(export::folder(context, &request, (name, &self.to)))?,
            Some(target) if target == Path::new("-") => {
                check_stdout(terminal.output)?;
                let exported = terminal.ended(export::archive(context, &request, name, &mut stdout().lock()))?;
                return Ok(exported.exit());
            }
            Some(target) => terminal.ended(export::archive_file(context, &request, (name, target)))?,
        };
        if terminal.output.is_json() {
            terminal.output.document(&ExportDocument::new(&exported))?;
        } else {
            print(terminal.output, &exported);
        }
        Ok(exported.exit())
    }

    fn request(&self) -> ExportRequest {
        let layout = match self.layout {
            LayoutName::Documented => Layout::Documented,
            LayoutName::Upstream => Layout::Upstream,
            LayoutName::Both => Layout::Both,
        };
        ExportRequest {
            select: self.select.select(),
            layout,
            compress: !self.no_compress,
            replace: self.force,
            mask: self.mask.clone(),
        }
    }

    /// Exports every snapshot, and says so of each.
    fn all(&self, terminal: &Terminal<'_>, request: &ExportRequest) -> anyhow::Result<Exit> {
        let mut each = |exported: &Exported| print(terminal.output, exported);
        let outcome = terminal.ended(export::all(&terminal.context, request, &self.to, &mut each))?;
        if terminal.output.is_json() {
            terminal.output.document(&ExportAllDocument::new(&outcome))?;
        } else {
            let ExportAllOutcome { exported, standing, failed, .. } = &outcome;
            let exported = count(exported.len() as u64, "snapshot", "snapshots");
            let failed = if *failed > 0 { format!(", {failed} failed") } else { String::new() };
            terminal.output.line(&format!("{exported} exported, {standing} there already{failed}."));
        }
        Ok(outcome.exit)
    }
}

/// Refuses to write an archive where a document goes, or to a terminal.
fn check_stdout(output: &Output) -> Result<(), UsageError> {
    if output.is_json() || stdout().is_terminal() {
        let message = "`--tar -` writes an archive to standard output";
        return Err(UsageError::with_advice(message, "name a file, or pipe it somewhere without --json"));
    }
    Ok(())
}

/// Names the folder or archive that was written.
fn print(output: &Output, exported: &Exported) {
    let Exported { report, .. } = exported;
    output.line(&format!("{} ({})", report.path.display(), size(report.bytes)));
}
