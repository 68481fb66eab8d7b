//! What the commands say that are about the configuration and the installation: `config`, `import-config` and `setup`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::app::import_config::ImportConfigOutcome;
use crate::config::Effective;

/// The settings in force, one after the other.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct ConfigDocument<'a>(Vec<SettingDocument<'a>>);

#[derive(Debug, Serialize)]
struct SettingDocument<'a> {
    key: &'a str,
    value: &'a str,
    origin: &'a str,
}

/// What became of the configuration of the old tool.
#[derive(Debug, Serialize)]
pub(crate) struct ImportConfigDocument<'a> {
    path: &'a Path,
    written: bool,
    text: &'a str,
    overlay: Option<&'a str>,
    warnings: &'a [String],
    schedule: Option<&'a str>,
}

/// What was installed, or removed.
#[derive(Debug, Serialize)]
pub(crate) struct SetupDocument<'a> {
    pub(crate) prefix: &'a Path,
    pub(crate) removed: bool,
    pub(crate) files: &'a [PathBuf],
}

impl<'a> ConfigDocument<'a> {
    pub(crate) fn new(settings: &'a [Effective]) -> Self {
        let document = |one: &'a Effective| SettingDocument { key: &one.key, value: &one.value, origin: &one.origin };
        Self(settings.iter().map(document).collect())
    }
}

impl<'a> ImportConfigDocument<'a> {
    pub(crate) fn new(outcome: &'a ImportConfigOutcome) -> Self {
        Self {
            path: &outcome.target,
            written: outcome.written,
            text: &outcome.text,
            overlay: outcome.overlay.as_deref(),
            warnings: &outcome.warnings,
            schedule: outcome.schedule.as_deref(),
        }
    }
}
