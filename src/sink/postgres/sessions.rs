//! The sessions that load a database: those of who restores, and those of the owner whose turn it is.

use super::load_options::LoadOptions;
use super::loader_role::{LoaderRoles, NO_LIMIT, Rights};
use super::refusals::Refusals;
use super::session_pool::{PoolOptions, SessionPool};
use crate::monitor::Monitor;
use crate::postgres::access::LoadAs;
use crate::postgres::sql::ident;
use crate::postgres::wrapped::{copy, wrapped};
use crate::postgres::{self, Connection, Kept, object_of};
use crate::sink::Error;

/// Sessions that load into one database. Input is only queued: it is done after [`Sessions::wait`].
pub(super) struct Sessions<'a> {
    pub(super) database: Kept,
    own: SessionPool<'a>,
    options: LoadOptions<'a>,
    roles: LoaderRoles,
    /// Where it is noted what the server refuses, where that is no error.
    pub(super) refusals: Option<Refusals>,
    /// Whether that is so of what is run now.
    pub(super) may_be_refused: bool,
    /// What has strings of others read as the dump was written, where that is not the standard.
    strings: &'static [u8],
    /// The sessions of an owner that were used last.
    owner: Option<(String, SessionPool<'a>)>,
    /// Whether the last to be given something was that owner.
    is_owners_turn: bool,
    monitor: &'a Monitor<'a>,
}

impl<'a> Sessions<'a> {
    /// Opens those of who restores. `maintenance` is a connection to another database of the same server.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) fn open(
        database: Connection,
        maintenance: Connection,
        options: LoadOptions<'a>,
        monitor: &'a Monitor<'a>,
    ) -> Result<Self, Error> {
        let own = open_own(&database, options, monitor)?;
        LoaderRoles::drop_left(&maintenance, monitor.cancel());
        let roles = LoaderRoles::new(maintenance, database.clone());
        Ok(Self {
            database: Kept::new(database),
            own,
            options,
            roles,
            refusals: None,
            may_be_refused: true,
            strings: b"",
            owner: None,
            is_owners_turn: false,
            monitor,
        })
    }

    /// Queues statements of ours, or rows, for a session of somebody. Everything that was queued for the others before is done then.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::AsOwner`], [`Error::NoLoader`].
    pub(super) fn say(&mut self, load_as: &LoadAs, number: usize, piece: Vec<u8>) -> Result<(), Error> {
        match load_as {
            LoadAs::Owner(owner) => {
                self.turn_to(owner)?;
                let (owner, pool) = self.owner.as_mut().expect("it was just opened");
                let number = number % pool.count();
                pool.say(number, piece).map_err(|source| as_owner(owner, source))
            }
            LoadAs::Restorer => {
                self.turn_back()?;
                let number = number % self.own.count();
                self.own.say(number, piece).map_err(|source| failed(self.database.connection(), source))
            }
        }
    }

    /// Has every session read strings of others this way from now on: the statement that sets it, or nothing.
    pub(super) const fn set_strings(&mut self, setting: &'static [u8]) {
        self.strings = setting;
    }

    /// Has a session of somebody run statements of others, all in one transaction.
    ///
    /// # Errors
    /// Those of [`Sessions::say`].
    pub(super) fn run(&mut self, load_as: &LoadAs, statements: &[u8]) -> Result<(), Error> {
        let is_own = *load_as == LoadAs::Restorer;
        let piece = if is_own { self.piece(statements) } else { self.plain(statements) };
        self.say(load_as, 0, piece)
    }

    /// Has who restores run a part of the statements about this object, whether the others are refused or not.
    ///
    /// # Errors
    /// Those of [`Sessions::say`].
    pub(super) fn run_part(&mut self, object: &str, statements: &[u8]) -> Result<(), Error> {
        let piece = self.piece_of(object, statements);
        self.say(&LoadAs::Restorer, 0, piece)
    }

    /// Statements of others as a session is given them.
    fn piece(&self, statements: &[u8]) -> Vec<u8> {
        self.piece_of(&object_of(statements), statements)
    }

    /// Those that nothing is noted of.
    fn plain(&self, statements: &[u8]) -> Vec<u8> {
        [self.strings, wrapped(statements, self.options.encoding).as_bytes()].concat()
    }

    fn piece_of(&self, object: &str, statements: &[u8]) -> Vec<u8> {
        let encoding = self.options.encoding;
        let text = self
            .refusals
            .as_ref()
            .filter(|_| self.may_be_refused)
            .map(|refusals| refusals.wrapped(object, statements, encoding));
        [self.strings, text.unwrap_or_else(|| wrapped(statements, encoding)).as_bytes()].concat()
    }

    /// Has a session of somebody read rows of a table from now on.
    ///
    /// # Errors
    /// Those of [`Sessions::say`].
    pub(super) fn copy(&mut self, load_as: &LoadAs, number: usize, table: (&str, &[String])) -> Result<(), Error> {
        let statement =
            copy(table, "SET", self.options.encoding).map_err(|source| failed(self.database.connection(), source))?;
        self.say(load_as, number, statement.into_bytes())
    }

    /// Has a session of who restores run statements of others that is done with everything, when there is one.
    ///
    /// # Errors
    /// Those of [`Sessions::say`].
    pub(super) fn run_in_idle(&mut self, statements: &[u8]) -> Result<(), Error> {
        self.turn_back()?;
        let piece = self.piece(statements);
        self.own.say_to_idle(piece).map_err(|source| failed(self.database.connection(), source))
    }

    /// Has the first session of somebody run a command of `psql`.
    ///
    /// # Errors
    /// Those of [`Sessions::say`].
    pub(super) fn command(&mut self, load_as: &LoadAs, command: &str) -> Result<(), Error> {
        // The session is open from now on, and everything before is done.
        self.say(load_as, 0, Vec::new())?;
        match (load_as, &mut self.owner) {
            (LoadAs::Owner(_), Some((owner, pool))) => {
                pool.command(0, command).map_err(|source| as_owner(owner, source))
            }
            _ => self.own.command(0, command).map_err(|source| failed(self.database.connection(), source)),
        }
    }

    /// Opens all anew after one has ended. Nothing was being done in the others.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(super) fn reopen(&mut self) -> Result<(), Error> {
        if let Some((_, pool)) = self.owner.take() {
            pool.discard();
        }
        self.is_owners_turn = false;
        let opened = open_own(self.database.connection(), self.options, self.monitor)?;
        std::mem::replace(&mut self.own, opened).discard();
        Ok(())
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// Those of [`Sessions::say`].
    pub(super) fn wait(&mut self) -> Result<(), Error> {
        if let Some((owner, pool)) = &mut self.owner {
            pool.wait().map_err(|source| as_owner(owner, source))?;
        }
        self.own.wait().map_err(|source| failed(self.database.connection(), source))
    }

    /// Has sessions of this owner opened, where they are not.
    ///
    /// # Errors
    /// [`Error::AsOwner`], [`Error::NoLoader`].
    pub(super) fn open_owner(&mut self, owner: &str) -> Result<(), Error> {
        if self.owner.as_ref().is_some_and(|(known, _)| known == owner) {
            return Ok(());
        }
        self.end_owner()?;
        let LoadOptions { jobs, settings, .. } = self.options;
        let options = PoolOptions { count: jobs, one_transaction: false, role: Some(owner), settings };
        let rights = Rights { owner, granted: &[ident(owner)], settings: &[NO_LIMIT] };
        let pool = self.roles.open_pool(rights, options, self.monitor)?;
        self.owner = Some((owner.to_owned(), pool));
        Ok(())
    }

    /// Ends all sessions, each of which must end well, and drops what was made for them.
    ///
    /// # Errors
    /// Those of [`Sessions::say`].
    pub(super) fn end(mut self) -> Result<(), Error> {
        if let Err(error) = self.end_owner() {
            self.discard();
            return Err(error);
        }
        let ended = self.own.end().map_err(|source| failed(self.database.connection(), source));
        self.roles.drop_all();
        ended
    }

    /// Ends all sessions at once, whatever they do, and drops what was made for them.
    pub(super) fn discard(self) {
        self.own.discard();
        if let Some((_, pool)) = self.owner {
            pool.discard();
        }
        self.roles.discard();
    }

    fn turn_to(&mut self, owner: &str) -> Result<(), Error> {
        self.open_owner(owner)?;
        if !std::mem::replace(&mut self.is_owners_turn, true) {
            self.own.wait().map_err(|source| failed(self.database.connection(), source))?;
        }
        Ok(())
    }

    fn turn_back(&mut self) -> Result<(), Error> {
        match &mut self.owner {
            Some((owner, pool)) if std::mem::take(&mut self.is_owners_turn) => {
                pool.wait().map_err(|source| as_owner(owner, source))
            }
            _ => Ok(()),
        }
    }

    fn end_owner(&mut self) -> Result<(), Error> {
        match self.owner.take() {
            Some((owner, pool)) => pool.end().map_err(|source| as_owner(&owner, source)),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Sessions<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Sessions({})", self.database.connection())
    }
}

/// Opens the sessions of who restores.
fn open_own<'a>(
    database: &Connection,
    LoadOptions { jobs, settings, .. }: LoadOptions<'_>,
    monitor: &'a Monitor<'a>,
) -> Result<SessionPool<'a>, Error> {
    let options = PoolOptions { count: jobs, one_transaction: false, role: None, settings };
    SessionPool::open(database, options, monitor.cancel()).map_err(|source| failed(database, source))
}

/// An error of who restores.
pub(super) fn failed(database: &Connection, source: postgres::Error) -> Error {
    Error::Database { action: format!("load the dump into the database {}", database.database), source }
}

fn as_owner(owner: &str, source: postgres::Error) -> Error {
    Error::AsOwner { owner: owner.to_owned(), source }
}
