//! What a server refuses of a database that is loaded all the same, and named: noted in the database itself, or by the session that ends.

use super::action::run;
use crate::cancel::Cancel;
use crate::id::{hex, random_bytes};
use crate::postgres::sql::{ident, literal};
use crate::postgres::wrapped::wrapped_noting;
use crate::postgres::{self, Asked};
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
    pub(super) fn read(&self, database: &impl Asked, cancel: &Cancel) -> Result<Vec<Refusal>, Error> {
        let sql = format!("SELECT object, why FROM {}.refusals ORDER BY number", self.schema);
        let rows = run(database, "read what the server has refused", &sql, cancel)?;
        let refusals = rows.into_iter().filter_map(|row| match <[Option<String>; 2]>::try_from(row) {
            Ok([Some(object), Some(why)]) => Some(Refusal { object, why }),
            _ => None,
        });
        Ok(refusals.collect())
    }

    /// The query for what was noted.
    pub(super) fn objects(&self) -> String {
        format!("SELECT object FROM {}.refusals", self.schema)
    }

    /// The statement that takes it away.
    pub(super) fn end(&self) -> String {
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
