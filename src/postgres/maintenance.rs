//! The database of a server that what all of them share is read and written through.
//!
//! The server keeps names of roles as bytes, and each database takes them for text of its own encoding. The same bytes are the
//! same name only where they are read and written through databases of one encoding.

use super::sql::literal;
use super::{Connection, Error, query};
use crate::cancel::Cancel;

/// Databases that are there to be connected to, not used.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];

/// A connection to the same server that does not use the database itself, and whether there is that database.
///
/// # Errors
/// Those of [`query`], of the last that was tried.
pub(crate) fn maintenance(connection: &Connection, cancel: &Cancel) -> Result<(Connection, bool), Error> {
    let mut last = Error::Settings("no maintenance database".to_owned());
    for name in MAINTENANCE.into_iter().filter(|name| *name != connection.database) {
        let candidate = connection.with_database(name);
        match query(&candidate, &find_sql(&connection.database), cancel) {
            Ok(found) => return Ok((candidate, !found.is_empty())),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A query that has a row when there is a database of this name.
pub(crate) fn find_sql(name: &str) -> String {
    format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {}", literal(name))
}
