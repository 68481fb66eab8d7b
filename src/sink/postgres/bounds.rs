//! Values that are checked while a database is given its shape, before there are rows: by domains, whose checks others may have
//! written.

use super::{Error, run};
use crate::postgres::{Connection, Stopped};

/// Domains with checks that a role has written, or whose functions it has, which is neither a superuser nor who asks; with all
/// types that are made of them.
const TYPES_SQL: &str = "WITH RECURSIVE trusted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
), checked AS (
    SELECT y.oid FROM pg_catalog.pg_type y JOIN pg_catalog.pg_constraint c ON c.contypid = y.oid
    WHERE y.typowner NOT IN (SELECT oid FROM trusted) OR EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid
            AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.proowner NOT IN (SELECT oid FROM trusted))
), types AS (
    SELECT oid FROM checked
    UNION SELECT y.oid FROM types JOIN pg_catalog.pg_type y ON y.typbasetype = types.oid OR y.typelem = types.oid
        OR y.oid IN (SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.atttypid = types.oid)
)";
const KEYS_SQL: &str = "SELECT p.partrelid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_partitioned_table p
    JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid
    WHERE a.atttypid IN (SELECT oid FROM types) AND (a.attnum = ANY (p.partattrs::pg_catalog.int2[]) OR p.partexprs IS NOT NULL)";
const DOMAINS_SQL: &str = "SELECT oid::pg_catalog.regtype::pg_catalog.text FROM checked";

/// Makes sure that no check of somebody else runs when a partition is attached, or an aggregate is made.
///
/// # Errors
/// [`Error::Code`] with what would be checked; [`Error::Database`].
pub(super) fn check(database: &Connection, kind: &str, stopped: Stopped<'_>) -> Result<(), Error> {
    let found = if kind == "AGGREGATE" { DOMAINS_SQL } else { KEYS_SQL };
    let rows = run(database, "look whose code its domains run", &format!("{TYPES_SQL} {found}"), stopped)?;
    match rows.into_iter().flatten().flatten().next() {
        None => Ok(()),
        Some(name) => Err(Error::Code { objects: vec![name] }),
    }
}
