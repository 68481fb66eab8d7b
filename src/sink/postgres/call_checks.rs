//! The calls of what a loader makes: what it looks at before it makes something, and when everything is there.

use super::loader::Loader;
use super::overloads::{check_all_calls, check_named, owner_of};
use crate::postgres::authors::Authors;
use crate::postgres::definition::Definition;
use crate::postgres::object_of;
use crate::postgres::overloads::Overloads;
use crate::postgres::probe::Probe;
use crate::sink::Error;

impl Loader<'_> {
    /// Makes sure that what is made of rows runs no function of somebody else than its owner by a name that others have one of, too.
    ///
    /// # Errors
    /// [`Error::Code`], [`Error::Database`].
    pub(super) fn check_calls(&mut self, definition: &Definition, text: &[u8]) -> Result<(), Error> {
        let runs = match definition {
            Definition::Index { is_computed, .. } => *is_computed,
            Definition::Constraint(constraint) => !constraint.is_foreign_key(),
            Definition::Statistics => true,
            _ => false,
        };
        if !runs || self.overloads()?.is_empty() {
            return Ok(());
        }
        let overloads = self.overloads.take().unwrap_or_default();
        let outcome = self.check_made(&overloads, text);
        self.overloads = Some(overloads);
        outcome
    }

    /// What may call one is asked about, where that can be.
    fn check_made(&self, overloads: &Overloads, text: &[u8]) -> Result<(), Error> {
        let (database, cancel) = (&self.sessions.database, self.monitor.cancel());
        let owner = owner_of(database, text, cancel)?;
        let Err(may_call) = check_named(overloads, text, owner.as_deref()) else { return Ok(()) };
        let (encoding, refused_sql) = (self.options.encoding, self.refused_sql());
        let authors = Authors::read(database, &refused_sql, cancel).map_err(|source| self.failed(source))?;
        if authors.checks_value_in(&String::from_utf8_lossy(text)) {
            return Err(may_call);
        }
        let probe = Probe { statements: text, encoding, owner: owner.as_deref(), refused: &refused_sql };
        let calls = probe.calls_of_others(database.connection(), cancel).map_err(|source| self.failed(source))?;
        match calls.as_deref() {
            Some([]) => Ok(()),
            Some(calls) => Err(Error::code(&format!("{} (it calls {})", object_of(text), calls.join(", ")))),
            None => Err(may_call),
        }
    }

    /// Makes sure that nothing calls a function of somebody else than its owner by a name that others have one of, too.
    ///
    /// # Errors
    /// [`Error::Code`], [`Error::Database`].
    pub(super) fn check_all_calls(&mut self) -> Result<(), Error> {
        if self.overloads()?.is_empty() {
            return Ok(());
        }
        self.wait()?;
        check_all_calls(&self.sessions.database, &self.refused_sql(), self.monitor.cancel())
    }

    /// What has several authors so far.
    fn overloads(&mut self) -> Result<&Overloads, Error> {
        if self.overloads.is_none() && !self.options.trusts_code {
            self.wait()?;
            let found = Overloads::read(&self.sessions.database, &self.refused_sql(), self.monitor.cancel());
            self.overloads = Some(found.map_err(|source| self.failed(source))?);
        }
        Ok(self.overloads.get_or_insert_default())
    }

    /// Something is made, after which what was found may not be true, unless it brings nothing along that can be called.
    pub(super) fn forget_overloads(&mut self, definition: &Definition) {
        if !matches!(
            definition,
            Definition::Index { .. }
                | Definition::IndexPartition { .. }
                | Definition::Constraint(_)
                | Definition::Statistics
                | Definition::Comment
                | Definition::Privileges
                | Definition::Trigger
        ) {
            self.overloads = None;
        }
    }
}
