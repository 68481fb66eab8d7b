//! Loading a database from its parts: the shape, the rows, then everything that is made of rows, as much at once as can be.

use std::io::Read;

use super::entries::entries;
use super::lanes::Lanes;
use crate::model::rows::END;
use crate::progress::Progress;
use crate::sink::Error;
use crate::source;
use crate::source::postgres::Connection;

/// Small enough that its memory is used again and again.
const BUFFER_BYTES: usize = 64 << 10;
/// Rows that one session is given before the next gets some, in bytes.
const TURN_BYTES: usize = 4 << 20;

/// Loads a database by several sessions.
pub struct Loader<'a> {
    lanes: Lanes<'a>,
    action: String,
    /// The session that gets the next rows.
    next: usize,
}

impl<'a> Loader<'a> {
    /// Opens so many sessions, which take text in this encoding; or one in one transaction. `action` is what they are for, in
    /// errors.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn open(
        connection: &Connection,
        sessions: (usize, &str, bool),
        action: String,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        match Lanes::open(connection, sessions, progress) {
            Ok(lanes) => Ok(Self { lanes, action, next: 0 }),
            Err(source) => Err(Error::Database { action, source }),
        }
    }

    /// Runs a script, and waits until everything so far is done.
    ///
    /// # Errors
    /// [`Error::Database`] with what the server said; [`Error::Io`] when the script cannot be read.
    pub fn script(&mut self, script: &mut dyn Read) -> Result<(), Error> {
        while let Some(piece) = read_piece(script)? {
            self.lanes.say(0, piece).map_err(|source| self.failed(source))?;
        }
        self.wait()
    }

    /// Loads rows that follow this COPY statement: in turns, so that all sessions are busy with one large table.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub fn rows(&mut self, statement: &str, rows: &mut dyn Read) -> Result<(), Error> {
        let mut turn = 0;
        while let Some(mut piece) = read_piece(rows)? {
            if turn == 0 {
                self.say(statement.as_bytes().to_vec())?;
            }
            turn += piece.len();
            let cut = memchr::memrchr(b'\n', &piece).filter(|_| turn >= TURN_BYTES);
            let Some(cut) = cut else {
                self.say(piece)?;
                continue;
            };
            let rest = piece.split_off(cut + 1);
            piece.extend_from_slice(END);
            self.say(piece)?;
            self.next += 1;
            turn = rest.len();
            if turn > 0 {
                self.say([statement.as_bytes(), &rest].concat())?;
            }
        }
        if turn > 0 {
            self.say(END.to_vec())?;
            self.next += 1;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<(), Error> {
        self.lanes.wait().map_err(|source| self.failed(source))
    }

    /// Runs the script of what comes after the data: indexes at the same time, everything else in its order. Where not all
    /// rows are there, a foreign key that cannot be made is no error; returns how many may not have been made therefore.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub fn after(&mut self, script: &mut dyn Read, all_rows: bool) -> Result<u64, Error> {
        let mut text = Vec::new();
        while let Some(piece) = read_piece(script)? {
            text.extend_from_slice(&piece);
        }
        self.run_entries(&text, all_rows).map_err(|source| self.failed(source))
    }

    fn run_entries(&mut self, script: &[u8], all_rows: bool) -> Result<u64, source::Error> {
        let (head, entries) = entries(script);
        let mut tried = 0;
        for number in 0..self.lanes.count() {
            self.lanes.say(number, head.clone())?;
        }
        let mut side_by_side = false;
        for mut entry in entries {
            if entry.is_foreign_key && !all_rows {
                entry.text =
                    [b"\\set ON_ERROR_STOP off\n", entry.text.as_slice(), b"\\set ON_ERROR_STOP on\n"].concat();
                tried += 1;
            }
            if entry.side_by_side != side_by_side {
                self.lanes.wait()?;
                side_by_side = entry.side_by_side;
            }
            if side_by_side {
                self.lanes.say_to_idle(entry.text)?;
            } else {
                self.lanes.say(0, entry.text)?;
            }
        }
        self.lanes.wait().map(|()| tried)
    }

    /// Waits until everything is done, and ends the sessions.
    ///
    /// # Errors
    /// Those of [`Loader::script`].
    pub fn end(self) -> Result<(), Error> {
        let Self { lanes, action, .. } = self;
        lanes.end().map_err(|source| Error::Database { action, source })
    }

    /// Says something to the session whose turn it is.
    fn say(&mut self, piece: Vec<u8>) -> Result<(), Error> {
        let number = self.next % self.lanes.count();
        self.lanes.say(number, piece).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: source::Error) -> Error {
        Error::Database { action: self.action.clone(), source }
    }
}

impl std::fmt::Debug for Loader<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Loader(to {})", self.action)
    }
}

/// The next bytes, or `None` at the end.
fn read_piece(from: &mut dyn Read) -> Result<Option<Vec<u8>>, Error> {
    let mut piece = Vec::with_capacity(BUFFER_BYTES);
    let read = from.take(BUFFER_BYTES as u64).read_to_end(&mut piece);
    read.map_err(|source| Error::io("read", "the dump", source))?;
    Ok((!piece.is_empty()).then_some(piece))
}
