//! Loading a saved database into an empty one.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use crate::cancel::Cancelled;
use crate::model::{self, Content, KeyedTable, TableIndex, split_table};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::database::{Dump, SavedDatabase, SavedTables};
use crate::pipeline::filter::{Filtered, Pass, Wanted};
use crate::pipeline::stream::{ContentStream, Segment};
use crate::postgres::{Named, RowOrder};
use crate::repo::{ChunkReader, Repository};
use crate::sink;
use crate::sink::postgres::{LoadOptions, Loaded, LoadedDatabase, Loader, Refusal};

/// How often what has no file of its own is read again, so that rows are loaded in the order of `pg_dump`.
const PASSES_MAX: u32 = 8;

/// How much of a saved database is loaded, and how.
#[derive(Clone, Copy)]
pub(super) struct Loading<'a> {
    pub(super) wanted: Wanted<'a>,
    /// Sessions that load at once.
    pub(super) jobs: usize,
    /// Whether code of roles that are no superusers may run with all rights of who restores.
    pub(super) trusts_code: bool,
    /// Whether somebody else may have written the dump.
    pub(super) is_foreign: bool,
    /// Whether everything else is loaded where the server refuses something.
    pub(super) goes_on: bool,
}

/// What is to be said of a database that was loaded.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What is not as it was saved, each in words.
    pub(super) notes: Vec<String>,
    /// What the server has refused.
    pub(super) refused: Vec<Refusal>,
}

/// Loads what is wanted of a saved database.
pub(super) fn load(
    repository: &Repository,
    loaded: &LoadedDatabase,
    saved: &SavedDatabase<'_>,
    loading: Loading<'_>,
    monitor: &Monitor<'_>,
) -> Result<Said, Error> {
    let Loading { wanted, jobs, trusts_code, is_foreign, goes_on } = loading;
    let has_all_rows = wanted.tables.is_empty() && !wanted.is_without_rows();
    let (encoding, settings) = (saved.facts.dump_encoding.as_str(), saved.facts.properties.settings.as_slice());
    let options = LoadOptions { jobs, encoding, settings, has_all_rows, trusts_code, is_foreign, goes_on };
    let mut ahead_reader = repository.reader()?;
    let ahead = match &saved.dump {
        Dump::Plain(content) => vec![Segment::whole(content)],
        Dump::Tables(tables) => vec![tables.statements(&tables.index.before)?, tables.statements(&tables.index.after)?],
    };
    let ahead = Box::new(ContentStream::of_segments(ahead, &mut ahead_reader));
    let mut loader = loaded.loader(options, ahead, monitor)?;
    let fed = match &saved.dump {
        Dump::Plain(content) => load_plain(&mut loader, repository, (content, wanted), monitor),
        Dump::Tables(tables) => load_tables(&mut loader, repository, (tables, wanted), monitor),
    };
    if let Err(error) = fed {
        loader.discard();
        return Err(error);
    }
    let Loaded { tried, mut notes, refused } = loader.end().map_err(|error| reading_error(error, monitor))?;
    if tried > 0 {
        let missing = tried.saturating_sub(loaded.count_foreign_keys(monitor.cancel())?);
        if missing > 0 {
            notes.push(format!("without {missing} of its foreign keys: what they refer to was not restored"));
        }
    }
    Ok(Said { notes, refused })
}

/// Loads one plain dump.
fn load_plain(
    loader: &mut Loader<'_>,
    repository: &Repository,
    (content, wanted): (&Content, Wanted<'_>),
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let mut reader = repository.reader()?;
    let mut dump = script(Counted::new(Segment::whole(content), &mut reader, monitor), wanted);
    loader.script(&mut dump).map_err(|error| reading_error(error, monitor))
}

/// Loads the shape, the rows, and what is made of them.
fn load_tables(
    loader: &mut Loader<'_>,
    repository: &Repository,
    (tables, wanted): (&SavedTables, Wanted<'_>),
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let failed = |error| reading_error(error, monitor);
    let TableIndex { before, others, after, .. } = &tables.index;
    let reader = &mut repository.reader()?;
    let before = Counted::new(tables.statements(before)?, reader, monitor);
    loader.script(&mut script(before, Wanted::default())).map_err(failed)?;
    if wanted.is_without_rows() {
        for segment in [others, after] {
            let statements = Counted::new(tables.statements(segment)?, reader, monitor);
            loader.script(&mut script(statements, wanted)).map_err(failed)?;
        }
        return Ok(());
    }
    let order = loader.row_order().map_err(failed)?;
    load_others_rows(loader, reader, (tables, wanted), &order.first, monitor)?;
    load_rows(loader, reader, (tables, wanted), &order, monitor)?;
    let apart: BTreeSet<Named> = order.first.union(&order.last).cloned().collect();
    let pass = if apart.is_empty() { Pass::All } else { Pass::But(&apart) };
    let others = Counted::new(tables.statements(others)?, reader, monitor);
    loader.script(&mut script(others, Wanted { pass, ..wanted })).map_err(failed)?;
    load_last(loader, reader, (tables, wanted), &order, monitor)?;
    let after = Counted::new(tables.statements(after)?, reader, monitor);
    loader.script(&mut script(after, Wanted::default())).map_err(failed)
}

/// Loads the rows of those tables that have a file of their own and are loaded in any order.
fn load_rows(
    loader: &mut Loader<'_>,
    reader: &mut ChunkReader,
    (tables, wanted): (&SavedTables, Wanted<'_>),
    order: &RowOrder,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let failed = |error| reading_error(error, monitor);
    let is_free = |table: &&KeyedTable| wanted.has(&table.table) && !order.last.contains(&split_table(&table.table));
    let mut keyed: Vec<&KeyedTable> = tables.index.tables.iter().filter(is_free).collect();
    loader.sort_by_owner(&mut keyed, |table| (&table.table, &table.columns)).map_err(failed)?;
    for table in keyed {
        let mut rows = rows_of(table, reader, (tables, wanted), monitor)?;
        loader.rows((&table.table, &table.columns), &mut rows).map_err(failed)?;
    }
    Ok(())
}

/// Loads the rows of those tables that may look into others, one after another.
fn load_last(
    loader: &mut Loader<'_>,
    reader: &mut ChunkReader,
    (tables, wanted): (&SavedTables, Wanted<'_>),
    order: &RowOrder,
    monitor: &Monitor<'_>,
) -> Result<(), Error> {
    let keyed: HashMap<Named, &KeyedTable> =
        tables.index.tables.iter().map(|table| (split_table(&table.table), table)).collect();
    let mut waiting = BTreeSet::new();
    let mut passes = 0;
    for name in &order.last {
        let Some(table) = keyed.get(name).filter(|table| wanted.has(&table.table)) else {
            waiting.insert(name.clone());
            continue;
        };
        if passes < PASSES_MAX && load_others_rows(loader, reader, (tables, wanted), &waiting, monitor)? {
            waiting.clear();
            passes += 1;
        }
        let mut rows = rows_of(table, reader, (tables, wanted), monitor)?;
        let loaded = loader.rows_alone((&table.table, &table.columns), &mut rows);
        loaded.map_err(|error| reading_error(error, monitor))?;
    }
    load_others_rows(loader, reader, (tables, wanted), &waiting, monitor).map(drop)
}

/// Loads the rows of some tables that have no file of their own, in the order of `pg_dump`. Says whether there are such tables.
fn load_others_rows(
    loader: &mut Loader<'_>,
    reader: &mut ChunkReader,
    (tables, wanted): (&SavedTables, Wanted<'_>),
    some: &BTreeSet<Named>,
    monitor: &Monitor<'_>,
) -> Result<bool, Error> {
    let TableIndex { others, other_tables, .. } = &tables.index;
    if !other_tables.iter().any(|table| some.contains(&split_table(&table.table))) {
        return Ok(false);
    }
    let others = Counted::again(tables.statements(others)?, reader, monitor);
    let loaded = loader.script(&mut script(others, Wanted { pass: Pass::Rows(some), ..wanted }));
    loaded.map_err(|error| reading_error(error, monitor))?;
    Ok(true)
}

/// What of the rows of a table is loaded.
fn rows_of<'r>(
    table: &'r KeyedTable,
    reader: &'r mut ChunkReader,
    (tables, wanted): (&SavedTables, Wanted<'r>),
    monitor: &'r Monitor<'r>,
) -> Result<Box<dyn Read + 'r>, Error> {
    let rows = Counted::new(Segment::whole(tables.rows(table)?), reader, monitor);
    if wanted.mask.is_none() {
        return Ok(Box::new(rows));
    }
    Ok(Box::new(Filtered::rows(rows, wanted, &table.table, &table.columns).map_err(Error::Refused)?))
}

/// A script of which only what is wanted passes.
fn script<'a>(from: Counted<'a>, wanted: Wanted<'a>) -> Box<dyn Read + 'a> {
    if wanted.is_everything() { Box::new(from) } else { Box::new(Filtered::script(from, wanted)) }
}

/// What ended the reading of a dump is an error of ours, not of the database.
pub(super) fn reading_error(error: sink::Error, monitor: &Monitor<'_>) -> Error {
    if let Err(cancelled) = monitor.check() {
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
    monitor: &'a Monitor<'a>,
    /// Whether what is read counts: it does once.
    counts: bool,
}

impl<'a> Counted<'a> {
    pub(super) fn new(segment: Segment, reader: &'a mut ChunkReader, monitor: &'a Monitor<'a>) -> Self {
        Self { stream: ContentStream::of_segments(vec![segment], reader), monitor, counts: true }
    }

    /// The same of what is read once more.
    fn again(segment: Segment, reader: &'a mut ChunkReader, monitor: &'a Monitor<'a>) -> Self {
        Self { counts: false, ..Self::new(segment, reader, monitor) }
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if self.monitor.is_cancelled() {
            return Err(Cancelled::as_io());
        }
        let len = self.stream.read(target)?;
        if self.counts {
            self.monitor.advance(len as u64);
        }
        Ok(len)
    }
}

/// What the server has refused, for people.
pub(super) fn in_words(Refusal { object, why }: &Refusal) -> String {
    format!("the server refuses {object}: {why}")
}
