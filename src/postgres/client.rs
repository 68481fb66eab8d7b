//! A long-lived `psql`: statements go to its standard input, and results are read from its standard output. The only file that starts
//! one.
//!
//! It runs no command that stands in its input. Results are COPY, and each ends with the line that ends the rows of a COPY in a dump
//! too, which no row is equal to. Nothing is looked up in a schema that somebody else could have filled.

use std::io::Write;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::neutral::{Purpose, neutral, neutral_at_once};
use super::restriction::Restriction;
use super::{Asked, Connection, Error, Row, psql_program};
use crate::cancel::{Cancel, POLL};
use crate::limits::{ANSWER_BYTES_MAX, PSQL_BYTES_MAX};
use crate::model::rows::{END, NULL, fields, unescape};
use crate::process::{self, Process, ProcessInput};

/// What must be known to tell an end: itself, and the byte before it.
const TAIL_BYTES: usize = END.len() + 1;
const SAY_END: &str = "\\echo '\\\\.'";
const BUFFER_BYTES: usize = 64 << 10;
/// The time limit of a query about a server.
pub const QUESTION_LIMIT: Duration = Duration::from_mins(2);
/// How long something may take that is done after an end.
const TIDY_LIMIT: Duration = Duration::from_secs(30);
/// Whoever logged in stays that. The owner of a database can have everybody become him who comes into it: his code would be
/// taken for code of who asks, and could become that again.
const BEGIN: &str = "SET role = none;\n";
const QUESTION_BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY NOT DEFERRABLE; SET LOCAL role = none; SET LOCAL client_encoding = 'UTF8';\n";

/// Begins a transaction of a question: every name means what it means to the server itself.
pub(super) fn question_begin() -> String {
    format!("{QUESTION_BEGIN}{}", neutral_at_once(Purpose::Reading))
}

/// A `psql` that is kept open. Its transaction ends with it.
pub struct Session {
    input: ProcessInput,
    process: Option<Process>,
    restriction: Restriction,
    buffer: Vec<u8>,
    /// The time limit of each result.
    limit: Option<Duration>,
}

impl Asked for Connection {
    fn ask(&self, query: &str, cancel: &Cancel) -> Result<Vec<Row>, Error> {
        let mut session = Session::open(self, "larder", cancel)?.within(QUESTION_LIMIT);
        let rows = session.question(query, cancel)?;
        session.end().map(|()| rows)
    }
}

/// Has a server run statements one after another, each by itself. The first error ends it.
///
/// # Errors
/// [`Error::Process`] with what the server said, also when it was cancelled.
pub fn execute(connection: &Connection, statements: &[String], cancel: &Cancel) -> Result<(), Error> {
    let mut session = Session::open(connection, "larder", cancel)?;
    statements.iter().try_for_each(|statement| session.run(&format!("{statement};"), cancel))?;
    session.end()
}

/// What the JSON says that is the first value of a row.
///
/// # Errors
/// [`Error::Answer`].
pub(super) fn parse<'a, T: Deserialize<'a>>(row: &'a Row) -> Result<T, Error> {
    let text = row.first().and_then(Option::as_deref).unwrap_or_default();
    serde_json::from_str(text).map_err(|error| Error::Answer { why: error.to_string() })
}

/// A `psql` that is fed a script by its caller, whose results it drops: what it reads, what it says to our own commands, and
/// what keeps it from running others.
pub(crate) struct Fed {
    pub(crate) input: ProcessInput,
    pub(crate) process: Process,
    pub(crate) restriction: Restriction,
}

/// Starts a `psql` that is to be fed, under a name that the server shows. Where it fails, it says which statement it was, so that only
/// [`super::refused()`] may say why.
///
/// # Errors
/// [`Error::Process`].
pub(crate) fn start_fed(connection: &Connection, name: &str, cancel: &Cancel) -> Result<Fed, Error> {
    start(connection, name, &["-o", "/dev/null", "-b"], cancel)
}

/// Starts a `psql`, and tells it first of all that it runs no commands.
fn start(connection: &Connection, name: &str, options: &[&str], cancel: &Cancel) -> Result<Fed, Error> {
    let restriction = Restriction::of(connection, cancel)?;
    let mut program = connection.program(psql_program(&connection.place));
    program.args(["-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]).args(options);
    program.variable("PGAPPNAME", name).memory(PSQL_BYTES_MAX);
    // Code in a database sets how it is read, and is not to set it for us.
    program.variable("PGCLIENTENCODING", "UTF8");
    // Files of ours with passwords and keys are needed, where it is not given a password.
    if !restriction.is_effective() && connection.password.is_some() {
        program.without_rights();
    }
    let (input, process) = program.start(true)?;
    let mut input = input.expect("it was started with an input");
    let begin = restriction.begin() + BEGIN + &neutral(Purpose::Any, false);
    let begun = input.write_all(begin.as_bytes()).and_then(|()| input.flush());
    match begun {
        Ok(()) => Ok(Fed { input, process, restriction }),
        Err(source) => Err(process.finish().err().map_or_else(|| Error::stream("psql", source), Error::from)),
    }
}

/// Has a server run statements that tidy up after something that has failed or ended, each whether the others could be run or
/// not. Nobody waits long for that: what is left is named by its name, and taken away by the next who comes.
pub(crate) fn tidy_up(connection: &Connection, statements: &[String]) -> Result<(), Error> {
    let mut outcome = Ok(());
    for statement in statements {
        let run = || {
            let mut session = Session::open(connection, "larder", &Cancel::new())?.within(TIDY_LIMIT);
            session.run(&format!("{statement};"), &Cancel::new())?;
            session.end()
        };
        outcome = outcome.and(run());
    }
    outcome
}

impl Session {
    /// Opens a session under a name that the server shows.
    ///
    /// # Errors
    /// [`Error::Process`].
    pub fn open(connection: &Connection, name: &str, cancel: &Cancel) -> Result<Self, Error> {
        let Fed { input, process, restriction } = start(connection, name, &[], cancel)?;
        let buffer = vec![0; BUFFER_BYTES];
        Ok(Self { input, process: Some(process), restriction, buffer, limit: None })
    }

    /// Sets a time limit for the whole of each result.
    #[must_use]
    pub const fn within(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Waits for each result without a time limit.
    #[must_use]
    pub(crate) const fn unlimited(mut self) -> Self {
        self.limit = None;
        self
    }

    /// Sets the time limit of each result from now on, or none.
    pub(super) const fn limit_to(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    /// Asks the server one thing in a transaction of its own, and returns all rows.
    ///
    /// # Errors
    /// Those of [`Session::rows`].
    pub(super) fn question(&mut self, query: &str, cancel: &Cancel) -> Result<Vec<Row>, Error> {
        self.run(&question_begin(), cancel)?;
        let rows = self.rows(query, cancel)?;
        self.run("COMMIT;", cancel)?;
        Ok(rows)
    }

    /// Runs statements whose results do not matter.
    ///
    /// # Errors
    /// [`Error::Process`] with what the server said, also when it was cancelled; [`Error::Silent`].
    pub fn run(&mut self, sql: &str, cancel: &Cancel) -> Result<(), Error> {
        self.tell(sql)?;
        let mut len = 0;
        self.answer(cancel, &mut |part| {
            len += part.len();
            check_len(len)
        })
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// Those of [`Session::run`]; [`Error::Answer`] when they are not UTF-8, or too many.
    pub fn rows(&mut self, query: &str, cancel: &Cancel) -> Result<Vec<Row>, Error> {
        self.tell(&format!("COPY ({query}) TO STDOUT;"))?;
        self.answer_rows(cancel)
    }

    /// The rows of a query after statements that may fail. Where they do there is no row, and the transaction is over but for its
    /// savepoints.
    ///
    /// # Errors
    /// Those of [`Session::rows`].
    pub(super) fn attempt(&mut self, sql: &str, query: &str, cancel: &Cancel) -> Result<Vec<Row>, Error> {
        let go_on = self.restriction.command("\\set ON_ERROR_STOP off");
        let stop = self.restriction.command("\\set ON_ERROR_STOP on");
        self.tell(&format!("{go_on}{sql}\nCOPY ({query}) TO STDOUT;\n{stop}"))?;
        self.answer_rows(cancel)
    }

    fn answer_rows(&mut self, cancel: &Cancel) -> Result<Vec<Row>, Error> {
        let mut bytes = Vec::new();
        self.answer(cancel, &mut |part| {
            bytes.extend_from_slice(part);
            check_len(bytes.len())
        })?;
        let value = |field: &[u8]| match field {
            NULL => Ok(None),
            field => String::from_utf8(unescape(field)).map(Some),
        };
        let rows = bytes.split_inclusive(|byte| *byte == b'\n');
        let rows: Result<_, _> = rows.map(|row| fields(row).map(value).collect::<Result<Vec<_>, _>>()).collect();
        // What is read wrongly here would be said wrongly there.
        rows.map_err(|_| Error::Answer { why: "a name in it is not UTF-8".to_owned() })
    }

    /// The rows of a query as a dump has them, piece by piece. An error of `each` ends it.
    ///
    /// # Errors
    /// Those of [`Session::run`], and of `each`.
    pub fn copy(
        &mut self,
        query: &str,
        cancel: &Cancel,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.tell(&format!("COPY ({query}) TO STDOUT;"))?;
        self.answer(cancel, each)
    }

    /// The rows of a table, as it stands in SQL, piece by piece, in the encoding of the database. Nothing is planned for that.
    ///
    /// # Errors
    /// Those of [`Session::copy`].
    pub(crate) fn copy_table(
        &mut self,
        table: &str,
        cancel: &Cancel,
        each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // To this one, no text is converted.
        self.tell(&format!("COPY {table} TO STDOUT WITH (ENCODING 'SQL_ASCII');"))?;
        self.answer(cancel, each)
    }

    /// Tells it to do something, and to say when that is done.
    fn tell(&mut self, sql: &str) -> Result<(), Error> {
        let end = self.restriction.command(SAY_END);
        self.say(format!("{sql}\n{end}").as_bytes())
    }

    fn say(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.input.write_all(bytes).and_then(|()| self.input.flush());
        written.map_err(|source| self.why(Error::stream("psql", source)))
    }

    /// Ends the session, which must end well.
    ///
    /// # Errors
    /// [`Error::Process`].
    pub fn end(self) -> Result<(), Error> {
        let Self { input, process, .. } = self;
        drop(input);
        process.map_or(Ok(()), finish)
    }

    fn answer(&mut self, cancel: &Cancel, each: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        // The last bytes may be its end; the one before them tells whether they are a line of their own. The first line
        // has none before it, so one is made up.
        let mut tail = vec![b'\n'];
        let mut made_up = 1;
        let began = Instant::now();
        loop {
            let len = self.read(began, cancel)?;
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

    /// More of an answer that is waited for since `began`.
    fn read(&mut self, began: Instant, cancel: &Cancel) -> Result<usize, Error> {
        loop {
            if cancel.is_cancelled() {
                return Err(process::Error::interrupted("psql").into());
            }
            if let Some(limit) = self.limit.filter(|limit| began.elapsed() > *limit) {
                return Err(Error::Silent { secs: limit.as_secs() });
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
                Err(error) => return Err(self.why(Error::stream("psql", error))),
            }
        }
    }

    /// What a session that broke says itself, else `error`.
    fn why(&mut self, error: Error) -> Error {
        match self.process.take().map(finish) {
            Some(Err(why)) => why,
            _ => error,
        }
    }
}

/// Ends a program that has nothing more to do, and to say.
fn finish(mut process: Process) -> Result<(), Error> {
    process.read_short(TIDY_LIMIT, &Cancel::new()).map_err(|source| Error::stream("psql", source))?;
    Ok(process.finish()?)
}

fn check_len(len: usize) -> Result<(), Error> {
    if len <= ANSWER_BYTES_MAX {
        return Ok(());
    }
    Err(Error::Answer { why: format!("it has more than {ANSWER_BYTES_MAX} bytes") })
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Session")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Place, Program};

    /// One that said a byte now and then was waited for without end.
    #[test]
    fn an_answer_is_waited_for_as_a_whole() {
        let mut program = Program::new("sh", Place::Here);
        program.args(["-c", "while printf x; do sleep 0.1; done"]);
        let (input, process) = program.start(true).expect("there is a shell");
        let (input, process) = (input.expect("it was asked for"), Some(process));
        let limit = Some(Duration::from_secs(1));
        let restriction = Restriction::unknown();
        let mut session = Session { input, process, restriction, buffer: vec![0; BUFFER_BYTES], limit };
        let error = session.run("SELECT 1;", &Cancel::new()).expect_err("it has no end");
        assert!(matches!(error, Error::Silent { secs: 1 }), "{error}");
    }
}
