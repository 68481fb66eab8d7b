//! Proof by restoring: files into a temporary folder or volume, databases into scratch databases, all compared.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::throwaway::{Containers, ThrowawayServer, start_on_volume};
use crate::docker::{Engine, ThrowawayVolume};
use crate::events::Phase;
use crate::model::{Component, Snapshot, Step, VolumeFacts, Walk, show_path};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::pipeline::restore::{
    ComponentRestore, DatabaseRestore, TestPlace, TestServer, as_fresh_folder, into_fresh_folder, link_outside,
    load_and_count, same_content,
};
use crate::postgres::Connection;
use crate::repo::Repository;
use crate::rooted::Trust;
use crate::sink::postgres::{make_role, missing_role, says_lacking};
use crate::sink::{self, DirTarget};
use crate::source::{Excludes, ReadMethod, VolumeSource, VolumeUse};
use crate::temporary::TemporaryFolder;

/// Roles that are made one after the other because a dump names them and has none.
const ROLES_MAX: usize = 16;

/// What the test of one component found.
#[derive(Debug)]
pub struct ComponentTest {
    /// Its name.
    pub name: String,
    /// Files that were restored and compared.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Tables and rows that were loaded and compared.
    pub database: Option<DatabaseRestore>,
    /// Whether PostgreSQL started on what was restored; `None` where that was not tried.
    pub server_started: Option<bool>,
    /// What was lacking here, where it was not tested for that, or no server started on it.
    pub not_done: Option<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What is wrong.
    pub errors: Vec<String>,
    /// Whether one of the errors is damage of the repository.
    pub damaged: bool,
    /// Time that it took.
    pub millis: u64,
}

/// What databases are loaded into for a test.
#[derive(Debug, Clone)]
pub enum Servers {
    /// A server for each that is started for the test: with programs of this host, or from the image of its container.
    Throwaway,
    /// Scratch databases on the live servers, by component.
    Live(HashMap<String, Connection>),
}

/// Throwaway places to restore into.
#[derive(Debug)]
pub struct TestPlaces<'a> {
    /// A temporary folder.
    pub folder: &'a Path,
    /// What databases are loaded into.
    pub servers: Servers,
    /// The images of the containers that databases were saved from, or that had the volumes for their data, by component.
    pub images: HashMap<String, String>,
    /// The engine that makes temporary volumes and containers, where one answers.
    pub engine: Option<Arc<Engine>>,
    /// Whether volumes are restored into temporary volumes, and PostgreSQL is started on them; else they are restored into
    /// the folder.
    pub with_volumes: bool,
    /// Sessions that load into a database at once.
    pub jobs: usize,
}

impl TestPlaces<'_> {
    /// Where a container for a component is made.
    fn containers(&self, component: &str) -> Containers<'_> {
        Containers { engine: self.engine.as_ref(), image: self.images.get(component).map(String::as_str) }
    }
}

/// Restores the components into throwaway places and compares them with the snapshot.
///
/// # Errors
/// [`Error::Cancelled`]. What fails is in the result.
pub fn test_restore(
    repository: &Repository,
    snapshot: &Snapshot,
    places: &TestPlaces<'_>,
    monitor: &Monitor<'_>,
) -> Result<Vec<ComponentTest>, Error> {
    let mut tests = Vec::new();
    for component in &snapshot.components {
        monitor.begin(Phase::TestRestoring { component: component.name.as_str() }, Some(component.bytes));
        let started = Instant::now();
        let mut test = ComponentTest {
            name: component.name.to_string(),
            files: 0,
            bytes: 0,
            database: None,
            server_started: None,
            not_done: None,
            notes: Vec::new(),
            errors: Vec::new(),
            damaged: false,
            millis: 0,
        };
        let outcome = if component.root.is_none() {
            Err(Error::Refused("the snapshot does not have it: it could not be saved".to_owned()))
        } else if component.database.is_some() {
            test_database(repository, (snapshot, component), places, &mut test, monitor)
        } else if let (Some(facts), Some(engine)) =
            (&component.volume, places.engine.as_ref().filter(|_| places.with_volumes))
        {
            test_volume(repository, (component, facts), (engine, places), &mut test, monitor)
        } else {
            let restored = into_fresh_folder(repository, component, places.folder, monitor);
            let own = places.folder.join(component.name.as_str());
            restored.and_then(|restored| test_files(repository, (component, restored), &own, &mut test, monitor))
        };
        test.notes.extend(component.errors.messages.iter().map(|error| format!("when it was saved: {error}")));
        match outcome {
            Err(Error::Cancelled(cancelled)) => return Err(cancelled.into()),
            Err(error) => {
                test.damaged |= error.is_damage();
                test.errors.push(with_causes(&error));
            }
            Ok(()) => {}
        }
        test.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tests.push(test);
    }
    Ok(tests)
}

fn test_database(
    repository: &Repository,
    (snapshot, component): (&Snapshot, &Component),
    places: &TestPlaces<'_>,
    test: &mut ComponentTest,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let (name, cancel) = (component.name.as_str(), monitor.cancel());
    if let Servers::Live(servers) = &places.servers {
        let connection = servers.get(name).cloned();
        let connection = connection.ok_or_else(|| Error::Refused("it has no live server".to_owned()))?;
        let place = TestPlace { connection, jobs: places.jobs, is_throwaway: false };
        let restored = load_and_count(repository, (snapshot, component), &place, monitor)?;
        test.notes.extend(restored.roles_left.iter().chain(&restored.notes).cloned());
        test.database = Some(restored);
        return Ok(());
    }
    let facts = component.database.clone().unwrap_or_default();
    let server = match ThrowawayServer::start(&facts, places.containers(name), cancel)? {
        Ok(server) => server,
        Err(why) => {
            test.not_done = Some(why);
            return Ok(());
        }
    };
    test.notes.extend(server.note.clone());
    let place = TestPlace { connection: server.connection.clone(), jobs: places.jobs, is_throwaway: true };
    let mut roles = Vec::new();
    let loaded = loop {
        let loaded = server.with(cancel, || load_and_count(repository, (snapshot, component), &place, monitor));
        match loaded.as_ref().err().and_then(|error| missing_role(&with_causes(error))) {
            Some(role) if roles.len() < ROLES_MAX && !roles.contains(&role) => {
                make_role(&place.connection, &role, cancel)?;
                roles.push(role);
            }
            _ => break loaded,
        }
    };
    if !roles.is_empty() {
        test.notes.push(format!("made for the test, because the snapshot does not have them: {}", roles.join(", ")));
    }
    match loaded {
        Ok(restored) => {
            test.notes.extend(restored.notes.iter().cloned());
            test.database = Some(restored);
        }
        Err(error) if !error.is_damage() && says_lacking(&with_causes(&error)) => {
            test.not_done = Some(with_causes(&error));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Restores a volume into a temporary one, compares it, and starts PostgreSQL on it where it holds its data.
fn test_volume(
    repository: &Repository,
    (component, facts): (&Component, &VolumeFacts),
    (engine, places): (&Arc<Engine>, &TestPlaces<'_>),
    test: &mut ComponentTest,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let throwaway = ThrowawayVolume::create(engine)?;
    let (volume, excludes, usage) = (throwaway.volume().clone(), Excludes::default(), VolumeUse::default());
    let source = VolumeSource::new(Arc::clone(engine), volume, ReadMethod::Auto, excludes, usage)?;
    let temporary = TemporaryFolder::new("larder-drill-");
    let temporary = temporary.map_err(|source| sink::Error::io("create", "a temporary folder", source))?;
    let directory = source.directory().map(|directory| directory.root().to_owned());
    let place = directory.unwrap_or_else(|| {
        test.notes
            .push("restored into a temporary folder, because its files could not be reached in a volume".to_owned());
        temporary.path().to_owned()
    });
    let restored = as_fresh_folder(repository, component, (&place, source.trust()), monitor)?;
    test_files(repository, (component, restored), &place, test, monitor)?;
    let Some(data) = facts.server_data.as_ref().filter(|_| test.errors.is_empty()) else { return Ok(()) };
    let looked = link_outside(&place.join(data));
    if let Some(link) = looked.map_err(|source| sink::Error::io("look into", place.display().to_string(), source))? {
        test.notes.push(format!("PostgreSQL was not started on it: {link} is a link that leads out of the copy"));
        return Ok(());
    }
    let cancel = monitor.cancel();
    let mut started = TestServer::start_on((&place, data), cancel)?.map(drop);
    if let Err(why) = &mut started
        && place != temporary.path()
    {
        let containers = places.containers(component.name.as_str());
        match start_on_volume((&throwaway, data), containers, cancel)? {
            Ok(()) => started = Ok(()),
            Err(further) => *why = format!("{why}; {further}"),
        }
    }
    match started {
        Ok(()) => test.server_started = Some(true),
        Err(why) => test.not_done = Some(format!("PostgreSQL was not started on it: {why}")),
    }
    Ok(())
}

/// Compares what was restored at `root` with the component.
fn test_files(
    repository: &Repository,
    (component, restored): (&Component, ComponentRestore),
    root: &Path,
    test: &mut ComponentTest,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    test.damaged |= restored.damaged;
    test.errors.extend(restored.problems().map(|(path, why)| format!("{path}: {why}")));
    let more = restored.more_problems();
    test.errors.extend((more > 0).then(|| format!("{more} more")));
    let Some(node) = component.root.clone() else { return Ok(()) };
    // A stream is a file, which lies in the folder itself.
    let (folder, base) = if node.is_directory() {
        (root, component.name.as_str().len() + 1)
    } else {
        (root.parent().unwrap_or(root), 0)
    };
    let mut beneath = DirTarget::open(folder, &Trust::default())?;
    let mut reader = repository.reader()?;
    let mut walk = Walk::new(node, component.name.as_str().as_bytes());
    while let Some(step) = walk.next(&mut reader)? {
        monitor.check()?;
        let Step::Entry(node) = step else { continue };
        if !node.is_file() {
            continue;
        }
        test.files += 1;
        test.bytes += node.metadata.size_bytes;
        let same = match beneath.open_file(walk.path().get(base..).unwrap_or_default()) {
            Ok((file, opened)) => {
                opened.is_file_of(node.metadata.size_bytes)
                    && same_content(&mut reader, repository.ids(), &file, &node)?
            }
            Err(_) => false,
        };
        if !same {
            test.errors.push(format!("{}: what was restored is not what was saved", show_path(walk.path())));
        }
    }
    Ok(())
}
