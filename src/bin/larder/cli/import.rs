//! `larder import`: backups of the old tool, and exported folders, as snapshots.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use larder::model::Status;
use larder::pipeline::import::Outcome;

use super::terminal::Terminal;
use crate::app::import::{self, ImportRequest, ImportSums};
use crate::exit::Exit;
use crate::term::console::{advice, error, warning};
use crate::units::{count, size};
use crate::view::documents::import::{BackupDocument, ImportDocument};

/// Import backups of the old tool, exported folders, and dumps that lie alone, as snapshots.
///
/// These are folders `system_backup_YYYYMMDD_HHMMSS` and files `NAME_YYYYMMDD_HHMMSS.sql[.gz]`. They keep their names and times. Directories are searched for them. Oldest first, each is compared with the one before
/// it, so that only what differs is stored. Checksums are checked. What was imported before is left alone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder import backups.old --dry-run\n  larder import backups.old\n  \
    larder import /mnt/usb/system_backup_20251010_103000 /mnt/usb/cti_scraper_backup_20250901_020000.sql.gz")]
pub(super) struct ImportArguments {
    /// Folders, dumps, and directories that have some.
    #[arg(required = true, value_name = "FOLDER")]
    paths: Vec<PathBuf>,
    /// Check, say what would be imported, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Import those too of which a checksum is wrong, or that are not complete; they become partial snapshots.
    #[arg(long)]
    force: bool,
    /// Import them as those of this system, unless they say of which one they are [default: the one that is here].
    #[arg(long, value_name = "SYSTEM", value_parser = NonEmptyStringValueParser::new())]
    system: Option<String>,
}

impl ImportArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        terminal.console.stop_cleanly()?;
        let mut documents = Vec::new();
        let mut each = |path: &Path, outcome: &Outcome, bytes| {
            if terminal.output.is_json() {
                documents.push(BackupDocument::new(path, outcome, bytes));
            } else {
                terminal.console.end();
                print(terminal, path, outcome, bytes);
            }
        };
        let outcome = terminal.ended(import::run(&terminal.context, &self.request(), &mut each))?;
        if terminal.output.is_json() {
            terminal.output.document(&ImportDocument::new(self.dry_run, documents, &outcome.sums))?;
        } else {
            terminal.output.line(&sentence(&outcome.sums, self.dry_run));
        }
        if outcome.sums.refused > 0 {
            advice("`--force` imports what is not as it should be, as partial snapshots");
        }
        Ok(outcome.exit)
    }

    fn request(&self) -> ImportRequest {
        let Self { paths, dry_run, force, system } = self;
        ImportRequest { paths: paths.clone(), system: system.clone(), force: *force, dry_run: *dry_run }
    }
}

/// What became of all of them.
fn sentence(sums: &ImportSums, dry_run: bool) -> String {
    let others = [
        (sums.known, "imported before"),
        (sums.refused, "refused"),
        (sums.failed, "failed"),
        (sums.partial, "partial"),
    ];
    let others = others.iter().filter(|(number, _)| *number > 0);
    let others: Vec<String> = others.map(|(number, what)| format!(", {number} {what}")).collect();
    let rest = others.concat();
    let before = size(sums.bytes_before);
    if dry_run {
        return format!("Dry run: {} of {before} would be imported{rest}.", count(sums.to_do, "backup", "backups"));
    }
    let imported = count(sums.imported, "backup", "backups");
    if sums.imported == 0 {
        return format!("{imported} imported{rest}.");
    }
    format!("{imported} imported{rest}: {before} take {} in the repository.", size(sums.bytes_stored))
}

fn print(terminal: &Terminal<'_>, path: &Path, outcome: &Outcome, bytes: u64) {
    let path = path.display();
    match outcome {
        Outcome::Imported(snapshot, stored) => {
            let partial = if snapshot.status == Status::Partial { ", partial" } else { "" };
            let sizes = format!("{} as {}", size(bytes), size(*stored));
            terminal.output.line(&format!("{path}: {} ({sizes}{partial})", snapshot.name));
            snapshot.errors().for_each(|error| warning(&format!("{}: {error}", snapshot.name)));
        }
        Outcome::ToDo => terminal.output.line(&format!("{path}: would be imported ({})", size(bytes))),
        Outcome::Known(name) => terminal.output.line(&format!("{path}: imported before as {name}")),
        Outcome::Refused(why) => error(&format!("{path} is not imported: {}", why.join("; "))),
        Outcome::Failed(why) => error(&format!("{path} is not imported: {why}")),
    }
}
