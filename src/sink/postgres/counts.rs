//! Whether a database that was loaded has the rows that the snapshot has.

use std::collections::HashMap;
use std::fmt::Write;

use super::{Error, run};
use crate::model::{TableRows, split_table};
use crate::postgres::sql::table;
use crate::postgres::{Connection, Session, Stopped};

/// Tables that are counted by one statement.
const COUNTED_AT_ONCE: usize = 500;
/// Schema, name, whether it is partitioned, whether it belongs to an extension, and whether to plan a query on it is to run what is
/// constant in expressions of its owner, who is no superuser. What is no table has no rows of its own.
const TABLES_SQL: &str = "SELECT n.nspname, c.relname, c.relkind = 'p', EXISTS (
        SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND objid = c.oid AND deptype = 'e'),
        NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE oid = c.relowner) AND c.relkind = 'r' AND (
            EXISTS (SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = x.indexrelid
                    WHERE x.indrelid = c.oid AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL)
                    AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass))
            OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND d.objid = s.oid
                    WHERE s.stxrelid = c.oid
                    AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass)))
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'f')";

struct Kind {
    /// Where rows were loaded through the table that its partitions belong to, they are counted through it too.
    is_partitioned: bool,
    /// What an extension brings along is there before its own rows are loaded, and is in no dump.
    is_of_extension: bool,
    /// It is read as it is, which plans nothing.
    is_read: bool,
}

/// Counts the rows of these tables, and compares.
///
/// # Errors
/// [`Error::Rows`] for the first table that differs, or is none; [`Error::Database`].
pub(super) fn check(database: &Connection, tables: &[TableRows], stopped: Stopped<'_>) -> Result<(), Error> {
    if tables.is_empty() {
        return Ok(());
    }
    let mut kinds = HashMap::new();
    for row in run(database, "list the tables that were loaded", TABLES_SQL, stopped)? {
        let is = |place: usize| row.get(place).is_some_and(|value| value.as_deref() == Some("t"));
        let kind = Kind { is_partitioned: is(2), is_of_extension: is(3), is_read: is(4) };
        if let [Some(schema), Some(name), ..] = row.as_slice() {
            kinds.insert((schema.clone(), name.clone()), kind);
        }
    }
    for tables in tables.chunks(COUNTED_AT_ONCE) {
        let (mut sql, mut read) = (String::new(), Vec::new());
        for (number, rows) in tables.iter().enumerate() {
            let Some(kind) = kinds.get(&split_table(&rows.table)) else {
                return Err(differs(rows, "none of its".to_owned()));
            };
            if kind.is_read {
                read.push((number, count_lines(database, &rows.table, stopped)?));
                continue;
            }
            let only = if kind.is_partitioned { "" } else { "ONLY " };
            let name = table(&rows.table).map_err(|source| super::failed("count the rows that were loaded", source))?;
            let union = if sql.is_empty() { "" } else { "\nUNION ALL " };
            // Writing into a string cannot fail.
            let _ = write!(sql, "{union}SELECT {number} AS number, pg_catalog.count(*) FROM {only}{name}");
        }
        let found =
            if sql.is_empty() { Vec::new() } else { run(database, "count the rows that were loaded", &sql, stopped)? };
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
            if found != Some(rows.rows) && !brought_along {
                return Err(differs(rows, found.map_or_else(String::new, |found| found.to_string())));
            }
        }
    }
    Ok(())
}

/// The rows of a table, counted as they pass.
fn count_lines(database: &Connection, name: &str, stopped: Stopped<'_>) -> Result<u64, Error> {
    let count = || {
        let mut session = Session::open(database, "larder")?;
        session.run("BEGIN READ ONLY; SET LOCAL search_path = '';", stopped)?;
        let mut lines = 0;
        session.copy_table(&table(name)?, stopped, &mut |part| {
            lines += memchr::memchr_iter(b'\n', part).count() as u64;
            Ok(())
        })?;
        session.run("COMMIT;", stopped)?;
        session.end().map(|()| lines)
    };
    count().map_err(|source| super::failed("count the rows that were loaded", source))
}

fn differs(rows: &TableRows, found: String) -> Error {
    Error::Rows { table: rows.table.clone(), expected: rows.rows, found }
}
