//! A pool of sessions of `psql` that load into one database, each fed from a bounded queue of its own.
//!
//! The output of every session is read all the time: a `psql` whose output nobody reads stops reading its input.

use std::io::Write;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded, unbounded};

use crate::cancel::{Cancel, POLL};
use crate::model::DatabaseSetting;
use crate::postgres::dump_encoding::UTF8;
use crate::postgres::neutral::{Purpose, neutral, of_database, optional};
use crate::postgres::sql::{ident, literal};
use crate::postgres::{Connection, Error, Fed, Restriction, query, refused, start_fed};
use crate::process::{self, Process, ProcessInput};
use crate::source::postgres::session_name;

/// Pieces that wait in the queue of a session.
const QUEUE_PIECES: usize = 64;
/// Rows that others have committed meanwhile are seen, whatever the database is set to.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE NOT DEFERRABLE;\n";
/// A fresh database that is lost with the server is made again.
const FRESH_SQL: &str =
    "SET synchronous_commit = off; SELECT pg_catalog.set_config('maintenance_work_mem', '128MB', false)
    WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) < 134217728;\n";
/// The command at which a session writes a line: everything before it is done then.
const ECHO: &str = "\\echo";

/// Sessions that work at the same time, until [`SessionPool::end`] or [`SessionPool::discard`].
pub(super) struct SessionPool<'a> {
    /// The connection that terminates the sessions where they are discarded.
    connection: Connection,
    /// Their application name on the server.
    name: String,
    sessions: Vec<Queue>,
    events: Receiver<Event>,
    /// Ends the threads that read output. It is no child: a session of which nobody has heard that it ended may not be taken for
    /// one that ended well.
    discarded: Cancel,
    cancel: &'a Cancel,
}

/// What sessions are opened for.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolOptions<'o> {
    /// How many.
    pub(super) count: usize,
    /// Whether everything is one transaction of one session, in a database that others use.
    pub(super) one_transaction: bool,
    /// The role that they become, where they are not to stay who they log in as.
    pub(super) role: Option<&'o str>,
    /// What a new database is going to be set to.
    pub(super) settings: &'o [DatabaseSetting],
}

struct Queue {
    pieces: Sender<Vec<u8>>,
    restriction: Restriction,
    /// How many times [`Event::Done`] is still to come.
    awaited: usize,
}

/// What the thread that reads the output of a session sends.
enum Event {
    /// The session of this number has done everything up to an `\echo`.
    Done(usize),
    /// A session ended, and how.
    Ended(Result<(), Error>),
}

impl<'a> SessionPool<'a> {
    /// Opens sessions.
    pub(super) fn open(connection: &Connection, options: PoolOptions<'_>, cancel: &'a Cancel) -> Result<Self, Error> {
        let (event, events) = unbounded();
        let discarded = Cancel::new();
        let (connection, name) = (connection.clone(), session_name());
        let mut pool = Self { connection, name, sessions: Vec::new(), events, discarded, cancel };
        let mut numbers = 0..options.count.max(1);
        match numbers.try_for_each(|number| pool.start(number, options, event.clone())) {
            Ok(()) => Ok(pool),
            Err(error) => {
                pool.discard();
                Err(error)
            }
        }
    }

    /// Starts the session of this number.
    fn start(&mut self, number: usize, options: PoolOptions<'_>, event: Sender<Event>) -> Result<(), Error> {
        let Fed { input, process, restriction } = start_fed(&self.connection, &self.name, self.cancel)?;
        let (queue, pieces) = bounded(QUEUE_PIECES);
        std::thread::spawn(move || feed(input, &pieces));
        let discarded = self.discarded.clone();
        std::thread::spawn(move || read_output(number, process, &event, &discarded));
        self.sessions.push(Queue { pieces: queue, restriction, awaited: 0 });
        self.say(number, beginning(options).into_bytes())
    }

    /// Has them terminated by this connection where they are discarded: the role that opened them may not be able to log in any more.
    pub(super) fn ended_by(&mut self, connection: Connection) {
        self.connection = connection;
    }

    /// The number of sessions.
    pub(super) const fn count(&self) -> usize {
        self.sessions.len()
    }

    /// Queues input for a session, and blocks while its queue is full.
    pub(super) fn say(&mut self, number: usize, mut piece: Vec<u8>) -> Result<(), Error> {
        loop {
            self.check()?;
            let session = self.sessions.get(number).expect("sessions are numbered");
            match session.pieces.send_timeout(piece, POLL) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(back)) => piece = back,
                // It has ended: an event with its error comes.
                Err(SendTimeoutError::Disconnected(_)) => loop {
                    self.next_event()?;
                },
            }
        }
    }

    /// Queues input for a session that has nothing to do, and waits until there is one.
    pub(super) fn say_to_idle(&mut self, piece: Vec<u8>) -> Result<(), Error> {
        let number = loop {
            match self.sessions.iter().position(|session| session.awaited == 0) {
                Some(number) => break number,
                None => self.next_event()?,
            }
        };
        self.say(number, piece)?;
        self.echo(number)
    }

    /// Waits until all sessions are done with everything.
    pub(super) fn wait(&mut self) -> Result<(), Error> {
        for number in 0..self.count() {
            if self.sessions.get(number).is_some_and(|session| session.awaited == 0) {
                self.echo(number)?;
            }
        }
        while self.sessions.iter().any(|session| session.awaited > 0) {
            self.next_event()?;
        }
        Ok(())
    }

    /// Waits until all are done, and ends them; each must end well.
    pub(super) fn end(mut self) -> Result<(), Error> {
        if let Err(error) = self.wait() {
            self.discard();
            return Err(error);
        }
        let count = self.count();
        // Without a queue, their input ends.
        self.sessions.clear();
        for _ in 0..count {
            if let Ok(Event::Ended(ended)) = self.events.recv() {
                ended?;
            }
        }
        Ok(())
    }

    /// Ends them at once, on the server too, where one that waits for a lock would keep others waiting: what they have begun must not be
    /// taken for whole.
    pub(super) fn discard(self) {
        self.discarded.cancel();
        if !self.sessions.is_empty() {
            let end =
                "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name =";
            // Where this fails too, the server ends them when it next looks at their connections.
            let _ = query(&self.connection, &format!("{end} {}", literal(&self.name)), &Cancel::new());
        }
    }

    fn echo(&mut self, number: usize) -> Result<(), Error> {
        self.command(number, ECHO)?;
        self.sessions.get_mut(number).expect("sessions are numbered").awaited += 1;
        Ok(())
    }

    /// Has a session run a command of `psql`, between two statements.
    pub(super) fn command(&mut self, number: usize, command: &str) -> Result<(), Error> {
        let session = self.sessions.get_mut(number).expect("sessions are numbered");
        let text = session.restriction.command(command);
        self.say(number, text.into_bytes())
    }

    fn check(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(process::Error::interrupted("psql").into());
        }
        Ok(())
    }

    fn next_event(&mut self) -> Result<(), Error> {
        let early = || Error::Incomplete { program: "psql".to_owned(), why: "it ended before it was told to" };
        loop {
            self.check()?;
            match self.events.recv_timeout(POLL) {
                Ok(Event::Done(number)) => {
                    let session = self.sessions.get_mut(number).expect("sessions are numbered");
                    session.awaited = session.awaited.saturating_sub(1);
                    return Ok(());
                }
                Ok(Event::Ended(ended)) => return ended.and_then(|()| Err(early())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(early()),
            }
        }
    }
}

impl Drop for SessionPool<'_> {
    fn drop(&mut self) {
        // No network here: the threads stop and kill their `psql`. `end` and `discard` are what end the sessions on the server.
        self.discarded.cancel();
    }
}

/// The first input of a session. What is set in a transaction does not outlast it: a pooled connection may be lent to others.
fn beginning(options: PoolOptions<'_>) -> String {
    let PoolOptions { one_transaction, role, settings: settings_of, .. } = options;
    let (begin, set) = if one_transaction { (BEGIN, "SET LOCAL") } else { ("", "SET") };
    let settings = neutral(Purpose::Loading, one_transaction);
    let fresh = if one_transaction { "" } else { FRESH_SQL };
    let (limits, own) = (optional(one_transaction), of_database(settings_of));
    let role = role.map_or_else(String::new, |role| format!("{set} ROLE {};\n", ident(role)));
    format!("{begin}{settings}{fresh}{limits}{own}{set} client_encoding = {};\n{role}", literal(UTF8))
}

/// Whether an error is that of a session that has ended with it.
pub(super) const fn has_ended(error: &Error) -> bool {
    matches!(error, Error::Refused { .. } | Error::Process(process::Error::Failed { .. }))
}

fn feed(mut input: ProcessInput, pieces: &Receiver<Vec<u8>>) {
    for piece in pieces {
        if input.write_all(&piece).and_then(|()| input.flush()).is_err() {
            // It has ended: the thread that reads its output sends the error.
            return;
        }
    }
}

fn read_output(number: usize, mut process: Process, events: &Sender<Event>, discarded: &Cancel) {
    let mut buffer = [0; 4096];
    let ended = loop {
        if discarded.is_cancelled() {
            return;
        }
        match process.read_within(&mut buffer, POLL) {
            Ok(None) => {}
            Ok(Some(0)) => break process.finish().map_err(refused),
            Ok(Some(len)) => {
                let output = buffer.get(..len).unwrap_or_default();
                for _ in memchr::memchr_iter(b'\n', output) {
                    // Nobody receives it where the pool was discarded.
                    drop(events.send(Event::Done(number)));
                }
            }
            Err(source) => break Err(Error::stream("psql", source)),
        }
    };
    drop(events.send(Event::Ended(ended)));
}
