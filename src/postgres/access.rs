//! Whose code runs when rows are loaded into a table, and who loads them therefore.
//!
//! Checks, generated columns, domains and partitions call functions, and a function may do all that its caller may. Rows of
//! tables where that is code of somebody else than a superuser are loaded by a session that has the rights of the table's
//! owner and no others.

use std::collections::HashMap;

use serde::Deserialize;

use super::client::parse;
use super::definition::Constraint;
use super::sql::{literal, table};
use super::{Connection, Error, Kept, Stopped, query};
use crate::model::split_names;

/// One row of JSON for each table: its owner, and the roles whose code runs when rows are loaded into it, where they are no
/// superusers and not the one who asks. All expressions count, also those that call only what the server brings along: some of
/// that reads files or runs what it is given.
const TABLES_SQL: &str = "WITH RECURSIVE trusted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
), tables AS (
    SELECT c.oid, c.relowner, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), above AS (
    SELECT oid AS part, oid AS whole FROM tables
    UNION SELECT a.part, i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.whole
), first_types AS (
    SELECT a.attrelid AS tab, a.atttypid AS typ FROM pg_catalog.pg_attribute a JOIN tables t ON t.oid = a.attrelid
        WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT t.oid, d.refobjid FROM tables t JOIN pg_catalog.pg_constraint c ON c.conrelid = t.oid JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
    UNION SELECT t.oid, d.refobjid FROM tables t JOIN pg_catalog.pg_attrdef f ON f.adrelid = t.oid JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
), types AS (
    SELECT tab, typ FROM first_types
    UNION SELECT types.tab, part.typ FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ CROSS JOIN LATERAL (
        SELECT y.typbasetype AS typ WHERE y.typtype = 'd'
        UNION ALL SELECT y.typelem WHERE y.typelem <> 0
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = y.oid
        UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = y.oid
    ) AS part WHERE part.typ <> 0
), code AS (
    -- What is run, as the catalogue has it, with the role that has written it.
    SELECT t.oid AS tab, false AS is_of_type, t.relowner AS author, 'pg_catalog.pg_constraint'::pg_catalog.regclass::pg_catalog.oid AS class, c.oid AS object
        FROM tables t JOIN pg_catalog.pg_constraint c ON c.conrelid = t.oid AND c.contype = 'c'
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid
        FROM tables t JOIN pg_catalog.pg_attrdef d ON d.adrelid = t.oid JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.adnum
        WHERE coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') <> ''
    UNION ALL SELECT types.tab, true, y.typowner, 'pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid
        FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ JOIN pg_catalog.pg_constraint c ON c.contypid = y.oid
    -- Whoever owns a domain or a composite type can give it a check at any time.
    UNION ALL SELECT types.tab, true, y.typowner, 'pg_catalog.pg_type'::pg_catalog.regclass, y.oid
        FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ WHERE y.typtype IN ('d', 'c')
    UNION ALL SELECT types.tab, true, f.proowner, 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid
        FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ JOIN pg_catalog.pg_proc f ON f.oid IN (y.typinput, y.typmodin)
    UNION ALL SELECT types.tab, true, f.proowner, 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid
        FROM types JOIN pg_catalog.pg_range r ON r.rngtypid = types.typ JOIN pg_catalog.pg_proc f ON f.oid IN (r.rngsubdiff, r.rngcanonical)
    UNION ALL SELECT a.part, false, c.relowner, 'pg_catalog.pg_class'::pg_catalog.regclass, p.partrelid
        FROM above a JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = a.whole JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
        WHERE p.partexprs IS NOT NULL
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid
        FROM tables t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND :HAS_TRIGGERS
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid
        FROM tables t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid
        FROM tables t JOIN pg_catalog.pg_statistic_ext s ON s.stxrelid = t.oid WHERE pg_catalog.to_jsonb(s) ->> 'stxexprs' IS NOT NULL
    UNION ALL SELECT t.oid, false, t.relowner, 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid
        FROM tables t JOIN pg_catalog.pg_rewrite w ON w.ev_class = t.oid
), casts AS (
    SELECT DISTINCT f.proowner AS author FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc
        WHERE f.proowner NOT IN (SELECT oid FROM trusted)
), casting AS (
    -- A cast that was made later is used when an expression is read again, and when the body of a function is: that is not known.
    SELECT code.tab, f.proowner AS author FROM code JOIN pg_catalog.pg_depend d ON d.classid = code.class AND d.objid = code.object
            AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid JOIN pg_catalog.pg_cast c ON c.castfunc = f.oid
    UNION SELECT types.tab, f.proowner FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ AND y.typowner NOT IN (SELECT oid FROM trusted)
        JOIN pg_catalog.pg_cast c ON y.oid IN (c.castsource, c.casttarget) JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc
        WHERE types.tab IN (SELECT code.tab FROM code WHERE NOT code.is_of_type)
    UNION SELECT code.tab, casts.author FROM casts CROSS JOIN code JOIN pg_catalog.pg_depend d ON d.classid = code.class AND d.objid = code.object
            AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid JOIN pg_catalog.pg_language l ON l.oid = f.prolang
        WHERE l.lanname NOT IN ('internal', 'c')
), compared AS (
    -- Rows that refer to others are compared with them by a query, which casts what it has to.
    SELECT CASE n WHEN 1 THEN c.conrelid ELSE c.confrelid END AS tab FROM pg_catalog.pg_constraint c CROSS JOIN pg_catalog.generate_series(1, 2) AS n
        CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.confkey), pg_catalog.unnest(c.conpfeqop)) AS k (x, y, z)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.x JOIN pg_catalog.pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = k.y
        JOIN pg_catalog.pg_type s ON s.oid = a.atttypid JOIN pg_catalog.pg_type r ON r.oid = b.atttypid
        JOIN pg_catalog.pg_operator o ON o.oid = k.z JOIN pg_catalog.pg_proc f ON f.oid = o.oprcode
        WHERE c.contype = 'f' AND NOT (s.typowner IN (SELECT oid FROM trusted) AND r.typowner IN (SELECT oid FROM trusted) AND f.proowner IN (SELECT oid FROM trusted))
), called AS (
    SELECT code.tab, code.is_of_type AS is_called, code.author FROM code
    UNION ALL SELECT tab, true, author FROM casting
    UNION ALL SELECT code.tab, true, f.proowner FROM code JOIN pg_catalog.pg_depend d ON d.classid = code.class AND d.objid = code.object
            AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid
    UNION ALL SELECT code.tab, true, f.proowner FROM code JOIN pg_catalog.pg_depend d ON d.classid = code.class AND d.objid = code.object
            AND d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
        JOIN pg_catalog.pg_operator o ON o.oid = d.refobjid JOIN pg_catalog.pg_proc f ON f.oid = o.oprcode
), authors AS MATERIALIZED (
    -- Each is gathered once for all tables: there may be thousands.
    SELECT tab, pg_catalog.json_agg(DISTINCT pg_catalog.pg_get_userbyid(author)) AS names, bool_or(is_called) AS calls
        FROM called WHERE author NOT IN (SELECT oid FROM trusted) GROUP BY tab
), defaults AS MATERIALIZED (
    SELECT a.attrelid AS tab, pg_catalog.json_agg(a.attname) AS names FROM pg_catalog.pg_attribute a
        WHERE a.atthasdef AND NOT a.attisdropped AND coalesce(pg_catalog.to_jsonb(a) ->> 'attgenerated', '') = '' GROUP BY a.attrelid
)
SELECT pg_catalog.json_build_object('schema', t.nspname, 'name', t.relname,
    'owner', CASE WHEN t.relowner NOT IN (SELECT oid FROM trusted)
            AND (t.oid, t.relowner) NOT IN (SELECT c.tab, o.relowner FROM casting c JOIN tables o ON o.oid = c.tab
                WHERE c.author <> o.relowner AND c.author NOT IN (SELECT oid FROM trusted))
        THEN pg_catalog.pg_get_userbyid(t.relowner) END,
    'authors', coalesce(authors.names, '[]'),
    'is_foreign', t.oid IN (SELECT a.whole FROM above a JOIN pg_catalog.pg_class f ON f.oid = a.part WHERE f.relkind = 'f'),
    'compares', t.oid IN (SELECT tab FROM compared),
    'has_types_of_others', t.oid IN (SELECT types.tab FROM types JOIN pg_catalog.pg_type y ON y.oid = types.typ
        WHERE y.typowner NOT IN (SELECT oid FROM trusted)),
    'calls', coalesce(authors.calls, false),
    'defaults', coalesce(defaults.names, '[]'))
FROM tables t LEFT JOIN authors ON authors.tab = t.oid LEFT JOIN defaults ON defaults.tab = t.oid";

/// One row of JSON with what else of the database belongs to roles that are no superusers and not the one who asks.
const OTHERS_SQL: &str = "WITH trusted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
)
SELECT pg_catalog.json_build_object(
    'is_superuser', (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER),
    'domains', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_array(n.nspname, y.typname, pg_catalog.pg_get_userbyid(y.typowner)))
        FROM pg_catalog.pg_type y JOIN pg_catalog.pg_namespace n ON n.oid = y.typnamespace
        WHERE y.typtype = 'd' AND y.typowner NOT IN (SELECT oid FROM trusted)), '[]'),
    'has_functions', EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proowner NOT IN (SELECT oid FROM trusted)),
    'has_casts', EXISTS (SELECT FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc
        WHERE f.proowner NOT IN (SELECT oid FROM trusted)))";

/// Materialized views of superusers, and of the one who asks, that read views or call functions of others, with one of those.
const VIEWS_SQL: &str = "WITH RECURSIVE trusted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
), reads AS (
    SELECT c.oid AS view, c.oid AS part FROM pg_catalog.pg_class c WHERE c.relkind = 'm' AND c.relowner IN (SELECT oid FROM trusted)
    UNION SELECT reads.view, more.part FROM reads CROSS JOIN LATERAL (
        SELECT d.refobjid AS part FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d
            ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            WHERE w.ev_class = reads.part
        UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = reads.part
    ) AS more
), others AS (
    -- Whoever owns a foreign table, or its server, says where that is, and so what runs there as whoever reads it.
    SELECT reads.view, maker.author FROM reads JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = reads.part
        JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver JOIN pg_catalog.pg_class c ON c.oid = f.ftrelid
        CROSS JOIN LATERAL (VALUES (c.relowner), (s.srvowner)) AS maker (author)
    UNION ALL
    SELECT reads.view, c.relowner AS author FROM reads JOIN pg_catalog.pg_class c ON c.oid = reads.part WHERE c.relkind IN ('v', 'm')
    -- What is constant in the key of a partitioned table is run when a query on it is planned.
    UNION ALL SELECT reads.view, c.relowner FROM reads JOIN pg_catalog.pg_class c ON c.oid = reads.part
        JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid WHERE p.partexprs IS NOT NULL
    UNION ALL SELECT reads.view, f.proowner FROM reads JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.part JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
        JOIN pg_catalog.pg_proc f ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = d.refobjid
    UNION ALL SELECT reads.view, g.proowner FROM reads JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.part JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
        JOIN pg_catalog.pg_proc f ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = d.refobjid
        JOIN pg_catalog.pg_language l ON l.oid = f.prolang AND l.lanname NOT IN ('internal', 'c')
        CROSS JOIN pg_catalog.pg_cast c JOIN pg_catalog.pg_proc g ON g.oid = c.castfunc
    UNION ALL SELECT reads.view, o.oprowner FROM reads JOIN pg_catalog.pg_rewrite w ON w.ev_class = reads.part JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
        JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
)
SELECT DISTINCT pg_catalog.format('%s.%s (code of %s)', n.nspname, c.relname, pg_catalog.pg_get_userbyid(others.author))
    FROM others JOIN pg_catalog.pg_class c ON c.oid = others.view JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE others.author NOT IN (SELECT oid FROM trusted)";

/// For each table, given by name, the tables that foreign keys connect with it, its wholes and its parts.
const PARTNERS_SQL: &str = "WITH RECURSIVE around AS (
    SELECT pg_catalog.to_regclass(name)::pg_catalog.oid AS oid FROM pg_catalog.unnest(ARRAY[:NAMES]) AS t (name)
    UNION SELECT CASE WHEN i.inhrelid = around.oid THEN i.inhparent ELSE i.inhrelid END FROM around JOIN pg_catalog.pg_inherits i ON around.oid IN (i.inhrelid, i.inhparent)
), partners AS (
    SELECT CASE WHEN c.conrelid = around.oid THEN c.confrelid ELSE c.conrelid END AS oid FROM around JOIN pg_catalog.pg_constraint c
        ON c.contype = 'f' AND around.oid IN (c.conrelid, c.confrelid)
    UNION SELECT oid FROM around
    UNION SELECT i.inhrelid FROM partners JOIN pg_catalog.pg_inherits i ON i.inhparent = partners.oid
)
SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM partners JOIN pg_catalog.pg_class c ON c.oid = partners.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";

/// Nobody can load these without running code with more rights than who wrote it has: tables, domains, constraints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NeedsAllRights {
    pub(crate) objects: Vec<String>,
}

/// Who loads the rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum LoadAs {
    /// Who restores: no code runs that somebody else has written.
    Restorer,
    /// Its owner.
    Owner(String),
}

#[expect(clippy::struct_excessive_bools, reason = "each is an answer of the catalogue")]
#[derive(Debug, Deserialize)]
struct Entry {
    schema: String,
    name: String,
    /// Where it is neither a superuser nor who restores, and values are not cast by functions of others.
    owner: Option<String>,
    authors: Vec<String>,
    /// Whether those have written functions, operators or types, and not only expressions of what the server brings along.
    calls: bool,
    /// Whether values of types of theirs are compared when its references, or references to it, are looked at.
    compares: bool,
    /// Whether rows could go to another server: it is a foreign table, or has one as a part.
    is_foreign: bool,
    /// Whether values in it are of types of others, or made of such.
    has_types_of_others: bool,
    /// Columns that have a default.
    defaults: Vec<String>,
}

/// What else runs code of others.
#[derive(Debug, Default, Deserialize)]
struct Others {
    /// Schema, name and owner of domains.
    domains: Vec<(String, String, String)>,
    /// Whether there are functions of theirs.
    has_functions: bool,
    /// Whether values are cast by functions of theirs without being asked to.
    has_casts: bool,
    /// Whether the one who asks is a superuser.
    is_superuser: bool,
}

/// Who loads the rows of which table.
#[derive(Debug, Default)]
pub(crate) struct Access {
    entries: HashMap<(String, String), Entry>,
    others: Others,
    /// Materialized views of superusers that run code of others.
    views: Vec<String>,
}

impl Access {
    /// Asks a database that has its tables.
    ///
    /// # Errors
    /// Those of [`query`]; [`Error::Answer`].
    pub(crate) fn read(connection: &Connection, stopped: Stopped<'_>) -> Result<Self, Error> {
        Self::read_with(connection, true, stopped)
    }

    /// Asks a database what loading it will run where it is restored: triggers are made when all rows are there.
    ///
    /// # Errors
    /// Those of [`Access::read`].
    pub(crate) fn of_restore(connection: &Connection, stopped: Stopped<'_>) -> Result<Self, Error> {
        Self::read_with(connection, false, stopped)
    }

    fn read_with(connection: &Connection, has_triggers: bool, stopped: Stopped<'_>) -> Result<Self, Error> {
        let mut entries = HashMap::new();
        let asked = Kept::new(connection.clone());
        for row in asked.query(&TABLES_SQL.replace(":HAS_TRIGGERS", &has_triggers.to_string()), stopped)? {
            let entry: Entry = parse(&row)?;
            entries.insert((entry.schema.clone(), entry.name.clone()), entry);
        }
        let others = asked.query(OTHERS_SQL, stopped)?;
        let others = others.first().map(parse).transpose()?.unwrap_or_default();
        let views = asked.query(VIEWS_SQL, stopped)?.into_iter().flatten().flatten().collect();
        Ok(Self { entries, others, views })
    }

    /// The tables that are planned with these, quoted where needed, when their references are looked at: they themselves, their
    /// wholes and parts, and what foreign keys connect them with.
    ///
    /// # Errors
    /// Those of [`Access::read`]; [`Error::Name`].
    pub(crate) fn partners(
        connection: &Connection,
        tables: &[&str],
        stopped: Stopped<'_>,
    ) -> Result<Vec<String>, Error> {
        let names: Vec<String> = tables.iter().map(|name| Ok(literal(&table(name)?))).collect::<Result<_, Error>>()?;
        let rows = query(connection, &PARTNERS_SQL.replace(":NAMES", &names.join(", ")), stopped)?;
        Ok(rows.into_iter().flatten().flatten().collect())
    }

    /// Makes sure that somebody can load every table without running code with more rights than who wrote it has.
    ///
    /// # Errors
    /// The tables of which this is not true.
    pub(crate) fn check(&self) -> Result<(), NeedsAllRights> {
        let refused = self.entries.values().filter(|entry| entry.owner.is_none() && !entry.authors.is_empty());
        let mut objects: Vec<String> = refused.map(Entry::shown).chain(self.views.iter().cloned()).collect();
        objects.sort();
        if objects.is_empty() { Ok(()) } else { Err(NeedsAllRights { objects }) }
    }

    /// An owner that may have to load the rows of some table.
    pub(crate) fn needed_owner(&self) -> Option<&str> {
        let runs_code = |entry: &&Entry| !entry.authors.is_empty() || !entry.defaults.is_empty();
        self.entries.values().filter(runs_code).find_map(|entry| entry.owner.as_deref())
    }

    /// Whether the one who asks is a superuser.
    pub(crate) const fn is_superuser(&self) -> bool {
        self.others.is_superuser
    }

    /// Whether there is a table of this name, quoted where needed as dumps have it.
    pub(crate) fn has(&self, table: &str) -> bool {
        match split_names(table).unwrap_or_default().as_slice() {
            [schema, name] => self.entries.contains_key(&(schema.clone(), name.clone())),
            [name] => self.entries.values().any(|entry| entry.name == *name),
            _ => false,
        }
    }

    /// Who loads rows with these columns into a table, quoted where needed as dumps have it.
    ///
    /// # Errors
    /// When that is nobody, or the table is not known.
    pub(crate) fn of(&self, table: &str, columns: &[String]) -> Result<LoadAs, NeedsAllRights> {
        let names = split_names(table).unwrap_or_default();
        let entry = match names.as_slice() {
            [schema, name] => self.entries.get(&(schema.clone(), name.clone())),
            // Without its schema it could be any of that name.
            [name] => {
                let alike = self.entries.values().filter(|entry| entry.name == *name);
                alike.max_by_key(|entry| (!entry.authors.is_empty(), entry.owner.is_some()))
            }
            _ => None,
        };
        let entry = entry.ok_or_else(|| NeedsAllRights { objects: vec![table.to_owned()] })?;
        if entry.is_foreign {
            return Err(NeedsAllRights { objects: vec![format!("{table} (its rows could go to a foreign table)")] });
        }
        let columns: Vec<String> =
            columns.iter().filter_map(|column| split_names(column)?.into_iter().next()).collect();
        let runs_defaults = entry.defaults.iter().any(|default| !columns.contains(default));
        match &entry.owner {
            Some(owner) if !entry.authors.is_empty() || runs_defaults => Ok(LoadAs::Owner(owner.clone())),
            None if !entry.authors.is_empty() => Err(NeedsAllRights { objects: vec![entry.shown()] }),
            _ => Ok(LoadAs::Restorer),
        }
    }

    /// Who makes a constraint that looks at rows, where that is not who restores.
    ///
    /// # Errors
    /// When nobody can without running code with more rights than who wrote it has.
    pub(crate) fn maker(&self, constraint: &Constraint) -> Result<Option<String>, NeedsAllRights> {
        let (name, owner, may_run_code) = match constraint {
            Constraint::Check(table) => (table, self.owner(table), self.others.has_functions),
            // A cast is of a type of its author.
            Constraint::ForeignKey(table, other) if !self.may_cast(table) && !self.may_cast(other) => return Ok(None),
            // The server may look at each row with the rights of whoever owns the other table.
            Constraint::ForeignKey(table, other) if self.owner(table) != self.owner(other) => (table, None, true),
            Constraint::ForeignKey(table, _) => (table, self.owner(table), true),
            Constraint::OfDomain(domain) => (domain, self.domain_owner(domain), self.others.has_functions),
        };
        match owner {
            Some(owner) => Ok(Some(owner.to_owned())),
            None if may_run_code => Err(NeedsAllRights { objects: vec![name.clone()] }),
            None => Ok(None),
        }
    }

    /// Whether values in a table may be cast by functions of others without being asked to: it has types of theirs. One that is not known
    /// may have some.
    pub(crate) fn may_cast(&self, table: &str) -> bool {
        let names = split_names(table).unwrap_or_default();
        let entry = match names.as_slice() {
            [schema, name] => self.entries.get(&(schema.clone(), name.clone())),
            _ => None,
        };
        self.others.has_casts && entry.is_none_or(|entry| entry.has_types_of_others)
    }

    /// Whether a table may run code of others when a query on it is planned or run, or compares its rows; a table that is not
    /// known may. Casts of their types may be made at any time.
    pub(crate) fn runs_code(&self, table: &str) -> bool {
        let names = split_names(table).unwrap_or_default();
        let [schema, name] = names.as_slice() else { return true };
        let entry = self.entries.get(&(schema.clone(), name.clone()));
        entry.is_none_or(|entry| entry.compares || !entry.authors.is_empty())
    }

    /// Whether there are functions of others.
    pub(crate) const fn has_functions(&self) -> bool {
        self.others.has_functions
    }

    /// The owner of a table, where it is neither a superuser nor who restores.
    pub(crate) fn owner(&self, table: &str) -> Option<&str> {
        let names = split_names(table)?;
        let [schema, name] = names.as_slice() else { return None };
        self.entries.get(&(schema.clone(), name.clone()))?.owner.as_deref()
    }

    /// The owner of a table, as [`Access::owner`] has it, and whether it calls what others have written; `None` when it is not
    /// known.
    pub(crate) fn calls(&self, table: &str) -> Option<(Option<&str>, bool)> {
        let names = split_names(table)?;
        let [schema, name] = names.as_slice() else { return None };
        let entry = self.entries.get(&(schema.clone(), name.clone()))?;
        Some((entry.owner.as_deref(), entry.calls))
    }

    fn domain_owner(&self, domain: &str) -> Option<&str> {
        let names = split_names(domain)?;
        let [schema, name] = names.as_slice() else { return None };
        let found = self.others.domains.iter().find(|(a, b, _)| (a, b) == (schema, name));
        found.map(|(.., owner)| owner.as_str())
    }
}

impl Entry {
    /// The table with those whose code it runs.
    fn shown(&self) -> String {
        format!("{}.{} (code of {})", self.schema, self.name, self.authors.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(owner: Option<&str>, authors: &[&str], defaults: &[&str]) -> Access {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (schema, name) = ("public".to_owned(), "a b".to_owned());
        let (authors, defaults) = (owned(authors), owned(defaults));
        let entry = Entry {
            schema: schema.clone(),
            name: name.clone(),
            owner: owner.map(str::to_owned),
            authors,
            calls: false,
            is_foreign: false,
            compares: false,
            has_types_of_others: false,
            defaults,
        };
        Access { entries: HashMap::from([((schema, name), entry)]), ..Access::default() }
    }

    #[test]
    fn rows_are_loaded_by_who_may_run_the_code_of_their_table() {
        let of = |access: &Access| access.of("public.\"a b\"", &["x".to_owned()]).ok();
        let app = || Some(LoadAs::Owner("app".to_owned()));
        assert_eq!(of(&access(Some("app"), &[], &["x"])), Some(LoadAs::Restorer), "no code runs");
        assert_eq!(of(&access(Some("app"), &["app"], &[])), app());
        assert_eq!(of(&access(Some("app"), &[], &["y"])), app(), "a default is run");
        assert_eq!(of(&access(None, &[], &["y"])), Some(LoadAs::Restorer));
        assert_eq!(of(&access(None, &["m"], &[])), None);
        assert!(access(None, &["m"], &[]).check().is_err() && access(Some("m"), &["m"], &[]).check().is_ok());
        assert!(
            access(Some("app"), &["app"], &[]).needed_owner().is_some()
                && access(Some("app"), &[], &[]).needed_owner().is_none()
        );
        assert!(access(None, &[], &[]).of("public.unknown", &[]).is_err(), "nothing is known of it");
    }

    #[test]
    fn a_table_without_its_schema_is_taken_for_the_one_that_is_not_trusted() {
        let mut both = access(None, &[], &[]);
        let other = access(Some("m"), &["m"], &[]).entries.into_values().next().expect("a table");
        both.entries.insert(("m".to_owned(), "a b".to_owned()), other);
        assert_eq!(both.of("\"a b\"", &[]).expect("a table"), LoadAs::Owner("m".to_owned()));
    }

    #[test]
    fn constraints_that_run_code_are_made_by_the_owner() {
        let own = access(Some("app"), &[], &[]);
        let table = "public.\"a b\"".to_owned();
        assert_eq!(own.maker(&Constraint::Check(table.clone())).expect("an owner").as_deref(), Some("app"));
        assert_eq!(own.maker(&Constraint::ForeignKey(table.clone(), table.clone())).expect("nobody else"), None);
        let mut other = access(None, &[], &[]);
        assert_eq!(other.maker(&Constraint::Check(table.clone())).expect("nobody else"), None);
        other.others = Others { has_functions: true, has_casts: true, ..Others::default() };
        assert!(other.maker(&Constraint::Check(table.clone())).is_err());
        // No cast is of types that belong to nobody else.
        assert_eq!(other.maker(&Constraint::ForeignKey(table.clone(), table.clone())).expect("nobody else"), None);
        other.entries.values_mut().for_each(|entry| entry.has_types_of_others = true);
        assert!(other.maker(&Constraint::ForeignKey(table.clone(), table)).is_err());
    }
}
