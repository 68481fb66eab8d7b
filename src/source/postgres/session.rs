//! A `psql` that is kept open: it is told one thing after another, in one transaction, and what it answers is read.
//!
//! Each answer ends with the line that ends the rows of a COPY in a dump too, which no row is equal to.

use std::io::Write;
use std::time::Duration;

use super::{Connection, psql_program};
use crate::model::rows::{END, NULL, fields, unescape};
use crate::source::{Error, Process, ProcessInput};

/// What must be known to tell an end: itself, and the byte before it.
const TAIL_BYTES: usize = END.len() + 1;
const SAY_END: &str = "\\echo '\\\\.'\n";
const BUFFER_BYTES: usize = 64 << 10;
/// How often a silent server is looked away from, to see whether anybody still waits for it.
const POLL: Duration = Duration::from_millis(200);

/// A `psql` that is kept open. Its transaction ends with it.
pub struct Session {
    input: ProcessInput,
    process: Option<Process>,
    buffer: Vec<u8>,
}

/// Whether nobody waits for an answer any more.
pub type Stopped<'a> = &'a (dyn Fn() -> bool + Sync);

impl Session {
    /// Opens a session under a name that the server shows.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Docker`].
    pub fn open(connection: &Connection, name: &str) -> Result<Self, Error> {
        let mut program = connection.program(psql_program(&connection.place));
        program.args(["-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        program.variable("PGAPPNAME", name);
        let (input, process) = program.start(true)?;
        let input = input.expect("it was started with an input");
        Ok(Self { input, process: Some(process), buffer: vec![0; BUFFER_BYTES] })
    }

    /// Runs statements whose results do not matter.
    ///
    /// # Errors
    /// [`Error::Failed`] with what the server said; [`Error::Stream`], also when it was stopped.
    pub fn run(&mut self, sql: &str, stopped: Stopped<'_>) -> Result<(), Error> {
        self.say(format!("{sql}\n{SAY_END}").as_bytes())?;
        self.answer(stopped, &mut |_| Ok(()))
    }

    /// The rows of a query. A value that is null is an empty text.
    ///
    /// # Errors
    /// Those of [`Session::run`].
    pub fn rows(&mut self, query: &str, stopped: Stopped<'_>) -> Result<Vec<Vec<String>>, Error> {
        let mut bytes = Vec::new();
        self.copy(query, stopped, &mut |part| {
            bytes.extend_from_slice(part);
            Ok(())
        })?;
        let value = |field: &[u8]| match field {
            NULL => Ok(String::new()),
            field => String::from_utf8(unescape(field)),
        };
        let rows = bytes.split_inclusive(|byte| *byte == b'\n');
        let rows: Result<_, _> = rows.map(|row| fields(row).map(value).collect::<Result<Vec<_>, _>>()).collect();
        // What is read wrongly here would be said wrongly there.
        rows.map_err(|_| Error::Incomplete { program: "psql".to_owned(), why: "a name in it is not UTF-8" })
    }

    /// The rows of a query as a dump has them, piece by piece. An error of `each` ends it.
    ///
    /// # Errors
    /// Those of [`Session::run`], and of `each`.
    pub fn copy(
        &mut self,
        query: &str,
        stopped: Stopped<'_>,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.say(format!("COPY ({query}) TO STDOUT;\n{SAY_END}").as_bytes())?;
        self.answer(stopped, each)
    }

    fn say(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.input.write_all(bytes).and_then(|()| self.input.flush());
        written.map_err(|source| self.why(Error::Stream { what: "psql".to_owned(), source }))
    }

    /// Ends the session, which must end well.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn end(self) -> Result<(), Error> {
        let Self { input, process, .. } = self;
        drop(input);
        process.map_or(Ok(()), Process::finish)
    }

    /// What it reads and what it writes, for who attends to both by himself.
    ///
    /// # Panics
    /// When it has failed.
    #[must_use]
    pub fn into_parts(self) -> (ProcessInput, Process) {
        (self.input, self.process.expect("it has a process until it fails"))
    }

    fn answer(&mut self, stopped: Stopped<'_>, each: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        // The last bytes may be its end; the one before them tells whether they are a line of their own. The first line
        // has none before it, so one is made up.
        let mut tail = vec![b'\n'];
        let mut made_up = 1;
        loop {
            let len = self.read(stopped)?;
            let read = self.buffer.get(..len).unwrap_or_default();
            let keep = read.len().min(TAIL_BYTES);
            let (ready, rest) = read.split_at(read.len() - keep);
            if !ready.is_empty() {
                each(tail.get(made_up..).unwrap_or_default())?;
                each(ready)?;
                (made_up, tail) = (0, Vec::new());
            }
            tail.extend_from_slice(rest);
            if let Some(before) = tail.strip_suffix(END)
                && before.ends_with(b"\n")
            {
                return each(before.get(made_up..).unwrap_or_default());
            }
            let passed = tail.len().saturating_sub(TAIL_BYTES);
            each(tail.get(made_up.min(passed)..passed).unwrap_or_default())?;
            made_up -= made_up.min(passed);
            tail.drain(..passed);
        }
    }

    fn read(&mut self, stopped: Stopped<'_>) -> Result<usize, Error> {
        let failed = |source| Error::Stream { what: "psql".to_owned(), source };
        loop {
            if stopped() {
                return Err(failed(std::io::Error::other("interrupted")));
            }
            let Some(process) = &mut self.process else {
                return Err(Error::Incomplete { program: "psql".to_owned(), why: "it has ended" });
            };
            match process.read_within(&mut self.buffer, POLL) {
                Ok(None) => {}
                Ok(Some(0)) => {
                    let why = "it ended before it had answered";
                    return Err(self.why(Error::Incomplete { program: "psql".to_owned(), why }));
                }
                Ok(Some(len)) => return Ok(len),
                Err(error) => return Err(self.why(failed(error))),
            }
        }
    }

    /// What a session that broke says itself, else `error`.
    fn why(&mut self, error: Error) -> Error {
        match self.process.take().map(Process::finish) {
            Some(Err(why)) => why,
            _ => error,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Session")
    }
}
