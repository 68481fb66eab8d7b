//! A database component: into the live server, or into a scratch database that proves it.

use std::time::{Duration, Instant};

use super::{ComponentRestore, LostPath, RestoreOptions};
use crate::model::{self, Component, DatabaseFacts, TableIndex};
use crate::pipeline::Error;
use crate::pipeline::database::{Dump, SavedDatabase, SavedTables};
use crate::pipeline::stream::{ContentStream, Segment};
use crate::progress::{Progress, check};
use crate::repo::{ChunkReader, Repository};
use crate::sink;
use crate::sink::postgres::{LoadedDatabase, Loader, exists, maintenance};
use crate::source::Place;
use crate::source::postgres::{Connection, CopyCounter, psql};

/// How long a server may take to answer after its container was started.
const READY_LIMIT: Duration = Duration::from_mins(1);
const READY_PAUSE: Duration = Duration::from_millis(100);

/// What a restore of a database did.
#[derive(Debug, Default)]
pub struct DatabaseRestore {
    /// Tables whose rows were compared.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Whether there was a database of that name before.
    pub replaced: bool,
    /// Roles that were made, without passwords.
    pub roles_created: Vec<String>,
}

pub(super) fn restore(
    repository: &Repository,
    component: &Component,
    connection: &Connection,
    lost: &[LostPath],
    options: RestoreOptions,
    result: &mut ComponentRestore,
    progress: &dyn Progress,
) -> Result<(), Error> {
    if let Some(lost) = lost.first() {
        result.damaged = true;
        return Err(Error::Refused(format!("{} is lost, so the database stays as it is", lost.shown())));
    }
    let mut reader = repository.reader()?;
    let saved = SavedDatabase::find(&mut reader, component)?;
    // The database is restored under the name that the configuration gives it now.
    let facts = DatabaseFacts { name: connection.database.clone(), ..saved.facts.clone() };
    let maintenance = maintenance(connection)?;
    let mut done = counts(&facts);
    done.replaced = exists(&maintenance, &facts.name)?;
    if options.dry_run {
        result.written = 1;
        result.bytes_written = component.bytes;
        result.database = Some(done);
        return Ok(());
    }
    let (loaded, roles) = LoadedDatabase::create(maintenance, &facts, "new", &saved.globals)?;
    load(&loaded, &mut reader, &saved, options.jobs, progress)?;
    loaded.check_rows(&facts)?;
    loaded.put_in_place(&facts)?;
    done.roles_created = roles;
    result.written = 1;
    result.bytes_written = component.bytes;
    result.database = Some(done);
    Ok(())
}

/// A server whose container was started again takes a moment until it lets anybody in.
pub(super) fn wait_for_server(connection: &Connection, restarted: &dyn Fn(&String) -> bool, progress: &dyn Progress) {
    let Place::Container { name, .. } = &connection.place else { return };
    let deadline = Instant::now() + READY_LIMIT;
    // What keeps it is told by the restore, which is tried all the same.
    while restarted(name) && maintenance(connection).is_err() && !progress.cancelled() && Instant::now() < deadline {
        std::thread::sleep(READY_PAUSE);
    }
}

fn counts(facts: &DatabaseFacts) -> DatabaseRestore {
    let rows = facts.tables.iter().map(|table| table.rows).sum();
    DatabaseRestore { tables: facts.tables.len() as u64, rows, ..DatabaseRestore::default() }
}

fn load(
    loaded: &LoadedDatabase,
    reader: &mut ChunkReader,
    saved: &SavedDatabase<'_>,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let outcome = match &saved.dump {
        Dump::Plain(content) => {
            let stream = ContentStream::new(content, reader);
            loaded.load(&mut Watched { stream: CopyCounter::new(stream), progress })
        }
        Dump::Tables(tables) => {
            let loader = loaded.loader(jobs, &saved.facts.encoding, progress)?;
            return load_tables(loader, reader, tables, progress);
        }
    };
    outcome.map_err(|error| reading_error(error, progress))
}

/// Loads the shape, the rows, and what is made of them.
fn load_tables(
    mut loader: Loader<'_>,
    reader: &mut ChunkReader,
    tables: &SavedTables,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let failed = |error| reading_error(error, progress);
    let TableIndex { before, others, after, .. } = &tables.index;
    loader.script(&mut Counted::new(tables.statements(before)?, reader, progress)).map_err(failed)?;
    for table in &tables.index.tables {
        let mut rows = Counted::new(Segment::whole(tables.rows(table)?), reader, progress);
        loader.rows(&table.copy_statement(), &mut rows).map_err(failed)?;
    }
    loader.script(&mut Counted::new(tables.statements(others)?, reader, progress)).map_err(failed)?;
    loader.after(&mut Counted::new(tables.statements(after)?, reader, progress)).map_err(failed)?;
    loader.end().map_err(failed)
}

/// A stream that tells how far it is.
struct Counted<'a> {
    stream: ContentStream<'a>,
    progress: &'a dyn Progress,
}

impl<'a> Counted<'a> {
    fn new(segment: Segment, reader: &'a mut ChunkReader, progress: &'a dyn Progress) -> Self {
        Self { stream: ContentStream::of_segments(vec![segment], reader), progress }
    }
}

impl std::io::Read for Counted<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        let len = self.stream.read(target)?;
        self.progress.advance(len as u64);
        Ok(len)
    }
}

/// What ended the reading of a dump is an error of ours, not of the database.
fn reading_error(error: sink::Error, progress: &dyn Progress) -> Error {
    if let Err(cancelled) = check(progress) {
        return cancelled.into();
    }
    match error {
        sink::Error::Io { action, path, source } => match source.downcast::<model::Error>() {
            Ok(source) => Error::Model(source),
            Err(source) => Error::Sink(sink::Error::Io { action, path, source }),
        },
        error => Error::Sink(error),
    }
}

/// A stream that tells how far it is and ends with an error when it should stop.
struct Watched<'a> {
    stream: CopyCounter<ContentStream<'a>>,
    progress: &'a dyn Progress,
}

impl std::io::Read for Watched<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if self.progress.cancelled() {
            return Err(std::io::Error::other("interrupted"));
        }
        let len = self.stream.read(target)?;
        if let Some(command) = self.stream.foreign_command() {
            let why = format!(
                "it has the command '{command}' of psql, which would leave the database that it is loaded into"
            );
            return Err(std::io::Error::other(why));
        }
        self.progress.advance(len as u64);
        Ok(len)
    }
}

/// Loads the dump of a component into a scratch database by so many sessions, compares its rows, and drops it.
///
/// # Errors
/// [`Error::Sink`] when it cannot be loaded or has other rows; [`Error::Model`] when the dump is damaged.
pub fn load_and_count(
    repository: &Repository,
    component: &Component,
    (connection, jobs): (&Connection, usize),
    progress: &dyn Progress,
) -> Result<DatabaseRestore, Error> {
    let mut reader = repository.reader()?;
    let saved = SavedDatabase::find(&mut reader, component)?;
    let maintenance = maintenance(connection)?;
    let (loaded, roles) = LoadedDatabase::create(maintenance.clone(), saved.facts, "test", &saved.globals)?;
    let outcome = load(&loaded, &mut reader, &saved, jobs, progress)
        .and_then(|()| loaded.check_rows(saved.facts).map_err(Error::from));
    drop(loaded);
    for role in &roles {
        // Made for this test alone. A role that cannot be dropped any more was put to use meanwhile.
        let _ = psql(&maintenance, &format!("DROP ROLE {role}"));
    }
    outcome.map(|()| counts(saved.facts))
}
