//! Proof by restoring: files into a temporary folder, the database into a scratch database, both compared.

use std::path::Path;
use std::time::Instant;

use crate::model::{Component, Snapshot, Step, Walk, show_path};
use crate::pipeline::Error;
use crate::pipeline::restore::{
    DatabaseRestore, TestServer, into_fresh_folder, load_and_count, same_content, with_causes,
};
use crate::progress::{self, Progress};
use crate::repo::Repository;
use crate::sink::Beneath;
use crate::source::postgres::Connection;

/// Where a scratch database may be made.
#[derive(Debug, Clone)]
pub enum TestDatabase {
    /// On this server.
    Server(Connection),
    /// On a server of its own that is started for the test.
    OwnServer,
}

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
    /// What is wrong.
    pub errors: Vec<String>,
    /// Whether one of the errors is damage of the repository.
    pub damaged: bool,
    /// Time that it took.
    pub millis: u64,
}

/// Restores the components into throwaway places below `folder` and compares them with the snapshot.
///
/// # Errors
/// [`Error::Cancelled`]. What fails is in the result.
pub fn test_restore(
    repository: &Repository,
    snapshot: &Snapshot,
    folder: &Path,
    database: &TestDatabase,
    progress: &dyn Progress,
) -> Result<Vec<ComponentTest>, Error> {
    let mut tests = Vec::new();
    for component in snapshot.components.iter().filter(|component| component.root.is_some()) {
        progress.begin(&format!("restoring {} for a test", component.name), Some(component.bytes));
        let started = Instant::now();
        let mut test = ComponentTest {
            name: component.name.to_string(),
            files: 0,
            bytes: 0,
            database: None,
            errors: Vec::new(),
            damaged: false,
            millis: 0,
        };
        let outcome = if component.database.is_some() {
            test_database(repository, component, database, progress).map(|restored| test.database = Some(restored))
        } else {
            test_files(repository, component, folder, &mut test, progress)
        };
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
    database: &TestDatabase,
    progress: &dyn Progress,
) -> Result<DatabaseRestore, Error> {
    match database {
        TestDatabase::Server(connection) => load_and_count(repository, component, connection, progress),
        TestDatabase::OwnServer => {
            let server = TestServer::start()?;
            load_and_count(repository, component, &server.connection(), progress)
        }
    }
}

fn test_files(
    repository: &Repository,
    component: &Component,
    folder: &Path,
    test: &mut ComponentTest,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let restored = into_fresh_folder(repository, component, folder, progress)?;
    test.damaged |= restored.damaged;
    test.errors.extend(restored.failed.iter().map(|(path, why)| format!("{path}: {why}")));
    let Some(root) = component.root.clone() else { return Ok(()) };
    let mut beneath = Beneath::open(folder)?;
    let mut reader = repository.reader()?;
    let mut walk = Walk::new(root, component.name.as_str().as_bytes());
    while let Some(step) = walk.next(&mut reader)? {
        progress::check(progress)?;
        let Step::Entry(node) = step else { continue };
        if !node.is_file() {
            continue;
        }
        test.files += 1;
        test.bytes += node.size_bytes;
        let same = match beneath.open_file(walk.path()) {
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
