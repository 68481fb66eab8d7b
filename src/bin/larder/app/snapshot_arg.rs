//! Earlier backups where a snapshot is asked for: `verify` and `restore` take a folder or a dump in the place of a name.

use std::path::Path;
use std::sync::Arc;

use larder::docker::Journals;
use larder::model::{Snapshot, SnapshotKind};
use larder::pipeline::import::{Importer, Outcome, find};
use larder::pipeline::{self, lookup};
use larder::repo::Repository;
use larder::storage::LocalStorage;
use larder::temporary::TemporaryFolder;

use super::create::options;
use super::origin::check_origin;
use super::select::SelectArguments;
use super::{Context, place};
use crate::failure::UsageError;
use crate::identity::system_name;
use crate::system::System;

/// A snapshot and the repository that has it.
pub(super) struct Found {
    pub(super) repository: Repository,
    pub(super) snapshot: Snapshot,
    /// The temporary repository that a folder was imported into.
    folder: Option<TemporaryFolder>,
}

impl Found {
    /// Whether it was made of a folder or a dump for this command alone.
    pub(super) const fn is_folder(&self) -> bool {
        self.folder.is_some()
    }
}

/// What is wrong with an earlier backup, which is not used therefore.
pub(super) struct Doubts {
    pub(super) path: String,
    pub(super) why: Vec<String>,
}

/// Finds a snapshot by its name, or makes one of the folder or dump at this path: in the repository with `keep`, else in a
/// temporary one.
pub(super) fn find_snapshot(
    context: &Context<'_>,
    text: &str,
    select: &SelectArguments,
    keep: bool,
) -> anyhow::Result<Result<Found, Doubts>> {
    if !is_path(text) {
        let repository = context.repository()?;
        match lookup::snapshot(&repository, text, &select.selection(context, &repository)) {
            Err(pipeline::Error::NoSuchSnapshot { .. }) if Path::new(text).exists() => {}
            snapshot => return Ok(Ok(Found { snapshot: snapshot?, repository, folder: None })),
        }
    }
    let found = find(&[text.into()], &System::trust_now(&context.settings))?;
    let [path] = found.as_slice() else {
        let message = format!("{text} has {} backups", found.len());
        return Err(UsageError::with_advice(message, "name one of them, or `larder import` them all").into());
    };
    place::check_temporary(&context.settings)?;
    let folder = if keep { None } else { Some(TemporaryFolder::new("larder-import-")?) };
    let repository = if let Some(folder) = &folder {
        Repository::open_or_create(Arc::new(LocalStorage::new(folder.path().join("backups"))))?
    } else {
        let existing = context.repository_to_add_to(false)?;
        if select.system.is_none() {
            check_origin(&context.settings, &system_name(&context.settings, existing.as_ref()), &found)?;
        }
        existing.map_or_else(|| context.repository_or_new(), Ok)?
    };
    let system = select.system.clone().unwrap_or_else(|| system_name(&context.settings, Some(&repository)));
    let options = options(SnapshotKind::Full, Journals::default(), system);
    let mut importer = Importer::new(Some(&repository), options, false)?;
    let imported = importer.import(path, false, &context.progress);
    context.progress.end();
    let doubts = |why| Ok(Err(Doubts { path: path.display().to_string(), why }));
    let snapshot = match imported?.0 {
        Outcome::Imported(snapshot, _) => *snapshot,
        Outcome::Known(name) => lookup::by_name(&repository, &name)?,
        Outcome::Refused(why) => return doubts(why),
        Outcome::Failed(why) => return doubts(vec![why]),
        Outcome::ToDo => unreachable!("it was not only looked at"),
    };
    Ok(Ok(Found { repository, snapshot, folder }))
}

/// Whether this is no name of a snapshot.
fn is_path(text: &str) -> bool {
    text.contains('/') || [".sql", ".sql.gz"].iter().any(|ending| text.ends_with(ending))
}
