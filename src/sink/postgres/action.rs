//! Has a server run statements and queries for an action, which the error names when they fail.

use crate::cancel::Cancel;
use crate::postgres::{self, Asked, Connection, Kept, Row, query};
use crate::sink::Error;

/// As [`do_all`], in a session that is kept.
pub(super) fn execute(kept: &Kept, action: &str, statements: &[String], cancel: &Cancel) -> Result<(), Error> {
    kept.execute(statements, cancel).map_err(|source| failed(action, source))
}

/// Asks a server, and says what for when it fails.
pub(super) fn run(asked: &impl Asked, action: &str, sql: &str, cancel: &Cancel) -> Result<Vec<Row>, Error> {
    query(asked, sql, cancel).map_err(|source| failed(action, source))
}

/// Has a server run statements, and says what for when it fails.
pub(super) fn do_all(
    connection: &Connection,
    action: &str,
    statements: &[String],
    cancel: &Cancel,
) -> Result<(), Error> {
    postgres::execute(connection, statements, cancel).map_err(|source| failed(action, source))
}

pub(super) fn failed(action: &str, source: postgres::Error) -> Error {
    Error::Database { action: action.to_owned(), source }
}
