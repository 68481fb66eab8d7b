//! Whom this run believes: root, whoever runs it, the user behind `sudo`, and whom root has named in `/etc/larder.toml`; but
//! nobody where containers write.

use std::io::Read;
use std::path::Path;

use larder::events::Events;
use larder::rooted::{Refusal, Status, Trust};
use serde::Deserialize;

use super::file::{FILE_BYTES_MAX, one_line};
use crate::error::UsageError;
use crate::host::places;

/// What root says for all systems of this host.
pub(crate) const HOST_FILE: &str = "/etc/larder.toml";

/// The file that every repository has.
const CONFIG_OBJECT: &str = "config";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostFile {
    #[serde(default)]
    trusted_uids: Vec<u32>,
}

/// The users that root has named.
pub(crate) fn trusted_uids() -> anyhow::Result<Vec<u32>> {
    let path = Path::new(HOST_FILE);
    let text = match read_trusted(path, &Trust::default()) {
        Err(refusal) if refusal.is_not_found() => return Ok(Vec::new()),
        read => read.map_err(|refusal| refused(&refusal))?,
    };
    parse_host_file(&text).map_err(|why| UsageError::new(format!("{HOST_FILE} is not valid: {why}")).into())
}

/// The users that the text of such a file names.
pub(crate) fn parse_host_file(text: &str) -> Result<Vec<u32>, String> {
    let file: HostFile = toml::from_str(text).map_err(|error| one_line(text, &error))?;
    Ok(file.trusted_uids)
}

/// Those that a run from a schedule believes.
pub(crate) fn scheduled(events: &dyn Events) -> anyhow::Result<Trust> {
    Ok(Trust::of(&trusted_uids()?).but_links_in(places::known(events)))
}

/// Those that this run believes, with those that are named for it; everybody when that is insisted on.
pub(crate) fn of_run((insists, named): (bool, &[u32]), events: &dyn Events) -> anyhow::Result<Trust> {
    if insists {
        return Ok(Trust::of_everybody());
    }
    let mut uids = trusted_uids()?;
    uids.extend(named);
    if rustix::process::geteuid().is_root() {
        uids.extend(std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse::<u32>().ok()));
    }
    Ok(Trust::of(&uids).but_links_in(places::known(events)))
}

/// The text of a file that decides what is done.
pub(super) fn read_trusted(path: &Path, trust: &Trust) -> Result<String, Refusal> {
    let mut text = String::new();
    let read = trust.open_file(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text);
    read.map(|_| text).map_err(|source| Refusal::Io { path: path.to_owned(), source })
}

/// The error for a refusal, with the command that mends it.
pub(crate) fn refused(refusal: &Refusal) -> UsageError {
    match refusal.mend() {
        Some(mend) => UsageError::with_advice(
            refusal.to_string(),
            format!("`{mend}` if it is as it should be, or --trust-files for this run"),
        ),
        None => UsageError::new(refusal.to_string()),
    }
}

/// The command that mends the refusal of a repository; `None` where there is no repository yet, and the folder may be anything.
pub(crate) fn mend_of_repository(place: &Path, refusal: &Refusal) -> Option<String> {
    place.join(CONFIG_OBJECT).is_file().then(|| refusal.mend()).flatten()
}

/// The error for the refusal of a repository.
pub(crate) fn repository_refused(place: &Path, refusal: &Refusal) -> UsageError {
    if mend_of_repository(place, refusal).is_none() && refusal.mend().is_some() {
        return UsageError::with_advice(
            refusal.to_string(),
            "there is no repository yet: name a folder for it that is not there, or --trust-files for this run",
        );
    }
    refused(refusal)
}

/// Refuses a folder for a repository that somebody may write to who is not believed. `None` when there is none.
pub(crate) fn check_repository(place: &Path, trust: &Trust) -> Result<Option<Status>, Refusal> {
    match trust.open_directory(place) {
        // What else is wrong with it is told where it is used.
        Err(Refusal::Io { .. }) => Ok(None),
        Err(refusal) => Err(refusal),
        Ok(folder) => {
            let failed = |errno: rustix::io::Errno| Refusal::Io { path: place.to_owned(), source: errno.into() };
            let status = Status::of(&folder).map_err(failed)?;
            trust.check(place, &status)?;
            trust.check_list(place, &status, &folder).map(|()| Some(status))
        }
    }
}

/// Why somebody who is not believed may take a repository away: of the folders above it the innermost that is his, or that
/// he may write to.
pub(crate) fn strange_folder_above(place: &Path, trust: &Trust) -> Option<Refusal> {
    trust.strange_folder(place.canonicalize().ok()?.parent()?)
}
