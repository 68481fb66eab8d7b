//! In which order rows have to be loaded: what is computed from them when they are, may look into other tables.
//!
//! The order is that of `pg_dump`, with what many others look into before, and what looks into others after them.

use std::collections::BTreeSet;

use super::{Asked, Error, query};
use crate::cancel::Cancel;

/// Schema, name, and whether it belongs to an extension, of tables whose rows are loaded first or last.
///
/// Last are those whose checks, domains, generated columns or partitions call functions that are neither the server's own nor
/// written in C: such a function may do anything. Those in C look into tables of their extensions alone.
const ORDER_SQL: &str = "WITH RECURSIVE tables AS (
    SELECT c.oid, c.reltype, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), types AS (
    SELECT a.attrelid AS tab, a.atttypid AS typ FROM pg_catalog.pg_attribute a JOIN tables t ON t.oid = a.attrelid
        WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT types.tab, part.typ FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ CROSS JOIN LATERAL (
        SELECT y.typbasetype AS typ WHERE y.typtype = 'd'
        UNION ALL SELECT y.typelem WHERE y.typelem <> 0
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = y.oid
        UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = y.oid
    ) AS part WHERE part.typ <> 0
), above AS (
    SELECT oid AS part, oid AS whole FROM tables
    UNION SELECT a.part, i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.whole
), code AS (
    SELECT t.oid AS tab, 'pg_catalog.pg_constraint'::pg_catalog.regclass AS class, c.oid AS object
        FROM tables t JOIN pg_catalog.pg_constraint c ON c.conrelid = t.oid AND c.contype = 'c'
    UNION ALL SELECT types.tab, 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid
        FROM types JOIN pg_catalog.pg_constraint c ON c.contypid = types.typ
    UNION ALL SELECT t.oid, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid
        FROM tables t JOIN pg_catalog.pg_attrdef d ON d.adrelid = t.oid JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.adnum
        WHERE coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> ''
    UNION ALL SELECT a.part, 'pg_catalog.pg_class'::pg_catalog.regclass, p.partrelid
        FROM above a JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.whole WHERE p.partexprs IS NOT NULL
), called AS (
    SELECT code.tab, d.refobjid AS function FROM code JOIN pg_catalog.pg_depend d ON d.classid = code.class AND d.objid = code.object
        AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
    UNION ALL SELECT code.tab, o.oprcode FROM code JOIN pg_catalog.pg_depend d ON d.classid = code.class AND d.objid = code.object
        AND d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass JOIN pg_catalog.pg_operator o ON o.oid = d.refobjid
    UNION ALL SELECT types.tab, f.function FROM types JOIN pg_catalog.pg_range r ON r.rngtypid = types.typ
        CROSS JOIN LATERAL (VALUES (r.rngsubdiff::pg_catalog.oid), (r.rngcanonical)) AS f (function)
), last AS (
    SELECT DISTINCT called.tab FROM called JOIN pg_catalog.pg_proc f ON f.oid = called.function JOIN pg_catalog.pg_language l ON l.oid = f.prolang
    WHERE f.oid >= 16384 AND l.lanname NOT IN ('internal', 'c')
), first AS (
    SELECT t.oid FROM tables t JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e'
)
SELECT t.nspname, t.relname, t.oid IN (SELECT oid FROM first) FROM tables t
WHERE t.oid IN (SELECT oid FROM first) OR t.oid IN (SELECT tab FROM last)";

/// Schema and name of a table.
pub(crate) type Named = (String, String);

/// Tables whose rows are not loaded with those of the others.
#[derive(Debug, Default)]
pub(crate) struct RowOrder {
    /// Those of extensions: their types may look into them.
    pub(crate) first: BTreeSet<Named>,
    /// Those that may look into others, in the order of `pg_dump`.
    pub(crate) last: BTreeSet<Named>,
}

impl RowOrder {
    /// That of a database that has its tables.
    ///
    /// # Errors
    /// Those of [`query`].
    pub(crate) fn read(asked: &impl Asked, cancel: &Cancel) -> Result<Self, Error> {
        let mut order = Self::default();
        for row in query(asked, ORDER_SQL, cancel)? {
            if let [Some(schema), Some(name), is_first] = row.as_slice() {
                let is_first = is_first.as_deref() == Some("t");
                let tables = if is_first { &mut order.first } else { &mut order.last };
                tables.insert((schema.clone(), name.clone()));
            }
        }
        Ok(order)
    }
}
