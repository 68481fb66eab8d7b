//! Exports from beginning to end: one snapshot or all of them as folders, or one as an archive.

use std::io::Write;
use std::path::{Path, PathBuf};

use larder::events::Event;
use larder::model::{Snapshot, SnapshotName};
use larder::pipeline::export::{self, ExportOptions, ExportReport, Layout};
use larder::pipeline::import::exported_system;
use larder::pipeline::{Mask, lookup};
use larder::repo::Repository;

use super::advice::classify;
use super::context::Context;
use super::selection::{Select, warn_of_unreadable};
use super::write_place;
use crate::config::read_mask;
use crate::error::{UsageError, with_causes};
use crate::exit::Exit;

/// An export as somebody wants it, but for what is exported, and whereto.
#[derive(Debug, Clone)]
pub(crate) struct ExportRequest {
    pub(crate) select: Select,
    pub(crate) layout: Layout,
    pub(crate) compress: bool,
    /// Whether what is there already is replaced.
    pub(crate) replace: bool,
    /// The file with the rules of a mask.
    pub(crate) mask: Option<PathBuf>,
}

/// A snapshot that was exported.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) name: SnapshotName,
    pub(crate) report: ExportReport,
}

/// What became of all snapshots.
#[derive(Debug)]
pub(crate) struct ExportAllOutcome {
    pub(crate) exported: Vec<Exported>,
    /// How many had a folder already.
    pub(crate) standing: u64,
    pub(crate) failed: u64,
    pub(crate) exit: Exit,
}

/// Exports the snapshot of this name as a folder in `parent`.
pub(crate) fn folder(
    context: &Context<'_>,
    request: &ExportRequest,
    (name, parent): (&str, &Path),
) -> anyhow::Result<Exported> {
    let mask = request.mask(context)?;
    write_place::check(parent, context)?;
    let (repository, snapshot) = request.snapshot(context, name)?;
    render(context, request.options(mask.as_ref()), &repository, (&snapshot, parent))
}

/// Exports every snapshot that has no folder in `parent` yet. `each` is called with each that was exported.
pub(crate) fn all(
    context: &Context<'_>,
    request: &ExportRequest,
    parent: &Path,
    each: &mut dyn FnMut(&Exported),
) -> anyhow::Result<ExportAllOutcome> {
    let mask = request.mask(context)?;
    write_place::check(parent, context)?;
    let repository = context.repository()?;
    let found = lookup::snapshots(&repository)?;
    let exit = if warn_of_unreadable(context, &found) { Exit::Damage } else { Exit::Done };
    let mut outcome = ExportAllOutcome { exported: Vec::new(), standing: 0, failed: 0, exit };
    let selection = request.select.selection(context, &repository);
    selection.check(&found.snapshots)?;
    for snapshot in found.snapshots.iter().rev().filter(|snapshot| selection.has(snapshot)) {
        let folder = parent.join(snapshot.name.as_str());
        if !request.replace && folder.symlink_metadata().is_ok() {
            if is_of_another_system(context, snapshot, &folder) {
                outcome.fail(Exit::Partial);
            } else {
                outcome.standing += 1;
            }
            continue;
        }
        match render(context, request.options(mask.as_ref()), &repository, (snapshot, parent)) {
            Ok(exported) => {
                each(&exported);
                outcome.add(exported);
            }
            Err(error) if context.monitor.is_cancelled() => return Err(error),
            // The others may be whole.
            Err(error) => {
                let (exit, advice) = classify(&error);
                context.events.event(Event::Failure { text: &with_causes(error.as_ref()), advice });
                outcome.fail(exit);
            }
        }
    }
    Ok(outcome)
}

/// Writes the snapshot of this name as an archive.
pub(crate) fn archive(
    context: &Context<'_>,
    request: &ExportRequest,
    name: &str,
    target: &mut dyn Write,
) -> anyhow::Result<Exported> {
    let mask = request.mask(context)?;
    write_place::check_temporary(context)?;
    let (repository, snapshot) = request.snapshot(context, name)?;
    let report = export::export_tar(&repository, &snapshot, target, request.options(mask.as_ref()), &context.monitor)?;
    Ok(told(context, &snapshot, report))
}

/// Writes the snapshot of this name as an archive of this name, which it has only when it is complete.
pub(crate) fn archive_file(
    context: &Context<'_>,
    request: &ExportRequest,
    (name, target): (&str, &Path),
) -> anyhow::Result<Exported> {
    let mask = request.mask(context)?;
    write_place::check_temporary(context)?;
    write_place::check(&folder_of(target), context)?;
    let (repository, snapshot) = request.snapshot(context, name)?;
    check_archive(target, request.replace)?;
    let mut partial = tempfile::Builder::new().prefix(".larder-export-").tempfile_in(folder_of(target))?;
    let options = request.options(mask.as_ref());
    let mut report = export::export_tar(&repository, &snapshot, &mut partial, options, &context.monitor)?;
    partial.flush()?;
    partial.as_file().sync_all()?;
    partial.persist(target)?;
    target.clone_into(&mut report.path);
    Ok(told(context, &snapshot, report))
}

impl ExportRequest {
    fn mask(&self, context: &Context<'_>) -> anyhow::Result<Option<Mask>> {
        self.mask.as_deref().map(|path| read_mask(path, &context.settings.trust)).transpose()
    }

    const fn options<'m>(&self, mask: Option<&'m Mask>) -> ExportOptions<'m> {
        ExportOptions { compress: self.compress, layout: self.layout, replace: self.replace, mask }
    }

    fn snapshot(&self, context: &Context<'_>, name: &str) -> anyhow::Result<(Repository, Snapshot)> {
        let repository = context.repository()?;
        let snapshot = self.select.snapshot(context, &repository, name)?;
        Ok((repository, snapshot))
    }
}

impl Exported {
    /// The status of the export of this snapshot.
    pub(crate) const fn exit(&self) -> Exit {
        if self.report.left_out.is_empty() { Exit::Done } else { Exit::Partial }
    }
}

impl ExportAllOutcome {
    fn add(&mut self, exported: Exported) {
        if self.exit == Exit::Done {
            self.exit = exported.exit();
        }
        self.exported.push(exported);
    }

    /// Counts one that failed. Damage is the worst that a command can end with.
    fn fail(&mut self, exit: Exit) {
        let is_damage = exit == Exit::Damage || self.exit == Exit::Damage;
        self.exit = if is_damage { Exit::Damage } else { Exit::Partial };
        self.failed += 1;
    }
}

fn render(
    context: &Context<'_>,
    options: ExportOptions<'_>,
    repository: &Repository,
    (snapshot, parent): (&Snapshot, &Path),
) -> anyhow::Result<Exported> {
    let report = export::export(repository, snapshot, parent, options, &context.monitor)?;
    Ok(told(context, snapshot, report))
}

/// Says what is to be known of an export.
fn told(context: &Context<'_>, snapshot: &Snapshot, report: ExportReport) -> Exported {
    report.notes.iter().for_each(|note| context.events.note(note));
    for name in &report.left_out {
        context.events.warn(&format!("{} has no {name}: it could not be saved that night", snapshot.name));
    }
    Exported { name: snapshot.name.clone(), report }
}

/// Whether the folder of the snapshot's name is one of another system, and warns of that.
fn is_of_another_system(context: &Context<'_>, snapshot: &Snapshot, folder: &Path) -> bool {
    let Some(system) = exported_system(folder).filter(|system| *system != snapshot.system) else { return false };
    let folder = folder.display();
    context
        .events
        .warn(&format!("{folder} is of the system '{system}': name another folder for those of '{}'", snapshot.system));
    true
}

/// Refuses an archive that would take the place of what is not one, or of one without `replace`.
fn check_archive(target: &Path, replace: bool) -> Result<(), UsageError> {
    let Ok(there) = target.symlink_metadata() else { return Ok(()) };
    // What is written takes its place: that of a device, or of a link to one, is not for an archive.
    if !there.is_file() {
        let message = format!("{} is no regular file", target.display());
        return Err(UsageError::with_advice(message, "`--tar -` writes to standard output"));
    }
    if !replace {
        let message = format!("{} exists already", target.display());
        return Err(UsageError::with_advice(message, "`--force` replaces it"));
    }
    Ok(())
}

/// The folder that a file lies in.
fn folder_of(file: &Path) -> PathBuf {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}
