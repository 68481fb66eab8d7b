//! Whether root may write into a folder that somebody names: nobody else may lead elsewhere what is written there, or exchange it.

use std::fs::read_link;
use std::os::fd::AsRawFd;
use std::path::Path;

use larder::rooted::Refusal;

use super::context::Context;
use super::discovery::trust_now;
use crate::config::{HOST_FILE, refused};
use crate::error::UsageError;

/// Refuses the folder for temporary files where a container may write to it. What else is wrong with it is told by whoever needs it.
pub(crate) fn check_temporary(context: &Context<'_>) -> anyhow::Result<()> {
    let place = std::env::temp_dir();
    if context.settings.insists || !rustix::process::geteuid().is_root() || !trust_now(context).is_strange(&place) {
        return Ok(());
    }
    let message = format!(
        "a container may write to {}, where temporary files lie, and could read or exchange what root has there",
        place.display()
    );
    Err(UsageError::with_advice(
        message,
        "set TMPDIR to a folder of root's that no container has mounted; or --trust-files",
    )
    .into())
}

/// Refuses a folder, be it there or not, that lies in one of somebody who is not believed, or behind a link of his.
pub(crate) fn check(place: &Path, context: &Context<'_>) -> anyhow::Result<()> {
    if context.settings.insists || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let place = std::path::absolute(place)?;
    let Some(folder) = place.ancestors().find(|folder| folder.symlink_metadata().is_ok()) else { return Ok(()) };
    let trust = trust_now(context);
    let opened = match trust.open_directory(folder) {
        Ok(opened) => opened,
        // What else is wrong is told by whoever writes there.
        Err(Refusal::Io { .. }) => return Ok(()),
        Err(refusal) => return Err(refused(&refusal).into()),
    };
    // Its path may lead elsewhere by now.
    let folder = read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()))?;
    if trust.is_strange(&folder) {
        let message = format!(
            "a container may write where {} is, and could read or exchange what root writes there",
            place.display()
        );
        let advice = "name a folder that no container has mounted; or --trust-files";
        return Err(UsageError::with_advice(message, advice).into());
    }
    let Some(refusal) = trust.strange_folder(&folder) else { return Ok(()) };
    let message = format!("{refusal}, and could exchange what root writes to {}", place.display());
    let advice = format!(
        "name a folder that is root's with those around it, or the user in `trusted_uids` of {HOST_FILE}; or --trust-files"
    );
    Err(UsageError::with_advice(message, advice).into())
}
