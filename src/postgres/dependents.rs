//! What belongs to tables that are dropped, and what goes with them.

use serde::Deserialize;

use super::client::parse;
use super::sql::{literal, table};
use super::{Connection, Error, query};
use crate::cancel::Cancel;

/// One value of JSON for each table of `:NAMES`, which are `:QUOTED` as they stand in SQL.
const SQL: &str = "WITH wanted AS (
    SELECT pg_catalog.to_regclass(quoted)::pg_catalog.oid AS oid, name
        FROM ROWS FROM (pg_catalog.unnest(ARRAY[:QUOTED]::pg_catalog.text[]), pg_catalog.unnest(ARRAY[:NAMES]::pg_catalog.text[])) AS asked (quoted, name)
), lost AS (
    SELECT k.confrelid AS oid, pg_catalog.format('the foreign key %I of %s', k.conname, k.conrelid::pg_catalog.regclass) AS what
        FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid NOT IN (SELECT oid FROM wanted WHERE oid IS NOT NULL)
    UNION SELECT d.refobjid, pg_catalog.format('the %s %s', CASE c.relkind WHEN 'm' THEN 'materialized view' WHEN 'v' THEN 'view' ELSE 'rule of' END, c.oid::pg_catalog.regclass)
        FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
        WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND c.oid NOT IN (SELECT oid FROM wanted WHERE oid IS NOT NULL)
    UNION SELECT d.refobjid, pg_catalog.format('the function %s', d.objid::pg_catalog.regprocedure)
        FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    UNION SELECT i.inhparent, pg_catalog.format('the table %s, which is a part of it', i.inhrelid::pg_catalog.regclass)
        FROM pg_catalog.pg_inherits i WHERE i.inhrelid NOT IN (SELECT oid FROM wanted WHERE oid IS NOT NULL)
    UNION SELECT p.prrelid, pg_catalog.format('its place in the publication %I', u.pubname)
        FROM pg_catalog.pg_publication_rel p JOIN pg_catalog.pg_publication u ON u.oid = p.prpubid
), own AS (
    -- What owners have not of the tables and of the sequences of their columns.
    SELECT w.oid, o.oid AS object, CASE o.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind, pg_catalog.string_agg(d.privilege_type, ', ' ORDER BY d.privilege_type) AS lacking
        FROM wanted w JOIN pg_catalog.pg_class o ON o.oid = w.oid OR (o.relkind = 'S' AND o.oid IN (SELECT d.objid FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid AND d.refobjid = w.oid AND d.deptype IN ('a', 'i')))
        CROSS JOIN LATERAL pg_catalog.aclexplode(pg_catalog.acldefault((CASE o.relkind WHEN 'S' THEN 's' ELSE 'r' END)::pg_catalog.\"char\", o.relowner)) d
        WHERE o.relacl IS NOT NULL AND d.privilege_type NOT IN (SELECT a.privilege_type FROM pg_catalog.aclexplode(o.relacl) a WHERE a.grantee = o.relowner)
        GROUP BY w.oid, o.oid, o.relkind
)
SELECT pg_catalog.json_build_object('name', w.name, 'owner', r.rolname,
        'statistics', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.pg_get_statisticsobjdef(s.oid) ORDER BY s.oid), '[]') FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = c.oid),
        'own_rights', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.format('REVOKE %s ON %s %s FROM %I;', own.lacking, own.kind, own.object::pg_catalog.regclass, r.rolname)), '[]')
            FROM own WHERE own.oid = c.oid),
        'lost', (SELECT coalesce(pg_catalog.json_agg(l.what ORDER BY l.what), '[]') FROM lost l WHERE l.oid = c.oid))
    FROM wanted w JOIN pg_catalog.pg_class c ON c.oid = w.oid JOIN pg_catalog.pg_roles r ON r.oid = c.relowner ORDER BY r.rolsuper DESC, r.rolname, w.name";

/// A table, and what hangs on it.
#[derive(Debug, Deserialize)]
pub(crate) struct TableFacts {
    /// As it was asked for: quoted where needed.
    pub(crate) name: String,
    pub(crate) owner: String,
    /// Statements that make its statistics objects.
    pub(crate) statistics: Vec<String>,
    /// Statements that take from its owner what he has taken from himself.
    pub(crate) own_rights: Vec<String>,
    /// What goes with it when it is dropped, and is no part of it, each in words.
    pub(crate) lost: Vec<String>,
}

impl TableFacts {
    /// Asks a database about tables, quoted where needed. One that is not there is left out.
    ///
    /// # Errors
    /// Those of [`query`]; [`Error::Name`], [`Error::Answer`].
    pub(crate) fn read(connection: &Connection, tables: &[String], cancel: &Cancel) -> Result<Vec<Self>, Error> {
        let quoted: Vec<String> = tables.iter().map(|name| Ok(literal(&table(name)?))).collect::<Result<_, Error>>()?;
        let names: Vec<String> = tables.iter().map(|name| literal(name)).collect();
        let sql = SQL.replacen(":QUOTED", &quoted.join(", "), 1).replacen(":NAMES", &names.join(", "), 1);
        let rows = query(connection, &sql, cancel)?;
        rows.iter().map(parse).collect()
    }
}
