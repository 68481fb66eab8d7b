//! A database table by table: the rows of each in the order of its key, as a file of its own, and `pg_dump` for all else.
//!
//! Everything is seen as it was at one moment: one session holds it, the others and `pg_dump` see what it sees.

use super::layout::{AFTER_FILE, BEFORE_FILE, GLOBALS_FILE, OTHERS_FILE};
use super::name_list::first_names;
use super::scripts::{Begun, script};
use crate::cancel::Cancel;
use crate::model::{
    DATA_FOLDER, KeyedTable, Node, OtherTable, PROPERTIES_FILE, ROLES_FILE, TABLES_FILE, TableIndex, TableRows,
};
use crate::monitor::Monitor;
use crate::postgres::catalog::{Catalog, Table};
use crate::postgres::dump_encoding::reorders;
use crate::postgres::moment::{self, Moment, TableQuery};
use crate::postgres::prefetch::prefetch;
use crate::postgres::shape_lock::ShapeLock;
use crate::postgres::sql::ident;
use crate::postgres::{self, Connection, Copied, Session};
use crate::process::Program;
use crate::source::{Error, Visitor};

/// How long `pg_dump` waits for a lock, in milliseconds. Only who waits for this backup to end can keep it from one.
const LOCK_MILLIS: u32 = 1_000;
/// How a database is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableOptions {
    /// Sessions that read tables at once.
    pub jobs: usize,
    /// A table that is larger than this, in bytes, is not read in the order of its key when its rows do not lie in it.
    pub scattered_max: u64,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { jobs: 2, scattered_max: 4 << 30 }
    }
}

/// The tables of a database that are not read in the order of a key, and why. Nothing is locked.
///
/// # Errors
/// [`Error::Process`] when the server cannot be reached or asked.
pub fn tables_without_order(
    connection: &Connection,
    options: TableOptions,
) -> Result<Vec<(String, String)>, postgres::Error> {
    let mut session = Session::open(connection, "larder", &Cancel::new())?.within(postgres::QUESTION_LIMIT);
    moment::look(&mut session, &Cancel::new())?;
    let catalog = Catalog::read(&mut session, (options.scattered_max, false), &Cancel::new())?;
    session.end().map(|()| catalog.others)
}

/// How a database is read table by table.
pub(super) struct Reading<'a> {
    pub(super) options: TableOptions,
    /// A `pg_dump`.
    pub(super) program: &'a dyn Fn() -> Program,
    /// The encoding of the database, and the one that all is written in.
    pub(super) encodings: (&'a str, &'a str),
    /// Whether two of `pg_dump` may have locked all tables at once.
    pub(super) is_at_once: bool,
}

/// A database that is seen as it was at one moment. Everything that is going to be read is locked by whoever reads it.
pub(super) struct TableDump {
    /// It holds what is seen, and the locks.
    holder: Session,
    moment: Moment,
    /// It keeps tables of others as they are while queries on them are planned.
    lock: Option<ShapeLock>,
    sessions: Vec<Session>,
    catalog: Catalog,
    /// None where it cannot be read table by table.
    scripts: Option<Scripts>,
    /// Why not, where that is worth a word.
    pub(super) unfit: Option<&'static str>,
}

/// What `pg_dump` says before the data, of all other data, and after the data.
struct Scripts {
    before: Begun,
    others: Begun,
    after: Begun,
}

/// What makes the nodes of files and directories.
pub(super) struct Nodes<'a> {
    pub(super) file: &'a dyn Fn(&str) -> Node,
    pub(super) directory: &'a dyn Fn(&str) -> Node,
}

impl TableDump {
    /// Locks the tables, and opens sessions under this name.
    ///
    /// # Errors
    /// [`Error::Process`] when the server does not permit it, also when somebody waits to alter a table; [`Error::Stop`].
    pub(super) fn begin(
        connection: &Connection,
        name: &str,
        Reading { options, program, encodings: (database, dump), is_at_once }: &Reading<'_>,
        monitor: &Monitor<'_>,
    ) -> Result<Self, Error> {
        let cancel = monitor.cancel();
        let begin = || {
            let mut holder = Session::open(connection, name, cancel)?;
            let moment = Moment::begin(connection, (&mut holder, name), cancel)?;
            let mut catalog = Catalog::read(&mut holder, (options.scattered_max, reorders(database, dump)), cancel)?;
            if catalog.keyed.is_empty() {
                return Ok(Self::unfit((holder, moment), catalog, None));
            }
            moment::speak(&mut holder, dump, cancel)?;
            let blockers = || moment::check_blockers(connection, name, cancel);
            let start = |section: &str, more: &[String]| {
                let mut program = program();
                program.args([format!("--section={section}"), format!("--snapshot={}", moment.snapshot)]);
                program.arg(format!("--lock-wait-timeout={LOCK_MILLIS}")).args(more);
                program.start(false).map(|(_, process)| process)
            };
            // Each locks all tables until it has ended.
            let before = start("pre-data", &[])?;
            let after = if *is_at_once { Some(start("post-data", &[])?) } else { None };
            let before = Begun::whole(before, &blockers, dump, monitor)?;
            if !before.is_in_order {
                let unfit = Some("something after its rows is needed by something before them");
                return Ok(Self::unfit((holder, moment), catalog, unfit));
            }
            let after = after.map_or_else(|| start("post-data", &[]), Ok)?;
            let after = Begun::whole(after, &blockers, dump, monitor)?;
            let lock = catalog.lock(connection, name, cancel)?;
            let others = Begun::wait(start("data", &without(&catalog.keyed))?, &blockers, dump, monitor)?;
            let shared: Vec<_> = catalog.keyed.iter().filter(|table| table.is_shared()).map(Table::named).collect();
            let queries = catalog.keyed.iter().map(|table| table.queries.len()).sum();
            let mut sessions = Vec::new();
            for _ in 0..options.jobs.min(queries) {
                let mut session = Session::open(connection, name, cancel)?;
                moment::join(&mut session, &moment.snapshot, (&shared, dump), cancel)?;
                sessions.push(session);
            }
            let scripts = Some(Scripts { before, others, after });
            Ok(Self { holder, moment, lock, sessions, catalog, scripts, unfit: None })
        };
        begin().map_err(|error| match monitor.check() {
            Err(cancelled) => Error::Stop(cancelled.into()),
            Ok(()) => error,
        })
    }

    fn unfit((holder, moment): (Session, Moment), catalog: Catalog, unfit: Option<&'static str>) -> Self {
        Self { holder, moment, lock: None, sessions: Vec::new(), catalog, scripts: None, unfit }
    }

    /// Whether any table is read in the order of its key.
    pub(super) const fn is_fit(&self) -> bool {
        self.scripts.is_some()
    }

    /// Which tables are not read in the order of a key, and why; in a few words.
    pub(super) fn note(&self) -> Option<String> {
        let others = &self.catalog.others;
        let shown = first_names(others, |(table, why)| format!("{table} ({why})"));
        let costs =
            if self.is_fit() { "" } else { "; it is one plain dump, out of which no single tables can be restored" };
        (!others.is_empty()).then(|| format!("not in the order of a key: {shown}{costs}"))
    }

    /// Shows all files in the order of their names. `show_list` shows those of roles and properties. Returns the rows of each table.
    ///
    /// # Errors
    /// [`Error::Process`], [`Error::Incomplete`] when a script does not reach its end, [`Error::Stop`].
    pub(super) fn show(
        self,
        nodes: &Nodes<'_>,
        visitor: &mut dyn Visitor,
        show_list: &mut dyn FnMut(&str, &mut dyn Visitor) -> Result<(), Error>,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<TableRows>, Error> {
        let Self { holder, moment, lock, sessions, catalog, scripts, .. } = self;
        let nothing = postgres::Error::Incomplete { program: "pg_dump".to_owned(), why: "it was not started" };
        let Scripts { before, others, after } = scripts.ok_or(nothing)?;
        visitor.enter((nodes.directory)(DATA_FOLDER), None)?;
        let mut tables = Vec::new();
        let queries: Vec<TableQuery<'_>> = catalog.keyed.iter().flat_map(Table::table_queries).collect();
        let (holder, sessions) = prefetch((holder, sessions), &queries, monitor.cancel(), |prefetcher| {
            for table in &catalog.keyed {
                let mut rows = prefetcher.rows(table.queries.len());
                let shown = visitor.stream((nodes.file)(&table.file), &mut rows);
                match rows.failure.take() {
                    Some(error) if !matches!(shown, Err(Error::Stop(_))) => return Err(Error::from(error)),
                    _ => shown?,
                }
                tables.push(keyed_table(table, rows.count, rows.bytes));
            }
            Ok(())
        })?;
        sessions.into_iter().try_for_each(Session::end)?;
        lock.map_or(Ok(()), |lock| lock.end(monitor.cancel()))?;
        visitor.leave()?;
        show_list(GLOBALS_FILE, visitor)?;
        let mut show = |name: &str, begun| script((nodes.file)(name), name, (begun, monitor), visitor);
        let (others, other_tables) = show(OTHERS_FILE, others)?;
        let (after, _) = show(AFTER_FILE, after)?;
        let (before, _) = show(BEFORE_FILE, before)?;
        show_list(PROPERTIES_FILE, visitor)?;
        show_list(ROLES_FILE, visitor)?;
        moment.end(holder, monitor.cancel())?;

        let mut rows: Vec<TableRows> =
            tables.iter().map(|table| TableRows { table: table.table.clone(), rows: table.rows }).collect();
        rows.extend(other_tables.iter().map(|(rows, _)| rows.clone()));
        let other_tables = other_tables.into_iter();
        let other_tables = other_tables
            .map(|(TableRows { table, .. }, Copied { columns, places })| OtherTable {
                related: catalog.related(&table),
                table,
                columns,
                places,
            })
            .collect();
        let index = TableIndex::new(before, tables, (others, other_tables), after);
        let index = index.encode();
        // What a restore could not read is not saved.
        TableIndex::decode(&index).map_err(|error| postgres::Error::Answer { why: error.to_string() })?;
        visitor.stream((nodes.file)(TABLES_FILE), &mut index.as_slice())?;
        Ok(rows)
    }
}

fn keyed_table(table: &Table, rows: u64, bytes: u64) -> KeyedTable {
    let Table { quoted, file, columns, key, related, .. } = table;
    let related = related.clone();
    let (table, file, columns, key) = (quoted.clone(), file.clone(), columns.clone(), key.clone());
    KeyedTable { table, file, columns, key, related, rows, bytes }
}

/// The arguments that leave the rows of these tables out. One for each: `pg_dump` finds a name by an index, and takes long to
/// try many in one pattern.
fn without(tables: &[Table]) -> Vec<String> {
    let argument = |table: &Table| format!("--exclude-table-data={}.{}", ident(&table.schema), ident(&table.name));
    tables.iter().map(argument).collect()
}
