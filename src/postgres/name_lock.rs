//! Keeps schemas under their names while a database is read or written by name.
//!
//! The lock of a table does not keep its schema from being renamed: another one gets its name then, and what was looked at as a table of
//! one role is read, or written to, as that of another, with code of that one. What renames a schema writes its row in the catalogue with the
//! lock of a row whose key changes, which waits for whoever has the weakest lock of that row; privileges can be given meanwhile.

use super::neutral::{Purpose, neutral};
use super::{Connection, Error, Row, Session};
use crate::cancel::Cancel;

const BEGIN_SQL: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE; SET LOCAL role = none;\n";
/// Only a superuser may lock rows of the catalogue, and no server that follows another one has such locks.
const MAY_SQL: &str =
    "SELECT rolsuper AND NOT pg_catalog.pg_is_in_recovery() FROM pg_catalog.pg_roles WHERE rolname = current_user";
/// How long somebody is waited for who is renaming a schema.
const WAIT_SECS: u64 = 30;
/// What a server says after that time.
const TIMED_OUT: &str = "due to lock timeout";
const LOCK_SQL: &str =
    "SELECT oid, nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_' FOR KEY SHARE";
/// The same without a lock.
const NAMES_SQL: &str = "SELECT oid, nspname FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'";

/// A session that has the locks.
#[derive(Debug)]
pub(crate) struct NameLock {
    session: Session,
    /// The schemas with their names.
    schemas: Vec<Row>,
}

impl NameLock {
    /// Locks the names of all schemas there are, in a session of this name. None where the server does not let who asks.
    ///
    /// # Errors
    /// [`Error::Renaming`] when somebody else is renaming a schema and does not end; [`Error::Process`] with what else the server said.
    pub(crate) fn take(connection: &Connection, name: &str, cancel: &Cancel) -> Result<Option<Self>, Error> {
        let mut session = Session::open(connection, name, cancel)?;
        session.run(&format!("{BEGIN_SQL}{}", neutral(Purpose::Reading, true)), cancel)?;
        let may = session.rows(MAY_SQL, cancel)?;
        if may.first().and_then(|row| row.first()?.as_deref()) != Some("t") {
            return session.end().map(|()| None);
        }
        session.run(&format!("SET LOCAL lock_timeout = '{WAIT_SECS}s';"), cancel)?;
        let mut lock = Self { session, schemas: Vec::new() };
        lock.take_new(cancel)?;
        Ok(Some(lock))
    }

    /// Locks the names of schemas that have come meanwhile, too, and makes sure that another session sees schemas of these names alone.
    ///
    /// # Errors
    /// Those of [`NameLock::take`]; [`Error::Answer`] when that session sees another schema under a name.
    pub(crate) fn check(&mut self, seen_by: &mut Session, cancel: &Cancel) -> Result<(), Error> {
        self.take_new(cancel)?;
        let seen = seen_by.rows(NAMES_SQL, cancel)?;
        if seen.iter().all(|schema| self.schemas.contains(schema)) {
            return Ok(());
        }
        Err(Error::Answer { why: "a schema was renamed or dropped while it was to be read".to_owned() })
    }

    /// Makes sure that the session is there: without it there is no lock.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub(crate) fn check_held(&mut self, cancel: &Cancel) -> Result<(), Error> {
        self.session.run("SELECT;", cancel)
    }

    /// Gives the names back.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub(crate) fn end(mut self, cancel: &Cancel) -> Result<(), Error> {
        self.session.run("COMMIT;", cancel)?;
        self.session.end()
    }

    fn take_new(&mut self, cancel: &Cancel) -> Result<(), Error> {
        self.schemas = self.session.rows(LOCK_SQL, cancel).map_err(|error| {
            if error.to_string().contains(TIMED_OUT) { Error::Renaming { secs: WAIT_SECS } } else { error }
        })?;
        Ok(())
    }
}
