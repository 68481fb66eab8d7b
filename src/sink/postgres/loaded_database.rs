//! A fresh database: made, loaded, its rows proved, and put into the place of the old one.
//!
//! The old database serves until the new one is complete; renaming both is one transaction.

use super::action::{do_all, execute, failed, run};
use super::load_options::LoadOptions;
use super::loader::Loader;
use super::maintenance::{beside, has};
use super::refusals::{self, Refusal};
use super::session_pool::has_ended;
use super::{counts, discard, loader_role, swap, tablespaces};
use crate::cancel::Cancel;
use crate::model::{DatabaseFacts, Roles, ServerProperties, TableRows};
use crate::monitor::Monitor;
use crate::postgres::sql::{ident, literal};
use crate::postgres::{
    Connection, Kept, MadeRoles, create_missing_roles, locale_options, made_under_other_name, object_of,
    property_statements, text_statements,
};
use crate::sink::Error;

/// What is to be said of a database that was replaced.
#[derive(Debug, Default)]
pub struct Replaced {
    /// What has gone with it, or stays elsewhere, each in words.
    pub notes: Vec<String>,
    /// Why it is still there, where it could not be dropped.
    pub left: Option<Error>,
}

/// A fresh database that a dump is loaded into. It is either put in place or discarded.
#[derive(Debug)]
pub struct LoadedDatabase {
    maintenance: Kept,
    name: String,
    /// What of it is not as it was saved, each in words.
    notes: Vec<String>,
    /// Whether it is still to be put in place or discarded.
    is_pending: bool,
}

/// Makes a database that nobody can connect to yet. Everybody may until the right to is taken from the public, and stays connected then.
fn creation(name: &str) -> String {
    format!("CREATE DATABASE {} TEMPLATE template0 ALLOW_CONNECTIONS false", ident(name))
}

/// Opens it to whoever restores, and nobody else: who owns something in it could change it while it is loaded.
fn opening(name: &str) -> [String; 2] {
    let name = ident(name);
    [format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"), format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")]
}

impl LoadedDatabase {
    /// Creates an empty database beside the one that the facts describe, named for a purpose; without one it gets the name itself. Roles that the snapshot names and the server
    /// lacks are made, without passwords.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn create(
        maintenance: Connection,
        (facts, of_server): (&DatabaseFacts, &ServerProperties),
        purpose: Option<&str>,
        roles: &Roles,
        cancel: &Cancel,
    ) -> Result<(Self, MadeRoles), Error> {
        let failed = |source| Error::Database { action: "make the roles that are missing".to_owned(), source };
        let made = create_missing_roles(&maintenance, roles, cancel).map_err(failed)?;
        let name = purpose.map_or_else(|| facts.name.clone(), |purpose| beside(&facts.name, purpose));
        let maintenance = Kept::new(maintenance);
        let tablespace = facts.tablespace.as_deref();
        let can_be_in = |tablespace| tablespaces::is_usable(&maintenance, tablespace, cancel);
        let is_usable = tablespace.map(can_be_in).transpose()?.unwrap_or(false);
        let place = tablespace.filter(|_| is_usable);
        let place = place.map_or_else(String::new, |tablespace| format!(" TABLESPACE {}", ident(tablespace)));
        let plain = creation(&name) + &place;
        let action = format!("create the database {name}");
        let options = locale_options(facts, of_server);
        let mut created = Ok(());
        let mut tried = 0;
        for options in &options {
            created = execute(&maintenance, &action, &[format!("{plain} {options}")], cancel);
            if created.is_ok() || cancel.is_cancelled() {
                break;
            }
            tried += 1;
        }
        created?;
        let mut notes = Vec::new();
        if let (Some(refused), Some(taken)) = (options.first().filter(|_| tried > 0), options.get(tried)) {
            notes.push(format!(
                "the order of texts is another one: the server refuses {refused}, and has taken {taken}"
            ));
        }
        if let Some(lost) = tablespace.filter(|_| !is_usable) {
            let lost = lost.escape_debug();
            notes.push(format!(
                "the database is in the default tablespace: there is no {lost} that the restoring role may use"
            ));
        }
        let loaded = Self { maintenance, name, notes, is_pending: true };
        let open = opening(&loaded.name);
        match execute(&loaded.maintenance, "close the database to others", &open, cancel) {
            Ok(()) => Ok((loaded, made)),
            Err(error) => {
                loaded.discard();
                Err(error)
            }
        }
    }

    /// The name of the fresh database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What of it is not as it was saved, each in words.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Sessions that load into it. What they load stays when one fails: it is whole only at their end. `ahead` is that of
    /// [`Loader::open`].
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn loader<'a>(
        &self,
        options: LoadOptions<'a>,
        ahead: Box<dyn std::io::Read + 'a>,
        monitor: &'a Monitor<'a>,
    ) -> Result<Loader<'a>, Error> {
        Loader::open((self.connection(), self.maintenance.connection().clone()), options, ahead, monitor)
    }

    /// How many foreign keys there are.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn count_foreign_keys(&self, cancel: &Cancel) -> Result<u64, Error> {
        let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conparentid = 0";
        let rows = run(&self.connection(), "count the foreign keys", sql, cancel)?;
        Ok(rows.into_iter().flatten().flatten().find_map(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Compares the rows of each table with the snapshot. Returns an [`Error::Rows`] for each that differs.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn check_rows(&self, tables: &[TableRows], cancel: &Cancel) -> Result<Vec<Error>, Error> {
        counts::check(&self.connection(), tables, cancel)
    }

    /// What was made while it has its name, and looks at that, each in words. They are guesses: where they cannot be made there are none.
    #[must_use]
    pub fn made_under_its_name(&self, name: &str, cancel: &Cancel) -> Vec<String> {
        made_under_other_name(&Kept::new(self.connection()), name, cancel).unwrap_or_default()
    }

    /// Which roles that were made for loading it others have kept from being dropped, each in words.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn left_roles(&self, cancel: &Cancel) -> Result<Vec<String>, Error> {
        let left = loader_role::left_for(&self.maintenance, &self.name, cancel);
        left.map_err(|source| failed("look for roles that were made for loading", source))
    }

    /// Renames the database to the snapshot's name, and drops the old one. One that is new takes no other one's place. Returns what is to be
    /// said of the old one.
    ///
    /// # Errors
    /// [`Error::Database`]; the old database serves on then, and this one is discarded.
    pub fn put_in_place(mut self, target: &str, is_new: bool, cancel: &Cancel) -> Result<Replaced, Error> {
        let old = beside(target, "old");
        let mut replaced = Replaced::default();
        let had_old = match self.rename(target, (&old, is_new), &mut replaced.notes, cancel) {
            Ok(had_old) => had_old,
            Err(error) => {
                self.discard();
                return Err(error);
            }
        };
        // It has another name now and must not be dropped.
        self.is_pending = false;
        if had_old {
            let maintenance = self.maintenance.connection();
            let dropped = discard::drop_database(maintenance, &old, Some(&mut replaced.notes), cancel);
            let action = format!("drop the replaced database, which is now called {old}");
            replaced.left = dropped.err().map(|source| failed(&action, source));
        }
        Ok(replaced)
    }

    /// Gives it the name of the target. Says whether there was another one, which has this name from now on, and notes what is lost with it.
    fn rename(
        &self,
        target: &str,
        (old, is_new): (&str, bool),
        notes: &mut Vec<String>,
        cancel: &Cancel,
    ) -> Result<bool, Error> {
        let had_old = !is_new && self.name != target && has(&self.maintenance, target, cancel)?;
        if had_old {
            *notes = swap::slots_of(&self.maintenance, target, cancel)?;
            swap::swap(&self.maintenance, &self.name, (target, old), cancel)?;
        } else if self.name != target {
            let sql = format!("ALTER DATABASE {} RENAME TO {}", ident(&self.name), ident(target));
            execute(&self.maintenance, &format!("rename the database to {target}"), &[sql], cancel)?;
        }
        Ok(had_old)
    }

    /// Drops the database: it is not wanted any more, or a step has failed. What is left behind when this fails has a name that says what
    /// it is.
    pub fn discard(mut self) {
        self.drop_it();
    }

    fn drop_it(&mut self) {
        if std::mem::take(&mut self.is_pending) {
            let _ = discard::drop_database(self.maintenance.connection(), &self.name, None, &Cancel::new());
        }
    }

    /// Gives the database the settings and privileges of the snapshot. Where it `goes_on`, what the server refuses is no error and is
    /// returned.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn set_properties(
        &self,
        (facts, of_server): (&DatabaseFacts, &ServerProperties),
        goes_on: bool,
        cancel: &Cancel,
    ) -> Result<Vec<Refusal>, Error> {
        let action = "give the database its settings";
        let find_owner = format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {}", literal(&facts.owner));
        let has_owner = !run(&self.maintenance, "look for the owner", &find_owner, cancel)?.is_empty();
        let mut refused = Vec::new();
        let mut try_all = |statements: &[String], run: &dyn Fn(&[String]) -> Result<(), Error>| {
            if !goes_on {
                return run(statements);
            }
            for statement in statements {
                match run(std::slice::from_ref(statement)) {
                    Err(error) if cancel.is_cancelled() => return Err(error),
                    Err(Error::Database { source, .. }) if has_ended(&source) => {
                        let object = object_of(statement.as_bytes());
                        refused.push(Refusal { object, why: refusals::why(&source) });
                    }
                    outcome => outcome?,
                }
            }
            Ok(())
        };
        let texts = text_statements(&facts.properties, of_server, &self.name);
        if !texts.is_empty() {
            try_all(&texts, &|statements| do_all(&self.connection(), action, statements, cancel))?;
        }
        let whoever = ServerProperties::new(None, of_server.is_template, None);
        // Who restores has the privileges of an owner who is not there.
        let of_server = if has_owner { of_server } else { &whoever };
        let of = (self.name.as_str(), facts.owner.as_str());
        let mut statements =
            property_statements(&facts.properties, of_server, of).map_err(|source| failed(action, source))?;
        let name = ident(&self.name);
        if facts.properties.privileges.is_none() {
            // What a database allows of which nothing was said.
            statements.push(format!("GRANT CONNECT, TEMPORARY ON DATABASE {name} TO PUBLIC"));
        }
        if has_owner {
            statements.insert(0, format!("ALTER DATABASE {name} OWNER TO {}", ident(&facts.owner)));
        }
        try_all(&statements, &|statements| execute(&self.maintenance, action, statements, cancel))?;
        Ok(refused)
    }

    fn connection(&self) -> Connection {
        self.maintenance.connection().with_database(&self.name)
    }
}

impl Drop for LoadedDatabase {
    fn drop(&mut self) {
        // The last resort where the program has a defect and unwinds: every other way out has put it in place or discarded it.
        self.drop_it();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the two statements everybody could connect, and was there while the database was loaded: with a check that he had not
    /// committed yet he had the restoring role run his code.
    #[test]
    fn nobody_can_connect_to_a_new_database_before_it_is_closed_to_others() {
        assert!(creation("a\"b").ends_with("\"a\"\"b\" TEMPLATE template0 ALLOW_CONNECTIONS false"));
        let [close, open] = opening("a");
        assert_eq!(close, "REVOKE ALL ON DATABASE \"a\" FROM PUBLIC");
        assert_eq!(open, "ALTER DATABASE \"a\" ALLOW_CONNECTIONS true");
    }
}
