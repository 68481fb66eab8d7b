//! The Docker Engine, and how its volumes are read.

use std::time::Duration;

use larder::docker::HoldMethod;
use larder::model::ComponentName;
use larder::source::{Excludes, ReadMethod};

use super::file;
use crate::error::UsageError;

/// What stands before the name of a volume in the name of its component.
pub(crate) const VOLUME_PREFIX: &str = "docker_volume_";
/// How long the containers that write to a volume may be held, unless something else is said.
const DEFAULT_HOLD_LIMIT: Duration = Duration::from_mins(1);

/// A volume as the user wants it.
#[derive(Debug, Clone)]
pub(crate) struct VolumeSettings {
    /// Its name in the engine, where it cannot be found by the one that the project gives it.
    pub(crate) engine_name: Option<String>,
    pub(crate) hold: Option<HoldMethod>,
    /// Whether the file says how its writers are held; else their labels may.
    pub(crate) says_hold: bool,
    pub(crate) method: ReadMethod,
    pub(crate) excludes: Excludes,
    pub(crate) skip: bool,
}

impl Default for VolumeSettings {
    fn default() -> Self {
        let (method, excludes) = (ReadMethod::Auto, Excludes::default());
        let (hold, says_hold) = (Some(HoldMethod::Pause), false);
        Self { engine_name: None, hold, says_hold, method, excludes, skip: false }
    }
}

/// The engine and the compose project.
#[derive(Debug, Clone)]
pub(crate) struct DockerSettings {
    /// `None`: when there is something to be found.
    pub(crate) enabled: Option<bool>,
    pub(crate) host: Option<String>,
    pub(crate) project: Option<String>,
    /// How long containers may be held.
    pub(crate) hold_limit: Duration,
}

/// The engine, as the file says, else the environment.
pub(super) fn docker(file: file::Docker) -> DockerSettings {
    let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
    let project = std::env::var("COMPOSE_PROJECT_NAME").ok().filter(|project| !project.is_empty());
    let hold_limit = file.hold_secs.map_or(DEFAULT_HOLD_LIMIT, Duration::from_secs);
    DockerSettings { enabled: file.enabled, host: file.host.or(host), project: file.project.or(project), hold_limit }
}

/// A volume, as the file says.
pub(super) fn volume(name: &str, volume: &file::Volume) -> anyhow::Result<VolumeSettings> {
    let invalid = |error: &dyn std::fmt::Display| UsageError::new(format!("[volumes.{name}]: {error}"));
    format!("{VOLUME_PREFIX}{name}").parse::<ComponentName>().map_err(|error| invalid(&error))?;
    Ok(VolumeSettings {
        engine_name: volume.name.clone(),
        hold: hold_of(volume.quiesce.unwrap_or(file::Quiesce::Pause)),
        says_hold: volume.quiesce.is_some(),
        method: match volume.method {
            file::Method::Auto => ReadMethod::Auto,
            file::Method::Mountpoint => ReadMethod::Mountpoint,
            file::Method::Engine => ReadMethod::Engine,
        },
        excludes: Excludes::new(&volume.exclude).map_err(|error| invalid(&error))?,
        skip: volume.skip,
    })
}

const fn hold_of(quiesce: file::Quiesce) -> Option<HoldMethod> {
    match quiesce {
        file::Quiesce::Pause => Some(HoldMethod::Pause),
        file::Quiesce::Stop => Some(HoldMethod::Stop),
        file::Quiesce::None => None,
    }
}

/// What a label means that says the same as `quiesce` of a volume.
pub(crate) fn hold_of_label(label: &str) -> Result<Option<HoldMethod>, &'static str> {
    match label {
        "pause" => Ok(hold_of(file::Quiesce::Pause)),
        "stop" => Ok(hold_of(file::Quiesce::Stop)),
        "none" => Ok(hold_of(file::Quiesce::None)),
        _ => Err("it can be pause, stop or none"),
    }
}
