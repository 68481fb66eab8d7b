//! Going on where the server refuses something: what is noted of that, and which sessions are opened anew.

use super::loader::Loader;
use super::refusals::{Refusal, Refusals, why};
use super::session_pool::has_ended;
use crate::postgres::overloads::NOTHING_REFUSED;
use crate::postgres::sql::literal;
use crate::sink::Error;

impl Loader<'_> {
    /// Begins to note what is refused, where loading is to go on then.
    pub(super) fn begin_refusals(&mut self) -> Result<(), Error> {
        if self.options.goes_on {
            let refusals = Refusals::new().map_err(|source| self.failed(source))?;
            self.say(refusals.begin())?;
            self.sessions.wait()?;
            self.sessions.refusals = Some(refusals);
        }
        Ok(())
    }

    /// Ends that. From now on what is refused ends the session that runs it.
    pub(super) fn end_refusals(&mut self) -> Result<(), Error> {
        let Some(refusals) = self.sessions.refusals.take() else { return Ok(()) };
        self.sessions.wait()?;
        let noted = refusals.read(&self.sessions.database, self.monitor.cancel())?;
        self.refused.splice(0..0, noted);
        self.say(refusals.end())
    }

    /// The query for what was refused so far, by its title.
    pub(super) fn refused_sql(&self) -> String {
        let noted = self.sessions.refusals.as_ref().map(Refusals::objects);
        let others = self.refused.iter().map(|refusal| format!("SELECT {}", literal(&refusal.object)));
        let all: Vec<String> = noted.into_iter().chain(others).collect();
        if all.is_empty() { NOTHING_REFUSED.to_owned() } else { all.join(" UNION ALL ") }
    }

    /// Goes on past statements that nobody may run, where that is wanted.
    pub(super) fn or_skipped(&mut self, object: &str, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Err(error @ Error::Code { .. }) if self.options.goes_on => {
                self.refused.push(Refusal { object: object.to_owned(), why: error.to_string() });
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Goes on past something that has ended the session that ran it, where that is wanted. Nothing else was being done.
    pub(super) fn or_refused(&mut self, object: &str, outcome: Result<(), Error>) -> Result<(), Error> {
        let why = match outcome {
            Err(Error::Database { source, .. } | Error::AsOwner { source, .. })
                if self.options.goes_on && has_ended(&source) && !self.monitor.is_cancelled() =>
            {
                why(&source)
            }
            outcome => return self.or_skipped(object, outcome),
        };
        self.sessions.reopen()?;
        self.refused.push(Refusal { object: object.to_owned(), why });
        Ok(())
    }

    /// Whether rows of a table can be loaded at all: it is there.
    pub(super) fn is_there(&self, table: &str) -> bool {
        self.access.as_ref().is_none_or(|access| access.has(table))
    }
}
