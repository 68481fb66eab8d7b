//! What of a snapshot goes where in a restore, and what stays as it is.

use std::path::Path;

use larder::model::{Component, ComponentKind};
use larder::pipeline::restore::{Destination, RestoreJob, has_server_data};

use crate::config::VOLUME_PREFIX;
use crate::failure::UsageError;
use crate::system::System;

/// The components that are restored, each with its place.
pub(super) struct Plan<'a> {
    pub(super) jobs: Vec<RestoreJob<'a>>,
    /// Those that the snapshot does not have.
    pub(super) left_out: Vec<String>,
    /// Those that stay as they are, and why.
    pub(super) skipped: Vec<(String, String)>,
}

impl<'a> Plan<'a> {
    /// Everything into a folder.
    pub(super) fn into_folder(folder: &Path, components: &[&'a Component]) -> Self {
        let (saved, lost): (Vec<&Component>, Vec<_>) =
            components.iter().partition(|component| component.root.is_some());
        let job = |component| RestoreJob { component, destination: Destination::Folder(folder.to_owned()) };
        Self {
            jobs: saved.into_iter().map(job).collect(),
            left_out: lost.into_iter().map(|component| component.name.to_string()).collect(),
            skipped: Vec::new(),
        }
    }

    /// Each component into its place in the live system. `mapping` gives volumes another place. `named` says that the
    /// user chose the components.
    pub(super) fn live(
        system: &System<'_>,
        components: &[&'a Component],
        mapping: &[(String, String)],
        named: bool,
    ) -> anyhow::Result<Self> {
        check_mapping(components, mapping)?;
        let mut plan = Self { jobs: Vec::new(), left_out: Vec::new(), skipped: Vec::new() };
        for component in components.iter().copied() {
            if component.root.is_none() {
                plan.left_out.push(component.name.to_string());
                continue;
            }
            let twice = components.iter().find(|other| is_data_of(component, other) && other.root.is_some());
            if let Some(dump) = twice
                && mapping_of(component, mapping).is_none()
            {
                plan.choose(system, component, dump, named)?;
            } else if !plan.is_skipped(component) && !plan.is_covered(system, component, components, mapping)? {
                plan.jobs.push(RestoreJob { component, destination: destination(system, component, mapping)? });
            }
        }
        let skipped: Vec<String> = plan.skipped.iter().map(|(name, _)| name.clone()).collect();
        plan.jobs.retain(|job| !skipped.contains(&job.component.name.to_string()));
        Ok(plan)
    }

    fn is_skipped(&self, component: &Component) -> bool {
        self.skipped.iter().any(|(name, _)| name == component.name.as_str())
    }

    /// A volume and a dump are the same database, which is never restored twice: the dump wins, unless the server has
    /// nothing to start from.
    fn choose(
        &mut self,
        system: &System<'_>,
        volume: &'a Component,
        dump: &Component,
        named: bool,
    ) -> anyhow::Result<()> {
        if named {
            let message = format!("{} and {} are the same database", volume.name, dump.name);
            return Err(UsageError::with_advice(message, "name one of them in --components").into());
        }
        if has_data(system, volume)? {
            let why = format!("it is the database that {} is loaded into", dump.name);
            self.skipped.push((volume.name.to_string(), why));
        } else {
            let destination = destination(system, volume, &[])?;
            self.jobs.push(RestoreJob { component: volume, destination });
        }
        Ok(())
    }

    /// Whether a dump is left out, because its server has nothing to start from but the volume that is restored.
    fn is_covered(
        &mut self,
        system: &System<'_>,
        dump: &Component,
        components: &[&'a Component],
        mapping: &[(String, String)],
    ) -> anyhow::Result<bool> {
        let volume = components.iter().find(|volume| is_data_of(volume, dump) && volume.root.is_some());
        let Some(volume) = volume.filter(|volume| mapping_of(volume, mapping).is_none()) else { return Ok(false) };
        if has_data(system, volume)? {
            return Ok(false);
        }
        self.skipped.push((dump.name.to_string(), format!("{} has it, and its server has nothing else", volume.name)));
        Ok(true)
    }
}

fn check_mapping(components: &[&Component], mapping: &[(String, String)]) -> anyhow::Result<()> {
    let known =
        |old: &str| components.iter().any(|component| component.name.as_str() == format!("{VOLUME_PREFIX}{old}"));
    match mapping.iter().find(|(old, _)| !known(old)) {
        None => Ok(()),
        Some((old, _)) => {
            let volumes = components.iter().filter_map(|component| component.name.as_str().strip_prefix(VOLUME_PREFIX));
            let volumes = volumes.collect::<Vec<_>>().join(", ");
            let message = format!("--volume: what is restored has no volume '{old}'");
            Err(UsageError::with_advice(message, format!("one of: {volumes}")).into())
        }
    }
}

fn mapping_of<'m>(component: &Component, mapping: &'m [(String, String)]) -> Option<&'m str> {
    let short = component.name.as_str().strip_prefix(VOLUME_PREFIX)?;
    mapping.iter().find(|(old, _)| old == short).map(|(_, new)| new.as_str())
}

/// Whether a volume has the data directory of the server that a dump was made from.
fn is_data_of(volume: &Component, dump: &Component) -> bool {
    let facts = volume.volume.as_ref().filter(|facts| facts.server_data.is_some());
    let container = dump.database.as_ref().and_then(|database| database.container.as_ref());
    facts.zip(container).is_some_and(|(facts, container)| facts.containers.contains(container))
}

fn has_data(system: &System<'_>, volume: &Component) -> anyhow::Result<bool> {
    let target = system.volume_target(volume, None)?;
    let data = volume.volume.as_ref().and_then(|facts| facts.server_data.clone()).unwrap_or_default();
    Ok(has_server_data(&target.engine, &target.name, &data)?)
}

fn destination(
    system: &System<'_>,
    component: &Component,
    mapping: &[(String, String)],
) -> anyhow::Result<Destination> {
    let name = component.name.as_str();
    match component.kind {
        ComponentKind::Database => Ok(Destination::Database(system.connection(component)?)),
        ComponentKind::Volume => {
            let target = system.volume_target(component, mapping_of(component, mapping))?;
            Ok(Destination::Volume(Box::new(target)))
        }
        ComponentKind::Directory => {
            let directory = system.settings.directory(name).ok_or_else(|| {
                let message = format!("the configuration has no directory '{name}' to restore into");
                UsageError::with_advice(message, "name it in larder.toml, or use --target DIR")
            })?;
            Ok(Destination::Live { folder: directory.path.clone(), excludes: directory.excludes.clone() })
        }
        ComponentKind::Stream => {
            let message = format!("'{name}' is a stream and has no place of its own");
            Err(UsageError::with_advice(message, "use --target DIR, or `larder cat`").into())
        }
    }
}
