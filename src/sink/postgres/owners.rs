//! What others have while code of owners runs, and afterwards.

use std::io::Read;

use super::guard::Guard;
use super::load::Loader;
use super::maintenance::lacking_of_schema;
use super::reading::next_part;
use crate::model::split_table;
use crate::postgres::access::LoadAs;
use crate::postgres::part::Part;
use crate::postgres::sql::ident;
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
        if let LoadAs::Owner(owner) = &load_as {
            self.lend_schema(owner, &split_table(table).0)?;
        }
        for statement in self.privileges.gets_rows(table, load_as != LoadAs::Restorer) {
            self.run(&statement)?;
        }
        Ok(load_as)
    }

    /// Lets an owner use the schema of a table of his until everybody has the privileges that he will have.
    fn lend_schema(&mut self, owner: &str, schema: &str) -> Result<(), Error> {
        if !self.lent.insert((owner.to_owned(), schema.to_owned())) {
            return Ok(());
        }
        self.wait()?;
        let stopped = || self.progress.cancelled();
        let lacking = lacking_of_schema(&self.sessions.database, (owner, schema), &["USAGE"], &stopped)?;
        if lacking.is_empty() {
            return Ok(());
        }
        let (schema, owner) = (ident(schema), ident(owner));
        self.taken_back.push(format!("REVOKE USAGE ON SCHEMA {schema} FROM {owner};\n"));
        self.say(format!("GRANT USAGE ON SCHEMA {schema} TO {owner};\n"))
    }

    /// Gives everybody the privileges that he will have.
    pub(super) fn give_privileges(&mut self) -> Result<(), Error> {
        let taken_back = std::mem::take(&mut self.taken_back).concat();
        self.say(taken_back)?;
        self.privileges.are_given = true;
        self.say(self.guard.as_ref().map(Guard::open_functions).unwrap_or_default())?;
        for text in self.privileges.at_end() {
            self.run_grants(&text)?;
        }
        Ok(())
    }
}
