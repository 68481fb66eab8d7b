//! Loading a saved database into an empty one.

use std::io::Read;

use crate::model::{self, TableIndex};
use crate::pipeline::Error;
use crate::pipeline::database::{Dump, SavedDatabase, SavedTables};
use crate::pipeline::filter::{Filtered, Wanted};
use crate::pipeline::stream::{ContentStream, Segment};
use crate::progress::{Progress, check};
use crate::repo::ChunkReader;
use crate::sink;
use crate::sink::postgres::{LoadedDatabase, Loader};
use crate::source::postgres::CopyCounter;

/// Loads what is wanted of a saved database. Returns how many foreign keys could not be made, because what they refer to was
/// not wanted.
pub(super) fn load(
    loaded: &LoadedDatabase,
    reader: &mut ChunkReader,
    (saved, wanted): (&SavedDatabase<'_>, Wanted<'_>),
    jobs: usize,
    progress: &dyn Progress,
) -> Result<u64, Error> {
    match &saved.dump {
        Dump::Plain(content) => {
            let mut dump = script(Counted::new(Segment::whole(content), reader, progress), wanted);
            loaded.load(&mut dump).map(|()| 0).map_err(|error| reading_error(error, progress))
        }
        Dump::Tables(tables) => {
            let loader = loaded.loader(jobs, &saved.facts.encoding, progress)?;
            let tried = load_tables(loader, reader, (tables, wanted), progress)?;
            if tried == 0 { Ok(0) } else { Ok(tried.saturating_sub(loaded.count_foreign_keys()?)) }
        }
    }
}

/// Loads the shape, the rows, and what is made of them. Returns how many foreign keys were made only where that could be.
fn load_tables(
    mut loader: Loader<'_>,
    reader: &mut ChunkReader,
    (tables, wanted): (&SavedTables, Wanted<'_>),
    progress: &dyn Progress,
) -> Result<u64, Error> {
    let failed = |error| reading_error(error, progress);
    let TableIndex { before, others, after, .. } = &tables.index;
    let before = Counted::new(tables.statements(before)?, reader, progress);
    loader.script(&mut script(before, Wanted::default())).map_err(failed)?;
    load_rows(&mut loader, reader, (tables, wanted), progress)?;
    let others = Counted::new(tables.statements(others)?, reader, progress);
    loader.script(&mut script(others, wanted)).map_err(failed)?;
    let after = Counted::new(tables.statements(after)?, reader, progress);
    let tried = loader.after(&mut script(after, Wanted::default()), wanted.tables.is_empty()).map_err(failed)?;
    loader.end().map_err(failed).map(|()| tried)
}

/// Loads the rows of those tables that have a file of their own.
pub(super) fn load_rows(
    loader: &mut Loader<'_>,
    reader: &mut ChunkReader,
    (tables, wanted): (&SavedTables, Wanted<'_>),
    progress: &dyn Progress,
) -> Result<(), Error> {
    for table in tables.index.tables.iter().filter(|table| wanted.has(&table.table)) {
        let rows = Counted::new(Segment::whole(tables.rows(table)?), reader, progress);
        let mut rows: Box<dyn Read + '_> = if wanted.mask.is_some() {
            Box::new(Filtered::rows(rows, wanted, &table.table, &table.columns).map_err(Error::Refused)?)
        } else {
            Box::new(rows)
        };
        loader.rows(&table.copy_statement(), &mut rows).map_err(|error| reading_error(error, progress))?;
    }
    Ok(())
}

/// A script of which only what is wanted passes, and nothing that would leave the database.
fn script<'a>(from: Counted<'a>, wanted: Wanted<'a>) -> Box<dyn Read + 'a> {
    let watched = Watched::new(from);
    if wanted.is_everything() { Box::new(watched) } else { Box::new(Filtered::script(watched, wanted)) }
}

/// What ended the reading of a dump is an error of ours, not of the database.
pub(super) fn reading_error(error: sink::Error, progress: &dyn Progress) -> Error {
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
pub(super) struct Counted<'a> {
    stream: ContentStream<'a>,
    progress: &'a dyn Progress,
}

impl<'a> Counted<'a> {
    pub(super) fn new(segment: Segment, reader: &'a mut ChunkReader, progress: &'a dyn Progress) -> Self {
        Self { stream: ContentStream::of_segments(vec![segment], reader), progress }
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if self.progress.cancelled() {
            return Err(std::io::Error::other("interrupted"));
        }
        let len = self.stream.read(target)?;
        self.progress.advance(len as u64);
        Ok(len)
    }
}

/// A script that ends with an error when it has a command that would leave the database that it is loaded into: what a server
/// says of its own views and functions, `pg_dump` repeats.
pub(super) struct Watched<R> {
    stream: CopyCounter<R>,
}

impl<R: Read> Watched<R> {
    pub(super) fn new(script: R) -> Self {
        Self { stream: CopyCounter::new(script) }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        let len = self.stream.read(target)?;
        if let Some(command) = self.stream.foreign_command() {
            let why = format!(
                "it has the command '{command}' of psql, which would leave the database that it is loaded into"
            );
            return Err(std::io::Error::other(why));
        }
        Ok(len)
    }
}
