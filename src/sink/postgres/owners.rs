//! What others have while code of owners runs, and afterwards.

use std::io::Read;

use super::guard::{Allowed, Guard};
use super::loader::Loader;
use super::maintenance::lacking_of_schema;
use super::reading::next_part;
use crate::model::split_table;
use crate::postgres::access::{Access, LoadAs};
use crate::postgres::granted::units;
use crate::postgres::key_code::KeyCode;
use crate::postgres::part::Part;
use crate::postgres::sql::ident;
use crate::postgres::wrapped::wrapped_where_there;
use crate::postgres::{self, object_of};
use crate::sink::Error;

impl Loader<'_> {
    /// Looks whose code the tables run, when they are all there. Where owners load rows, they get their privileges before.
    pub(super) fn look_at_code(&mut self) -> Result<(), Error> {
        if self.access.is_some() || self.options.trusts_code {
            return Ok(());
        }
        self.check_all_calls()?;
        self.wait()?;
        let cancel = self.monitor.cancel();
        let access = Access::read(&self.sessions.database, cancel).map_err(|source| self.failed(source))?;
        access.check()?;
        let keys = KeyCode::read(&self.sessions.database, cancel).map_err(|source| self.failed(source))?;
        self.keys = Some(keys);
        let owner = access.needed_owner().map(str::to_owned);
        let is_superuser = access.is_superuser();
        self.access = Some(access);
        let Some(owner) = owner else { return Ok(()) };
        if !is_superuser {
            let why = "only a superuser can keep others from changing the tables meanwhile".to_owned();
            return Err(Error::NoLoader { owner, source: postgres::Error::Settings(why) });
        }
        self.prepare_owners()?;
        for privileges in self.privileges.for_reading() {
            self.run(&privileges)?;
        }
        self.allow(Allowed::Nothing)?;
        self.wait()
    }

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
        let cancel = self.monitor.cancel();
        let lacking = lacking_of_schema(&self.sessions.database, (owner, schema), &["USAGE"], cancel)?;
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

    /// Runs statements about privileges. What one of them takes away is not given back where another one is refused.
    pub(super) fn run_grants(&mut self, text: &[u8]) -> Result<(), Error> {
        if !self.options.goes_on {
            return self.run(text);
        }
        let object = object_of(text);
        units(text).iter().try_for_each(|unit| self.sessions.run_part(&object, unit))
    }
}
