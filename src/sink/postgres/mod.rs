//! Loading a dump into a fresh database, proving its rows, and putting it into the place of the old one.
//!
//! The old database serves until the new one is complete; renaming both is one transaction.

use std::time::{Duration, Instant};

mod counts;
mod drops;
mod guard;
mod lanes;
mod late;
mod load;
mod loader_role;
mod maintenance;
mod needs;
mod of_superuser;
mod owners;
mod privileges;
mod reading;
mod replace;
mod sessions;
mod shape;
mod tablespaces;
mod written;

pub use load::{LoadOptions, Loaded, Loader};
pub use maintenance::{encoding_of, exists, is_temporary, maintenance, prepared_transactions};
pub use needs::{lacking, make_role, missing_role, says_lacking};
pub use replace::{ReplaceOptions, RowReplacer};
pub use tablespaces::make_tablespaces;
pub(crate) use written::SETTLE;

use super::Error;
use crate::model::{DatabaseFacts, Roles, TableRows};
use crate::postgres::sql::{ident, literal};
use crate::postgres::{
    self, Connection, Kept, MadeRoles, Row, Stopped, create_missing_roles, property_statements, query, tidy_up,
};
use crate::progress::Progress;
use maintenance::{beside, has};

/// How long that is tried, while nobody can connect. The server itself waits five seconds for sessions to end.
const RENAME_LIMIT: Duration = Duration::from_secs(10);
const RENAME_PAUSE: Duration = Duration::from_millis(100);

/// A fresh database that a dump is loaded into. Dropped unless it is put in place.
#[derive(Debug)]
pub struct LoadedDatabase {
    maintenance: Kept,
    name: String,
    /// The tablespace that it cannot be in here.
    lost_tablespace: Option<String>,
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
    /// Creates an empty database beside the one that the facts describe. Roles that the snapshot names and the server
    /// lacks are made, without passwords.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn create(
        maintenance: Connection,
        facts: &DatabaseFacts,
        purpose: &str,
        roles: &Roles,
        stopped: Stopped<'_>,
    ) -> Result<(Self, MadeRoles), Error> {
        let failed = |source| Error::Database { action: "make the roles that are missing".to_owned(), source };
        let made = create_missing_roles(&maintenance, roles, stopped).map_err(failed)?;
        let name = beside(&facts.name, purpose);
        let maintenance = Kept::new(maintenance);
        let tablespace = facts.tablespace.as_deref();
        let can_be_in = |tablespace| tablespaces::is_usable(&maintenance, tablespace, stopped);
        let is_usable = tablespace.map(can_be_in).transpose()?.unwrap_or(false);
        let place = tablespace.filter(|_| is_usable);
        let place = place.map_or_else(String::new, |tablespace| format!(" TABLESPACE {}", ident(tablespace)));
        let plain = creation(&name) + &place;
        let full = format!(
            "{plain} ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            literal(&facts.encoding),
            literal(&facts.collate),
            literal(&facts.ctype)
        );
        let action = format!("create the database {name}");
        if execute(&maintenance, &action, &[full], stopped).is_err() {
            // The locale of the old server may be unknown here: its encoding is what the data needs.
            let encoded = format!("{plain} ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'", literal(&facts.encoding));
            execute(&maintenance, &action, &[encoded], stopped)?;
        }
        let lost_tablespace = facts.tablespace.clone().filter(|_| !is_usable);
        let loaded = Self { maintenance, name, lost_tablespace };
        let open = opening(&loaded.name);
        execute(&loaded.maintenance, "close the database to others", &open, stopped)?;
        Ok((loaded, made))
    }

    /// The name of the fresh database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What of it is not as it was saved, in words.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let tablespace = self.lost_tablespace.as_ref()?.escape_debug();
        Some(format!(
            "the database is in the default tablespace: there is no {tablespace} that the restoring role may use"
        ))
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
        progress: &'a dyn Progress,
    ) -> Result<Loader<'a>, Error> {
        Loader::open((self.connection(), self.maintenance.connection().clone()), options, ahead, progress)
    }

    /// How many foreign keys there are.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn count_foreign_keys(&self, stopped: Stopped<'_>) -> Result<u64, Error> {
        let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conparentid = 0";
        let rows = run(&self.connection(), "count the foreign keys", sql, stopped)?;
        Ok(rows.into_iter().flatten().flatten().find_map(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Compares the rows of each table with the snapshot.
    ///
    /// # Errors
    /// [`Error::Rows`] for the first table that differs; [`Error::Database`].
    pub fn check_rows(&self, tables: &[TableRows], stopped: Stopped<'_>) -> Result<(), Error> {
        counts::check(&self.connection(), tables, stopped)
    }

    /// Which roles that were made for loading it others have kept from being dropped, each in words.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn left_roles(&self, stopped: Stopped<'_>) -> Result<Vec<String>, Error> {
        let left = loader_role::left_for(&self.maintenance, &self.name, stopped);
        left.map_err(|source| failed("look for roles that were made for loading", source))
    }

    /// Gives the database its settings and privileges, renames it to the snapshot's name, and drops the old one. One that is
    /// new takes no other one's place. Returns why the old one is still there, where it could not be dropped.
    ///
    /// # Errors
    /// [`Error::Database`]; the old database serves on then.
    pub fn put_in_place(
        mut self,
        facts: &DatabaseFacts,
        is_new: bool,
        stopped: Stopped<'_>,
    ) -> Result<Option<Error>, Error> {
        let target = facts.name.as_str();
        self.set_properties(facts, stopped)?;
        let old = beside(target, "old");
        let had_old = !is_new && has(&self.maintenance, target, stopped)?;
        if had_old {
            self.swap(target, &old, stopped)?;
        } else {
            let sql = format!("ALTER DATABASE {} RENAME TO {}", ident(&self.name), ident(target));
            execute(&self.maintenance, &format!("rename the database to {target}"), &[sql], stopped)?;
        }
        // It has another name now and must not be dropped.
        let maintenance = std::mem::replace(&mut self.maintenance, Kept::new(Connection::default()));
        std::mem::forget(self);
        if !had_old {
            return Ok(None);
        }
        // It is in nobody's way, and whoever wants to stop would have to drop it himself.
        let go_on = || false;
        let action = format!("drop the replaced database, which is now called {old}");
        for statement in make_droppable(&old) {
            // What could not be done for that is said by what it is for.
            let _ = execute(&maintenance, &action, &[statement], &go_on);
        }
        let drop = format!("DROP DATABASE {} WITH (FORCE)", ident(&old));
        Ok(execute(&maintenance, &action, &[drop], &go_on).err())
    }

    /// Gives the database the settings and privileges of the snapshot.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn set_properties(&self, facts: &DatabaseFacts, stopped: Stopped<'_>) -> Result<(), Error> {
        let action = "give the database its settings";
        let failed = |source| Error::Database { action: action.to_owned(), source };
        let mut statements = property_statements(&facts.properties, &self.name).map_err(failed)?;
        let name = ident(&self.name);
        if facts.properties.privileges.is_none() {
            // What a database allows of which nothing was said.
            statements.push(format!("GRANT CONNECT, TEMPORARY ON DATABASE {name} TO PUBLIC"));
        }
        let find_owner = format!("SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = {}", literal(&facts.owner));
        if !ask(&self.maintenance, "look for the owner", &find_owner, stopped)?.is_empty() {
            statements.insert(0, format!("ALTER DATABASE {name} OWNER TO {}", ident(&facts.owner)));
        }
        execute(&self.maintenance, action, &statements, stopped)
    }

    fn connection(&self) -> Connection {
        self.maintenance.connection().with_database(&self.name)
    }

    fn swap(&self, target: &str, old: &str, stopped: Stopped<'_>) -> Result<(), Error> {
        let allow = |allowed: bool| [format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", ident(target))];
        let action = format!("put the restored database in the place of {target}");
        execute(&self.maintenance, &action, &allow(false), stopped)?;
        let terminate = format!(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
                WHERE datname IN ({}, {}) AND pid <> pg_catalog.pg_backend_pid()",
            literal(target),
            literal(&self.name)
        );
        let rename = [
            "BEGIN".to_owned(),
            format!("ALTER DATABASE {} RENAME TO {}", ident(target), ident(old)),
            format!("ALTER DATABASE {} RENAME TO {}", ident(&self.name), ident(target)),
            "COMMIT".to_owned(),
        ];
        // Connections take a moment to end, and the server refuses to rename until they have.
        let began = Instant::now();
        let renamed = loop {
            let renamed = ask(&self.maintenance, &action, &terminate, stopped)
                .and_then(|_| execute(&self.maintenance, &action, &rename, stopped));
            if renamed.is_ok() || stopped() || began.elapsed() > RENAME_LIMIT {
                break renamed;
            }
            std::thread::sleep(RENAME_PAUSE);
        };
        if renamed.is_err() {
            execute(&self.maintenance, "let connections to the database in again", &allow(true), &|| false)?;
        }
        renamed
    }
}

impl Drop for LoadedDatabase {
    fn drop(&mut self) {
        // What is left behind when this fails has a name that says what it is.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(&self.name));
        let statements: Vec<String> = make_droppable(&self.name).into_iter().chain([drop]).collect();
        let _ = tidy_up(self.maintenance.connection(), &statements);
    }
}

/// The statements after which its owner does not keep a database from being dropped: it is not his, and no template.
fn make_droppable(name: &str) -> [String; 2] {
    let name = ident(name);
    [format!("ALTER DATABASE {name} OWNER TO CURRENT_USER"), format!("ALTER DATABASE {name} IS_TEMPLATE false")]
}

/// As [`run`], in a session that is kept.
fn ask(kept: &Kept, action: &str, sql: &str, stopped: Stopped<'_>) -> Result<Vec<Row>, Error> {
    kept.query(sql, stopped).map_err(|source| failed(action, source))
}

/// As [`do_all`], in a session that is kept.
fn execute(kept: &Kept, action: &str, statements: &[String], stopped: Stopped<'_>) -> Result<(), Error> {
    kept.execute(statements, stopped).map_err(|source| failed(action, source))
}

/// Asks a server, and says what for when it fails.
fn run(connection: &Connection, action: &str, sql: &str, stopped: Stopped<'_>) -> Result<Vec<Row>, Error> {
    query(connection, sql, stopped).map_err(|source| failed(action, source))
}

/// Has a server run statements, and says what for when it fails.
fn do_all(connection: &Connection, action: &str, statements: &[String], stopped: Stopped<'_>) -> Result<(), Error> {
    postgres::execute(connection, statements, stopped).map_err(|source| failed(action, source))
}

fn failed(action: &str, source: postgres::Error) -> Error {
    Error::Database { action: action.to_owned(), source }
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
