//! One transaction in a live database that writes rows of tables.

use std::io::Read;

use super::reading::{next_part, read_piece, unreadable};
use super::session_pool::SessionPool;
use crate::cancel::Cancel;
use crate::model::rows::END;
use crate::postgres::name_lock::NameLock;
use crate::postgres::part::Part;
use crate::postgres::script::ScriptReader;
use crate::postgres::wrapped::copy;
use crate::postgres::{self, Connection, WholeRows};
use crate::sink::Error;

/// A session in a transaction. Without its end, nothing has changed.
pub struct RowSession<'a> {
    pub(super) database: Connection,
    pool: SessionPool<'a>,
    /// Whose rights it has, where those are not the ones of who restores.
    pub(super) owner: Option<String>,
    /// The encoding that the rows are written in.
    pub(super) encoding: String,
}

impl<'a> RowSession<'a> {
    pub(super) const fn new(
        database: Connection,
        pool: SessionPool<'a>,
        owner: Option<String>,
        encoding: String,
    ) -> Self {
        Self { database, pool, owner, encoding }
    }

    /// Runs statements of ours, and waits for them.
    ///
    /// # Errors
    /// [`Error::Database`], or [`Error::AsOwner`], with what the server said.
    pub fn statements(&mut self, text: &str) -> Result<(), Error> {
        self.say(text.as_bytes().to_vec())?;
        self.wait()
    }

    /// Waits until everything is done.
    ///
    /// # Errors
    /// Those of [`RowSession::statements`].
    pub(super) fn wait(&mut self) -> Result<(), Error> {
        self.pool.wait().map_err(|source| failed(&self.database, self.owner.as_deref(), source))
    }

    /// Takes the rows of a script, and none of its statements.
    ///
    /// # Errors
    /// Those of [`RowSession::statements`]; [`Error::Io`] when it cannot be read.
    pub fn rows_of_script(&mut self, script: &mut dyn Read) -> Result<(), Error> {
        let mut reader = ScriptReader::new(script).in_encoding(&self.encoding);
        let mut whole = WholeRows::default();
        while let Some(part) = next_part(&mut reader)? {
            match part {
                Part::Statements(_) | Part::Begin | Part::Commit => {}
                Part::Copy { table, columns } => {
                    whole = WholeRows::default();
                    self.copy((&table, &columns))?;
                }
                Part::Rows(rows) => {
                    whole.check(&rows).map_err(unreadable)?;
                    self.say(rows)?;
                }
                Part::RowsEnd => {
                    whole.end().map_err(unreadable)?;
                    self.say(END.to_vec())?;
                }
            }
        }
        Ok(())
    }

    /// Takes rows of these columns of a table.
    ///
    /// # Errors
    /// Those of [`RowSession::rows_of_script`].
    pub fn rows(&mut self, table: (&str, &[String]), rows: &mut dyn Read) -> Result<(), Error> {
        self.copy(table)?;
        let mut whole = WholeRows::default();
        while let Some(piece) = read_piece(rows)? {
            whole.check(&piece).map_err(unreadable)?;
            self.say(piece)?;
        }
        whole.end().map_err(unreadable)?;
        self.say(END.to_vec())
    }

    /// Ends the session, which must end well.
    ///
    /// # Errors
    /// Those of [`RowSession::statements`].
    pub(super) fn end(self) -> Result<(), Error> {
        let Self { database, pool, owner, .. } = self;
        pool.end().map_err(|source| failed(&database, owner.as_deref(), source))
    }

    /// Ends the session at once, without its transaction.
    pub(super) fn discard(self) {
        self.pool.discard();
    }

    pub(super) fn say(&mut self, piece: Vec<u8>) -> Result<(), Error> {
        self.pool.say(0, piece).map_err(|source| failed(&self.database, self.owner.as_deref(), source))
    }

    fn copy(&mut self, table: (&str, &[String])) -> Result<(), Error> {
        let statement = copy(table, "SET LOCAL", &self.encoding);
        let statement = statement.map_err(|source| failed(&self.database, self.owner.as_deref(), source))?;
        self.say(statement.into_bytes())
    }
}

/// Keeps schemas under their names while tables are written to by name: else somebody could have those of others written to, or his own
/// with all rights.
pub(super) fn lock_names(database: &Connection, cancel: &Cancel) -> Result<Option<NameLock>, Error> {
    NameLock::take(database, "larder", cancel).map_err(|source| failed(database, None, source))
}

/// Makes sure that schemas are still kept under their names, where they were.
pub(super) fn check_held(names: &mut Option<NameLock>, database: &Connection) -> Result<(), Error> {
    let held = names.as_mut().map_or(Ok(()), |names| names.check_held(&Cancel::new()));
    held.map_err(|source| failed(database, None, source))
}

pub(super) fn action(database: &Connection) -> String {
    format!("restore tables of {database}")
}

pub(super) fn failed(database: &Connection, owner: Option<&str>, source: postgres::Error) -> Error {
    match owner {
        Some(owner) => Error::AsOwner { owner: owner.to_owned(), source },
        None => Error::Database { action: action(database), source },
    }
}

impl std::fmt::Debug for RowSession<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RowSession(to {})", action(&self.database))
    }
}
