//! A session that is kept for the next question: to open one starts a program, and has the server let it in.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::client::QUESTION_LIMIT;
use super::{Asked, Connection, Error, Row, Session};
use crate::cancel::Cancel;

/// After so long without use another one is opened: servers end what does nothing.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// What a server says when it ends a session for that.
const ENDED_IDLE: &str = "terminating connection due to idle";

/// A connection with the session that was used last.
#[derive(Debug)]
pub(crate) struct Kept {
    connection: Connection,
    session: Mutex<Option<(Session, Instant)>>,
}

impl Asked for Kept {
    fn ask(&self, query: &str, cancel: &Cancel) -> Result<Vec<Row>, Error> {
        self.query_within(query, QUESTION_LIMIT, cancel)
    }
}

impl Kept {
    /// None is opened yet.
    pub(crate) const fn new(connection: Connection) -> Self {
        Self { connection, session: Mutex::new(None) }
    }

    /// How to reach the server.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// As [`super::query`], with another limit.
    ///
    /// # Errors
    /// Those of [`super::query`].
    pub(super) fn query_within(&self, query: &str, limit: Duration, cancel: &Cancel) -> Result<Vec<Row>, Error> {
        self.with(|session| session.question(query, cancel), Some(limit), cancel)
    }

    /// As [`super::execute`].
    ///
    /// # Errors
    /// Those of [`super::execute`].
    pub(crate) fn execute(&self, statements: &[String], cancel: &Cancel) -> Result<(), Error> {
        let run = |session: &mut Session| {
            statements.iter().try_for_each(|statement| session.run(&format!("{statement};"), cancel))
        };
        self.with(run, None, cancel)
    }

    /// A session that was refused something has ended with that. One that the server has ended before, as it did nothing, was
    /// told nothing: another one is.
    fn with<T>(
        &self,
        ask: impl Fn(&mut Session) -> Result<T, Error>,
        limit: Option<Duration>,
        cancel: &Cancel,
    ) -> Result<T, Error> {
        let mut kept = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let last = kept.take().filter(|(_, used)| used.elapsed() < IDLE_MAX);
        let mut was_kept = last.is_some();
        let mut session =
            last.map_or_else(|| Session::open(&self.connection, "larder", cancel), |(session, _)| Ok(session))?;
        loop {
            session.limit_to(limit);
            match ask(&mut session) {
                Ok(answer) => {
                    *kept = Some((session, Instant::now()));
                    return Ok(answer);
                }
                Err(error) if was_kept && error.to_string().contains(ENDED_IDLE) => {
                    was_kept = false;
                    session = Session::open(&self.connection, "larder", cancel)?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
