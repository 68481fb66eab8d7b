//! Loading a database from its parts: the shape, the rows, then everything that is made of rows, as much at once as can be.
//!
//! Who restores may do everything, and those who wrote the database may not: what runs their code is done with their rights.

use std::collections::{BTreeSet, HashSet};
use std::io::Read;

use super::drops::may_drop;
use super::guard::{Allowed, Guard};
use super::load_options::LoadOptions;
use super::privileges::Privileges;
use super::reading::{is_blank, next_part, unreadable};
use super::refusals::Refusal;
use super::sessions::{Sessions, failed};
use super::shape::Shape;
use crate::model::rows::END;
use crate::model::split_names;
use crate::postgres::access::{Access, LoadAs};
use crate::postgres::definition::Definition;
use crate::postgres::key_code::KeyCode;
use crate::postgres::neutral::of_queries;
use crate::postgres::of_superuser::OfSuperuser;
use crate::postgres::overloads::Overloads;
use crate::postgres::part::{Part, Statements};
use crate::postgres::script::ScriptReader;
use crate::postgres::script_settings::ScriptSettings;
use crate::postgres::{self, Accepts, Connection, WholeRows, object_of, query, reads_alike};
use crate::progress::Progress;
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

/// When an entry of a script is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// In its order.
    Now,
    /// When the indexes are made that are being made side by side.
    AfterIndexes,
    /// When everything else is there that who restores makes: it runs code of others, or lets it be run by what follows.
    Late,
    /// When all of that is there, and everybody has his privileges.
    Refresh,
    /// At the very end: everything after it would run it.
    Last,
}

/// Loads a database by several sessions.
pub struct Loader<'a> {
    pub(super) sessions: Sessions<'a>,
    pub(super) options: LoadOptions<'a>,
    pub(super) shape: Shape,
    /// Whose code the tables run; `None` as long as they are not all there, or it does not matter.
    pub(super) access: Option<Access>,
    /// Whose code is in keys of partitioned tables; `None` as long.
    pub(super) keys: Option<KeyCode>,
    /// What can be called by a name that several have given; `None` when something was made since then.
    pub(super) overloads: Option<Overloads>,
    /// What the scripts so far have set.
    settings: ScriptSettings,
    /// What keeps the shape of the database, while code of others may run.
    pub(super) guard: Option<Guard>,
    pub(super) privileges: Privileges,
    /// Owners that were looked at whether they may use a schema, and the statements that take back what was lent to them.
    pub(super) lent: BTreeSet<(String, String)>,
    pub(super) taken_back: Vec<String>,
    /// Computed indexes that are made later.
    late_indexes: HashSet<Vec<String>>,
    /// All scripts once more, until it is known what they say of privileges.
    pub(super) ahead: Option<Box<dyn Read + 'a>>,
    /// Whether indexes are being made side by side.
    side_by_side: bool,
    /// Whether there are event triggers by the time indexes are made: those of extensions; `None` as long as nobody has looked.
    event_triggers: Option<bool>,
    after_indexes: Vec<Vec<u8>>,
    pub(super) late: Vec<(LoadAs, Statements)>,
    refreshes: Vec<Vec<u8>>,
    last: Vec<Vec<u8>>,
    /// What was not given to its owner.
    pub(super) kept: Vec<OfSuperuser>,
    /// What the server has refused so far, but for what is noted in the database.
    pub(super) refused: Vec<Refusal>,
    /// When the last entry is run that was read.
    was: When,
    /// Whether it is run only if that can be.
    pub(super) was_tried: bool,
    /// Foreign keys that were made only where that could be.
    pub(super) tried: u64,
    /// The session that gets the next rows.
    pub(super) next: usize,
    pub(super) progress: &'a dyn Progress,
}

impl<'a> Loader<'a> {
    /// Opens sessions that load into a database. `maintenance` is a connection to another one of the same server. `ahead` has all
    /// scripts once more: what they say of privileges comes at their end, and owners need some of it before.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn open(
        (database, maintenance): (Connection, Connection),
        options: LoadOptions<'a>,
        ahead: Box<dyn Read + 'a>,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        Ok(Self {
            sessions: Sessions::open(database, maintenance, options, progress)?,
            options,
            shape: Shape::default(),
            access: None,
            keys: None,
            overloads: None,
            settings: ScriptSettings::default(),
            guard: None,
            privileges: Privileges::default(),
            lent: BTreeSet::new(),
            taken_back: Vec::new(),
            late_indexes: HashSet::new(),
            ahead: Some(ahead),
            side_by_side: false,
            event_triggers: None,
            after_indexes: Vec::new(),
            late: Vec::new(),
            refreshes: Vec::new(),
            last: Vec::new(),
            kept: Vec::new(),
            refused: Vec::new(),
            was: When::Now,
            was_tried: false,
            tried: 0,
            next: 0,
            progress,
        })
    }

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

    /// Waits until everything is done, runs what comes last, and ends the sessions.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub fn end(mut self) -> Result<Loaded, Error> {
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
        let notes = self.notes_on_kept()?;
        self.sessions.end()?;
        Ok(Loaded { tried: self.tried, notes, refused: self.refused })
    }

    pub(super) fn reader<'r>(&self, script: &'r mut dyn Read) -> Result<ScriptReader<&'r mut dyn Read>, Error> {
        let accepts = match self.options {
            LoadOptions { trusts_code: true, .. } => Accepts::All,
            LoadOptions { is_foreign: true, .. } => Accepts::DumpsWithoutCode,
            _ => Accepts::Dumps,
        };
        if accepts != Accepts::All && !reads_alike(self.options.encoding.as_bytes()) {
            let why = format!("it is in the encoding {}, whose text cannot be looked at", self.options.encoding);
            return Err(Error::io("read", "the dump", std::io::Error::other(why)));
        }
        Ok(ScriptReader::new(script).accepting(accepts).in_encoding(self.options.encoding))
    }

    /// Looks whose code the tables run, when they are all there. Where owners load rows, they get their privileges before.
    pub(super) fn look_at_code(&mut self) -> Result<(), Error> {
        if self.access.is_some() || self.options.trusts_code {
            return Ok(());
        }
        self.check_all_calls()?;
        self.wait()?;
        let stopped = || self.progress.cancelled();
        let access = Access::read(&self.sessions.database, &stopped).map_err(|source| self.failed(source))?;
        access.check()?;
        let keys = KeyCode::read(&self.sessions.database, &stopped).map_err(|source| self.failed(source))?;
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

    /// From now on others make, alter and drop no more than this.
    pub(super) fn allow(&mut self, allowed: Allowed) -> Result<(), Error> {
        match self.guard.as_mut().map(|guard| guard.allow(allowed)) {
            Some(statements) => self.say(statements),
            None => Ok(()),
        }
    }

    pub(super) fn load_as(&self, table: &str, columns: &[String]) -> Result<LoadAs, Error> {
        Ok(self.access.as_ref().map_or(Ok(LoadAs::Restorer), |access| access.of(table, columns))?)
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
        let rows = query(&self.sessions.database, EVENT_TRIGGERS_SQL, &|| self.progress.cancelled());
        let has = !rows.map_err(|source| self.failed(source))?.is_empty();
        self.event_triggers = Some(has);
        Ok(has)
    }

    /// Waits until indexes are made that are made side by side.
    fn settle_indexes(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.side_by_side) {
            self.sessions.wait()?;
            for comment in std::mem::take(&mut self.after_indexes) {
                self.run(&comment)?;
            }
        }
        Ok(())
    }

    pub(super) fn wait(&mut self) -> Result<(), Error> {
        self.settle_indexes()?;
        self.sessions.wait()
    }

    /// Has who restores run statements of others.
    pub(super) fn run(&mut self, statements: &[u8]) -> Result<(), Error> {
        self.sessions.run(&LoadAs::Restorer, statements)
    }

    /// Has who restores run statements of ours.
    pub(super) fn say(&mut self, statements: String) -> Result<(), Error> {
        self.sessions.say(&LoadAs::Restorer, 0, statements.into_bytes())
    }

    pub(super) fn failed(&self, source: postgres::Error) -> Error {
        failed(self.sessions.database.connection(), source)
    }
}

impl std::fmt::Debug for Loader<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Loader({:?})", self.sessions)
    }
}
