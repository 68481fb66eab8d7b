//! What a server can be asked through, and the rows of what it answers.
//!
//! Who asks may stop to wait for the answer at any time.

use super::Error;

/// Whether nobody waits for an answer any more.
pub type Stopped<'a> = &'a (dyn Fn() -> bool + Sync);

/// A row of an answer. `None` is null.
pub type Row = Vec<Option<String>>;

/// What a server can be asked through: a connection, each time by a session of its own, or a session that is kept.
pub trait Asked {
    /// Asks one thing, and returns all rows.
    ///
    /// # Errors
    /// [`Error::Process`] with what the server said, also when it was stopped; [`Error::Silent`].
    fn ask(&self, query: &str, stopped: Stopped<'_>) -> Result<Vec<Row>, Error>;
}

/// Asks a server one thing, and returns all rows.
///
/// # Errors
/// Those of [`Asked::ask`].
pub fn query(asked: &impl Asked, query: &str, stopped: Stopped<'_>) -> Result<Vec<Row>, Error> {
    asked.ask(query, stopped)
}
