//! Whether the repository is the one that it was, and how the system is called in it.

use larder::events::Events;
use larder::model::{Snapshot, SnapshotKind};
use larder::pipeline::lookup;
use larder::repo::Repository;

use super::context::Context;
use crate::app::known_newest::remember_newest;
use crate::config::is_system_of_environment;
use crate::error::UsageError;
use crate::host::machine::{host_name, machine};
use crate::host::real_path::real;
use crate::host::remembered::{remember, remembered};

/// How the system is called in a repository: as the settings say, as it was called before, or like the host. Where another directory of
/// this host is called like the host already, the name of the directory follows.
pub(crate) fn system_name(context: &Context<'_>, repository: Option<&Repository>) -> String {
    let (host, settings) = (host_name(), &context.settings);
    if let Some(name) = &settings.system {
        return name.clone();
    }
    let Some(repository) = repository else { return host };
    let (known, id, base) = (remembered(context.events), repository.config().id.to_string(), real(&settings.base));
    if let Some(name) = known.system(&id, &base) {
        return name.clone();
    }
    let is_taken = known.called(&id, &host).any(|other| other.exists());
    match base.file_name().filter(|_| is_taken) {
        Some(name) => format!("{host}-{}", name.to_string_lossy().replace(char::is_control, "")),
        None => host,
    }
}

/// Warns of a system whose last backup was made on another host, or on another machine that is called alike: a copy of a machine takes its name
/// along.
pub(crate) fn warn_of_other_host(events: &dyn Events, system: &str, newest_first: &[Snapshot]) {
    let is_own = |snapshot: &&Snapshot| snapshot.system == system && snapshot.imported.is_none();
    let host = host_name();
    let Some(last) = newest_first.iter().find(is_own).filter(|last| !last.host.is_empty()) else { return };
    let is_other_machine = last.machine().zip(machine().as_deref()).is_some_and(|(was, is)| was != is);
    let what = if last.host != host {
        format!("on the host '{}', and this is '{host}'", last.host)
    } else if is_other_machine {
        format!("on another machine that is called '{host}', too")
    } else {
        return;
    };
    events.warn(&format!(
        "{}, the last snapshot of the system '{system}', was made {what}: two hosts need two names of their systems (`name` in [system] of \
         larder.toml)",
        last.name
    ));
}

/// Remembers the repository at its place, how the system is called in it, and its newest snapshots.
pub(crate) fn remember_use(context: &Context<'_>, repository: &Repository, system: &str) -> anyhow::Result<()> {
    let (id, settings) = (repository.config().id.to_string(), &context.settings);
    let (place, base) = (real(&settings.backup_dir), real(&settings.base));
    remember(context.events, |known| {
        known.add_place(&place, &id);
        // A name that was said for one run is not that of the next ones.
        if known.system(&id, &base).is_none() || !is_system_of_environment() {
            known.add_system(&id, &base, system);
        }
    });
    remember_newest(context, repository, &[])
}

/// Warns of a system that a repository has nothing of, where it has something of others.
pub(crate) fn warn_of_new_system(events: &dyn Events, system: &str, snapshots: &[Snapshot]) {
    // What a restore has replaced here makes no system of it.
    let backups: Vec<Snapshot> =
        snapshots.iter().filter(|snapshot| snapshot.kind != SnapshotKind::Safety).cloned().collect();
    let others = lookup::systems(&backups);
    if !others.is_empty() && !others.iter().any(|other| other == system) {
        let others = others.join(", ");
        events.warn(&format!(
            "the repository has no snapshot of the system '{system}', only some of {others}: if it is one of them, name it as `name` in \
             [system] of larder.toml"
        ));
    }
}

/// Warns of a new repository of a system that was saved to other places so far.
pub(crate) fn warn_of_other_places(context: &Context<'_>) {
    let settings = &context.settings;
    let (known, here) = (remembered(context.events), real(&settings.backup_dir));
    let base = real(&settings.base);
    let others: Vec<String> =
        known.places_of(&base).filter(|place| **place != here).map(|place| place.display().to_string()).collect();
    if !others.is_empty() {
        context.events.warn(&format!(
            "this is another place for the backups of this system, which were in {} so far",
            others.join(", ")
        ));
    }
}

/// Why the repository at a place is not the one that was used there before, and what to do; nothing where it is, or where none was.
/// There is none where `found` is `None`.
pub(crate) fn doubt_of_repository(context: &Context<'_>, found: Option<&Repository>) -> Option<(String, &'static str)> {
    let place = &context.settings.backup_dir;
    let (known, shown) = (remembered(context.events), place.display());
    if let (Some(file), None) = (&known.unreadable, found) {
        let file = file.display();
        return Some((
            format!("whether there was a repository in {shown} is not known, because {file} cannot be read"),
            "remove that file, if there was none; `larder create --new-repository` makes one",
        ));
    }
    let place = real(place);
    let mut ids = known.at(&place).peekable();
    ids.peek()?;
    let Some(id) = found.map(|repository| repository.config().id.to_string()) else {
        return Some((
            format!("there was a repository in {shown}, and there is none now"),
            "mount its disk, if it lies on one; `larder create --new-repository` makes a new one",
        ));
    };
    let is_other = ids.all(|known| *known != id);
    is_other.then(|| {
        (
            format!("the repository in {shown} is another one than was used there before"),
            "mount the right disk; where disks take turns, `larder create --new-repository` takes this one too",
        )
    })
}

/// The ids of the repositories that were used at the place of this one, its own included.
pub(crate) fn ids_at(context: &Context<'_>, repository: &Repository) -> Vec<String> {
    let mut ids = vec![repository.config().id.to_string()];
    for id in remembered(context.events).at(&real(&context.settings.backup_dir)) {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    ids
}

/// Refuses a repository whose id begins like none of these, where there are any, and one that is not there.
pub(crate) fn check_repository_id(
    context: &Context<'_>,
    found: Option<&Repository>,
    ids: &[String],
) -> Result<(), UsageError> {
    let id = found.map(|repository| repository.config().id.to_string());
    let is_wanted = |id: &String| ids.iter().any(|wanted| id.starts_with(wanted.as_str()));
    if ids.is_empty() || id.as_ref().is_some_and(is_wanted) {
        return Ok(());
    }
    let (shown, wanted) = (context.settings.backup_dir.display(), ids.join(" or "));
    let message = match id {
        None => format!("there is no repository in {shown}, which should have the id {wanted}"),
        Some(id) => format!("the repository in {shown} has the id {id}, and not {wanted}"),
    };
    Err(UsageError::with_advice(
        message,
        "mount the right disk, or change `--repository-id` (of a schedule by `larder schedule install`)",
    ))
}

/// Refuses a repository that is not the one that was used before, or that is gone, unless a new one is wanted.
pub(crate) fn check_repository_is_known(
    context: &Context<'_>,
    found: Option<&Repository>,
    takes_new: bool,
) -> Result<(), UsageError> {
    match doubt_of_repository(context, found).filter(|_| !takes_new) {
        Some((why, advice)) => Err(UsageError::with_advice(why, advice)),
        None => Ok(()),
    }
}
