//! Proof by restoring: files into a temporary folder or volume, databases into scratch databases, all compared.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::docker::{Engine, ThrowawayVolume};
use crate::model::{Component, Snapshot, Step, VolumeFacts, Walk, show_path};
use crate::pipeline::Error;
use crate::pipeline::restore::{
    ComponentRestore, DatabaseRestore, TestPlace, TestServer, as_fresh_folder, into_fresh_folder, load_and_count,
    same_content, with_causes,
};
use crate::postgres::Connection;
use crate::progress::{self, Progress};
use crate::repo::Repository;
use crate::sink::{self, Beneath};
use crate::source::{Excludes, ReadMethod, VolumeSource, VolumeUse};

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
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What is wrong.
    pub errors: Vec<String>,
    /// Whether one of the errors is damage of the repository.
    pub damaged: bool,
    /// Time that it took.
    pub millis: u64,
}

/// Throwaway places to restore into.
#[derive(Debug)]
pub struct TestPlaces<'a> {
    /// A temporary folder.
    pub folder: &'a Path,
    /// The servers on which scratch databases are made, by component. A component without one gets a server that is
    /// started for the test.
    pub servers: HashMap<String, Connection>,
    /// The engine that makes temporary volumes; without one, volumes are restored into the folder, and nothing is
    /// started on them.
    pub engine: Option<Arc<Engine>>,
    /// Sessions that load into a database at once.
    pub jobs: usize,
}

/// Restores the components into throwaway places and compares them with the snapshot.
///
/// # Errors
/// [`Error::Cancelled`]. What fails is in the result.
pub fn test_restore(
    repository: &Repository,
    snapshot: &Snapshot,
    places: &TestPlaces<'_>,
    progress: &dyn Progress,
) -> Result<Vec<ComponentTest>, Error> {
    let mut tests = Vec::new();
    for component in &snapshot.components {
        progress.begin(&format!("restoring {} for a test", component.name), Some(component.bytes));
        let started = Instant::now();
        let mut test = ComponentTest {
            name: component.name.to_string(),
            files: 0,
            bytes: 0,
            database: None,
            server_started: None,
            notes: Vec::new(),
            errors: Vec::new(),
            damaged: false,
            millis: 0,
        };
        let outcome = if component.root.is_none() {
            Err(Error::Refused("the snapshot does not have it: it could not be saved".to_owned()))
        } else if component.database.is_some() {
            test_database(repository, component, places, progress).map(|restored| test.database = Some(restored))
        } else if let (Some(facts), Some(engine)) = (&component.volume, &places.engine) {
            test_volume(repository, (component, facts), engine, &mut test, progress)
        } else {
            let restored = into_fresh_folder(repository, component, places.folder, progress);
            let own = places.folder.join(component.name.as_str());
            restored.and_then(|restored| test_files(repository, (component, restored), &own, &mut test, progress))
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
    component: &Component,
    places: &TestPlaces<'_>,
    progress: &dyn Progress,
) -> Result<DatabaseRestore, Error> {
    if let Some(connection) = places.servers.get(component.name.as_str()) {
        let place = TestPlace { connection: connection.clone(), jobs: places.jobs, is_throwaway: false };
        return load_and_count(repository, component, &place, progress);
    }
    let server = TestServer::start()?;
    let place = TestPlace { connection: server.connection(), jobs: places.jobs, is_throwaway: true };
    load_and_count(repository, component, &place, progress)
}

/// Restores a volume into a temporary one, compares it, and starts PostgreSQL on it where it holds its data.
fn test_volume(
    repository: &Repository,
    (component, facts): (&Component, &VolumeFacts),
    engine: &Arc<Engine>,
    test: &mut ComponentTest,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let throwaway = ThrowawayVolume::create(engine)?;
    let (volume, excludes, usage) = (throwaway.volume().clone(), Excludes::default(), VolumeUse::default());
    let source = VolumeSource::new(Arc::clone(engine), volume, ReadMethod::Auto, excludes, usage)?;
    let temporary = tempfile::Builder::new().prefix("larder-drill-").tempdir();
    let temporary = temporary.map_err(|source| sink::Error::io("create", "a temporary folder", source))?;
    let directory = source.directory().map(|directory| directory.root().to_owned());
    // A server does not run as root, and must be able to reach its data.
    let place = directory.filter(|directory| facts.server_data.is_none() || everyone_reaches(directory));
    let place = place.unwrap_or_else(|| {
        test.notes
            .push("restored into a temporary folder, because its files could not be reached in a volume".to_owned());
        temporary.path().to_owned()
    });
    let restored = as_fresh_folder(repository, component, &place, progress)?;
    test_files(repository, (component, restored), &place, test, progress)?;
    let Some(data) = facts.server_data.as_ref().filter(|_| test.errors.is_empty()) else { return Ok(()) };
    match TestServer::start_on(&place.join(data))? {
        Ok(server) => {
            drop(server);
            test.server_started = Some(true);
        }
        Err(why) => test.notes.push(format!("PostgreSQL was not started on it: {why}")),
    }
    Ok(())
}

/// Whether all directories around a path may be passed by everyone.
fn everyone_reaches(path: &Path) -> bool {
    let passable = |directory: &Path| directory.metadata().is_ok_and(|metadata| metadata.mode() & 0o001 != 0);
    path.ancestors().skip(1).all(passable)
}

/// Compares what was restored at `root` with the component.
fn test_files(
    repository: &Repository,
    (component, restored): (&Component, ComponentRestore),
    root: &Path,
    test: &mut ComponentTest,
    progress: &dyn Progress,
) -> Result<(), Error> {
    test.damaged |= restored.damaged;
    test.errors.extend(restored.problems().map(|(path, why)| format!("{path}: {why}")));
    let Some(node) = component.root.clone() else { return Ok(()) };
    // A stream is a file, which lies in the folder itself.
    let (folder, base) = if node.is_directory() {
        (root, component.name.as_str().len() + 1)
    } else {
        (root.parent().unwrap_or(root), 0)
    };
    let mut beneath = Beneath::open(folder)?;
    let mut reader = repository.reader()?;
    let mut walk = Walk::new(node, component.name.as_str().as_bytes());
    while let Some(step) = walk.next(&mut reader)? {
        progress::check(progress)?;
        let Step::Entry(node) = step else { continue };
        if !node.is_file() {
            continue;
        }
        test.files += 1;
        test.bytes += node.size_bytes;
        let same = match beneath.open_file(walk.path().get(base..).unwrap_or_default()) {
            Ok(file) => {
                let right_length = file.metadata().is_ok_and(|metadata| metadata.len() == node.size_bytes);
                right_length && same_content(&mut reader, repository.ids(), &file, &node)?
            }
            Err(_) => false,
        };
        if !same {
            test.errors.push(format!("{}: what was restored is not what was saved", show_path(walk.path())));
        }
    }
    Ok(())
}
