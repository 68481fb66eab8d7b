//! Whether the repository is the one that it was, and how the system is called in it.

use std::path::Path;

use larder::id::Digest;
use larder::model::{Snapshot, SnapshotKind};
use larder::pipeline::lookup;
use larder::repo::Repository;

use crate::config::{Settings, is_system_of_environment};
use crate::console::warning;
use crate::failure::UsageError;
use crate::heads::remember_heads;
use crate::real_path::real;
use crate::remembered::{remember, remembered};

/// Hexadecimal digits of the id that a machine was installed with.
const MACHINE_ID_DIGITS: usize = 32;
/// Bytes of the digest of it that are kept.
const MACHINE_BYTES: usize = 16;

/// The name of this host.
pub(crate) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// What tells this machine from others that are called alike: a digest of the id that it was installed with, which is kept to itself.
pub(crate) fn machine() -> Option<Vec<u8>> {
    let id = std::fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim();
    let is_id = id.len() == MACHINE_ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digest = is_id.then(|| Digest::of(format!("larder machine {id}").as_bytes()))?;
    Some(digest.as_bytes().iter().copied().take(MACHINE_BYTES).collect())
}

/// How the system is called in a repository: as the settings say, as it was called before, or like the host. Where another directory of
/// this host is called like the host already, the name of the directory follows.
pub(crate) fn system_name(settings: &Settings, repository: Option<&Repository>) -> String {
    let host = host_name();
    if let Some(name) = &settings.system {
        return name.clone();
    }
    let Some(repository) = repository else { return host };
    let (known, id, base) = (remembered(), repository.config().id.to_string(), real(&settings.base));
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
pub(crate) fn warn_of_other_host(system: &str, newest_first: &[Snapshot]) {
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
    warning(&format!(
        "{}, the last snapshot of the system '{system}', was made {what}: two hosts need two names of their systems (`name` in [system] of \
         larder.toml)",
        last.name
    ));
}

/// Remembers the repository at its place, how the system is called in it, and its newest snapshots.
pub(crate) fn remember_use(settings: &Settings, repository: &Repository, system: &str) -> anyhow::Result<()> {
    let id = repository.config().id.to_string();
    let (place, base) = (real(&settings.backup_dir), real(&settings.base));
    remember(|known| {
        known.add_place(&place, &id);
        // A name that was said for one run is not that of the next ones.
        if known.system(&id, &base).is_none() || !is_system_of_environment() {
            known.add_system(&id, &base, system);
        }
    });
    remember_heads(settings, repository, &[])
}

/// Warns of a system that a repository has nothing of, where it has something of others.
pub(crate) fn warn_of_new_system(system: &str, snapshots: &[Snapshot]) {
    // What a restore has replaced here makes no system of it.
    let backups: Vec<Snapshot> =
        snapshots.iter().filter(|snapshot| snapshot.kind != SnapshotKind::Safety).cloned().collect();
    let others = lookup::systems(&backups);
    if !others.is_empty() && !others.iter().any(|other| other == system) {
        let others = others.join(", ");
        warning(&format!(
            "the repository has no snapshot of the system '{system}', only some of {others}: if it is one of them, name it as `name` in \
             [system] of larder.toml"
        ));
    }
}

/// Warns of a new repository of a system that was saved to other places so far.
pub(crate) fn warn_of_other_places(settings: &Settings) {
    let (known, here) = (remembered(), real(&settings.backup_dir));
    let base = real(&settings.base);
    let others: Vec<String> =
        known.places_of(&base).filter(|place| **place != here).map(|place| place.display().to_string()).collect();
    if !others.is_empty() {
        warning(&format!(
            "this is another place for the backups of this system, which were in {} so far",
            others.join(", ")
        ));
    }
}

/// Why the repository at a place is not the one that was used there before, and what to do; nothing where it is, or where none was.
/// There is none where `found` is `None`.
pub(crate) fn doubt_of_repository(place: &Path, found: Option<&Repository>) -> Option<(String, &'static str)> {
    let (known, shown) = (remembered(), place.display());
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
pub(crate) fn ids_at(settings: &Settings, repository: &Repository) -> Vec<String> {
    let mut ids = vec![repository.config().id.to_string()];
    for id in remembered().at(&real(&settings.backup_dir)) {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    ids
}

/// Refuses a repository whose id begins like none of these, where there are any, and one that is not there.
pub(crate) fn check_repository_id(
    settings: &Settings,
    found: Option<&Repository>,
    ids: &[String],
) -> Result<(), UsageError> {
    let id = found.map(|repository| repository.config().id.to_string());
    let is_wanted = |id: &String| ids.iter().any(|wanted| id.starts_with(wanted.as_str()));
    if ids.is_empty() || id.as_ref().is_some_and(is_wanted) {
        return Ok(());
    }
    let (shown, wanted) = (settings.backup_dir.display(), ids.join(" or "));
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
    settings: &Settings,
    found: Option<&Repository>,
    takes_new: bool,
) -> Result<(), UsageError> {
    match doubt_of_repository(&settings.backup_dir, found).filter(|_| !takes_new) {
        Some((why, advice)) => Err(UsageError::with_advice(why, advice)),
        None => Ok(()),
    }
}
