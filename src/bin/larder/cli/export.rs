//! `larder export`: snapshots as folders that need no Larder.

use std::io::{IsTerminal, Write, stdout};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use larder::model::Snapshot;
use larder::pipeline::export::{ExportOptions, ExportReport, Layout, export, export_tar};
use larder::pipeline::import::exported_system;
use larder::pipeline::{Mask, lookup};
use larder::progress::Progress;
use larder::repo::Repository;
use serde_json::{Value, json};

use super::select::SelectArguments;
use super::{Context, place, warn_unreadable};
use crate::config::read_mask;
use crate::console::{line, warning};
use crate::failure::{Exit, UsageError, report as report_failure};
use crate::units::{count, size};

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
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        context.progress.stop_cleanly()?;
        let mask = self.mask.as_deref().map(|path| read_mask(path, &context.settings.trust)).transpose()?;
        let options = self.options(mask.as_ref());
        match &self.tar {
            None => place::check(&self.to, &context.settings)?,
            Some(file) => {
                place::check_temporary(&context.settings)?;
                if file != Path::new("-") {
                    place::check(&folder_of(file), &context.settings)?;
                }
            }
        }
        let repository = context.repository()?;
        match (&self.name, &self.tar) {
            (Some(name), Some(target)) => {
                self.tar((context, options), &repository, &self.select.snapshot(context, &repository, name)?, target)
            }
            (Some(name), None) => {
                let snapshot = self.select.snapshot(context, &repository, name)?;
                let report = self.folder((context, options), &repository, &snapshot)?;
                if context.output.is_json() {
                    context.output.json(&to_json(&report, &snapshot));
                }
                Ok(exit(&report))
            }
            (None, _) => self.all((context, options), &repository),
        }
    }

    fn options<'m>(&self, mask: Option<&'m Mask>) -> ExportOptions<'m> {
        let layout = match self.layout {
            LayoutName::Documented => Layout::Documented,
            LayoutName::Upstream => Layout::Upstream,
            LayoutName::Both => Layout::Both,
        };
        ExportOptions { compress: !self.no_compress, layout, replace: self.force, mask }
    }

    /// Exports one snapshot, and says so.
    fn folder(
        &self,
        (context, options): (&Context<'_>, ExportOptions<'_>),
        repository: &Repository,
        snapshot: &Snapshot,
    ) -> anyhow::Result<ExportReport> {
        let report = export(repository, snapshot, &self.to, options, &context.progress);
        context.progress.end();
        let report = report?;
        print_notes(&report, snapshot);
        if !context.output.is_json() {
            context.output.line(&format!("{} ({})", report.path.display(), size(report.bytes)));
        }
        Ok(report)
    }

    fn all(
        &self,
        (context, options): (&Context<'_>, ExportOptions<'_>),
        repository: &Repository,
    ) -> anyhow::Result<Exit> {
        let found = lookup::snapshots(repository)?;
        let mut worst = if warn_unreadable(&found) { Exit::Damage } else { Exit::Done };
        let (mut documents, mut standing, mut failed) = (Vec::new(), 0, 0);
        let selection = self.select.selection(context, repository);
        selection.check(&found.snapshots)?;
        for snapshot in found.snapshots.iter().rev().filter(|snapshot| selection.has(snapshot)) {
            let folder = self.to.join(snapshot.name.as_str());
            if !self.force && folder.symlink_metadata().is_ok() {
                if let Some(system) = exported_system(&folder).filter(|system| *system != snapshot.system) {
                    warning(&format!(
                        "{} is of the system '{system}': name another folder for those of '{}'",
                        folder.display(),
                        snapshot.system
                    ));
                    (worst, failed) = (if worst == Exit::Damage { worst } else { Exit::Partial }, failed + 1);
                } else {
                    standing += 1;
                }
                continue;
            }
            let report = match self.folder((context, options), repository, snapshot) {
                Ok(report) => report,
                Err(error) if context.progress.cancelled() => return Err(error),
                // The others may be whole.
                Err(error) => {
                    let is_damage = report_failure(&error) == Exit::Damage || worst == Exit::Damage;
                    worst = if is_damage { Exit::Damage } else { Exit::Partial };
                    failed += 1;
                    continue;
                }
            };
            if worst == Exit::Done {
                worst = exit(&report);
            }
            documents.push(to_json(&report, snapshot));
        }
        if context.output.is_json() {
            context.output.json(&json!({ "exported": documents, "standing": standing, "failed": failed }));
        } else {
            let exported = count(documents.len() as u64, "snapshot", "snapshots");
            let failed = if failed > 0 { format!(", {failed} failed") } else { String::new() };
            context.output.line(&format!("{exported} exported, {standing} there already{failed}."));
        }
        Ok(worst)
    }

    fn tar(
        &self,
        (context, options): (&Context<'_>, ExportOptions<'_>),
        repository: &Repository,
        snapshot: &Snapshot,
        target: &Path,
    ) -> anyhow::Result<Exit> {
        let report = if target == Path::new("-") {
            if context.output.is_json() || stdout().is_terminal() {
                let message = "`--tar -` writes an archive to standard output";
                return Err(UsageError::with_advice(message, "name a file, or pipe it somewhere without --json").into());
            }
            let report = export_tar(repository, snapshot, &mut stdout().lock(), options, &context.progress);
            context.progress.end();
            report?
        } else {
            let report = self.tar_file((context, options), repository, snapshot, target)?;
            if context.output.is_json() {
                context.output.json(&to_json(&report, snapshot));
            } else {
                context.output.line(&format!("{} ({})", target.display(), size(report.bytes)));
            }
            report
        };
        print_notes(&report, snapshot);
        Ok(exit(&report))
    }

    /// The archive has its name only when it is complete.
    fn tar_file(
        &self,
        (context, options): (&Context<'_>, ExportOptions<'_>),
        repository: &Repository,
        snapshot: &Snapshot,
        target: &Path,
    ) -> anyhow::Result<ExportReport> {
        // What is written takes its place: that of a device, or of a link to one, is not for an archive.
        if target.symlink_metadata().is_ok_and(|there| !there.is_file()) {
            let message = format!("{} is no regular file", target.display());
            return Err(UsageError::with_advice(message, "`--tar -` writes to standard output").into());
        }
        if target.symlink_metadata().is_ok() && !self.force {
            let message = format!("{} exists already", target.display());
            return Err(UsageError::with_advice(message, "`--force` replaces it").into());
        }
        let mut partial = tempfile::Builder::new().prefix(".larder-export-").tempfile_in(folder_of(target))?;
        let report = export_tar(repository, snapshot, &mut partial, options, &context.progress);
        context.progress.end();
        let mut report = report?;
        partial.flush()?;
        partial.as_file().sync_all()?;
        partial.persist(target)?;
        target.clone_into(&mut report.path);
        Ok(report)
    }
}

/// The folder that a file lies in.
fn folder_of(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn print_notes(report: &ExportReport, snapshot: &Snapshot) {
    report.notes.iter().for_each(|note| line(&format!("note: {note}")));
    for name in &report.left_out {
        warning(&format!("{} has no {name}: it could not be saved that night", snapshot.name));
    }
}

const fn exit(report: &ExportReport) -> Exit {
    if report.left_out.is_empty() { Exit::Done } else { Exit::Partial }
}

fn to_json(report: &ExportReport, snapshot: &Snapshot) -> Value {
    json!({
        "name": snapshot.name, "path": report.path, "bytes": report.bytes, "left_out": report.left_out, "notes": report.notes,
    })
}
