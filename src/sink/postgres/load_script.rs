//! Loading a database from its parts: the shape, the rows, then everything that is made of rows, as much at once as can be.
//!
//! Who restores may do everything, and those who wrote the database may not: what runs their code is done with their rights.

use std::io::Read;

use super::drops::may_drop;
use super::guard::Guard;
use super::loader::{Loader, When};
use super::reading::{is_blank, next_part, unreadable};
use super::refusals::Refusal;
use crate::model::rows::END;
use crate::model::split_names;
use crate::postgres::access::{Access, LoadAs};
use crate::postgres::definition::Definition;
use crate::postgres::neutral::of_queries;
use crate::postgres::part::{Part, Statements};
use crate::postgres::{WholeRows, object_of, query};
use crate::sink::Error;

const EVENT_TRIGGERS_SQL: &str = "SELECT 1 FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D' LIMIT 1";
/// A dump asks for errors where policies hide rows. What a materialized view is made of, they hide from its owner anyway.
const POLICIES: &[u8] = b"SET LOCAL row_security = on;\n";

/// What is worth knowing of a database that was loaded.
#[derive(Debug)]
pub struct Loaded {
    /// Foreign keys that were made only where that could be.
    pub tried: u64,
    /// What is not as it was saved, each in words.
    pub notes: Vec<String>,
    /// What the server has refused.
    pub refused: Vec<Refusal>,
}

impl Loader<'_> {
    /// Runs a script with the rows that it may have, and waits until everything so far is done.
    ///
    /// # Errors
    /// [`Error::Database`] with what the server said; [`Error::Io`] when the script cannot be read; [`Error::NoLoader`],
    /// [`Error::AsOwner`], [`Error::Code`].
    pub fn script(&mut self, script: &mut dyn Read) -> Result<(), Error> {
        if self.options.goes_on && self.sessions.refusals.is_none() {
            self.begin_refusals()?;
        }
        if self.guard.is_none() && !self.options.trusts_code {
            let guard = Guard::new().map_err(|source| self.failed(source))?;
            let begin = self.guard.insert(guard).begin();
            self.say(begin)?;
        }
        let mut reader = self.reader(script)?.after(std::mem::take(&mut self.settings));
        let mut rows_as = LoadAs::Restorer;
        let mut whole = WholeRows::default();
        while let Some(part) = next_part(&mut reader)? {
            self.sessions.set_strings(reader.settings().strings());
            match part {
                Part::Statements(statements) if is_blank(&statements.text) => {}
                Part::Statements(statements) => self.statements(statements)?,
                Part::Copy { table, columns } if self.options.goes_on => {
                    self.script_rows((&table, &columns), &mut reader)?;
                }
                Part::Copy { table, columns } => {
                    rows_as = self.begin_rows(&table, &columns)?;
                    whole = WholeRows::default();
                    self.sessions.copy(&rows_as, 0, (&table, &columns))?;
                }
                Part::Begin => self.say("BEGIN;\n".to_owned())?,
                Part::Commit => self.say("COMMIT;\n".to_owned())?,
                Part::Rows(rows) => {
                    whole.check(&rows).map_err(unreadable)?;
                    self.sessions.say(&rows_as, 0, rows)?;
                }
                Part::RowsEnd => {
                    whole.end().map_err(unreadable)?;
                    self.sessions.say(&rows_as, 0, END.to_vec())?;
                }
            }
        }
        self.settings = reader.settings().clone();
        self.wait()
    }

    /// Waits until everything is done, runs what comes last, and ends the sessions, also where it fails.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub fn end(mut self) -> Result<Loaded, Error> {
        match self.run_last() {
            Ok(notes) => {
                let Self { sessions, tried, refused, .. } = self;
                sessions.end().map(|()| Loaded { tried, notes, refused })
            }
            Err(error) => {
                self.discard();
                Err(error)
            }
        }
    }

    /// Runs what comes last, and waits until it is done. Returns what is not as it was saved, each in words.
    fn run_last(&mut self) -> Result<Vec<String>, Error> {
        self.wait()?;
        self.give_privileges()?;
        // Policies call functions of others as the owner of the view. That may be who restores: a superuser passes them by.
        let may_hide = self.options.trusts_code || self.access.as_ref().is_some_and(Access::is_superuser);
        self.check_all_calls()?;
        // Queries are planned for them, which would run expressions of indexes.
        for text in std::mem::take(&mut self.refreshes) {
            let set = of_queries(self.options.settings);
            self.run(&[set.as_bytes(), if may_hide { POLICIES } else { b"" }, &text].concat())?;
        }
        self.run_late()?;
        self.check_all_calls()?;
        if let Some(guard) = self.guard.take() {
            self.say(guard.end())?;
        }
        self.end_refusals()?;
        // What is made or dropped after them would run them.
        for text in std::mem::take(&mut self.last) {
            self.sessions.wait()?;
            let outcome = self.run_of_superuser(&text).and_then(|()| self.sessions.wait());
            self.or_refused(&object_of(&text), outcome)?;
        }
        self.sessions.wait()?;
        self.notes_on_kept()
    }

    /// Runs statements, or says that nobody may.
    fn statements(&mut self, statements: Statements) -> Result<(), Error> {
        if !self.options.goes_on {
            return self.entry(statements);
        }
        let looks = statements.inserts_into.is_some()
            || matches!(
                Definition::of(&statements.text),
                Definition::Index { .. } | Definition::Statistics | Definition::Constraint(_) | Definition::Trigger
            );
        if looks {
            // What nobody may load at all is more than one entry.
            self.look_at_code()?;
        }
        let object = object_of(&statements.text);
        // A later piece of an entry gives away what an earlier one has made: it is not left with who restores.
        self.sessions.may_be_refused = statements.is_first && statements.is_last;
        let outcome = self.entry(statements);
        self.sessions.may_be_refused = true;
        self.or_skipped(&object, outcome)
    }

    /// Runs statements: indexes at the same time, everything else in its order, or later. Where not all rows are there, a
    /// foreign key that cannot be made is no error.
    fn entry(&mut self, statements: Statements) -> Result<(), Error> {
        if let Some(table) = &statements.inserts_into {
            let load_as = self.begin_rows(table, &[])?;
            self.settle_indexes()?;
            return self.run_by(&load_as, &statements.text);
        }
        if may_drop(&statements) {
            self.settle_indexes()?;
            return self.run_with_drops(&statements.whole());
        }
        let is_whole = statements.is_first && statements.is_last;
        let definition = if is_whole { Definition::of(&statements.text) } else { Definition::Other };
        if definition == Definition::Privileges {
            self.privileges.defer(statements.text);
            return Ok(());
        }
        self.privileges.are_taken &= !matches!(definition, Definition::Callable | Definition::Aggregate { .. });
        self.forget_overloads(&definition);
        self.check_calls(&definition, &statements.text)?;
        let (mut when, mut maker) = self.when(&definition)?;
        if maker == LoadAs::Restorer {
            maker = self.maker(&definition, &statements.text)?;
        }
        if maker == LoadAs::Restorer {
            maker = self.maker_by_keys(&definition, &statements.text)?;
            if maker != LoadAs::Restorer && matches!(definition, Definition::Constraint(_)) {
                when = When::Late;
            }
        }
        self.was = when;
        match when {
            When::Late => self.late.push((maker, statements)),
            When::Refresh => self.refreshes.push(statements.text),
            When::Last => self.last.push(statements.text),
            When::AfterIndexes => self.after_indexes.push(statements.text),
            When::Now
                if maker == LoadAs::Restorer
                    && matches!(definition, Definition::Index { .. })
                    && !self.has_event_triggers()? =>
            {
                if !std::mem::replace(&mut self.side_by_side, true) {
                    // What comes before may be rows: loaded after it, they would run the code of an index as who restores.
                    self.sessions.wait()?;
                }
                self.sessions.run_in_idle(&statements.whole())?;
            }
            When::Now => {
                self.settle_indexes()?;
                match maker {
                    LoadAs::Owner(owner) => self.make_as_owner(owner, &definition, statements)?,
                    LoadAs::Restorer => self.run_as(&LoadAs::Restorer, &definition, &statements.whole())?,
                }
            }
        }
        Ok(())
    }

    /// When something is made, and who makes it where that is not now.
    fn when(&mut self, definition: &Definition) -> Result<(When, LoadAs), Error> {
        let now = (When::Now, LoadAs::Restorer);
        let late = (When::Late, LoadAs::Restorer);
        Ok(match definition {
            Definition::EventTrigger | Definition::OnEventTrigger => (When::Last, LoadAs::Restorer),
            Definition::Refresh => (When::Refresh, LoadAs::Restorer),
            // What is said of something that is made later is said then.
            Definition::Comment if matches!(self.was, When::Late | When::Last) => (self.was, LoadAs::Restorer),
            Definition::Comment if self.side_by_side => (When::AfterIndexes, LoadAs::Restorer),
            Definition::IndexPartition { whole, part } => {
                let is_late = |name: &str| split_names(name).is_none_or(|names| self.late_indexes.contains(&names));
                if is_late(whole) || is_late(part) { late } else { now }
            }
            Definition::Trigger => {
                self.look_at_code()?;
                now
            }
            Definition::Index { .. } | Definition::Statistics | Definition::Constraint(_) => {
                self.look_at_code()?;
                let Some(access) = &self.access else { return Ok(now) };
                match definition {
                    // From then on, planning a query on the table would run it.
                    Definition::Index { names, is_computed: true } if access.has_functions() => {
                        self.late_indexes.insert(names.clone());
                        late
                    }
                    Definition::Statistics if access.has_functions() => late,
                    Definition::Constraint(constraint) => match access.maker(constraint)? {
                        Some(owner) => (When::Late, LoadAs::Owner(owner)),
                        None => now,
                    },
                    _ => now,
                }
            }
            _ => now,
        })
    }

    /// Whether something is run whenever an index is made: of two at the same time, each could wait for the other one.
    fn has_event_triggers(&mut self) -> Result<bool, Error> {
        if let Some(has) = self.event_triggers {
            return Ok(has);
        }
        self.wait()?;
        let rows = query(&self.sessions.database, EVENT_TRIGGERS_SQL, self.monitor.cancel());
        let has = !rows.map_err(|source| self.failed(source))?.is_empty();
        self.event_triggers = Some(has);
        Ok(has)
    }
}
