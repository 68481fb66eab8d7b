//! Whose code a server could run while a database is given its shape: it evaluates what is constant in an expression, and
//! reads the values in it, when it makes what has the expression.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::client::parse;
use super::overloads::{Overloads, overloads_sql};
use super::sql::literal;
use super::{Asked, Error, Row, query};
use crate::cancel::Cancel;
use crate::model::split_names;

/// One row of JSON. Values of arrays, composite types and ranges of a domain are checked where they stand in a statement.
const SQL: &str = "WITH RECURSIVE trusted AS (
    SELECT oid, rolname FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
), checked AS (
    -- Whoever owns a domain can give it a check at any time, and a dump does that after everything that uses it.
    SELECT y.oid FROM pg_catalog.pg_type y WHERE y.typtype = 'd' AND y.typowner NOT IN (SELECT oid FROM trusted)
    UNION SELECT c.contypid FROM pg_catalog.pg_constraint c WHERE c.contypid <> 0 AND EXISTS (
        SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc f ON f.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid
            AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.proowner NOT IN (SELECT oid FROM trusted))
), types AS (
    SELECT oid FROM checked
    UNION SELECT n.oid FROM types CROSS JOIN LATERAL (
        SELECT y.oid FROM pg_catalog.pg_type y WHERE y.typbasetype = types.oid OR y.typelem = types.oid
        UNION ALL SELECT c.reltype FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE a.atttypid = types.oid AND c.reltype <> 0
        UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r WHERE r.rngsubtype = types.oid
        UNION ALL SELECT (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid FROM pg_catalog.pg_range r WHERE r.rngtypid = types.oid
    ) n WHERE n.oid IS NOT NULL
), containers AS (
    SELECT y.oid FROM types JOIN pg_catalog.pg_type y ON y.oid = types.oid WHERE y.typtype <> 'd'
    UNION SELECT y.oid FROM containers JOIN pg_catalog.pg_type y ON y.typbasetype = containers.oid
)
SELECT pg_catalog.json_build_object(
    'trusted', (SELECT pg_catalog.json_agg(rolname) FROM trusted),
    'has_code', EXISTS (SELECT FROM checked)
        OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proowner NOT IN (SELECT oid FROM trusted)),
    'has_wholes', EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind = 'p' AND relowner NOT IN (SELECT oid FROM trusted)),
    'cast_authors', coalesce((SELECT pg_catalog.json_agg(DISTINCT pg_catalog.pg_get_userbyid(f.proowner)) FROM pg_catalog.pg_cast c
        JOIN pg_catalog.pg_proc f ON f.oid = c.castfunc WHERE f.proowner NOT IN (SELECT oid FROM trusted)), '[]'),
    'has_domains', EXISTS (SELECT FROM checked),
    'overloads', CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_proc WHERE proowner NOT IN (SELECT oid FROM trusted)) THEN (:OVERLOADS) ELSE '[]' END,
    'containers', coalesce((SELECT pg_catalog.json_agg(oid::pg_catalog.regtype::pg_catalog.text) FROM containers), '[]'))";
const CAST: &str = "'::";
const EMPTY: &str = "'{}'";

/// What there is so far of roles that are neither superusers nor the one who asks.
#[derive(Debug, Deserialize)]
pub(crate) struct Authors {
    /// Those others.
    trusted: HashSet<String>,
    /// Whether there is code of theirs at all.
    pub(crate) has_code: bool,
    /// Whether there are partitioned tables of theirs.
    pub(crate) has_wholes: bool,
    /// Whether there are domains that run code of theirs, or could.
    pub(crate) has_domains: bool,
    /// Who has written functions that cast values without being asked to.
    #[serde(rename = "cast_authors")]
    casting: Vec<String>,
    /// What has several authors.
    pub(crate) overloads: Overloads,
    /// Types whose values are checked by such domains when they are read, quoted where needed.
    containers: Vec<String>,
}

impl Authors {
    /// Asks a database. `refused` is as for [`Overloads::read`].
    ///
    /// # Errors
    /// Those of [`query`]; [`Error::Answer`].
    pub(crate) fn read(asked: &impl Asked, refused: &str, cancel: &Cancel) -> Result<Self, Error> {
        let rows = query(asked, &SQL.replace(":OVERLOADS", &overloads_sql(refused)), cancel)?;
        parse(rows.first().ok_or_else(|| Error::Answer { why: "it has no row".to_owned() })?)
    }

    /// Whether a role, quoted where needed, is a superuser or the one who asks. `Err` with its name when it is not.
    pub(crate) fn trusts(&self, role: &str) -> Result<(), String> {
        match split_names(role).as_deref() {
            Some([name]) if self.trusted.contains(name) => Ok(()),
            Some([name]) => Err(name.clone()),
            _ => Err(String::new()),
        }
    }

    /// Whether others than this role, or no role, have written such casts.
    pub(crate) fn has_casts_of_others(&self, role: Option<&str>) -> bool {
        self.casting.iter().any(|author| Some(author.as_str()) != role)
    }

    /// Whether statements have a value that is checked by code of others when they are read.
    pub(crate) fn checks_value_in(&self, statements: &str) -> bool {
        statements.match_indices(CAST).any(|(place, _)| {
            let (before, after) = (statements.get(..=place), statements.get(place + CAST.len()..));
            let is_empty = before.is_some_and(|before| before.ends_with(EMPTY));
            !is_empty && after.is_some_and(|after| self.containers.iter().any(|name| after.starts_with(name.as_str())))
        })
    }

    /// Whether statements have a value at all that could be one.
    pub(crate) fn has_value(statements: &[u8]) -> bool {
        memchr::memmem::find(statements, CAST.as_bytes()).is_some()
    }
}

/// The owner of a table or a view, quoted where needed, where that is neither a superuser nor the one who asks.
///
/// # Errors
/// Those of [`query`].
pub(crate) fn relation_owner(asked: &impl Asked, name: &str, cancel: &Cancel) -> Result<Option<String>, Error> {
    let sql = format!(
        "SELECT r.rolname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
         WHERE c.oid = pg_catalog.to_regclass({}) AND NOT r.rolsuper AND r.rolname <> CURRENT_USER",
        literal(name)
    );
    Ok(query(asked, &sql, cancel)?.into_iter().flatten().flatten().next())
}

/// All indexes by their names, with their owners where those are neither superusers nor the one who asks.
///
/// # Errors
/// Those of [`query`].
pub(crate) fn index_owners(asked: &impl Asked, cancel: &Cancel) -> Result<HashMap<Vec<String>, Option<String>>, Error> {
    let sql = "SELECT n.nspname, c.relname, CASE WHEN NOT r.rolsuper AND r.rolname <> CURRENT_USER THEN r.rolname END
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
        WHERE c.relkind IN ('i', 'I') AND n.nspname !~ '^pg_'";
    let owner = |row: Row| match <[Option<String>; 3]>::try_from(row) {
        Ok([Some(schema), Some(name), owner]) => Some((vec![schema, name], owner)),
        _ => None,
    };
    Ok(query(asked, sql, cancel)?.into_iter().filter_map(owner).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authors() -> Authors {
        let (trusted, containers) =
            (HashSet::from(["larder".to_owned()]), vec!["m.d[]".to_owned(), "m.\"C\"".to_owned()]);
        Authors {
            trusted,
            has_code: true,
            has_wholes: false,
            has_domains: true,
            casting: Vec::new(),
            overloads: Overloads::default(),
            containers,
        }
    }

    #[test]
    fn values_of_checked_types_are_found() {
        for (text, expected) in [
            ("i m.d[] DEFAULT '{1}'::m.d[]", true),
            ("i m.d[] DEFAULT '{}'::m.d[], j text DEFAULT 'x'::text", false),
            ("SELECT '(1)'::m.\"C\"", true),
            ("SELECT '1'::m.d, ARRAY[1]::m.d[]", false),
        ] {
            assert_eq!(authors().checks_value_in(text), expected, "{text}");
        }
    }

    #[test]
    fn roles_are_known_with_and_without_quotes() {
        assert!(authors().trusts("larder").is_ok() && authors().trusts("\"larder\"").is_ok());
        assert_eq!(authors().trusts("\"Larder\""), Err("Larder".to_owned()));
        assert_eq!(authors().trusts(""), Err(String::new()));
    }
}
