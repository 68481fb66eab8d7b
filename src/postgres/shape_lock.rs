//! Keeps owners from giving their tables what a planner would run, while queries on those are planned.
//!
//! To plan a query the server runs what is constant in the expressions of indexes and statistics. A lock that reading takes keeps
//! nobody from making these, and what is seen of one moment does not show them. So another session has a lock on the tables
//! that does, and looks after it has that.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::sql::{self, literal};
use super::{Error, Session};
use crate::cancel::Cancel;

/// Tables that one statement locks.
const LOCKED_AT_ONCE: usize = 500;
/// What makes a table `c` run code of whoever may give it indexes. What the server brings along does no harm there, and is not
/// noted as what they depend on.
pub(crate) const EXPRESSIONS: &str = "(EXISTS (SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = x.indexrelid
        WHERE x.indrelid = c.oid AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL)
        AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass))
    OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND d.objid = s.oid WHERE s.stxrelid = c.oid
        AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass)))";
pub(super) const RUNS_CODE: &str = "its indexes or statistics run code of its owner";
const NOT_LOCKED: &str = "its owner could not be kept from giving it an index meanwhile";

/// How long all tables together are waited for, in milliseconds. The server ends an autovacuum that somebody waits for after its
/// `deadlock_timeout`; others are waited for a second longer than that.
const WAIT_MILLIS: u128 = 10_000;

/// Locks those of the tables that can be locked within `:MILLIS`, first those that can at once.
const LOCK_SQL: &str = "DECLARE
    refused pg_catalog.text[] := '{}';
    name pg_catalog.text;
    ends pg_catalog.timestamptz := pg_catalog.clock_timestamp() + ':MILLIS milliseconds';
    one pg_catalog.interval := pg_catalog.current_setting('deadlock_timeout')::pg_catalog.interval + '1 second';
BEGIN
    FOREACH name IN ARRAY ARRAY[:NAMES] LOOP
        BEGIN
            EXECUTE 'LOCK TABLE ONLY ' || name || ' IN SHARE UPDATE EXCLUSIVE MODE NOWAIT';
        EXCEPTION
            WHEN lock_not_available THEN refused := refused || name;
            WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    FOREACH name IN ARRAY refused LOOP
        one := least(one, ends - pg_catalog.clock_timestamp());
        EXIT WHEN one <= '1 millisecond';
        PERFORM pg_catalog.set_config('lock_timeout', ceil(1000 * extract(epoch FROM one))::pg_catalog.text, true);
        BEGIN
            EXECUTE 'LOCK TABLE ONLY ' || name || ' IN SHARE UPDATE EXCLUSIVE MODE';
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
END";
/// Each locked table, and whether it runs code.
const LOCKED_SQL: &str = "SELECT c.oid, :EXPRESSIONS FROM pg_catalog.pg_class c WHERE c.oid IN (
    SELECT relation FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation' AND mode = 'ShareUpdateExclusiveLock')";

/// A session that has the lock.
pub(crate) struct ShapeLock(Session);

impl ShapeLock {
    /// Locks tables, by their numbers, as they stand in SQL. `session` has begun a transaction that sees what others commit.
    /// Returns those on which nothing may be planned, and why.
    ///
    /// # Errors
    /// Those of [`Session::rows`]; [`Error::Name`].
    pub(super) fn take(
        mut session: Session,
        tables: &HashMap<u32, String>,
        cancel: &Cancel,
    ) -> Result<(Self, HashMap<u32, &'static str>), Error> {
        let names: Vec<String> =
            tables.values().map(|table| Ok(literal(&sql::table(table)?))).collect::<Result<_, Error>>()?;
        let began = Instant::now();
        for names in names.chunks(LOCKED_AT_ONCE) {
            let left = WAIT_MILLIS.saturating_sub(began.elapsed().as_millis()).to_string();
            let sql = LOCK_SQL.replace(":MILLIS", &left).replace(":NAMES", &names.join(", "));
            session.run(&format!("DO {};", literal(&sql)), cancel)?;
        }
        let mut locked = HashSet::new();
        let mut unfit = HashMap::new();
        for row in session.rows(&LOCKED_SQL.replace(":EXPRESSIONS", EXPRESSIONS), cancel)? {
            let [Some(oid), Some(runs_code)] = row.as_slice() else { continue };
            let Ok(oid) = oid.parse() else { continue };
            locked.insert(oid);
            if runs_code != "f" {
                unfit.insert(oid, RUNS_CODE);
            }
        }
        unfit.extend(tables.keys().filter(|oid| !locked.contains(*oid)).map(|oid| (*oid, NOT_LOCKED)));
        Ok((Self(session), unfit))
    }

    /// Gives the tables back.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub(crate) fn end(mut self, cancel: &Cancel) -> Result<(), Error> {
        self.0.run("COMMIT;", cancel)?;
        self.0.end()
    }
}
