//! What others have while code of owners runs, and afterwards.

use std::io::Read;

use super::guard::Guard;
use super::load::Loader;
use super::reading::next_part;
use crate::postgres::access::LoadAs;
use crate::postgres::part::Part;
use crate::postgres::wrapped::wrapped_where_there;
use crate::sink::Error;

impl Loader<'_> {
    /// Does what has to be done before code of an owner runs.
    pub(super) fn prepare_owners(&mut self) -> Result<(), Error> {
        if let Some(mut ahead) = self.ahead.take() {
            let ahead: &mut dyn Read = &mut ahead;
            let mut reader = self.reader(ahead)?;
            while let Some(part) = next_part(&mut reader)? {
                // What is given out in pieces is data.
                if let Part::Statements(statements) = part
                    && statements.is_first
                    && statements.is_last
                {
                    self.privileges.learn(statements.text);
                }
            }
        }
        for privileges in self.privileges.for_schemas() {
            self.run_grants(&privileges)?;
        }
        if std::mem::replace(&mut self.privileges.are_taken, true) {
            return Ok(());
        }
        let taken = wrapped_where_there(self.privileges.taken(), self.options.encoding);
        self.say(taken)?;
        let guard = self.guard.as_ref().filter(|_| !self.privileges.are_given);
        self.say(guard.map(Guard::close_functions).unwrap_or_default())
    }

    /// Who loads the rows of a table with these columns, which come next.
    pub(super) fn begin_rows(&mut self, table: &str, columns: &[String]) -> Result<LoadAs, Error> {
        self.look_at_code()?;
        let load_as = self.load_as(table, columns)?;
        for statement in self.privileges.gets_rows(table, load_as != LoadAs::Restorer) {
            self.run(&statement)?;
        }
        Ok(load_as)
    }

    /// Gives everybody the privileges that he will have.
    pub(super) fn give_privileges(&mut self) -> Result<(), Error> {
        self.privileges.are_given = true;
        self.say(self.guard.as_ref().map(Guard::open_functions).unwrap_or_default())?;
        for text in self.privileges.at_end() {
            self.run_grants(&text)?;
        }
        Ok(())
    }
}
