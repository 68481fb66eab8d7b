//! Giving a snapshot back: into the live system, or into a folder.
//!
//! What is needed is proven to be in the repository before anything is touched, files that match are left alone, and
//! every file is replaced in one step.

mod component_target;
mod database;
mod failures;
mod into_directory;
mod job;
mod options;
mod report;
mod safety;
mod saved;
mod server;
mod through_engine;
mod tree;
mod volume;
mod volume_target;

pub use database::{DatabaseRestore, DatabaseTarget, TestPlace, check_target, load_and_count};
pub use failures::Failures;
pub use job::{Destination, RestoreJob};
pub use options::RestoreOptions;
pub use report::{ComponentRestore, RestoreReport};
pub use safety::{Safety, safety_snapshot};
pub use server::{CodeOf, TestServer, link_outside};
pub(super) use server::{ON_A_COPY, not_installed};
pub use tree::same_content;
pub use volume_target::{PROJECT_LABEL, VOLUME_LABEL, VolumeTarget, check_options, has_server_data};

use component_target::{ComponentTarget, Run, ToWrite};
use into_directory::{Folder, LiveDirectory};
use options::TreeOptions;
use saved::Saved;
use tree::{Place, TreeRestore};
use volume::{VolumeJob, Volumes};

use super::Error;
pub use super::presence::LostPath;
use super::presence::Presence;
use crate::events::Phase;
use crate::model::{Component, Snapshot};
use crate::monitor::Monitor;
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
    monitor: &Monitor<'_>,
) -> Result<RestoreReport, Error> {
    let mut presence = Presence::new(repository)?;
    let (mut volumes, mut others) = (Vec::new(), Vec::new());
    monitor.begin(Phase::CheckingPresence, None);
    for job in jobs {
        let component = job.component;
        let lost = presence.lost((component, job.parts.as_ref()), &mut 0, monitor)?;
        let target: Box<dyn ComponentTarget + '_> = match &job.destination {
            Destination::Volume(_) if job.parts.is_some() => return Err(no_parts(component)),
            Destination::Volume(target) => {
                volumes.push(VolumeJob { component, target, lost });
                continue;
            }
            Destination::Live { folder, excludes, trust } => Box::new(LiveDirectory { folder, excludes, trust }),
            Destination::Folder { folder, trust } => Box::new(Folder { folder, trust }),
            Destination::Database(target) => Box::new(&**target),
        };
        others.push(Other { job, target, lost, saved: Saved::new(&safety, component) });
    }
    // Its cache would only take memory from now on.
    drop(presence);
    let mut report = RestoreReport::default();
    // Volumes first: their containers stand still, and a database may be in one of them.
    if !volumes.is_empty() {
        report.components = Volumes { repository, snapshot, options, monitor }.restore(&volumes, safety);
    }
    others.sort_by_key(|other| !other.target.comes_first());
    let run = Run { repository, snapshot, options, monitor };
    for other in others {
        if monitor.is_cancelled() {
            break;
        }
        let component = other.job.component;
        let name = component.name.as_str();
        monitor.begin(Phase::Restoring { component: name }, other.job.parts.is_none().then_some(component.bytes));
        let restarted = |name: &String| report.components.iter().any(|volume| volume.restarted.contains(name));
        other.target.wait(&restarted, monitor);
        let mut result = ComponentRestore { name: name.to_owned(), ..ComponentRestore::default() };
        if let Err(error) = other.restore(run, &mut result) {
            result.fail_with(b"", &error);
        }
        report.components.push(result);
    }
    report.interrupted = monitor.is_cancelled();
    Ok(report)
}

/// A component that is no volume.
struct Other<'a> {
    job: &'a RestoreJob<'a>,
    target: Box<dyn ComponentTarget + 'a>,
    lost: Vec<LostPath>,
    /// What the safety snapshot has of it.
    saved: Option<Saved>,
}

impl Other<'_> {
    fn restore(self, run: Run<'_>, result: &mut ComponentRestore) -> Result<(), Error> {
        let Self { job, target, lost, saved } = self;
        let component = job.component;
        let root = component.root.as_ref().ok_or_else(|| {
            Error::Refused(format!("{} has no {}: it could not be saved then", run.snapshot.name, component.name))
        })?;
        if job.parts.is_some() && !target.takes_parts() {
            return Err(no_parts(component));
        }
        result.destination = target.describe(component);
        target.write(run, ToWrite { component, root, parts: job.parts.clone(), lost: &lost, saved }, result)
    }
}

fn no_parts(component: &Component) -> Error {
    Error::Refused(format!("parts of {} can only be restored into a folder", component.name))
}

/// Restores a component as this folder, which is empty; links on the way to it are followed as `trust` has it.
///
/// # Errors
/// Those of [`run`].
pub(super) fn as_fresh_folder(
    repository: &Repository,
    component: &Component,
    (folder, trust): (&std::path::Path, &Trust),
    monitor: &Monitor<'_>,
) -> Result<ComponentRestore, Error> {
    let mut result = ComponentRestore { name: component.name.to_string(), ..ComponentRestore::default() };
    if let Some(root) = &component.root {
        let place = Place::new(folder, trust);
        TreeRestore::live(repository, place, TreeOptions::default(), &[]).run(component, root, &mut result, monitor)?;
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
    monitor: &Monitor<'_>,
) -> Result<ComponentRestore, Error> {
    let mut result = ComponentRestore { name: component.name.to_string(), ..ComponentRestore::default() };
    if let Some(root) = &component.root {
        let (options, trust) = (TreeOptions::default(), Trust::default());
        let place = Place::new(folder, &trust);
        TreeRestore::into_folder(repository, place, options, &[]).run(component, root, &mut result, monitor)?;
    }
    Ok(result)
}
