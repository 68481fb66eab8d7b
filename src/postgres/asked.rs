//! What a query can be run through, its rows, and the callback that cancels it.

use super::Error;

/// A callback that is polled while a result is awaited: whether that is cancelled.
pub type Stopped<'a> = &'a (dyn Fn() -> bool + Sync);

/// A row of a result. `None` is null.
pub type Row = Vec<Option<String>>;

/// What a query can be run through: a connection, each time in a session of its own, or a session that is kept.
pub trait Asked {
    /// Runs one query, and returns all rows.
    ///
    /// # Errors
    /// [`Error::Process`] with what the server said, also when it was stopped; [`Error::Silent`].
    fn ask(&self, query: &str, stopped: Stopped<'_>) -> Result<Vec<Row>, Error>;
}

/// Runs one query, and returns all rows.
///
/// # Errors
/// Those of [`Asked::ask`].
pub fn query(asked: &impl Asked, query: &str, stopped: Stopped<'_>) -> Result<Vec<Row>, Error> {
    asked.ask(query, stopped)
}
