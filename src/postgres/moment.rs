//! Sessions that see a database as it was at one moment, and the locks of what they read.
//!
//! One session locks all tables. The others lock what they read for as long as they read it: a server has room for few locks, which
//! belong to the application too.

use super::client::question_begin;
use super::dump_encoding::UTF8;
use super::name_lock::NameLock;
use super::neutral::{Purpose, neutral, optional};
use super::sql::{self, literal};
use super::{Connection, Error, Row, Session, query};
use crate::cancel::Cancel;

/// Tables that one statement locks.
const LOCKED_AT_ONCE: usize = 500;

/// Begins a transaction that sees everything as of one moment. Nothing outlasts it: between a session and the server may be one
/// that lends connections out.
const BEGIN_SQL: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY NOT DEFERRABLE; SET LOCAL role = none;\n";

/// What keeps a view from being read that has taken the place of a table, where the server knows that.
const NO_VIEWS_SQL: &str = "SELECT pg_catalog.set_config(name, 'view, foreign-table', true) FROM pg_catalog.pg_settings
        WHERE name OPERATOR(pg_catalog.=) 'restrict_nonsystem_relation_kind';\n";

/// Ordinary and partitioned tables that are the user's own.
const TABLES_SQL: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    ORDER BY 1";

/// Whether a name means the relation with this oid now, and whether that has rows of its own. A view has not.
const IS_TABLE_SQL: &str = "SELECT pg_catalog.to_regclass(name) IS NOT DISTINCT FROM oid::pg_catalog.regclass
        AND pg_catalog.pg_relation_filenode(oid::pg_catalog.regclass) IS NOT NULL, name
    FROM ROWS FROM (pg_catalog.unnest(ARRAY[:NAMES]), pg_catalog.unnest(ARRAY[:OIDS]::pg_catalog.oid[])) AS t (name, oid)";

/// Names of what is not a table now.
const NO_TABLE_SQL: &str = "SELECT name FROM pg_catalog.unnest(ARRAY[:NAMES]) AS t (name) WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(name) AND relkind IN ('r', 'p'))";

/// Locks each sequence by its number until the end of the transaction, where the server can: nobody drops it then and gives its name to a
/// table, whose indexes would run code when `pg_dump` looks at the values of that name. Asks whether the name means it.
const SEQUENCES_SQL: &str = "SELECT coalesce(pg_catalog.to_regclass(s.name) = s.oid, false) AND (s.last IS NULL OR s.last IS NOT NULL), s.name FROM (
        SELECT c.oid, c.relkind, c.relpersistence, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
            CASE WHEN c.relkind <> 'S' OR c.relpersistence = 't' THEN NULL
                WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_catalog.pg_sequence_last_value(c.oid) END AS last
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace OFFSET 0) AS s
    WHERE s.relkind = 'S' AND s.relpersistence <> 't'";
/// Whether there is what that takes.
const LOCKS_SEQUENCES_SQL: &str =
    "SELECT pg_catalog.to_regprocedure('pg_catalog.pg_sequence_last_value(regclass)') IS NOT NULL";

/// Sessions of others that one of ours waits for, and that wait for one of ours. Ours wait for one another outside of the
/// server, which does not see that; and where it sees a deadlock, it may end the session of the other.
const BLOCKERS_SQL: &str = "WITH RECURSIVE ours AS (
    SELECT pid FROM pg_catalog.pg_stat_activity WHERE application_name = :NAME
), waits AS (
    SELECT b.pid, false AS is_back FROM ours CROSS JOIN pg_catalog.unnest(pg_catalog.pg_blocking_pids(ours.pid)) AS b (pid)
    UNION SELECT w.pid, b.pid IN (SELECT pid FROM ours) FROM waits w CROSS JOIN pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b (pid)
)
SELECT pg_catalog.format('%s (process %s)', a.usename, a.pid) FROM waits JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE is_back AND pid NOT IN (SELECT pid FROM ours) LIMIT 1";

/// How long a session waits for the indexes of a table: who waits for them may wait for another session of ours.
const INDEX_WAIT: &str = "1s";

/// A query that reads a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableQuery<'a> {
    /// The query.
    pub(crate) sql: &'a str,
    /// The number and the name of the table, quoted where needed, that is locked for this query alone. The session has the lock of
    /// others already.
    pub(crate) locked: Option<(u32, &'a str)>,
}

/// Has a session look at the database without locking anything.
///
/// # Errors
/// [`Error::Process`] with what the server said.
pub(crate) fn look(session: &mut Session, cancel: &Cancel) -> Result<(), Error> {
    session.run(&begin_sql(), cancel)?;
    settle(session, UTF8, cancel)
}

/// Opens a session under a name that looks at the database, and sees what others commit.
///
/// # Errors
/// [`Error::Process`] with what the server said.
pub(super) fn look_on(connection: &Connection, name: &str, cancel: &Cancel) -> Result<Session, Error> {
    let mut session = Session::open(connection, name, cancel)?;
    session.run(&begin_sql().replace("REPEATABLE READ", "READ COMMITTED"), cancel)?;
    settle(&mut session, UTF8, cancel)?;
    Ok(session)
}

/// Begins a transaction that says everything as `pg_dump` would. Nothing is looked at.
fn begin_sql() -> String {
    format!("{BEGIN_SQL}{}", neutral(Purpose::Reading, true))
}

/// Sets what not every version has, and the encoding of what is said. Asking for the first is a look at the database, so it comes after
/// the locks.
fn settle(session: &mut Session, encoding: &str, cancel: &Cancel) -> Result<(), Error> {
    session.run(&format!("{}{NO_VIEWS_SQL}", optional(true)), cancel)?;
    speak(session, encoding, cancel)
}

/// Has a session say rows, and take names, in this encoding.
///
/// # Errors
/// [`Error::Process`] with what the server said.
pub(crate) fn speak(session: &mut Session, encoding: &str, cancel: &Cancel) -> Result<(), Error> {
    session.run(&format!("SET LOCAL client_encoding = {};", literal(encoding)), cancel)
}

/// What a session sees is seen by others under this name; it keeps sequences, and schemas under their names.
pub(crate) struct Moment {
    /// The name of what is seen.
    pub(crate) snapshot: String,
    names: Option<NameLock>,
}

impl Moment {
    /// Locks all tables and sequences, and begins to see the database as it is now.
    ///
    /// # Errors
    /// [`Error::Process`] with what the server said; [`Error::Answer`] when something was replaced meanwhile.
    pub(crate) fn begin(
        connection: &Connection,
        (session, name): (&mut Session, &str),
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let names = NameLock::take(connection, name, cancel)?;
        session.run(&question_begin(), cancel)?;
        let tables = session.rows(TABLES_SQL, cancel)?;
        session.run("COMMIT;", cancel)?;
        session.run(&begin_sql(), cancel)?;
        // Locks are taken before anything is seen, so that nothing that is seen changes its shape afterwards.
        let tables: Vec<String> = tables.into_iter().flatten().flatten().collect();
        lock(session, &tables, "", cancel)?;
        settle(session, UTF8, cancel)?;
        for tables in tables.chunks(LOCKED_AT_ONCE) {
            let names: Vec<String> = tables.iter().map(|table| literal(table)).collect();
            if let Some(name) = first(session, &NO_TABLE_SQL.replace(":NAMES", &names.join(", ")), cancel)? {
                return Err(replaced("table", &name));
            }
        }
        Self::of(session, names, cancel)
    }

    /// The same without a lock on tables, which `pg_dump` takes itself.
    ///
    /// # Errors
    /// Those of [`Moment::begin`].
    pub(crate) fn begin_without_tables(
        connection: &Connection,
        (session, name): (&mut Session, &str),
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let names = NameLock::take(connection, name, cancel)?;
        look(session, cancel)?;
        Self::of(session, names, cancel)
    }

    fn of(session: &mut Session, mut names: Option<NameLock>, cancel: &Cancel) -> Result<Self, Error> {
        if let Some(names) = &mut names {
            names.check(session, cancel)?;
        }
        if first(session, LOCKS_SEQUENCES_SQL, cancel)?.as_deref() == Some("t") {
            check_names("sequence", session.rows(SEQUENCES_SQL, cancel)?)?;
        }
        let name = first(session, "SELECT pg_catalog.pg_export_snapshot()", cancel)?;
        let is_plain = |name: &String| name.chars().all(|char| char.is_ascii_hexdigit() || char == '-');
        let unnamed = || Error::Incomplete { program: "psql".to_owned(), why: "the snapshot has no name" };
        Ok(Self { snapshot: name.filter(is_plain).ok_or_else(unnamed)?, names })
    }

    /// Ends what it sees, in the session that it was begun in, which has to be there still: had it gone, something could have been replaced
    /// before it was read.
    ///
    /// # Errors
    /// [`Error::Process`].
    pub(crate) fn end(self, mut session: Session, cancel: &Cancel) -> Result<(), Error> {
        session.run("COMMIT;", cancel)?;
        session.end()?;
        self.names.map_or(Ok(()), |names| names.end(cancel))
    }
}

/// Has a session see the database as the one does that exported this snapshot, and lock those tables, given with their numbers, that
/// others read at the same time, with their indexes. It says rows, and takes names, in this encoding. Whoever waits for that one to
/// end would have to be waited for, without an end: then it fails. A table that was replaced before it was locked, perhaps by a view, is
/// an error.
///
/// # Errors
/// [`Error::Process`] with what the server said; [`Error::Answer`].
pub(crate) fn join(
    session: &mut Session,
    snapshot: &str,
    (shared, encoding): (&[(u32, &str)], &str),
    cancel: &Cancel,
) -> Result<(), Error> {
    session.run(&format!("{} SET TRANSACTION SNAPSHOT '{snapshot}';", begin_sql()), cancel)?;
    settle(session, encoding, cancel)?;
    let names: Vec<String> = shared.iter().map(|(_, table)| (*table).to_owned()).collect();
    lock(session, &names, " NOWAIT", cancel)?;
    for tables in shared.chunks(LOCKED_AT_ONCE) {
        check_names("table", session.rows(&is_table(tables)?, cancel)?)?;
        // To plan a query locks the indexes. Who came to rebuild one between two queries would wait for the first, and the second for him.
        let plans = tables
            .iter()
            .map(|(_, table)| Ok(format!("COPY (SELECT FROM ONLY {} LIMIT 0) TO STDOUT;\n", sql::table(table)?)));
        let plans = plans.collect::<Result<Vec<String>, Error>>()?.concat();
        session
            .run(&format!("SET LOCAL lock_timeout = '{INDEX_WAIT}';\n{plans}SET LOCAL lock_timeout = 0;"), cancel)?;
    }
    Ok(())
}

/// Locks a table, given with its number, until [`unlock`]. Says whether it could be: whoever waits to alter it would have to be waited
/// for, without an end.
///
/// # Errors
/// [`Error::Answer`] when it was replaced; those of [`Session::rows`].
pub(super) fn lock_one(session: &mut Session, table: (u32, &str), cancel: &Cancel) -> Result<bool, Error> {
    session.run("SAVEPOINT one_table;", cancel)?;
    let lock = format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE NOWAIT;", sql::table(table.1)?);
    let rows = session.attempt(&lock, &is_table(&[table])?, cancel)?;
    if rows.is_empty() {
        return unlock(session, cancel).map(|()| false);
    }
    check_names("table", rows).map(|()| true)
}

/// Gives back what was locked by [`lock_one`] and by queries since then.
///
/// # Errors
/// Those of [`Session::run`].
pub(super) fn unlock(session: &mut Session, cancel: &Cancel) -> Result<(), Error> {
    session.run("ROLLBACK TO SAVEPOINT one_table; RELEASE SAVEPOINT one_table;", cancel)
}

/// Asks whether the names of tables mean those of these numbers.
fn is_table(tables: &[(u32, &str)]) -> Result<String, Error> {
    let names = tables.iter().map(|(_, table)| Ok(literal(&sql::table(table)?)));
    let names: Vec<String> = names.collect::<Result<_, Error>>()?;
    let oids: Vec<String> = tables.iter().map(|(oid, _)| oid.to_string()).collect();
    Ok(IS_TABLE_SQL.replace(":OIDS", &oids.join(", ")).replace(":NAMES", &names.join(", ")))
}

fn check_names(kind: &str, rows: Vec<Row>) -> Result<(), Error> {
    let other = rows.into_iter().find_map(|row| match <[Option<String>; 2]>::try_from(row) {
        Ok([Some(is_it), Some(name)]) if is_it == "f" => Some(name),
        _ => None,
    });
    other.map_or(Ok(()), |name| Err(replaced(kind, &name)))
}

fn replaced(kind: &str, name: &str) -> Error {
    Error::Answer { why: format!("the {kind} {name} was replaced while it was to be read") }
}

/// The first value of an answer.
fn first(session: &mut Session, query: &str, cancel: &Cancel) -> Result<Option<String>, Error> {
    Ok(session.rows(query, cancel)?.into_iter().flatten().flatten().next())
}

/// Makes sure that no session of this name waits for somebody who waits for another of them.
///
/// # Errors
/// [`Error::Blocked`]; those of [`query`].
pub(crate) fn check_blockers(connection: &Connection, name: &str, cancel: &Cancel) -> Result<(), Error> {
    let rows = query(connection, &BLOCKERS_SQL.replace(":NAME", &literal(name)), cancel)?;
    match rows.into_iter().flatten().flatten().next() {
        Some(blocker) => Err(Error::Blocked { blocker }),
        None => Ok(()),
    }
}

/// Keeps the shape of tables as it is while others read and write them.
fn lock(session: &mut Session, tables: &[String], how: &str, cancel: &Cancel) -> Result<(), Error> {
    for tables in tables.chunks(LOCKED_AT_ONCE) {
        let only = |table: &String| Ok(format!("ONLY {}", sql::table(table)?));
        let tables: Vec<String> = tables.iter().map(only).collect::<Result<_, Error>>()?;
        session.run(&format!("LOCK TABLE {} IN ACCESS SHARE MODE{how};", tables.join(", ")), cancel)?;
    }
    Ok(())
}
