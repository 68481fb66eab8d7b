//! Whether a database that was loaded has the rows that the snapshot has.

use std::collections::HashMap;
use std::fmt::Write;

use super::action::{self, run};
use crate::cancel::Cancel;
use crate::model::{TableRows, split_table};
use crate::postgres::shape_lock::EXPRESSIONS;
use crate::postgres::sql::table;
use crate::postgres::{Connection, Session};
use crate::sink::Error;

/// Tables that are counted by one statement.
const COUNTED_AT_ONCE: usize = 500;
/// Schema, name, whether it is partitioned, whether it belongs to an extension, and, where to plan a query on it is to run what is
/// constant in expressions of somebody, or a part of it is on another server, the tables here that have its rows. What is no table has no rows of its own.
const TABLES_SQL: &str = "WITH RECURSIVE code AS (
    SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p') AND (:EXPRESSIONS
        OR EXISTS (SELECT FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = c.oid AND p.partexprs IS NOT NULL))
), tree AS (
    SELECT oid AS whole, oid AS part FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p')
    UNION SELECT tree.whole, i.inhrelid FROM tree JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.part
        JOIN pg_catalog.pg_class c ON c.oid = tree.whole WHERE c.relkind = 'p'
)
SELECT n.nspname, c.relname, c.relkind = 'p', EXISTS (
        SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objid = c.oid AND deptype = 'e'),
        CASE WHEN EXISTS (SELECT FROM tree JOIN code ON code.oid = tree.part WHERE tree.whole = c.oid)
            OR EXISTS (SELECT FROM tree JOIN pg_catalog.pg_class f ON f.oid = tree.part WHERE tree.whole = c.oid AND f.relkind = 'f') THEN (
            SELECT pg_catalog.json_agg(pg_catalog.format('%I.%I', m.nspname, p.relname)) FROM tree JOIN pg_catalog.pg_class p ON p.oid = tree.part
                JOIN pg_catalog.pg_namespace m ON m.oid = p.relnamespace WHERE tree.whole = c.oid AND p.relkind = 'r') END
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')";

struct Kind {
    /// Where rows were loaded through the table that its partitions belong to, they are counted through it too.
    is_partitioned: bool,
    /// What an extension brings along is there before its own rows are loaded, and is in no dump.
    is_of_extension: bool,
    /// The tables that are read as they are, which plans nothing.
    read: Vec<String>,
}

/// Counts the rows of these tables, and compares. Returns an [`Error::Rows`] for each that differs, or is not there.
///
/// # Errors
/// [`Error::Database`].
pub(super) fn check(database: &Connection, tables: &[TableRows], cancel: &Cancel) -> Result<Vec<Error>, Error> {
    let mut differ = Vec::new();
    if tables.is_empty() {
        return Ok(differ);
    }
    let mut kinds = HashMap::new();
    let sql = TABLES_SQL.replace(":EXPRESSIONS", EXPRESSIONS);
    for row in run(database, "list the tables that were loaded", &sql, cancel)? {
        let is = |place: usize| row.get(place).is_some_and(|value| value.as_deref() == Some("t"));
        let read = row.get(4).and_then(Option::as_deref).and_then(|names| serde_json::from_str(names).ok());
        let kind = Kind { is_partitioned: is(2), is_of_extension: is(3), read: read.unwrap_or_default() };
        if let [Some(schema), Some(name), ..] = row.as_slice() {
            kinds.insert((schema.clone(), name.clone()), kind);
        }
    }
    for tables in tables.chunks(COUNTED_AT_ONCE) {
        let (mut sql, mut read) = (String::new(), Vec::new());
        for (number, rows) in tables.iter().enumerate() {
            let Some(kind) = kinds.get(&split_table(&rows.table)) else {
                differ.push(differs(rows, "none of its".to_owned()));
                continue;
            };
            if !kind.read.is_empty() {
                let counts: Result<Vec<u64>, Error> =
                    kind.read.iter().map(|name| count_lines(database, name, cancel)).collect();
                read.push((number, counts?.iter().sum()));
                continue;
            }
            let only = if kind.is_partitioned { "" } else { "ONLY " };
            let name =
                table(&rows.table).map_err(|source| action::failed("count the rows that were loaded", source))?;
            let union = if sql.is_empty() { "" } else { "\nUNION ALL " };
            // Writing into a string cannot fail.
            let _ = write!(sql, "{union}SELECT {number} AS number, pg_catalog.count(*) FROM {only}{name}");
        }
        let found =
            if sql.is_empty() { Vec::new() } else { run(database, "count the rows that were loaded", &sql, cancel)? };
        let mut counts: HashMap<usize, Option<u64>> =
            read.into_iter().map(|(number, rows)| (number, Some(rows))).collect();
        for row in found {
            if let [Some(number), Some(count)] = row.as_slice() {
                counts.insert(number.parse::<usize>().unwrap_or(usize::MAX), count.parse::<u64>().ok());
            }
        }
        for (number, rows) in tables.iter().enumerate() {
            let found = counts.get(&number).copied().flatten();
            let is_of_extension = kinds.get(&split_table(&rows.table)).is_some_and(|kind| kind.is_of_extension);
            let brought_along = is_of_extension && found.is_some_and(|found| found > rows.rows);
            let is_there = kinds.contains_key(&split_table(&rows.table));
            if is_there && found != Some(rows.rows) && !brought_along {
                differ.push(differs(rows, found.map_or_else(String::new, |found| found.to_string())));
            }
        }
    }
    Ok(differ)
}

/// The rows of a table, counted as they pass.
fn count_lines(database: &Connection, name: &str, cancel: &Cancel) -> Result<u64, Error> {
    let count = || {
        let mut session = Session::open(database, "larder", cancel)?;
        session.run("BEGIN READ ONLY; SET LOCAL search_path = '';", cancel)?;
        let mut lines = 0;
        session.copy_table(&table(name)?, cancel, &mut |part| {
            lines += memchr::memchr_iter(b'\n', part).count() as u64;
            Ok(())
        })?;
        session.run("COMMIT;", cancel)?;
        session.end().map(|()| lines)
    };
    count().map_err(|source| action::failed("count the rows that were loaded", source))
}

fn differs(rows: &TableRows, found: String) -> Error {
    Error::Rows { table: rows.table.clone(), expected: rows.rows, found }
}
