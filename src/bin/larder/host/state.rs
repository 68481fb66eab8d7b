//! Where this host keeps what it has to remember between runs: never in a repository, which others may write to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use larder::docker::{Guardian, Journals};
use larder::repo::Repository;
use larder::rooted::Trust;

use crate::error::UsageError;

/// The command that looks after held containers; nobody calls it by hand.
pub(crate) const GUARD: &str = "guard-containers";
const STATE_OF_ROOT: &str = "/var/lib/larder";
const STATE_OF_USER: &str = ".local/state";
/// This program, also where its file was replaced since it was started.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// The folder for notes of live restores.
const RESTORING: &str = "restoring";
/// Digits of a repository's id that tell it from others of this host.
const ID_DIGITS: usize = 16;

/// The folder for everything: systemd's, else that of root, else that of the user.
pub(crate) fn folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || variable("HOME").map(|home| home.join(STATE_OF_USER).join("larder"));
    let of_user = || variable("XDG_STATE_HOME").map(|state| state.join("larder"));
    let of_root = || rustix::process::geteuid().is_root().then(|| Path::new(STATE_OF_ROOT).to_owned());
    variable("STATE_DIRECTORY").or_else(of_user).or_else(of_root).or_else(home)
}

/// Refuses a folder where a container may write: it says which containers go on, what is half-restored, and where containers write.
pub(crate) fn check(trust: &Trust) -> Result<(), UsageError> {
    let Some(folder) = folder().filter(|folder| !trust.is_of_everybody() && trust.is_strange(folder)) else {
        return Ok(());
    };
    let message =
        format!("a container may write to {}, where this host keeps what it has to remember", folder.display());
    let advice = "set STATE_DIRECTORY to a folder of root's that no container has mounted; or --trust-files";
    Err(UsageError::with_advice(message, advice))
}

/// The folder for what is remembered of a repository.
fn of_repository(repository: &Repository) -> Option<PathBuf> {
    folder().map(|folder| folder.join(name_of(repository)))
}

fn name_of(repository: &Repository) -> String {
    repository.config().id.to_string().chars().take(ID_DIGITS).collect()
}

/// Where live restores from a repository are noted.
pub(crate) fn restoring(repository: &Repository) -> Option<PathBuf> {
    of_repository(repository).map(|folder| folder.join(RESTORING))
}

/// Where live restores from a repository, or from any, may be noted on this host: a run from a schedule and one by hand can have several
/// folders.
pub(crate) fn all_restoring(repository: Option<&Repository>) -> Vec<PathBuf> {
    let of_root = rustix::process::geteuid().is_root().then(|| Path::new(STATE_OF_ROOT).to_owned());
    let bases: BTreeSet<PathBuf> = folder().into_iter().chain(of_root).collect();
    if let Some(repository) = repository {
        let name = name_of(repository);
        return bases.iter().map(|base| base.join(&name).join(RESTORING)).collect();
    }
    let folders = bases.iter().filter_map(|base| std::fs::read_dir(base).ok()).flatten().flatten();
    folders.map(|entry| entry.path().join(RESTORING)).collect()
}

/// Where the containers are noted that commands on a repository hold.
pub(crate) fn journals(repository: &Repository) -> Journals {
    let journals = of_repository(repository).map(|folder| Journals::new(folder.join("held"))).unwrap_or_default();
    journals.guarded_by(Guardian::new(OWN_PROGRAM, &[GUARD]))
}
