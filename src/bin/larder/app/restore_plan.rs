//! What of a snapshot goes where in a restore, and what stays as it is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use larder::events::Events;
use larder::model::{Component, ComponentKind, Consistency, Parts, Snapshot};
use larder::pipeline::Mask;
use larder::pipeline::restore::{
    DatabaseTarget, Destination, RestoreJob, VolumeTarget, check_options, has_server_data,
};
use larder::postgres::Connection;
use larder::process::Place;
use larder::rooted::Trust;

use crate::app::discovery::System;
use crate::config::VOLUME_PREFIX;
use crate::error::UsageError;
use crate::host::machine::host_name;

/// The server of a connection, as a component says it.
fn server_of(connection: &Connection) -> String {
    let shown = connection.to_string();
    let server = shown.strip_prefix("postgres://").and_then(|rest| rest.strip_suffix(&connection.database));
    let server = server.unwrap_or_default().trim_end_matches('/');
    server.rsplit_once('@').map_or(server, |(_, server)| server).to_owned()
}

/// The components that are restored, each with its place.
#[derive(Default)]
pub(crate) struct Plan<'a> {
    pub(crate) jobs: Vec<RestoreJob<'a>>,
    /// What of them is restored; `None` for everything.
    pub(crate) parts: Option<Arc<Parts>>,
    /// Those that the snapshot does not have.
    pub(crate) left_out: Vec<String>,
    /// Those that stay as they are, and why.
    pub(crate) skipped: Vec<(String, String)>,
    /// Those that cannot be restored although the rest can, and why.
    pub(crate) refused: Vec<(String, String)>,
}

impl<'a> Plan<'a> {
    /// Everything into a folder.
    pub(crate) fn into_folder(folder: &Path, trust: &Trust, components: &[&'a Component]) -> Self {
        let (saved, left_out) = saved(components);
        let destination = Destination::Folder { folder: folder.to_owned(), trust: trust.clone() };
        let job = |component| RestoreJob { component, destination: destination.clone(), parts: None };
        Self { jobs: saved.into_iter().map(job).collect(), left_out, ..Self::default() }
    }

    /// Each component into its place in the live system; `all` are those of the snapshot. `mapping` gives volumes another place.
    /// `named` says that the user chose the components.
    pub(crate) fn live(
        system: &System<'_>,
        (components, all): (&[&'a Component], &[Component]),
        mapping: &[(String, String)],
        named: bool,
    ) -> anyhow::Result<Self> {
        check_mapping(components, mapping)?;
        let (saved, left_out) = saved(components);
        let mut plan = Self { left_out, ..Self::default() };
        let (volumes, others): (Vec<&Component>, Vec<_>) =
            saved.iter().partition(|component| component.kind == ComponentKind::Volume);
        // Volumes first: what becomes of them decides which dumps are loaded.
        for volume in volumes {
            let other = mapping_of(volume, mapping);
            let target = system.volume_target(volume, other)?;
            if other.is_none() {
                check_is_own(volume, &target.name, all)?;
            }
            plan.add_volume(system, volume, target, (&others, named))?;
        }
        for component in others {
            if !plan.is_decided(component) {
                plan.jobs.push(RestoreJob { component, destination: destination(system, component)?, parts: None });
            }
        }
        plan.check_targets()?;
        Ok(plan)
    }

    /// Whether anything that is there is replaced: a new database replaces nothing.
    pub(crate) fn replaces_something(&self) -> bool {
        let is_new = |job: &RestoreJob<'_>| matches!(&job.destination, Destination::Database(target) if target.is_new);
        !self.jobs.iter().all(is_new)
    }

    /// Restores only these parts.
    pub(crate) fn limit(&mut self, parts: Option<Arc<Parts>>) {
        for job in &mut self.jobs {
            let name = job.component.name.as_str().as_bytes();
            job.parts = parts.clone().filter(|parts| !parts.covers(name));
        }
        self.parts = parts;
    }

    /// Says what of the databases is restored, into which, and how it is masked.
    pub(crate) fn aim_databases(&mut self, tables: &[String], into: Option<&str>, mask: Option<&Arc<Mask>>) {
        let is_database = |job: &&RestoreJob<'_>| matches!(job.destination, Destination::Database(_));
        let has_all_rules = self.jobs.iter().filter(is_database).count() == 1;
        for job in &mut self.jobs {
            let Destination::Database(target) = &mut job.destination else { continue };
            target.has_all_rules = has_all_rules;
            tables.clone_into(&mut target.tables);
            target.mask = mask.cloned();
            if let Some(name) = into {
                target.connection = target.connection.with_database(name);
                target.is_new = true;
            }
        }
    }

    /// Warns of databases of another name, of directories at another place, and of another host, before they are replaced. What was
    /// imported does not say where it was.
    pub(crate) fn warn_of_other_names(&self, events: &dyn Events, snapshot: &Snapshot) {
        let is_own = snapshot.imported.is_none();
        for job in &self.jobs {
            let name = &job.component.name;
            if let Some(error) = job.component.errors.messages.first() {
                events.warn(&format!("{name} is not whole in the snapshot: {error}"));
            }
            let (was, is) = match (&job.destination, &job.component.database) {
                (Destination::Database(target), Some(facts)) if !target.is_new && !facts.name.is_empty() => {
                    let server = server_of(&target.connection);
                    let is_on = |server: &str| if server.is_empty() { String::new() } else { format!(" on {server}") };
                    // Of a server in a container the name says nothing.
                    let was_on =
                        job.component.server().filter(|_| is_own && target.connection.place.container().is_none());
                    let (was, is) = (was_on.map(is_on), was_on.map(|_| is_on(&server)));
                    let show =
                        |name: &str, on: Option<String>| format!("the database '{name}'{}", on.unwrap_or_default());
                    (show(&facts.name, was), show(&target.connection.database, is))
                }
                (Destination::Live { folder, .. }, _) if is_own => {
                    (job.component.source.clone(), folder.display().to_string())
                }
                _ => continue,
            };
            if was != is {
                events.warn(&format!("{name} was saved from {was}, and goes into {is}"));
            }
        }
        let (was, is) = (&snapshot.host, host_name());
        let is_live = self.jobs.iter().any(|job| !matches!(job.destination, Destination::Folder { .. }));
        if is_live && is_own && !was.is_empty() && *was != is {
            events.warn(&format!("{} was made on the host '{was}', and this is '{is}'", snapshot.name));
        }
    }

    fn is_decided(&self, component: &Component) -> bool {
        let decided = self.skipped.iter().chain(&self.refused);
        decided.map(|(name, _)| name).any(|name| name == component.name.as_str())
    }

    /// A volume and a dump that are the same database are never both restored: the dump wins, unless the server has
    /// nothing to start from, or its container is gone, as after `docker-compose down`. A copy that is not consistent wins over nothing.
    fn add_volume(
        &mut self,
        system: &System<'_>,
        volume: &'a Component,
        target: VolumeTarget,
        (others, named): (&[&'a Component], bool),
    ) -> anyhow::Result<()> {
        let data = volume.volume.as_ref().and_then(|facts| facts.server_data.as_ref());
        let dumps = others.iter().filter(|other| other.kind == ComponentKind::Database && data.is_some());
        let dumps: Vec<(&Component, Same)> =
            dumps.filter_map(|dump| Some((*dump, same_database(system, volume, &target, dump)?))).collect();
        let mut certain = dumps.iter().filter(|(_, same)| *same == Same::Surely).map(|(dump, _)| dump.name.to_string());
        let name = volume.name.to_string();
        if let (Some(data), false) = (data, named) {
            let gone = dumps.iter().any(|(dump, same)| *same == Same::Surely && system.server_is_gone(dump));
            if let Some((dump, _)) = dumps.first().filter(|_| !gone)
                && has_server_data(&target, data)?
            {
                let why = format!("it is the database that {} is loaded into", dump.name);
                self.skipped.push((name, why));
                return Ok(());
            }
            if is_unsound(volume, !dumps.is_empty()) {
                let why = format!("its server has nothing to start from, because {name} is not restored");
                self.refused.extend(certain.map(|dump| (dump, why.clone())));
                let advice = "start an empty server and restore the dump with --components; named there, the volume is \
                              restored as it is";
                self.refused.push((name, format!("it is no consistent copy of a database: {advice}")));
                return Ok(());
            }
            let because = if gone { "no server is there to load it into" } else { "its server has nothing else" };
            self.skipped.extend(certain.map(|dump| (dump, format!("{name} has it, and {because}"))));
        } else if let Some(dump) = certain.next() {
            let message = format!("{name} and {dump} are the same database");
            return Err(UsageError::with_advice(message, "name one of them in --components").into());
        }
        let destination = Destination::Volume(Box::new(target));
        self.jobs.push(RestoreJob { component: volume, destination, parts: None });
        Ok(())
    }

    /// No volume is written twice, and none is lacking that only its operator makes.
    fn check_targets(&self) -> anyhow::Result<()> {
        let mut seen: HashMap<&str, &Component> = HashMap::new();
        for job in &self.jobs {
            let Destination::Volume(target) = &job.destination else { continue };
            check_options(target, job.component)?;
            if let Some(first) = seen.insert(&target.name, job.component) {
                let message =
                    format!("{} and {} would both go into the volume {}", first.name, job.component.name, target.name);
                return Err(UsageError::with_advice(message, "give one of them another place with --volume").into());
            }
        }
        Ok(())
    }
}

/// Refuses to write a volume that the snapshot has as another component: the name of this one has gone to it since.
fn check_is_own(volume: &Component, target: &str, all: &[Component]) -> anyhow::Result<()> {
    let is_saved_from = |component: &&Component| component.volume.as_ref().is_some_and(|facts| facts.name == target);
    match all.iter().find(is_saved_from) {
        Some(other) if other.name != volume.name => {
            let short = volume.name.as_str().strip_prefix(VOLUME_PREFIX).unwrap_or(volume.name.as_str());
            let message =
                format!("{} would go into the volume {target}, which was saved as {}", volume.name, other.name);
            Err(UsageError::with_advice(message, format!("`--volume {short}=NAME` says where it goes")).into())
        }
        _ => Ok(()),
    }
}

/// The components that the snapshot has, and the names of those that it does not have.
fn saved<'a>(components: &[&'a Component]) -> (Vec<&'a Component>, Vec<String>) {
    let (saved, lost): (Vec<&Component>, Vec<_>) = components.iter().partition(|component| component.root.is_some());
    (saved, lost.into_iter().map(|component| component.name.to_string()).collect())
}

/// How sure it is that a volume and a dump are the same database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    Surely,
    /// The dump says nothing of where its server keeps its data.
    Perhaps,
}

/// Whether a volume of server data goes to where the server of a dump keeps its data.
fn same_database(system: &System<'_>, volume: &Component, target: &VolumeTarget, dump: &Component) -> Option<Same> {
    if let Ok(Connection { place: Place::Container { name, .. }, .. }) = system.connection(dump)
        && target.users.iter().any(|user| user.name == name)
    {
        return Some(Same::Surely);
    }
    if system.volume_target(volume, None).ok().is_none_or(|own| own.name != target.name) {
        return None;
    }
    let facts = volume.volume.as_ref()?;
    match dump.database.as_ref().and_then(|database| database.container.as_ref()) {
        Some(container) => facts.containers.contains(container).then_some(Same::Surely),
        None => Some(Same::Perhaps),
    }
}

/// Whether the copy of a server's data is incomplete; beside a dump, also whether the server wrote to it meanwhile.
fn is_unsound(volume: &Component, has_dump: bool) -> bool {
    !volume.errors.is_empty() || (has_dump && volume.consistency == Consistency::Live)
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

fn destination(system: &System<'_>, component: &Component) -> anyhow::Result<Destination> {
    let name = component.name.as_str();
    match component.kind {
        ComponentKind::Database => {
            let target = DatabaseTarget::whole(system.connection(component)?);
            Ok(Destination::Database(Box::new(target)))
        }
        ComponentKind::Volume => Ok(Destination::Volume(Box::new(system.volume_target(component, None)?))),
        ComponentKind::Directory => {
            let directory = system.settings.directory(name).ok_or_else(|| {
                let message = format!("the configuration has no directory '{name}' to restore into");
                UsageError::with_advice(message, "name it in larder.toml, or use --target DIR")
            })?;
            if let Some(why) = system.directory_source(directory).confusion() {
                return Err(UsageError::with_advice(why, "or use --target DIR").into());
            }
            let (folder, excludes) = (directory.path.clone(), directory.excludes.clone());
            Ok(Destination::Live { folder, excludes, trust: system.trust.clone() })
        }
        ComponentKind::Stream => {
            let message = format!("'{name}' is a stream and has no place of its own");
            Err(UsageError::with_advice(message, "use --target DIR, or `larder cat`").into())
        }
    }
}
