//! What `schedule` says.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::app::schedule::{Installed, PlannedInstall};

/// What was installed, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct InstallDocument<'a> {
    name: &'a str,
    files: Vec<&'a Path>,
    written: bool,
}

/// What is installed.
#[derive(Debug, Serialize)]
pub(crate) struct InstalledDocument<'a> {
    name: &'a str,
    files: &'a [PathBuf],
}

/// What was installed and is removed.
#[derive(Debug, Serialize)]
pub(crate) struct RemovedDocument<'a> {
    name: &'a str,
    removed: &'a [PathBuf],
}

impl<'a> InstallDocument<'a> {
    pub(crate) fn new(planned: &'a PlannedInstall, written: bool) -> Self {
        Self { name: planned.name(), files: planned.files().map(|file| file.path.as_path()).collect(), written }
    }
}

impl<'a> InstalledDocument<'a> {
    pub(crate) fn new(installed: &'a Installed) -> Self {
        Self { name: &installed.name, files: &installed.files }
    }
}

impl<'a> RemovedDocument<'a> {
    pub(crate) fn new(installed: &'a Installed) -> Self {
        Self { name: &installed.name, removed: &installed.files }
    }
}
