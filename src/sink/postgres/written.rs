//! What a transaction that replaces rows has written to, when it runs code of somebody else.
//!
//! No triggers run in its session, so that such code could write past the triggers and foreign keys of others. It must have
//! written to nothing but the given tables, and nothing of it may run any more when that is found. Two see it: another session
//! the locks that it has, which know foreign tables and all kinds of storage; its own session the server's counters, which know
//! catalogues, whose locks are given back at once.

use crate::cancel::Cancel;
use crate::postgres::sql::literal;
use crate::postgres::{self, Connection, query};
use crate::sink::Error;

/// What counts the rows that a session changes. Only a superuser can set it.
pub(super) const COUNTS: &str = "track_counts = on";

/// For the code that is run between statements of ours: it may have changed what names mean, and which rows are seen. A statement
/// of PL/pgSQL.
pub(crate) const SETTLE: &str = "PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), \
                                 pg_catalog.set_config('row_security', 'off', true);";

/// The rows that a session has changed in a table `c` of the catalogue. Changes that were taken back count too.
const CHANGES: &str = "pg_stat_get_xact_tuples_inserted(c.oid) + pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid)";

/// What nothing but a trigger of these tables would do when the transaction ends.
const DEFERRED_SQL: &str = "SELECT pg_catalog.format('%I of %I.%I', g.tgname, n.nspname, c.relname)
    FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE g.tgrelid IN (:TABLES) AND g.tgdeferrable AND g.tgenabled IN ('A', 'R')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = g.tgconstraint AND k.contype <> 't')";

/// The first row is how many sessions a role has, each other one a relation that they have locked to write to it.
const LOCKS_SQL: &str = "WITH sessions AS (
    SELECT pid FROM pg_catalog.pg_stat_activity WHERE usename = :ROLE
), given AS (
    SELECT oid, reltoastrelid FROM pg_catalog.pg_class WHERE oid IN (:TABLES)
), stored AS (
    SELECT oid FROM given UNION SELECT reltoastrelid FROM given
), expected AS (
    SELECT oid FROM stored UNION SELECT i.indexrelid FROM pg_catalog.pg_index i JOIN stored ON i.indrelid = stored.oid
)
SELECT pg_catalog.count(*)::pg_catalog.text FROM sessions
UNION ALL (SELECT DISTINCT CASE WHEN n.nspname IS NULL THEN 'something that it has made' ELSE pg_catalog.format('%I.%I', n.nspname, c.relname) END
    FROM pg_catalog.pg_locks l JOIN sessions ON sessions.pid = l.pid
    LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE l.locktype = 'relation' AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
        AND l.relation NOT IN (SELECT oid FROM expected) AND coalesce(c.relkind <> 'S', true))";

/// Watches the only session of a role that is made for one restore.
#[derive(Debug)]
pub(super) struct Watch {
    owner: String,
    role: String,
    /// The numbers of the given tables, as they stand in SQL.
    tables: String,
}

impl Watch {
    /// Begins to watch the session of this role, which has the rights of this owner, when these tables, as they stand in SQL, are
    /// locked and nothing is replaced.
    ///
    /// # Errors
    /// [`Error::Deferred`] when code of theirs could run when nobody looks any more; [`Error::Database`].
    pub(super) fn begin(
        database: &Connection,
        (owner, role): (&str, &str),
        tables: &[String],
        cancel: &Cancel,
    ) -> Result<Self, Error> {
        let names: Vec<String> = tables.iter().map(|table| literal(table)).collect();
        let sql = format!(
            "SELECT name::pg_catalog.regclass::pg_catalog.oid FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) AS name",
            names.join(", ")
        );
        let ask = |sql: &str| query(database, sql, cancel).map_err(|source| failed(database, source));
        let numbers: Vec<String> = ask(&sql)?.into_iter().flatten().flatten().collect();
        let watch = Self { owner: owner.to_owned(), role: role.to_owned(), tables: numbers.join(", ") };
        let triggers: Vec<String> = ask(&watch.fill(DEFERRED_SQL))?.into_iter().flatten().flatten().collect();
        if triggers.is_empty() { Ok(watch) } else { Err(Error::Deferred { triggers }) }
    }

    /// Statements of PL/pgSQL that fail when the session has changed rows of anything but the given tables.
    pub(super) fn counted(&self) -> String {
        self.fill(&format!(
            "DECLARE others text; BEGIN {SETTLE}
             SELECT string_agg(format('%I.%I', n.nspname, c.relname), ', ') INTO others FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 't', 'm') AND {CHANGES} > 0
                    AND NOT c.oid IN (SELECT oid FROM pg_class WHERE oid IN (:TABLES) UNION SELECT reltoastrelid FROM pg_class WHERE oid IN (:TABLES));
             IF others IS NOT NULL THEN RAISE EXCEPTION 'it has written to % besides, where triggers do not run', others; END IF; END;"
        ))
    }

    /// Makes sure that the session has no lock to write to anything but the given tables, and that there is no other session of
    /// its role. `database` is a connection of a superuser.
    ///
    /// # Errors
    /// [`Error::Written`], [`Error::Unusable`], [`Error::Database`].
    pub(super) fn check_locks(&self, database: &Connection, cancel: &Cancel) -> Result<(), Error> {
        let rows = query(database, &self.fill(LOCKS_SQL), cancel).map_err(|source| failed(database, source))?;
        let mut found = rows.into_iter().flatten().flatten();
        let sessions = found.next();
        let relations: Vec<String> = found.collect();
        if !relations.is_empty() {
            return Err(Error::Written { owner: self.owner.clone(), relations });
        }
        if sessions.as_deref() != Some("1") {
            let role = &self.role;
            return Err(Error::Unusable(format!(
                "no rows are replaced: another session than ours runs as the role {role}"
            )));
        }
        Ok(())
    }

    fn fill(&self, sql: &str) -> String {
        sql.replace(":TABLES", &self.tables).replace(":ROLE", &literal(&self.role))
    }
}

/// Statements of PL/pgSQL that run these, and fail when rows were changed meanwhile, or by what was put off until then. So nothing
/// waits to run after them.
pub(super) fn around(checks: &str) -> String {
    let changes = format!("(SELECT sum({CHANGES}) FROM pg_class c WHERE c.relkind IN ('r', 't', 'm'))");
    format!(
        "DECLARE earlier numeric; BEGIN {SETTLE} earlier := {changes};
         {checks}
         SET CONSTRAINTS ALL IMMEDIATE; {SETTLE}
         IF {changes} <> earlier THEN RAISE EXCEPTION 'rows were changed while they were looked at'; END IF; END;"
    )
}

fn failed(database: &Connection, source: postgres::Error) -> Error {
    Error::Database { action: format!("look at what is written to in {database}"), source }
}
