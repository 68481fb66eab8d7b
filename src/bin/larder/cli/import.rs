//! `larder import`: backups of the old tool, and exported folders, as snapshots.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use larder::docker::Journals;
use larder::model::{SnapshotKind, Status};
use larder::pipeline::import::{Importer, Outcome, find};
use serde_json::{Value, json};

use super::create::options;
use super::origin::check_origin;
use super::{Context, place};
use crate::console::{advice, error, warning};
use crate::failure::Exit;
use crate::identity::{remember_use, system_name};
use crate::system::System;
use crate::units::{count, size};

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
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let found = find(&self.paths, &System::trust_now(&context.settings))?;
        place::check_temporary(&context.settings)?;
        let existing = context.repository_to_add_to(false)?;
        let own = system_name(&context.settings, existing.as_ref());
        if self.system.is_none() {
            check_origin(&context.settings, &own, &found)?;
        }
        let repository = if self.dry_run || existing.is_some() { existing } else { Some(context.repository_or_new()?) };
        let system = self.system.clone().unwrap_or_else(|| own.clone());
        context.progress.stop_cleanly()?;
        let mut importer =
            Importer::new(repository.as_ref(), options(SnapshotKind::Full, Journals::default(), system), self.force)?;
        let (mut documents, mut sums) = (Vec::new(), Sums::default());
        for path in found {
            let imported = importer.import(&path, self.dry_run, &context.progress);
            context.progress.end();
            let (outcome, bytes) = imported?;
            sums.add(&outcome, bytes);
            let path = path.display().to_string();
            if context.output.is_json() {
                documents.push(to_json(&path, &outcome, bytes));
            } else {
                print(context, &path, &outcome, bytes);
            }
        }
        let changed = repository.as_ref().filter(|_| sums.imported > 0);
        if let Some(repository) = changed {
            remember_use(&context.settings, repository, &own)?;
        }
        let is_protected = changed.map_or(Ok(true), |repository| context.protect(repository))?;
        if context.output.is_json() {
            context.output.json(&json!({
                "dry_run": self.dry_run,
                "backups": documents,
                "bytes_before": sums.bytes_before,
                "bytes_stored": sums.bytes_stored,
            }));
        } else {
            context.output.line(&sums.text(self.dry_run));
        }
        if sums.refused > 0 {
            advice("`--force` imports what is not as it should be, as partial snapshots");
        }
        Ok(match (sums.refused + sums.failed, sums.imported + sums.known + sums.to_do) {
            (0, _) if sums.partial == 0 && is_protected => Exit::Done,
            (1.., 0) => Exit::Failed,
            _ => Exit::Partial,
        })
    }
}

/// What became of all of them.
#[derive(Default)]
struct Sums {
    imported: u64,
    partial: u64,
    known: u64,
    to_do: u64,
    refused: u64,
    failed: u64,
    /// Bytes of those that were imported, or would be.
    bytes_before: u64,
    bytes_stored: u64,
}

impl Sums {
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

    fn text(&self, dry_run: bool) -> String {
        let others = [
            (self.known, "imported before"),
            (self.refused, "refused"),
            (self.failed, "failed"),
            (self.partial, "partial"),
        ];
        let others = others.iter().filter(|(number, _)| *number > 0);
        let others: Vec<String> = others.map(|(number, what)| format!(", {number} {what}")).collect();
        let rest = others.concat();
        let before = size(self.bytes_before);
        if dry_run {
            return format!("Dry run: {} of {before} would be imported{rest}.", count(self.to_do, "backup", "backups"));
        }
        let imported = count(self.imported, "backup", "backups");
        if self.imported == 0 {
            return format!("{imported} imported{rest}.");
        }
        format!("{imported} imported{rest}: {before} take {} in the repository.", size(self.bytes_stored))
    }
}

fn print(context: &Context<'_>, path: &str, outcome: &Outcome, bytes: u64) {
    match outcome {
        Outcome::Imported(snapshot, stored) => {
            let partial = if snapshot.status == Status::Partial { ", partial" } else { "" };
            let sizes = format!("{} as {}", size(bytes), size(*stored));
            context.output.line(&format!("{path}: {} ({sizes}{partial})", snapshot.name));
            snapshot.errors().for_each(|error| warning(&format!("{}: {error}", snapshot.name)));
        }
        Outcome::ToDo => context.output.line(&format!("{path}: would be imported ({})", size(bytes))),
        Outcome::Known(name) => context.output.line(&format!("{path}: imported before as {name}")),
        Outcome::Refused(why) => error(&format!("{path} is not imported: {}", why.join("; "))),
        Outcome::Failed(why) => error(&format!("{path} is not imported: {why}")),
    }
}

fn to_json(path: &str, outcome: &Outcome, bytes: u64) -> Value {
    let (status, name, stored, errors) = match outcome {
        Outcome::Imported(snapshot, stored) => {
            let status = if snapshot.status == Status::Partial { "partial" } else { "imported" };
            (status, Some(snapshot.name.to_string()), Some(*stored), snapshot.errors().collect())
        }
        Outcome::ToDo => ("to do", None, None, Vec::new()),
        Outcome::Known(name) => ("known", Some(name.clone()), None, Vec::new()),
        Outcome::Refused(why) => ("refused", None, None, why.clone()),
        Outcome::Failed(why) => ("failed", None, None, vec![why.clone()]),
    };
    json!({ "path": path, "status": status, "name": name, "bytes": bytes, "bytes_stored": stored, "errors": errors })
}
