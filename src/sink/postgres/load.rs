//! Loading a database from its parts: the shape, the rows, then everything that is made of rows, as much at once as can be.
//!
//! Who restores may do everything, and those who wrote the database may not: what runs their code is done with their rights.

use std::io::Read;

use super::bounds;
use super::guard::Guard;
use super::lanes::{LaneOptions, Lanes};
use super::loader_role::LoaderRoles;
use crate::model::rows::END;
use crate::postgres::access::{Access, LoadAs};
use crate::postgres::constraint;
use crate::postgres::script::{Part, ScriptReader, Statements};
use crate::postgres::{self, Connection, restrict_is_known};
use crate::progress::Progress;
use crate::sink::Error;

/// Small enough that its memory is used again and again.
const BUFFER_BYTES: usize = 64 << 10;
/// Rows that one session is given before the next gets some, in bytes.
const TURN_BYTES: usize = 4 << 20;
/// Indexes are made of what a table has, whatever becomes of other tables meanwhile.
const SIDE_BY_SIDE: [&str; 2] = ["CONSTRAINT", "INDEX"];
const FOREIGN_KEY: &str = "FK CONSTRAINT";
const COMMENT: &str = "COMMENT";
const PRIVILEGES: [&str; 2] = ["ACL", "DEFAULT ACL"];
/// What would be run by everything after it.
const EVENT_TRIGGER: &str = "EVENT TRIGGER";

/// How a database is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'o> {
    /// Sessions that load at once.
    pub jobs: usize,
    /// The encoding of the scripts and rows.
    pub encoding: &'o str,
    /// Whether all rows are there, so that all foreign keys can be made.
    pub has_all_rows: bool,
    /// Whether code of roles that are no superusers may run with all rights of who restores.
    pub trusts_code: bool,
}

/// Loads a database by several sessions.
#[expect(clippy::struct_excessive_bools, reason = "each says something else of what is under way")]
pub struct Loader<'a> {
    database: Connection,
    lanes: Lanes<'a>,
    options: LoadOptions<'a>,
    /// Whose code the tables run; `None` as long as they are not all there, or it does not matter.
    access: Option<Access>,
    roles: LoaderRoles,
    /// The sessions of an owner that were used last.
    owner: Option<(String, Lanes<'a>)>,
    /// Whether the last to be given something was that owner.
    is_owners_turn: bool,
    /// Whether indexes are being made side by side.
    side_by_side: bool,
    /// Whether a domain was made that checks its values.
    has_domain_checks: bool,
    /// What is run when they are made.
    after_indexes: Vec<Vec<u8>>,
    /// What keeps the shape of the database, while code of others may run.
    guard: Option<Guard>,
    /// What is run at the very end, and by whom.
    late: Vec<(LoadAs, Statements)>,
    /// Whether the last statements are run at the end.
    was_late: bool,
    /// Whether the last statements were run only if that could be.
    was_tried: bool,
    /// Foreign keys that were made only where that could be.
    tried: u64,
    /// The session that gets the next rows.
    next: usize,
    progress: &'a dyn Progress,
}

impl<'a> Loader<'a> {
    /// Opens sessions that load into a database. `maintenance` is a connection to another one of the same server.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn open(
        database: Connection,
        maintenance: Connection,
        options: LoadOptions<'a>,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let lane_options =
            LaneOptions { count: options.jobs, encoding: options.encoding, one_transaction: false, role: None };
        let action = || format!("load the dump into the database {}", database.database);
        let lanes = Lanes::open(&database, lane_options, progress)
            .map_err(|source| Error::Database { action: action(), source })?;
        LoaderRoles::drop_left(&maintenance, &|| progress.cancelled());
        let roles = LoaderRoles::new(maintenance);
        Ok(Self {
            database,
            lanes,
            options,
            access: None,
            roles,
            owner: None,
            is_owners_turn: false,
            side_by_side: false,
            has_domain_checks: false,
            after_indexes: Vec::new(),
            guard: None,
            late: Vec::new(),
            was_late: false,
            was_tried: false,
            tried: 0,
            next: 0,
            progress,
        })
    }

    /// Runs a script with the rows that it may have, and waits until everything so far is done. `ahead` is the same script once
    /// more, where its privileges stand behind its rows: owners need them to load those.
    ///
    /// # Errors
    /// [`Error::Database`] with what the server said; [`Error::Io`] when the script cannot be read; [`Error::NoLoader`],
    /// [`Error::AsOwner`], [`Error::Code`].
    pub fn script(&mut self, script: &mut dyn Read, mut ahead: Option<&mut dyn Read>) -> Result<(), Error> {
        let mut reader = self.reader(script)?;
        let mut rows_as = LoadAs::Restorer;
        while let Some(part) = next_part(&mut reader)? {
            match part {
                Part::Statements(statements) if is_blank(&statements.text) => {}
                Part::Statements(statements) => {
                    if statements.inserts_into.is_some() {
                        self.look_at_code(ahead.take())?;
                    }
                    self.settle_owner()?;
                    self.statements(statements)?;
                }
                Part::Copy { table, columns, statement } => {
                    self.look_at_code(ahead.take())?;
                    rows_as = self.load_as(&table, &columns)?;
                    self.say_rows(&rows_as, 0, statement)?;
                }
                Part::Rows(rows) => self.say_rows(&rows_as, 0, rows)?,
                Part::RowsEnd => self.say_rows(&rows_as, 0, END.to_vec())?,
            }
        }
        self.wait()
    }

    /// Who loads the rows of tables with these columns; before the first are loaded. Tables of one owner are best loaded one
    /// after another.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Code`].
    pub fn sort_by_owner<T>(&mut self, tables: &mut [T], name: impl Fn(&T) -> (&str, &[String])) -> Result<(), Error> {
        self.look_at_code(None)?;
        let load_as = |table: &T| self.load_as(name(table).0, name(table).1);
        tables.iter().try_for_each(|table| load_as(table).map(drop))?;
        tables.sort_by_cached_key(|table| load_as(table).ok());
        Ok(())
    }

    /// Loads rows of a table that follow this COPY statement: in turns, so that all sessions are busy with one large table.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub fn rows(
        &mut self,
        (table, columns): (&str, &[String]),
        statement: &str,
        rows: &mut dyn Read,
    ) -> Result<(), Error> {
        self.look_at_code(None)?;
        let load_as = self.load_as(table, columns)?;
        let mut turn = 0;
        while let Some(mut piece) = read_piece(rows)? {
            if turn == 0 {
                self.say_rows(&load_as, self.next, statement.as_bytes().to_vec())?;
            }
            turn += piece.len();
            let cut = memchr::memrchr(b'\n', &piece).filter(|_| turn >= TURN_BYTES);
            let Some(cut) = cut else {
                self.say_rows(&load_as, self.next, piece)?;
                continue;
            };
            let rest = piece.split_off(cut + 1);
            piece.extend_from_slice(END);
            self.say_rows(&load_as, self.next, piece)?;
            self.next += 1;
            turn = rest.len();
            if turn > 0 {
                self.say_rows(&load_as, self.next, [statement.as_bytes(), &rest].concat())?;
            }
        }
        if turn > 0 {
            self.say_rows(&load_as, self.next, END.to_vec())?;
            self.next += 1;
        }
        Ok(())
    }

    /// Waits until everything is done, runs what comes last, and ends the sessions. Returns how many foreign keys were made
    /// only where that could be.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub fn end(mut self) -> Result<u64, Error> {
        self.wait()?;
        if let Some(guard) = self.guard.take() {
            self.say(0, guard.end().into_bytes())?;
        }
        for (load_as, statements) in std::mem::take(&mut self.late) {
            if matches!(load_as, LoadAs::Restorer) {
                self.settle_owner()?;
            }
            self.run_as(&load_as, &statements.kind, statements.text)?;
        }
        self.wait()?;
        self.end_owner()?;
        let action = self.action();
        self.lanes.end().map_err(|source| Error::Database { action, source })?;
        self.roles.drop_all(&self.database.database)?;
        Ok(self.tried)
    }

    fn reader<'r>(&self, script: &'r mut dyn Read) -> Result<ScriptReader<&'r mut dyn Read>, Error> {
        let is_known = restrict_is_known(&self.database.place).map_err(|source| self.failed(source.into()))?;
        Ok(ScriptReader::new(script, !is_known))
    }

    /// Looks whose code the tables run, when they are all there. Where owners load rows, they get their privileges before.
    fn look_at_code(&mut self, ahead: Option<&mut dyn Read>) -> Result<(), Error> {
        if self.access.is_some() {
            return Ok(());
        }
        if self.options.trusts_code {
            return Ok(());
        }
        self.wait()?;
        let access =
            Access::read(&self.database, &|| self.progress.cancelled()).map_err(|source| self.failed(source))?;
        access.check()?;
        let owner = access.needed_owner().map(str::to_owned);
        let is_superuser = access.is_superuser();
        self.access = Some(access);
        let Some(owner) = owner else { return Ok(()) };
        if !is_superuser {
            let why = "only a superuser can keep others from changing the tables meanwhile".to_owned();
            return Err(Error::NoLoader { owner, source: postgres::Error::Settings(why) });
        }
        if let Some(ahead) = ahead {
            let mut reader = self.reader(ahead)?;
            while let Some(part) = next_part(&mut reader)? {
                if let Part::Statements(Statements { kind, text, .. }) = part
                    && PRIVILEGES.contains(&kind.as_str())
                {
                    self.say(0, text)?;
                }
            }
            self.wait()?;
        }
        let guard = Guard::new().map_err(|source| self.failed(source))?;
        self.say(0, guard.begin().into_bytes())?;
        self.guard = Some(guard);
        self.wait()
    }

    fn load_as(&self, table: &str, columns: &[String]) -> Result<LoadAs, Error> {
        Ok(self.access.as_ref().map_or(Ok(LoadAs::Restorer), |access| access.of(table, columns))?)
    }

    /// Runs statements: indexes at the same time, everything else in its order. Where not all rows are there, a foreign key
    /// that cannot be made is no error.
    fn statements(&mut self, statements: Statements) -> Result<(), Error> {
        let is_whole = statements.is_first && statements.is_last;
        let kind = statements.kind.clone();
        let kind = kind.as_str();
        if is_whole && SIDE_BY_SIDE.contains(&kind) {
            if !std::mem::replace(&mut self.side_by_side, true) {
                // What comes before may be rows: loaded after it, they would run the code of an index as who restores.
                self.lanes.wait().map_err(|source| self.failed(source))?;
            }
            self.was_late = false;
            let entry = [statements.settings, statements.text].concat();
            return self.lanes.say_to_idle(entry).map_err(|source| self.failed(source));
        }
        if self.side_by_side && kind == COMMENT {
            // It stands behind what it is about, which may not be there yet.
            self.after_indexes.push(statements.text);
            return Ok(());
        }
        self.settle_indexes()?;
        let constraint = if is_whole { constraint::of(kind, &statements.text) } else { None };
        let maker = match (&self.access, constraint) {
            (Some(access), Some(constraint)) => access.maker(&constraint)?,
            _ => None,
        };
        let is_late = kind == EVENT_TRIGGER || is_about_event_trigger(&statements.text) || maker.is_some();
        // What is said of something that is made at the end is said then.
        self.was_late = is_late || (kind == COMMENT && self.was_late);
        if self.was_late {
            self.late.push((maker.map_or(LoadAs::Restorer, LoadAs::Owner), statements));
            return Ok(());
        }
        if let Some(table) = &statements.inserts_into {
            let load_as = self.load_as(table, &[])?;
            return self.say_rows(&load_as, 0, statements.text);
        }
        self.check_bounds(kind, &statements.text)?;
        let kind = if is_whole { kind } else { "" };
        self.run_as(&LoadAs::Restorer, kind, statements.text)
    }

    /// Runs the statements of an entry. Where not all rows are there, a foreign key may fail, and what is said of it with it.
    fn run_as(&mut self, load_as: &LoadAs, kind: &str, text: Vec<u8>) -> Result<(), Error> {
        let may_fail = !self.options.has_all_rows;
        self.was_tried = may_fail && (kind == FOREIGN_KEY || (kind == COMMENT && self.was_tried));
        self.tried += u64::from(self.was_tried && kind == FOREIGN_KEY);
        if !self.was_tried {
            return self.say_rows(load_as, 0, text);
        }
        self.command_as(load_as, "\\set ON_ERROR_STOP off")?;
        self.say_rows(load_as, 0, text)?;
        self.command_as(load_as, "\\set ON_ERROR_STOP on")
    }

    /// Makes sure that nothing runs code of others that is said before there are any rows: values of domains in the bounds of
    /// partitions and at the beginning of aggregates are checked at once.
    fn check_bounds(&mut self, kind: &str, text: &[u8]) -> Result<(), Error> {
        self.has_domain_checks |= kind == "DOMAIN" && memchr::memmem::find(text, b"CHECK (").is_some();
        let evaluates = match kind {
            "TABLE ATTACH" => true,
            "AGGREGATE" => memchr::memmem::find(text, b"INITCOND = ").is_some(),
            _ => false,
        };
        if !evaluates || !self.has_domain_checks || self.options.trusts_code {
            return Ok(());
        }
        self.lanes.wait().map_err(|source| self.failed(source))?;
        bounds::check(&self.database, kind, &|| self.progress.cancelled())
    }

    /// Waits until indexes are made that are made side by side.
    fn settle_indexes(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.side_by_side) {
            self.lanes.wait().map_err(|source| self.failed(source))?;
            for comment in std::mem::take(&mut self.after_indexes) {
                self.say(0, comment)?;
            }
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Error> {
        self.settle_indexes()?;
        self.settle_owner()?;
        self.lanes.wait().map_err(|source| self.failed(source))
    }

    /// Waits until the sessions of an owner are done.
    fn settle_owner(&mut self) -> Result<(), Error> {
        match &mut self.owner {
            Some((owner, lanes)) => lanes.wait().map_err(|source| as_owner(owner, source)),
            None => Ok(()),
        }
    }

    /// Gives rows, or what they follow, to a session of who loads them.
    fn say_rows(&mut self, load_as: &LoadAs, number: usize, piece: Vec<u8>) -> Result<(), Error> {
        match load_as {
            LoadAs::Owner(owner) => self.say_as_owner(owner, number, piece),
            LoadAs::Restorer => self.say(number, piece),
        }
    }

    fn say_as_owner(&mut self, owner: &str, number: usize, piece: Vec<u8>) -> Result<(), Error> {
        if self.owner.as_ref().is_none_or(|(known, _)| known != owner) {
            self.end_owner()?;
            self.open_owner(owner)?;
        }
        if !std::mem::replace(&mut self.is_owners_turn, true) {
            // What was made before it is there.
            self.lanes.wait().map_err(|source| self.failed(source))?;
        }
        let (owner, lanes) = self.owner.as_mut().expect("it was just opened");
        let number = number % lanes.count();
        lanes.say(number, piece).map_err(|source| as_owner(owner, source))
    }

    fn open_owner(&mut self, owner: &str) -> Result<(), Error> {
        let (database, progress) = (&self.database.database, self.progress);
        let connection = self.roles.connection(owner, database, None, &|| progress.cancelled())?;
        let LoadOptions { jobs, encoding, .. } = self.options;
        let options = LaneOptions { count: jobs, encoding, one_transaction: false, role: Some(owner) };
        let lanes = Lanes::open(&connection, options, progress).map_err(|source| as_owner(owner, source))?;
        self.owner = Some((owner.to_owned(), lanes));
        Ok(())
    }

    /// Ends the sessions of an owner; each must end well.
    fn end_owner(&mut self) -> Result<(), Error> {
        match self.owner.take() {
            Some((owner, lanes)) => lanes.end().map_err(|source| as_owner(&owner, source)),
            None => Ok(()),
        }
    }

    fn say(&mut self, number: usize, piece: Vec<u8>) -> Result<(), Error> {
        self.is_owners_turn = false;
        let number = number % self.lanes.count();
        self.lanes.say(number, piece).map_err(|source| self.failed(source))
    }

    /// Has the first session of who loads run a command of `psql`.
    fn command_as(&mut self, load_as: &LoadAs, command: &str) -> Result<(), Error> {
        // The session is open from now on, and everything before is done.
        self.say_rows(load_as, 0, Vec::new())?;
        match (load_as, &mut self.owner) {
            (LoadAs::Owner(_), Some((owner, lanes))) => {
                lanes.command(0, command).map_err(|source| as_owner(owner, source))
            }
            _ => self.lanes.command(0, command).map_err(|source| self.failed(source)),
        }
    }

    fn action(&self) -> String {
        format!("load the dump into the database {}", self.database.database)
    }

    fn failed(&self, source: postgres::Error) -> Error {
        Error::Database { action: self.action(), source }
    }
}

impl std::fmt::Debug for Loader<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Loader(to {})", self.action())
    }
}

fn as_owner(owner: &str, source: postgres::Error) -> Error {
    Error::AsOwner { owner: owner.to_owned(), source }
}

pub(super) fn next_part(reader: &mut ScriptReader<&mut dyn Read>) -> Result<Option<Part>, Error> {
    reader.next_part().map_err(|source| Error::io("read", "the dump", source))
}

/// Whether there are only comments and empty lines.
fn is_blank(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').all(|line| line.is_empty() || line.starts_with(b"--"))
}

/// Whether statements say something of an event trigger, which is not there before the end.
fn is_about_event_trigger(text: &[u8]) -> bool {
    [&b"\nCOMMENT ON EVENT TRIGGER "[..], b"\nSECURITY LABEL FOR "].iter().any(|words| {
        memchr::memmem::find(text, words).is_some_and(|place| {
            let line =
                text.get(place + 1..).unwrap_or_default().split(|byte| *byte == b'\n').next().unwrap_or_default();
            memchr::memmem::find(line, b" ON EVENT TRIGGER ").is_some()
        })
    })
}

/// The next bytes, or `None` at the end.
pub(super) fn read_piece(from: &mut dyn Read) -> Result<Option<Vec<u8>>, Error> {
    let mut piece = Vec::with_capacity(BUFFER_BYTES);
    let read = from.take(BUFFER_BYTES as u64).read_to_end(&mut piece);
    read.map_err(|source| Error::io("read", "the dump", source))?;
    Ok((!piece.is_empty()).then_some(piece))
}
