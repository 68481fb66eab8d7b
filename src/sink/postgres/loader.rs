//! A loader of a database: its sessions, what it knows of the scripts so far, and what it has put off.
//!
//! The methods here are the steps that all of loading is made of. Methods in other files call these, never the other way round.

use std::collections::{BTreeSet, HashSet};
use std::io::Read;

use super::guard::{Allowed, Guard};
use super::load_options::LoadOptions;
use super::privileges::Privileges;
use super::refusals::Refusal;
use super::sessions::{Sessions, failed};
use super::shape::Shape;
use crate::monitor::Monitor;
use crate::postgres::access::{Access, LoadAs};
use crate::postgres::key_code::KeyCode;
use crate::postgres::of_superuser::OfSuperuser;
use crate::postgres::overloads::Overloads;
use crate::postgres::part::Statements;
use crate::postgres::script::ScriptReader;
use crate::postgres::script_settings::ScriptSettings;
use crate::postgres::{self, Accepts, Connection, reads_alike};
use crate::sink::Error;

/// When an entry of a script is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
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
    pub(super) settings: ScriptSettings,
    /// What keeps the shape of the database, while code of others may run.
    pub(super) guard: Option<Guard>,
    pub(super) privileges: Privileges,
    /// Owners that were looked at whether they may use a schema, and the statements that take back what was lent to them.
    pub(super) lent: BTreeSet<(String, String)>,
    pub(super) taken_back: Vec<String>,
    /// Computed indexes that are made later.
    pub(super) late_indexes: HashSet<Vec<String>>,
    /// All scripts once more, until it is known what they say of privileges.
    pub(super) ahead: Option<Box<dyn Read + 'a>>,
    /// Whether indexes are being made side by side.
    pub(super) side_by_side: bool,
    /// Whether there are event triggers by the time indexes are made: those of extensions; `None` as long as nobody has looked.
    pub(super) event_triggers: Option<bool>,
    pub(super) after_indexes: Vec<Vec<u8>>,
    pub(super) late: Vec<(LoadAs, Statements)>,
    pub(super) refreshes: Vec<Vec<u8>>,
    pub(super) last: Vec<Vec<u8>>,
    /// What was not given to its owner.
    pub(super) kept: Vec<OfSuperuser>,
    /// What the server has refused so far, but for what is noted in the database.
    pub(super) refused: Vec<Refusal>,
    /// When the last entry is run that was read.
    pub(super) was: When,
    /// Whether it is run only if that can be.
    pub(super) was_tried: bool,
    /// Foreign keys that were made only where that could be.
    pub(super) tried: u64,
    /// The session that gets the next rows.
    pub(super) next: usize,
    pub(super) monitor: &'a Monitor<'a>,
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
        monitor: &'a Monitor<'a>,
    ) -> Result<Self, Error> {
        Ok(Self {
            sessions: Sessions::open(database, maintenance, options, monitor)?,
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
            monitor,
        })
    }

    /// Gives up what has been loaded so far: all sessions are ended at once. Where a step of loading has failed, this is what comes next.
    pub fn discard(self) {
        self.sessions.discard();
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

    /// Waits until indexes are made that are made side by side.
    pub(super) fn settle_indexes(&mut self) -> Result<(), Error> {
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
