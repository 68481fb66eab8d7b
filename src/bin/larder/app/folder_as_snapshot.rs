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

use super::context::Context;
use super::discovery::trust_now;
use super::identity::system_name;
use super::import_origin::check_origin;
use super::run_options::run_options;
use super::selection::Select;
use super::write_place;
use crate::error::UsageError;

/// A snapshot and the repository that has it.
pub(crate) struct Found {
    pub(crate) repository: Repository,
    pub(crate) snapshot: Snapshot,
    /// The temporary repository that a folder was imported into.
    folder: Option<TemporaryFolder>,
}

impl Found {
    /// Whether it was made of a folder or a dump for this command alone.
    pub(crate) const fn is_folder(&self) -> bool {
        self.folder.is_some()
    }
}

/// What is wrong with an earlier backup, which is not used therefore.
pub(crate) struct Doubts {
    pub(crate) path: String,
    pub(crate) why: Vec<String>,
}

/// Finds a snapshot by its name, or makes one of the folder or dump at this path: in the repository with `keep`, else in a
/// temporary one.
pub(crate) fn find_snapshot(
    context: &Context<'_>,
    text: &str,
    select: &Select,
    keep: bool,
) -> anyhow::Result<Result<Found, Doubts>> {
    if !is_path(text) {
        let repository = context.repository()?;
        match lookup::snapshot(&repository, text, &select.selection(context, &repository)) {
            Err(pipeline::Error::NoSuchSnapshot { .. }) if Path::new(text).exists() => {}
            snapshot => return Ok(Ok(Found { snapshot: snapshot?, repository, folder: None })),
        }
    }
    let found = find(&[text.into()], &trust_now(context))?;
    let [path] = found.as_slice() else {
        let message = format!("{text} has {} backups", found.len());
        return Err(UsageError::with_advice(message, "name one of them, or `larder import` them all").into());
    };
    write_place::check_temporary(context)?;
    let folder = if keep { None } else { Some(TemporaryFolder::new("larder-import-")?) };
    let repository = if let Some(folder) = &folder {
        Repository::open_or_create(Arc::new(LocalStorage::new(folder.path().join("backups"))))?
    } else {
        let existing = context.repository_to_add_to(false)?;
        if select.system.is_none() {
            check_origin(&context.settings, &system_name(context, existing.as_ref()), &found)?;
        }
        existing.map_or_else(|| context.repository_or_new(), Ok)?
    };
    let system = select.system.clone().unwrap_or_else(|| system_name(context, Some(&repository)));
    let options = run_options(SnapshotKind::Full, Journals::default(), system);
    let mut importer = Importer::new(Some(&repository), options, false)?;
    let imported = importer.import(path, false, &context.monitor);
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
