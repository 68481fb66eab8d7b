//! A volume of the engine that something is restored into.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::docker::{self, Container, Engine};
use crate::model::{Component, SECRET, VolumeFacts, show_text};
use crate::pipeline::Error;
use crate::rooted::{RootedDir, Trust};
use crate::source::{Excludes, ReadMethod, VolumeSource, VolumeUse};

/// Labels that make a volume part of a compose project.
const COMPOSE_LABELS: &str = "com.docker.compose.";
/// Label of a volume with the compose project that it is part of.
pub const PROJECT_LABEL: &str = "com.docker.compose.project";
/// Label of a volume with its name in that project.
pub const VOLUME_LABEL: &str = "com.docker.compose.volume";

/// A volume that is to be made as a snapshot has it.
#[derive(Debug, Clone)]
pub struct VolumeTarget {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The name of the volume in the engine.
    pub name: String,
    /// Whether it is another volume than the one that was saved, and no part of its project therefore.
    pub renamed: bool,
    /// The project that it becomes part of when it is made, where that is another one than it was saved from.
    pub project: Option<String>,
    /// The containers that mount it, which are stopped meanwhile.
    pub users: Vec<Container>,
    /// What backups leave out, and a restore leaves alone therefore.
    pub excludes: Excludes,
    /// How it is written.
    pub method: ReadMethod,
    /// Whose links on the way to its directory are followed.
    pub trust: Trust,
}

impl VolumeTarget {
    /// Whether it can be written, as far as that is known while its containers still run.
    pub(super) fn check(&self) -> Result<(), Error> {
        let volume = self.engine.volume(&self.name)?;
        volume.map_or(Ok(()), |volume| self.source(volume).map(drop))
    }

    /// What stands there, as it is found while its containers are stopped.
    pub(super) fn source(&self, volume: docker::Volume) -> Result<VolumeSource, Error> {
        let (containers, trust) = (self.users.clone(), self.trust.clone());
        let usage = VolumeUse { is_stopped: true, containers, trust, ..VolumeUse::default() };
        Ok(VolumeSource::new(Arc::clone(&self.engine), volume, self.method, self.excludes.clone(), usage)?)
    }
}

/// Refuses a volume that is not there and was saved with options of its driver. They say what the engine mounts, which may be any
/// directory of its host, so no snapshot has a volume made with them: whoever restores it does that by hand.
///
/// # Errors
/// [`Error::Refused`], with the command that makes the volume; [`Error::Docker`].
pub fn check_options(target: &VolumeTarget, component: &Component) -> Result<(), Error> {
    let Some(facts) = component.volume.as_ref().filter(|facts| !facts.options.is_empty()) else { return Ok(()) };
    if target.engine.volume(&target.name)?.is_some() {
        return Ok(());
    }
    let is_moved = target.renamed || target.project.is_some();
    Err(Error::Refused(made_by_hand(&target.name, facts, is_moved, &labels(target, facts))))
}

/// How a volume is made by hand that no restore makes.
fn made_by_hand(name: &str, facts: &VolumeFacts, is_moved: bool, labels: &BTreeMap<String, String>) -> String {
    let word = |text: &str| format!("'{}'", show_text(text).replace('\'', r"'\''"));
    let list = |flag: &str, all: &BTreeMap<String, String>| {
        let words = all.iter().map(|(name, value)| format!("--{flag} {} ", word(&format!("{name}={value}"))));
        words.collect::<Vec<_>>().concat()
    };
    let (name, driver, options) = (word(name), word(&facts.driver), list("opt", &facts.options));
    let labels = list("label", labels);
    let saved =
        format!("the volume {name} is not there, and what goes into it was saved from one with options of its driver");
    if is_moved {
        return format!(
            "{saved} ({}). They would lead to the place of the original, so make it without them, or with options of its own, and restore \
             again: docker volume create --driver {driver} {labels}{name}",
            options.trim_end(),
        );
    }
    let has_secret = facts.options.values().any(|value| value.contains(SECRET));
    let secret = if has_secret { format!("; {SECRET} stands for what no snapshot keeps") } else { String::new() };
    format!(
        "{saved}, which can have any directory of the host written: look whether they are right{secret}, make it, and restore again: \
         docker volume create --driver {driver} {options}{labels}{name}"
    )
}

/// The labels of a volume that is made, those of another project where it goes there.
pub(super) fn labels(target: &VolumeTarget, facts: &VolumeFacts) -> BTreeMap<String, String> {
    let mut labels = facts.labels.clone();
    let moved = target.renamed || target.project.is_some();
    labels.retain(|name, _| !moved || !name.starts_with(COMPOSE_LABELS));
    if let Some(project) = &target.project {
        labels.insert(PROJECT_LABEL.to_owned(), project.clone());
        labels.extend(facts.labels.get(VOLUME_LABEL).map(|name| (VOLUME_LABEL.to_owned(), name.clone())));
    }
    labels
}

/// Whether a volume has the data of a PostgreSQL server to start from, at this path within it.
///
/// # Errors
/// [`Error::Docker`].
pub fn has_server_data(target: &VolumeTarget, data: &str) -> Result<bool, Error> {
    let Some(found) = target.engine.volume(&target.name)? else { return Ok(false) };
    let source = target.source(found)?;
    let marker = Path::new(data).join("PG_VERSION");
    match source.directory() {
        Some(directory) => {
            let root = RootedDir::open(directory.root(), source.trust());
            Ok(root.is_ok_and(|mut root| root.status(marker.as_os_str().as_bytes()).is_ok()))
        }
        None => Ok(docker::Helper::create(&target.engine, &target.name)?.has(&marker.to_string_lossy())?),
    }
}
