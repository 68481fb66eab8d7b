//! Whose code runs when rows are loaded into a table, and who loads them therefore.
//!
//! Checks, generated columns, domains and partitions call functions, and a function may do all that its caller may. Rows of
//! tables where that is code of somebody else than a superuser are loaded by a session that has the rights of the table's
//! owner and no others.

use std::collections::HashMap;

use serde::Deserialize;

use super::access_sql::{OTHERS_SQL, tables_sql, views_sql};
use super::client::parse;
use super::definition::Constraint;
use super::sql::{literal, table};
use super::{Asked, Connection, Error, query};
use crate::cancel::Cancel;
use crate::model::split_names;

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
    pub(crate) fn read(asked: &impl Asked, cancel: &Cancel) -> Result<Self, Error> {
        Self::read_with(asked, true, cancel)
    }

    /// Asks a database what loading it will run where it is restored: triggers are made when all rows are there.
    ///
    /// # Errors
    /// Those of [`Access::read`].
    pub(crate) fn of_restore(asked: &impl Asked, cancel: &Cancel) -> Result<Self, Error> {
        Self::read_with(asked, false, cancel)
    }

    fn read_with(asked: &impl Asked, has_triggers: bool, cancel: &Cancel) -> Result<Self, Error> {
        let mut entries = HashMap::new();
        for row in query(asked, &tables_sql(has_triggers), cancel)? {
            let entry: Entry = parse(&row)?;
            entries.insert((entry.schema.clone(), entry.name.clone()), entry);
        }
        let others = query(asked, OTHERS_SQL, cancel)?;
        let others = others.first().map(parse).transpose()?.unwrap_or_default();
        let views = query(asked, &views_sql(), cancel)?.into_iter().flatten().flatten().collect();
        Ok(Self { entries, others, views })
    }

    /// The tables that are planned with these, quoted where needed, when their references are looked at: they themselves, their
    /// wholes and parts, and what foreign keys connect them with.
    ///
    /// # Errors
    /// Those of [`Access::read`]; [`Error::Name`].
    pub(crate) fn partners(connection: &Connection, tables: &[&str], cancel: &Cancel) -> Result<Vec<String>, Error> {
        let names: Vec<String> = tables.iter().map(|name| Ok(literal(&table(name)?))).collect::<Result<_, Error>>()?;
        let rows = query(connection, &PARTNERS_SQL.replace(":NAMES", &names.join(", ")), cancel)?;
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
