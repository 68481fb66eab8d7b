//! What a dump drops before it makes it again. The database that it is loaded into is new, and has nothing of it.

use super::loader::Loader;
use crate::postgres::definition::is_drop;
use crate::postgres::part::Statements;
use crate::postgres::wrapped::{one_by_one, wrapped_where_there};
use crate::sink::Error;

/// Whether an entry could have such statements: they stand before the first title.
pub(super) fn may_drop(statements: &Statements) -> bool {
    statements.kind.is_empty() && memchr::memmem::find(&statements.text, b"DROP ").is_some()
}

impl Loader<'_> {
    /// Runs statements in their order, and those that drop something only where it is there.
    pub(super) fn run_with_drops(&mut self, text: &[u8]) -> Result<(), Error> {
        for statement in one_by_one(text) {
            if is_drop(statement) {
                let statement = wrapped_where_there(&[statement.to_vec()], self.options.encoding);
                self.say(statement)?;
            } else {
                self.run(statement)?;
            }
        }
        Ok(())
    }
}
