//! Code of others in the keys of partitioned tables: the server runs what is constant in them whenever a session first has to do with the
//! partitions of such a table, as it does to make a trigger, a foreign key or an index of it.

use std::collections::HashMap;

use super::access::{LoadAs, NeedsAllRights};
use super::sql::literal;
use super::{Asked, Error, query};
use crate::cancel::Cancel;
use crate::model::split_names;

/// Schema and name of each table whose whole, or a part of that, has such a key, with the owner of all of them: null where they have several,
/// or one of them belongs to a superuser or the one who asks.
const SQL: &str = "WITH RECURSIVE trusted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolsuper OR rolname = CURRENT_USER
), above AS (
    SELECT c.oid AS part, c.oid AS whole FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p', 'f') AND c.oid >= 16384
    UNION SELECT a.part, i.inhparent FROM above a JOIN pg_catalog.pg_inherits i ON i.inhrelid = a.whole
), trees AS (
    SELECT a.part, a.whole AS root FROM above a WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = a.whole)
), coded AS (
    SELECT t.root FROM trees t JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.part JOIN pg_catalog.pg_class c ON c.oid = t.part
    WHERE p.partexprs IS NOT NULL AND (c.relowner NOT IN (SELECT oid FROM trusted) OR EXISTS (
        SELECT FROM pg_catalog.pg_depend d LEFT JOIN pg_catalog.pg_proc f ON d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = d.refobjid
            LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
            LEFT JOIN pg_catalog.pg_type y ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND y.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = p.partrelid
            AND coalesce(f.proowner, o.oprowner, y.typowner) NOT IN (SELECT oid FROM trusted)))
)
SELECT n.nspname, c.relname, (SELECT CASE WHEN count(DISTINCT m.relowner) = 1 AND min(m.relowner::pg_catalog.int8)::pg_catalog.oid NOT IN (SELECT oid FROM trusted)
        THEN pg_catalog.pg_get_userbyid(min(m.relowner::pg_catalog.int8)::pg_catalog.oid) END
        FROM trees o JOIN pg_catalog.pg_class m ON m.oid = o.part WHERE o.root = t.root)
    FROM trees t JOIN pg_catalog.pg_class c ON c.oid = t.part JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE t.root IN (SELECT root FROM coded)";
const TABLE_SQL: &str = "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE i.indexrelid IN (:INDEXES)";

/// The tables that have to do with such keys.
#[derive(Debug, Default)]
pub(crate) struct KeyCode(HashMap<Vec<String>, Option<String>>);

impl KeyCode {
    /// Asks a database that has its tables and their partitions.
    ///
    /// # Errors
    /// Those of [`query`].
    pub(crate) fn read(asked: &impl Asked, cancel: &Cancel) -> Result<Self, Error> {
        let rows = query(asked, SQL, cancel)?;
        let tables = rows.into_iter().filter_map(|row| match <[Option<String>; 3]>::try_from(row) {
            Ok([Some(schema), Some(name), owner]) => Some((vec![schema, name], owner)),
            _ => None,
        });
        Ok(Self(tables.collect()))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who makes something of these tables, quoted where needed.
    ///
    /// # Errors
    /// When nobody can without running code with more rights than who wrote it has.
    pub(crate) fn maker(&self, tables: &[String]) -> Result<LoadAs, NeedsAllRights> {
        let found = tables.iter().filter_map(|table| self.0.get(&split_names(table)?));
        let mut owners: Vec<&Option<String>> = found.collect();
        owners.sort_unstable();
        owners.dedup();
        match owners.as_slice() {
            [] => Ok(LoadAs::Restorer),
            [Some(owner)] => Ok(LoadAs::Owner(owner.clone())),
            _ => Err(NeedsAllRights { objects: tables.to_vec() }),
        }
    }
}

/// The tables of indexes, all quoted where needed.
///
/// # Errors
/// Those of [`query`].
pub(crate) fn tables_of(asked: &impl Asked, indexes: [&str; 2], cancel: &Cancel) -> Result<Vec<String>, Error> {
    let names = indexes.map(|name| format!("pg_catalog.to_regclass({})", literal(name)));
    let rows = query(asked, &TABLE_SQL.replace(":INDEXES", &names.join(", ")), cancel)?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_several_owners_is_made_by_nobody() {
        let table = |name: &str| vec!["public".to_owned(), name.to_owned()];
        let of = |owner: &str| Some(owner.to_owned());
        let keys = KeyCode(HashMap::from([(table("a"), of("a")), (table("b"), of("b")), (table("Mixed"), None)]));
        let maker = |names: &[&str]| keys.maker(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(maker(&["public.other"]), Ok(LoadAs::Restorer));
        assert_eq!(maker(&["public.other", "public.a"]), Ok(LoadAs::Owner("a".to_owned())));
        assert!(maker(&["public.a", "public.b"]).is_err() && maker(&["public.\"Mixed\""]).is_err());
    }
}
