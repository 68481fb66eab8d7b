//! What differs between the rows of a table on two nights: both are in the order of the same key, so one pass over both tells.

use std::cmp::Ordering;
use std::io::{self, BufReader};

use super::Error;
use super::database::{Dump, SavedDatabase, SavedTables};
use super::stream::ContentStream;
use crate::events::Phase;
use crate::model::{self, Content, KeyOrder, KeyedTable, Snapshot, rows};
use crate::monitor::Monitor;
use crate::repo::{ChunkReader, Repository};
use crate::sink;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Rows between two looks at whether the caller wants to stop.
const ROWS_AT_ONCE: u64 = 1_000;

/// How the rows of one table differ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowChanges {
    /// The component.
    pub component: String,
    /// Schema and table, quoted where needed.
    pub table: String,
    /// Rows whose key only the newer has.
    pub added: u64,
    /// Rows whose key only the older has.
    pub removed: u64,
    /// Rows that both have, with other values.
    pub changed: u64,
}

/// Compares the tables that both snapshots have in the order of the same key and whose rows differ.
///
/// # Errors
/// [`Error::Model`], [`Error::Cancelled`].
pub fn compare_rows(
    repository: &Repository,
    old: &Snapshot,
    new: &Snapshot,
    monitor: &Monitor<'_>,
) -> Result<Vec<RowChanges>, Error> {
    let mut readers = (repository.reader()?, repository.reader()?);
    let mut changes = Vec::new();
    for component in &new.components {
        let Some(before) = old.component(component.name.as_str()) else { continue };
        if component.root.is_none() || before.root.is_none() {
            continue;
        }
        // In another encoding all text is other text.
        match (&before.database, &component.database) {
            (Some(old), Some(new)) if old.dump_encoding == new.dump_encoding => {}
            _ => continue,
        }
        let saved = (SavedDatabase::find(&mut readers.0, before)?, SavedDatabase::find(&mut readers.1, component)?);
        let (Dump::Tables(old), Dump::Tables(new)) = (&saved.0.dump, &saved.1.dump) else { continue };
        for table in &new.index.tables {
            let Some(contents) = comparable(old, new, table)? else { continue };
            monitor.begin(Phase::ComparingRows { table: &table.table }, None);
            if let Some(counts) = compare(contents, table, (&mut readers.0, &mut readers.1), monitor)? {
                let component = component.name.to_string();
                changes.push(RowChanges { component, table: table.table.clone(), ..counts });
            }
        }
    }
    Ok(changes)
}

/// The rows of both, where they differ and can be compared.
fn comparable<'a>(
    old: &'a SavedTables,
    new: &'a SavedTables,
    table: &KeyedTable,
) -> Result<Option<(&'a Content, &'a Content)>, Error> {
    let Some(before) = old.index.table(&table.table) else { return Ok(None) };
    if before.key != table.key || before.columns != table.columns {
        return Ok(None);
    }
    let contents = (old.rows(before)?, new.rows(table)?);
    Ok(Some(contents).filter(|(old, new)| old != new))
}

/// Merges both by their key; `None` when their order is not the one that it should be.
fn compare(
    (old, new): (&Content, &Content),
    table: &KeyedTable,
    (old_reader, new_reader): (&mut ChunkReader, &mut ChunkReader),
    monitor: &Monitor<'_>,
) -> Result<Option<RowChanges>, Error> {
    let places = table.key_places();
    let mut old = Rows::new(ContentStream::new(old, old_reader), &places);
    let mut new = Rows::new(ContentStream::new(new, new_reader), &places);
    let mut changes = RowChanges::default();
    let mut count = 0;
    old.advance()?;
    new.advance()?;
    loop {
        count += 1;
        if count % ROWS_AT_ONCE == 0 {
            monitor.check()?;
        }
        let order = match (&old.row, &new.row) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(before), Some(after)) if before == after => Ordering::Equal,
            (Some(_), Some(_)) => compare_keys(&old.key, &new.key, &places),
        };
        match order {
            Ordering::Less => changes.removed += 1,
            Ordering::Greater => changes.added += 1,
            Ordering::Equal => changes.changed += u64::from(old.row != new.row),
        }
        if order.is_le() {
            old.advance()?;
        }
        if order.is_ge() {
            new.advance()?;
        }
        if old.is_disordered || new.is_disordered {
            return Ok(None);
        }
    }
    Ok(Some(changes))
}

fn compare_keys(a: &[Vec<u8>], b: &[Vec<u8>], places: &[(usize, KeyOrder)]) -> Ordering {
    let values = a.iter().zip(b).zip(places);
    let orders = values.map(|((a, b), (_, order))| rows::compare_values(a, b, *order));
    orders.fold(Ordering::Equal, Ordering::then)
}

/// The rows of a table one after another.
struct Rows<'a> {
    lines: BufReader<ContentStream<'a>>,
    places: &'a [(usize, KeyOrder)],
    row: Option<Vec<u8>>,
    key: Vec<Vec<u8>>,
    is_disordered: bool,
}

impl<'a> Rows<'a> {
    fn new(stream: ContentStream<'a>, places: &'a [(usize, KeyOrder)]) -> Self {
        let lines = BufReader::with_capacity(BUFFER_BYTES, stream);
        Self { lines, places, row: None, key: Vec::new(), is_disordered: false }
    }

    fn advance(&mut self) -> Result<(), Error> {
        let mut row = self.row.take().unwrap_or_default();
        let is_first = row.is_empty();
        row.clear();
        let len = rows::read_line(&mut self.lines, &mut row).map_err(reading_error)?;
        if len == 0 {
            return Ok(());
        }
        let fields: Vec<&[u8]> = rows::fields(&row).collect();
        let field = |(place, _): &(usize, KeyOrder)| rows::unescape(fields.get(*place).copied().unwrap_or_default());
        let key: Vec<Vec<u8>> = self.places.iter().map(field).collect();
        self.is_disordered |= !is_first && compare_keys(&self.key, &key, self.places).is_gt();
        self.key = key;
        self.row = Some(row);
        Ok(())
    }
}

fn reading_error(error: io::Error) -> Error {
    match error.downcast::<model::Error>() {
        Ok(error) => Error::Model(error),
        Err(error) => Error::Sink(sink::Error::io("read", "the rows of a table", error)),
    }
}
