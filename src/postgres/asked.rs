//! What a query can be run through, and its rows.

use super::Error;
use crate::cancel::Cancel;

/// A row of a result. `None` is null.
pub type Row = Vec<Option<String>>;

/// What a query can be run through: a connection, each time in a session of its own, or a session that is kept.
pub trait Asked {
    /// Runs one query, and returns all rows.
    ///
    /// # Errors
    /// [`Error::Process`] with what the server said, also when it was cancelled; [`Error::Silent`].
    fn ask(&self, query: &str, cancel: &Cancel) -> Result<Vec<Row>, Error>;
}

/// Runs one query, and returns all rows.
///
/// # Errors
/// Those of [`Asked::ask`].
pub fn query(asked: &impl Asked, query: &str, cancel: &Cancel) -> Result<Vec<Row>, Error> {
    asked.ask(query, cancel)
}
