//! Where what was saved goes back to: the volumes and databases of this project, and never by itself those of another.

use std::collections::HashMap;
use std::time::Duration;

use larder::docker::{DatabaseServer, HoldMethod};
use larder::model::{Component, ComponentName, VolumeFacts};
use larder::pipeline::backup::{ComponentSource, Origin};
use larder::pipeline::restore::{PROJECT_LABEL, VOLUME_LABEL, VolumeTarget};
use larder::postgres::Connection;

use super::system::System;
use crate::config::{DATABASE, VOLUME_PREFIX, VolumeSettings};
use crate::error::UsageError;

/// How long the containers of a volume may be stopped while what a restore replaces is saved.
const RESTORE_HOLD_LIMIT: Duration = Duration::from_hours(24);

impl System<'_> {
    /// What a restore into a volume replaces; `None` when the volume is still to be made.
    pub(crate) fn target_source(
        &self,
        name: &ComponentName,
        target: &VolumeTarget,
    ) -> anyhow::Result<Option<ComponentSource>> {
        let Some(volume) = target.engine.volume(&target.name)? else { return Ok(None) };
        let hold = Some(HoldMethod::Stop);
        let settings = VolumeSettings { hold, method: target.method, ..VolumeSettings::default() };
        let mut origin = self.volume_origin(&volume, &settings)?;
        if let Origin::Volume(volume) = &mut origin {
            // Its containers are stopped until it is written, however long that takes.
            volume.limit = RESTORE_HOLD_LIMIT;
        }
        Ok(Some(ComponentSource { name: name.clone(), origin }))
    }

    /// Where a volume component goes: into another one that is named, into the one that it was saved from where this project
    /// has that, or into the one that is called like it now. Never by itself into a volume of another project.
    pub(crate) fn volume_target(&self, component: &Component, other: Option<&str>) -> anyhow::Result<VolumeTarget> {
        let engine = self.engine()?;
        let short = component.name.as_str().strip_prefix(VOLUME_PREFIX).unwrap_or(component.name.as_str());
        let settings = self.settings.volumes.get(short).cloned().unwrap_or_default();
        let own = self.volumes.iter().find(|volume| volume.name == component.name);
        let own = own.and_then(|volume| volume.found.as_ref().ok()).map(|volume| volume.name.clone());
        let facts = component.volume.as_ref();
        let own = facts.filter(|_| settings.engine_name.is_none()).and_then(|facts| self.own_volume(facts)).or(own);
        let (name, project) = match other.map(str::to_owned).or(own) {
            Some(name) => (name, None),
            None => self.place_of(short, facts)?,
        };
        let renamed = facts.is_some_and(|facts| facts.name != name) && other.is_some();
        let users = self.stack.users(&name);
        let (excludes, method) = (settings.excludes, settings.method);
        let trust = self.trust.clone();
        Ok(VolumeTarget { engine, name, renamed, project, users, excludes, method, trust })
    }

    /// The volume that was saved, where it belongs to this project.
    fn own_volume(&self, facts: &VolumeFacts) -> Option<String> {
        let volumes = self.stack.volumes();
        volumes.iter().find(|(_, volume)| volume.name == facts.name).map(|(_, volume)| volume.name.clone())
    }

    /// The volume that a component goes into that this project does not have now, and the project that it becomes part
    /// of when it was saved from another one.
    fn place_of(&self, short: &str, facts: Option<&VolumeFacts>) -> anyhow::Result<(String, Option<String>)> {
        let saved_project = facts.and_then(|facts| facts.labels.get(PROJECT_LABEL));
        let here = self.stack.project.as_ref();
        let (name, project) = match (facts, here) {
            (Some(facts), Some(here)) if saved_project.is_some_and(|saved| saved != here) => {
                let short = facts.labels.get(VOLUME_LABEL).map_or(short, String::as_str);
                (self.stack.full_name(short), Some(here.clone()))
            }
            (Some(facts), _) => (facts.name.clone(), None),
            (None, _) => (self.stack.full_name(short), None),
        };
        let of_others =
            |labels: &HashMap<String, String>| labels.get(PROJECT_LABEL).is_some_and(|project| Some(project) != here);
        let standing = self.engine()?.volume(&name)?;
        let users = self.stack.users(&name);
        let is_of_others = standing.as_ref().is_some_and(|volume| of_others(&volume.labels));
        // What a snapshot says of it is the word of whoever wrote the repository.
        let is_called_ours =
            here.is_some_and(|here| name.strip_prefix(here.as_str()).is_some_and(|rest| rest.starts_with('_')));
        let is_nobodys = standing.is_some_and(|volume| !volume.labels.contains_key(PROJECT_LABEL)) && !is_called_ours;
        if is_of_others || is_nobodys || users.iter().any(|user| of_others(&user.labels)) {
            let message = if is_nobodys {
                format!("the volume {name} is there, and nothing says that it belongs to this directory")
            } else {
                format!("the volume {name} belongs to another project than this directory")
            };
            let advice = format!(
                "`--volume {short}=NAME` says which volume to write, `project` in [docker] which project this is"
            );
            return Err(UsageError::with_advice(message, advice).into());
        }
        Ok((name, project))
    }

    /// How to reach the database that a component was made from: in the container that it was saved from, where this project
    /// has that and no settings say where it is, or the one that is called like it now.
    pub(crate) fn connection(&self, component: &Component) -> anyhow::Result<Connection> {
        let facts = component.database.as_ref();
        let saved_in = facts.and_then(|facts| Some((facts, facts.container.as_deref()?)));
        let named = self.databases.iter().find(|database| database.name == component.name);
        if let (Some((facts, container)), None) = (saved_in, &self.settings.database)
            && self.stack.containers().any(|own| own.name == container)
        {
            let is_in = |connection: &&Connection| connection.place.container() == Some(container);
            let mut found =
                self.databases.iter().filter_map(|database| database.connection.as_ref().ok()).filter(is_in);
            let named = named.and_then(|database| database.connection.as_ref().ok()).filter(is_in);
            if let Some(connection) = found.find(|connection| connection.database == facts.name).or(named) {
                return Ok(connection.clone());
            }
            return self.connection_in_project(component, &facts.name, container);
        }
        if let Some(database) = named {
            return database.connection.clone().map_err(|why| UsageError::new(why).into());
        }
        // It may be gone from its server.
        if let Some((facts, container)) = saved_in.filter(|_| self.no_engine.is_none()) {
            return self.connection_in_project(component, &facts.name, container);
        }
        let main = self.databases.iter().find_map(|database| database.connection.as_ref().ok());
        let other = component.name.as_str() != DATABASE;
        if let (Some(facts), Some(main), true) = (facts, main, other) {
            return Ok(main.with_database(&facts.name));
        }
        let message = match &self.no_engine {
            Some(why) => format!("no database is there to restore {} into: {why}", component.name),
            None => format!("no database is configured or found to restore {} into", component.name),
        };
        let advice =
            "set DATABASE_URL, start the database's container, leave it out with --components, or use --target DIR";
        Err(UsageError::with_advice(message, advice).into())
    }

    /// The image of the container that a dump was saved from, or whose data a volume has, as long as that is there.
    pub(crate) fn image(&self, component: &Component) -> Option<String> {
        let container = match (&component.database, &component.volume) {
            (Some(facts), _) => self.stack.container(facts.container.as_ref()?)?,
            (None, Some(facts)) => self.stack.data_server(&facts.name)?.0,
            (None, None) => return None,
        };
        let id = &container.image_id;
        (!id.is_empty()).then(|| id.clone())
    }

    /// Whether the container is gone that a dump was saved from, and nothing else is said of where its database is.
    pub(crate) fn server_is_gone(&self, component: &Component) -> bool {
        let container = component.database.as_ref().and_then(|facts| facts.container.as_ref());
        let stands = |name: &String| self.stack.containers().any(|container| container.name == *name);
        self.no_engine.is_none()
            && self.settings.database.is_none()
            && self.databases.iter().all(|database| database.name != component.name)
            && container.is_some_and(|name| !stands(name))
    }

    /// A database of the container that it was saved from, which must be one of this project.
    fn connection_in_project(&self, component: &Component, database: &str, name: &str) -> anyhow::Result<Connection> {
        if let Some(container) = self.stack.containers().find(|container| container.name == name) {
            return Ok(self.connection_of(&DatabaseServer::of(container)).with_database(database));
        }
        let message =
            format!("{} was saved from the container {name}, which this project does not have", component.name);
        let advice = format!(
            "start that container, make an empty database '{database}' on a server of this project (or name it in `others` \
             of [database]), leave it out with --components, or use --target DIR"
        );
        Err(UsageError::with_advice(message, advice).into())
    }
}
