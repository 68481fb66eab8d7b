//! What a server refuses of a database that is loaded all the same, and named: noted in the database itself, or by the session that ends.

use super::action::run;
use super::lanes::has_ended;
use super::load::Loader;
use super::reading::{next_part, unreadable};
use crate::id::{hex, random_bytes};
use crate::model::rows::END;
use crate::postgres::overloads::NOTHING_REFUSED;
use crate::postgres::part::Part;
use crate::postgres::script::ScriptReader;
use crate::postgres::sql::{ident, literal};
use crate::postgres::wrapped::wrapped_noting;
use crate::postgres::{self, Asked, Stopped, WholeRows};
use crate::sink::Error;

/// What a server says behind the reason.
const MORE: [&str; 3] = ["; LINE ", "; QUERY:", "; CONTEXT:"];
/// Most characters of a message that are noted.
const CHARS_MAX: usize = 2_000;

/// Something that the server has refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is, with its kind and name.
    pub object: String,
    /// Why, as the server says.
    pub why: String,
}

/// Where what is refused of who restores is noted: a schema of a name that nobody knows, and that nobody else gets into. What is refused of an
/// owner ends his session: code of his could note anything.
#[derive(Debug)]
pub(super) struct Refusals {
    schema: String,
}

impl Refusals {
    /// A place with a name of its own.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub(super) fn new() -> Result<Self, postgres::Error> {
        let key = random_bytes().map_err(|source| postgres::Error::stream("/dev/urandom", source))?;
        let name = format!("larder_refused_{}", hex(key.first_chunk::<8>().expect("a key is longer")));
        Ok(Self { schema: ident(&name) })
    }

    /// The statements that make it.
    pub(super) fn begin(&self) -> String {
        let schema = &self.schema;
        format!("CREATE SCHEMA {schema};\nCREATE TABLE {schema}.refusals (number bigserial, object text, why text);\n")
    }

    /// Statements of others in this encoding about this object, of which none is run when one is refused.
    pub(super) fn wrapped(&self, object: &str, statements: &[u8], encoding: &str) -> String {
        let note = format!(
            "INSERT INTO {}.refusals (object, why) VALUES (pg_catalog.left({}, {CHARS_MAX}), pg_catalog.left(SQLERRM, {CHARS_MAX}))",
            self.schema,
            literal(object)
        );
        wrapped_noting(statements, encoding, &note)
    }

    /// What was noted, in the order of the statements of each session.
    fn read(&self, database: &impl Asked, stopped: Stopped<'_>) -> Result<Vec<Refusal>, Error> {
        let sql = format!("SELECT object, why FROM {}.refusals ORDER BY number", self.schema);
        let rows = run(database, "read what the server has refused", &sql, stopped)?;
        let refusals = rows.into_iter().filter_map(|row| match <[Option<String>; 2]>::try_from(row) {
            Ok([Some(object), Some(why)]) => Some(Refusal { object, why }),
            _ => None,
        });
        Ok(refusals.collect())
    }

    /// The query for what was noted.
    fn objects(&self) -> String {
        format!("SELECT object FROM {}.refusals", self.schema)
    }

    /// The statement that takes it away.
    fn end(&self) -> String {
        format!("DROP SCHEMA {} CASCADE;\n", self.schema)
    }
}

/// What the server says that has refused something, without the statement and the row, in which there may be secrets.
pub(super) fn why(error: &postgres::Error) -> String {
    match error {
        postgres::Error::Refused { why, .. } => {
            let end = MORE.iter().filter_map(|more| why.find(more)).min().unwrap_or(why.len());
            why.get(..end).unwrap_or(why).trim_start_matches("ERROR:").trim_start().to_owned()
        }
        error => error.to_string(),
    }
}

/// What the server has refused and why, in words, without the statement.
#[must_use]
pub fn in_short(error: &postgres::Error) -> String {
    match error {
        postgres::Error::Refused { what: Some(what), .. } => format!("the server refuses {what}: {}", why(error)),
        error => why(error),
    }
}

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
        let noted = refusals.read(&self.sessions.database, &|| self.progress.cancelled())?;
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

    /// Goes on past something that has ended the session that was told it, where that is wanted. Nothing else was being done.
    pub(super) fn or_refused(&mut self, object: &str, outcome: Result<(), Error>) -> Result<(), Error> {
        let why = match outcome {
            Err(Error::Database { source, .. } | Error::AsOwner { source, .. })
                if self.options.goes_on && has_ended(&source) && !self.progress.cancelled() =>
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

    /// Loads rows of a script by one session, and goes on where they are refused.
    pub(super) fn script_rows(
        &mut self,
        table: (&str, &[String]),
        reader: &mut ScriptReader<&mut dyn std::io::Read>,
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
