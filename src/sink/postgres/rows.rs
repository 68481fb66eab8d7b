//! Rows of tables that have a file of their own: by several sessions at once, or one table after another.

use std::io::Read;

use super::loader::Loader;
use super::reading::{next_part, read_piece, unreadable};
use super::refusals::Refusal;
use crate::model::rows::END;
use crate::postgres::part::Part;
use crate::postgres::script::ScriptReader;
use crate::postgres::{RowOrder, WholeRows};
use crate::sink::Error;

/// Rows that one session is given before the next gets some, in bytes.
const TURN_BYTES: usize = 4 << 20;

impl Loader<'_> {
    /// Who loads the rows of tables with these columns; before the first are loaded. Tables of one owner are best loaded one
    /// after another.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Code`].
    pub fn sort_by_owner<T>(&mut self, tables: &mut [T], name: impl Fn(&T) -> (&str, &[String])) -> Result<(), Error> {
        self.look_at_code()?;
        let load_as = |table: &T| self.load_as(name(table).0, name(table).1);
        if !self.options.goes_on {
            tables.iter().try_for_each(|table| load_as(table).map(drop))?;
        }
        tables.sort_by_cached_key(|table| load_as(table).ok());
        Ok(())
    }

    /// In which order rows are to be loaded; when all tables are there.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) fn row_order(&mut self) -> Result<RowOrder, Error> {
        self.wait()?;
        let order = RowOrder::read(&self.sessions.database, self.monitor.cancel());
        order.map_err(|source| self.failed(source))
    }

    /// Loads rows of these columns of a table by one session, when everything before is done, and waits until they are loaded.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub fn rows_alone(&mut self, (table, columns): (&str, &[String]), rows: &mut dyn Read) -> Result<(), Error> {
        if self.options.goes_on {
            return self.rows_or_refused((table, columns), &mut || read_piece(rows));
        }
        self.wait()?;
        let load_as = self.begin_rows(table, columns)?;
        let mut whole = WholeRows::default();
        self.sessions.copy(&load_as, 0, (table, columns))?;
        while let Some(piece) = read_piece(rows)? {
            whole.check(&piece).map_err(unreadable)?;
            self.sessions.say(&load_as, 0, piece)?;
        }
        whole.end().map_err(unreadable)?;
        self.sessions.say(&load_as, 0, END.to_vec())?;
        self.wait()
    }

    /// Loads rows of these columns of a table: in turns, so that all sessions are busy with one large table.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub fn rows(&mut self, (table, columns): (&str, &[String]), rows: &mut dyn Read) -> Result<(), Error> {
        if self.options.goes_on {
            return self.rows_alone((table, columns), rows);
        }
        let load_as = self.begin_rows(table, columns)?;
        let mut turn = 0;
        let mut whole = WholeRows::default();
        while let Some(mut piece) = read_piece(rows)? {
            whole.check(&piece).map_err(unreadable)?;
            if turn == 0 {
                self.sessions.copy(&load_as, self.next, (table, columns))?;
            }
            turn += piece.len();
            let cut = memchr::memrchr(b'\n', &piece).filter(|_| turn >= TURN_BYTES);
            let Some(cut) = cut else {
                self.sessions.say(&load_as, self.next, piece)?;
                continue;
            };
            let rest = piece.split_off(cut + 1);
            piece.extend_from_slice(END);
            self.sessions.say(&load_as, self.next, piece)?;
            self.next += 1;
            turn = rest.len();
            if turn > 0 {
                self.sessions.copy(&load_as, self.next, (table, columns))?;
                self.sessions.say(&load_as, self.next, rest)?;
            }
        }
        whole.end().map_err(unreadable)?;
        if turn > 0 {
            self.sessions.say(&load_as, self.next, END.to_vec())?;
            self.next += 1;
        }
        Ok(())
    }

    /// Loads rows of a script by one session, and goes on where they are refused.
    pub(super) fn script_rows(
        &mut self,
        table: (&str, &[String]),
        reader: &mut ScriptReader<&mut dyn Read>,
    ) -> Result<(), Error> {
        let mut next = || match next_part(reader)? {
            Some(Part::Rows(rows)) => Ok(Some(rows)),
            _ => Ok(None),
        };
        self.rows_or_refused(table, &mut next)
    }

    /// Loads the rows of a table that come one after another, by one session, when everything before is done. Where they are refused, it
    /// goes on after them.
    pub(super) fn rows_or_refused(
        &mut self,
        (table, columns): (&str, &[String]),
        next: &mut dyn FnMut() -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<(), Error> {
        self.wait()?;
        self.look_at_code()?;
        let object = format!("the rows of {table}");
        let mut outcome = if self.is_there(table) {
            self.begin_rows(table, columns).map(Some)
        } else {
            self.refused.push(Refusal { object: object.clone(), why: "the table is not there".to_owned() });
            Ok(None)
        };
        if let Ok(Some(load_as)) = &outcome
            && let Err(error) = self.sessions.copy(load_as, 0, (table, columns))
        {
            outcome = Err(error);
        }
        let mut whole = WholeRows::default();
        while let Some(rows) = next()? {
            whole.check(&rows).map_err(unreadable)?;
            if let Ok(Some(load_as)) = &outcome
                && let Err(error) = self.sessions.say(load_as, 0, rows)
            {
                outcome = Err(error);
            }
        }
        whole.end().map_err(unreadable)?;
        let outcome = match outcome {
            Ok(Some(load_as)) => self.sessions.say(&load_as, 0, END.to_vec()).and_then(|()| self.sessions.wait()),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.or_refused(&object, outcome)
    }
}
