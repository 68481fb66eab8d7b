//! Giving a snapshot back: into the live system, or into a folder.
//!
//! What is needed is proven to be in the repository before anything is touched, files that match are left alone, and
//! every file is replaced in one step.

mod compare;
mod database;
mod directory;
mod failures;
mod file;
mod finisher;
mod free_space;
mod group;
mod job;
mod open_directory;
mod options;
mod place;
mod plan;
mod planner;
mod protected;
mod report;
mod safety;
mod saved;
mod server;
mod special;
mod target;
mod through_engine;
mod tree;
mod volume;
mod volume_target;
mod writer;

pub use compare::same_content;
pub use database::{DatabaseRestore, DatabaseTarget, TestPlace, check_target, load_and_count};
pub use failures::Failures;
pub use job::{Destination, RestoreJob};
pub use options::RestoreOptions;
pub use report::{ComponentRestore, RestoreReport};
pub use safety::{Safety, safety_snapshot};
pub use server::{CodeOf, TestServer, link_outside};
pub(super) use server::{ON_A_COPY, not_installed};
pub use volume_target::{PROJECT_LABEL, VOLUME_LABEL, VolumeTarget, check_options, has_server_data};

use options::TreeOptions;
use place::Place;
use protected::ProtectedPaths;
use saved::Saved;
use tree::TreeRestore;
use volume::{VolumeJob, Volumes};

use super::Error;
use super::causes::with_causes;
pub use super::presence::LostPath;
use super::presence::Presence;
use crate::model::{Component, Snapshot};
use crate::progress::Progress;
use crate::repo::Repository;
use crate::rooted::Trust;

/// Restores components of a snapshot, each as far as it goes, and volumes all or none. `safety` is what was there before: of a
/// volume it is put back when its restore fails, and of a directory nothing is removed or replaced that it does not have.
///
/// # Errors
/// [`Error::Repo`], and [`Error::Cancelled`] before anything was touched. Everything else is in the result.
pub fn run(
    repository: &Repository,
    snapshot: &Snapshot,
    jobs: &[RestoreJob<'_>],
    safety: Safety,
    options: RestoreOptions,
    progress: &dyn Progress,
) -> Result<RestoreReport, Error> {
    let mut presence = Presence::new(repository)?;
    let (mut volumes, mut others) = (Vec::new(), Vec::new());
    progress.begin("proving that everything is there", None);
    for job in jobs {
        let lost = presence.lost((job.component, job.parts.as_ref()), &mut 0, progress)?;
        match &job.destination {
            Destination::Volume(_) if job.parts.is_some() => {
                return Err(Error::Refused(format!(
                    "parts of {} can only be restored into a folder",
                    job.component.name
                )));
            }
            Destination::Volume(target) => volumes.push(VolumeJob { component: job.component, target, lost }),
            _ => others.push(Other { job, lost, saved: Saved::new(&safety, job.component) }),
        }
    }
    // Its cache would only take memory from now on.
    drop(presence);
    let mut report = RestoreReport::default();
    // Volumes first: their containers stand still, and a database may be in one of them.
    if !volumes.is_empty() {
        report.components = Volumes { repository, snapshot, options, progress }.restore(&volumes, safety);
    }
    // Then databases: they are likelier to refuse than directories, and the rest is then as it was.
    others.sort_by_key(|other| !matches!(other.job.destination, Destination::Database(_)));
    let run = Run { repository, snapshot, options, progress };
    for Other { job, lost, saved } in others {
        if progress.cancelled() {
            break;
        }
        let name = job.component.name.as_str();
        progress.begin(&format!("restoring {name}"), job.parts.is_none().then_some(job.component.bytes));
        if let Destination::Database(target) = &job.destination {
            let restarted = |name: &String| report.components.iter().any(|volume| volume.restarted.contains(name));
            database::wait_for_server(&target.connection, &restarted, progress);
        }
        let mut result = ComponentRestore { name: name.to_owned(), ..ComponentRestore::default() };
        if let Err(error) = run.restore(job, (&lost, saved), &mut result) {
            result.damaged |= error.is_damage();
            result.failed.push((name.to_owned(), with_causes(&error)));
        }
        report.components.push(result);
    }
    report.interrupted = progress.cancelled();
    Ok(report)
}

/// A component that is no volume.
struct Other<'a> {
    job: &'a RestoreJob<'a>,
    lost: Vec<LostPath>,
    /// What the safety snapshot has of it.
    saved: Option<Saved>,
}

/// What all components of a restore have in common.
struct Run<'a> {
    repository: &'a Repository,
    snapshot: &'a Snapshot,
    options: RestoreOptions,
    progress: &'a dyn Progress,
}

impl Run<'_> {
    fn restore(
        &self,
        job: &RestoreJob<'_>,
        (lost, saved): (&[LostPath], Option<Saved>),
        result: &mut ComponentRestore,
    ) -> Result<(), Error> {
        let Self { repository, snapshot, options, progress } = *self;
        let component = job.component;
        let tree_options =
            |make_equal| TreeOptions { make_equal, dry_run: options.dry_run, delete_before_write: false };
        let root = component.root.as_ref().ok_or_else(|| {
            Error::Refused(format!("{} has no {}: it could not be saved then", snapshot.name, component.name))
        })?;
        match &job.destination {
            Destination::Live { folder, excludes, trust } => {
                result.destination = folder.display().to_string();
                if !root.is_directory() {
                    return Err(Error::Refused(format!(
                        "{} is a stream and has no place of its own: use --target",
                        component.name
                    )));
                }
                let options = tree_options(options.is_made_equal(component, result));
                let place = Place { root: folder, trust, protected: ProtectedPaths::new(excludes.clone()).but(saved) };
                let restore = TreeRestore::live(repository, place, options, lost).only(job.parts.clone());
                restore.run(component, root, result, progress)
            }
            Destination::Folder { folder, trust } => {
                result.destination = folder.join(component.name.as_str()).display().to_string();
                let options = tree_options(false);
                let restore = TreeRestore::into_folder(repository, Place::new(folder, trust), options, lost);
                restore.only(job.parts.clone()).run(component, root, result, progress)
            }
            Destination::Volume(_) => Ok(()),
            Destination::Database(_) if job.parts.is_some() => {
                Err(Error::Refused(format!("parts of {} can only be restored into a folder", component.name)))
            }
            Destination::Database(target) => {
                result.destination = target.connection.to_string();
                database::restore(repository, (snapshot, component), target, lost, options, result, progress)
            }
        }
    }
}

/// Restores a component as this folder, which is empty; links on the way to it are followed as `trust` has it.
///
/// # Errors
/// Those of [`run`].
pub(super) fn as_fresh_folder(
    repository: &Repository,
    component: &Component,
    (folder, trust): (&std::path::Path, &Trust),
    progress: &dyn Progress,
) -> Result<ComponentRestore, Error> {
    let mut result = ComponentRestore { name: component.name.to_string(), ..ComponentRestore::default() };
    if let Some(root) = &component.root {
        let place = Place::new(folder, trust);
        TreeRestore::live(repository, place, TreeOptions::default(), &[]).run(
            component,
            root,
            &mut result,
            progress,
        )?;
    }
    Ok(result)
}

/// Restores a component into a folder that was made for it, without comparing with anything.
///
/// # Errors
/// [`Error::Refused`] with the first path that failed; those of [`run`].
pub(super) fn into_fresh_folder(
    repository: &Repository,
    component: &Component,
    folder: &std::path::Path,
    progress: &dyn Progress,
) -> Result<ComponentRestore, Error> {
    let mut result = ComponentRestore { name: component.name.to_string(), ..ComponentRestore::default() };
    if let Some(root) = &component.root {
        let (options, trust) = (TreeOptions::default(), Trust::default());
        let place = Place::new(folder, &trust);
        TreeRestore::into_folder(repository, place, options, &[]).run(component, root, &mut result, progress)?;
    }
    Ok(result)
}
