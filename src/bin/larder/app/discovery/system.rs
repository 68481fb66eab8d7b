//! What there is to back up: what the settings name, and what is found in the Docker Engine.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use larder::cancel::Cancel;
use larder::docker::{self, DatabaseServer, Engine, Stack};
use larder::events::Events;
use larder::id::checksum;
use larder::model::ComponentName;
use larder::postgres::{self, Connection, query};
use larder::process::Place;
use larder::rooted::{Refusal, Trust};
use larder::sink::postgres::is_temporary;

use crate::app::advice::docker_advice;
use crate::app::context::Context;
use crate::config::{
    DATABASE, DatabasePlace, DatabaseSettings, Settings, VOLUME_PREFIX, VolumeSettings, check_repository,
    hold_of_label, refused,
};
use crate::error::UsageError;
use crate::host::places;

/// Databases of a server, but for those that nobody has anything in.
const OTHERS_SQL: &str = "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate
    AND datname <> 'postgres' ORDER BY datname";
/// Label of a container that says what is done with the writers of its volumes.
const QUIESCE_LABEL: &str = "larder.quiesce";
/// So much of a longer name is kept in the name of a component, which may have 200 bytes with what follows.
const NAME_BYTES: usize = 150;
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// A database that is a component.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) name: ComponentName,
    /// How to reach it, or why it cannot be reached.
    pub(crate) connection: Result<Connection, String>,
    /// Why it is not known which other databases its server has.
    pub(crate) others_unknown: Option<String>,
}

/// What was found of a database before it has the name of a component.
type Found = (String, Result<Connection, String>, Option<String>);

/// A volume that is a component.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) name: ComponentName,
    /// As the engine has it, or why it cannot be had.
    pub(crate) found: Result<docker::Volume, String>,
    pub(crate) settings: VolumeSettings,
}

/// The system with everything that was found.
#[derive(Debug)]
pub(crate) struct System<'a> {
    pub(crate) settings: &'a Settings,
    /// The users of the settings; of links where containers may write, nobody's.
    pub(crate) trust: Trust,
    pub(super) engine: Option<Arc<Engine>>,
    pub(crate) stack: Stack,
    pub(crate) databases: Vec<Database>,
    pub(crate) volumes: Vec<Volume>,
    /// Why there is no engine although one was to be expected.
    pub(crate) no_engine: Option<String>,
    /// Why the engine did not answer, expected or not.
    pub(super) silent_engine: Option<String>,
}

impl<'a> System<'a> {
    /// Looks at the settings and asks the engine.
    pub(crate) fn find(context: &'a Context<'_>, cancel: &Cancel) -> anyhow::Result<Self> {
        let settings = &context.settings;
        let mut system = Self::new(settings);
        match system.ask_engine(context.events) {
            Ok(()) => {}
            Err(error @ docker::Error::Address { .. }) => return Err(UsageError::new(error.to_string()).into()),
            Err(error) => {
                let advice = docker_advice(&error).map(|advice| format!(": {advice}")).unwrap_or_default();
                system.silent_engine = Some(format!("{error}{advice}"));
                system.no_engine = system.silent_engine.clone().filter(|_| system.expects_engine());
            }
        }
        if let Some(path) = settings.database.as_ref().and_then(|database| database.password_file.as_ref()) {
            system.trust.open_named(path).map_err(|refusal| refused(&refusal))?;
        }
        if let Err(refusal @ Refusal::OfContainer { .. }) = check_repository(&settings.backup_dir, &system.trust) {
            return Err(refused(&refusal).into());
        }
        system.find_databases(cancel);
        system.find_volumes();
        Ok(system)
    }

    fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            trust: settings.trust.clone(),
            engine: None,
            stack: Stack::default(),
            databases: Vec::new(),
            volumes: Vec::new(),
            no_engine: None,
            silent_engine: None,
        }
    }

    fn ask_engine(&mut self, events: &dyn Events) -> Result<(), docker::Error> {
        let docker = &self.settings.docker;
        let nothing_there = docker.host.is_none() && !Path::new(DEFAULT_SOCKET).exists() && !self.expects_engine();
        if docker.enabled == Some(false) || nothing_there {
            return Ok(());
        }
        let engine = Engine::connect(docker.host.as_deref())?;
        self.stack = Stack::find(&engine, &self.settings.base, docker.project.as_deref(), &self.settings.trust)?;
        if let Some(root) = engine.root_here() {
            let known = places::remember(self.stack.writable_places(root), events);
            self.trust = self.settings.trust.but_links_in(known.into_iter().chain(self.stack.writable_now()));
        }
        self.engine = Some(Arc::new(engine));
        Ok(())
    }

    /// Whether something was said, or lies there, that an engine is needed for.
    fn expects_engine(&self) -> bool {
        let settings = self.settings;
        let in_container =
            matches!(settings.database.as_ref().map(|database| &database.place), Some(DatabasePlace::Container { .. }));
        let said = settings.docker.enabled == Some(true) || settings.docker.project.is_some();
        settings.docker.enabled != Some(false)
            && (said
                || in_container
                || !settings.volumes.is_empty()
                || settings.docker.host.is_some()
                || Stack::is_compose_directory(&settings.base))
    }

    /// The engine.
    pub(crate) fn engine(&self) -> anyhow::Result<Arc<Engine>> {
        self.engine.clone().ok_or_else(|| {
            let unsought = || "volumes need a Docker Engine, and none was looked for".to_owned();
            let why = self.no_engine.clone().unwrap_or_else(unsought);
            let advice =
                "`enabled = true` in [docker] of larder.toml has it looked for; --components leaves volumes out";
            UsageError::with_advice(why, advice).into()
        })
    }

    fn find_databases(&mut self, cancel: &Cancel) {
        if self.settings.skips_database {
            return;
        }
        let mut found = match &self.settings.database {
            Some(database) => self.configured_databases(database),
            None => self.databases_of_servers(cancel),
        };
        if let Some(why) = self.settings.unused_database.as_ref().filter(|_| found.is_empty()) {
            found.push((DATABASE.to_owned(), Err(why.clone()), None));
        }
        found.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let mut taken = self.settings.directories.iter().map(|directory| directory.name.clone()).collect();
        for (name, connection, others_unknown) in found {
            if let Some(name) = component_name(&name, &mut taken) {
                self.databases.push(Database { name, connection, others_unknown });
            }
        }
    }

    fn configured_databases(&self, settings: &DatabaseSettings) -> Vec<Found> {
        let main = match &settings.place {
            DatabasePlace::Server(connection) => Ok(connection.clone()),
            DatabasePlace::Unknown(why) => Err(why.clone()),
            DatabasePlace::Container { container, name, user, password } => {
                self.in_container(container).map(|found| Connection {
                    database: name.clone().unwrap_or(found.database),
                    user: user.clone().or(found.user),
                    password: password.clone().or(found.password),
                    ..found
                })
            }
        };
        let of_server = |other: &String| main.clone().map(|connection| connection.with_database(other));
        let others = settings.others.iter().map(|other| (format!("{DATABASE}_{other}"), of_server(other), None));
        others.chain([(DATABASE.to_owned(), main.clone(), None)]).collect()
    }

    fn databases_of_servers(&self, cancel: &Cancel) -> Vec<Found> {
        let mut servers = self.stack.servers();
        servers.sort_by(|a, b| service_of(a).cmp(service_of(b)));
        let mut found = Vec::new();
        for (number, server) in servers.iter().enumerate() {
            let name = if number == 0 { DATABASE.to_owned() } else { format!("{DATABASE}_{}", service_of(server)) };
            let connection = self.connection_of(server);
            let (others, unknown) = match others_of(&connection, cancel) {
                Ok(others) => (others, None),
                Err(error) => {
                    let advice = "mend that, or name them as `others` of [database]";
                    (
                        Vec::new(),
                        Some(format!("which other databases the server has could not be asked: {error}; {advice}")),
                    )
                }
            };
            for other in others {
                found.push((format!("{name}_{other}"), Ok(connection.with_database(&other)), None));
            }
            found.push((name, Ok(connection), unknown));
        }
        found
    }

    fn in_container(&self, name: &str) -> Result<Connection, String> {
        if let Some(why) = &self.no_engine {
            return Err(why.clone());
        }
        let container = self.stack.container(name).ok_or_else(|| format!("there is no container '{name}'"))?;
        Ok(self.connection_of(&DatabaseServer::of(container)))
    }

    pub(super) fn connection_of(&self, server: &DatabaseServer) -> Connection {
        let place = self.engine.as_ref().map_or(Place::Here, |engine| Place::Container {
            engine: Arc::clone(engine),
            name: server.container.name.clone(),
        });
        let (user, password) = (Some(server.user.clone()), server.password.clone());
        Connection { user, password, database: server.database.clone(), place, ..Connection::default() }
    }

    fn find_volumes(&mut self) {
        let mut found: Vec<(String, Result<docker::Volume, String>, VolumeSettings)> = Vec::new();
        for (short, volume) in self.stack.volumes() {
            let settings = self.settings.volumes.get(&short).cloned().unwrap_or_default();
            let renamed = |(name, other): (&String, &VolumeSettings)| {
                *name != short && other.engine_name.as_deref() == Some(&volume.name)
            };
            let skipped = settings.skip || settings.engine_name.is_some() || self.settings.volumes.iter().any(renamed);
            if !skipped {
                found.push((short, Ok(volume.clone()), settings));
            }
        }
        for (short, settings) in self.settings.volumes.iter().filter(|(_, settings)| !settings.skip) {
            if found.iter().any(|(known, ..)| known == short) {
                continue;
            }
            let engine_name = settings.engine_name.as_deref().unwrap_or(short);
            let missing = || match &self.no_engine {
                Some(why) => why.clone(),
                None => format!("there is no volume '{engine_name}'"),
            };
            let volume = self.stack.volume(engine_name).cloned().ok_or_else(missing);
            found.push((short.clone(), volume, settings.clone()));
        }
        found.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let mut taken = HashSet::new();
        for (short, volume, mut settings) in found {
            let volume = volume.and_then(|volume| self.settle_hold(&volume, &mut settings).map(|()| volume));
            if let Some(name) = component_name(&format!("{VOLUME_PREFIX}{short}"), &mut taken) {
                self.volumes.push(Volume { name, found: volume, settings });
            }
        }
    }

    /// What is done with the writers of a volume, where only a label of the containers that use it says so.
    fn settle_hold(&self, volume: &docker::Volume, settings: &mut VolumeSettings) -> Result<(), String> {
        if settings.says_hold {
            return Ok(());
        }
        let mut said = Vec::new();
        for user in self.stack.users(&volume.name) {
            let Some(value) = user.labels.get(QUIESCE_LABEL) else { continue };
            let hold = hold_of_label(value);
            let wrong = |why| format!("the container {} has the label {QUIESCE_LABEL}={value}: {why}", user.name);
            said.push(hold.map_err(wrong)?);
        }
        // Of several the one that is the most careful.
        if let Some(hold) = said.into_iter().max() {
            settings.hold = hold;
        }
        Ok(())
    }
}

/// Whom a command believes that needs nothing else of the system: the engine is asked where containers may write now, once. Where it
/// does not answer, what is remembered counts, with a warning.
pub(crate) fn trust_now(context: &Context<'_>) -> Trust {
    static ANSWER: OnceLock<Trust> = OnceLock::new();
    let ask = || {
        let mut system = System::new(&context.settings);
        if let Err(error) = system.ask_engine(context.events)
            && system.expects_engine()
        {
            context
                .events
                .warn(&format!("where containers may write now is not known, only where they could before: {error}"));
        }
        system.trust
    };
    ANSWER.get_or_init(ask).clone()
}

fn service_of(server: &DatabaseServer) -> &str {
    server.container.service().unwrap_or(&server.container.name)
}

/// The other databases of a server that runs, without those that a restore is making.
fn others_of(connection: &Connection, cancel: &Cancel) -> Result<Vec<String>, postgres::Error> {
    let rows = query(connection, OTHERS_SQL, cancel)?;
    Ok(rows
        .into_iter()
        .flatten()
        .flatten()
        .filter(|name| *name != connection.database && !is_temporary(name))
        .collect())
}

/// The name of a component that none of those `taken` has; what may not be in one becomes `-`.
fn component_name(text: &str, taken: &mut HashSet<ComponentName>) -> Option<ComponentName> {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    let mut shown: String = text.chars().map(|char| if fits(char) { char } else { '-' }).collect();
    if shown.len() > NAME_BYTES {
        // Whoever else begins so has another end.
        shown.truncate(NAME_BYTES);
        shown = format!("{shown}-{:016x}", checksum(text.as_bytes()));
    }
    let text = shown;
    let name = |number: usize| if number == 1 { text.parse() } else { format!("{text}_{number}").parse() };
    let name = (1..=taken.len() + 1).find_map(|number| name(number).ok().filter(|name| !taken.contains(name)))?;
    taken.insert(name.clone());
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_that_would_be_called_alike_are_told_apart() {
        let mut taken = HashSet::new();
        let long = format!("docker_volume_{}", "x".repeat(300));
        let names =
            ["1", "2"].map(|end| component_name(&format!("{long}{end}"), &mut taken).expect("a name").to_string());
        assert!(names[0] != names[1] && names.iter().all(|name| name.starts_with(&long[..100])));
        let texts = ["docker_volume_a b", "docker_volume_a-b", "docker_volume_a/b", "docker_volume_c"];
        let names = texts.map(|text| component_name(text, &mut taken).expect("a name").to_string());
        assert_eq!(names, ["docker_volume_a-b", "docker_volume_a-b_2", "docker_volume_a-b_3", "docker_volume_c"]);
    }
}
