//! Keeps the shape of a database as it is while code of others may run in sessions that load rows.
//!
//! Whose code a table runs is looked at once. A function that is run for one table could give another one a trigger, and that
//! is loaded by who restores. So nobody but he makes, alters or drops anything, until all that he does is done.

use crate::id::{hex, random_key};
use crate::postgres::Error;
use crate::postgres::sql::{ident, literal};

/// An event trigger in a schema of its own, by a name that nobody knows.
#[derive(Debug)]
pub(super) struct Guard {
    name: String,
}

impl Guard {
    /// A guard with a name of its own.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub(super) fn new() -> Result<Self, Error> {
        let key = random_key().map_err(|source| Error::stream("/dev/urandom", source))?;
        Ok(Self { name: format!("larder_guard_{}", hex(key.first_chunk::<8>().expect("a key is longer"))) })
    }

    /// The statements that begin it.
    pub(super) fn begin(&self) -> String {
        let name = ident(&self.name);
        let body = literal(
            "BEGIN IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = SESSION_USER) THEN
                RAISE EXCEPTION 'nothing is made, altered or dropped while rows are loaded'; END IF; END",
        );
        format!(
            "CREATE SCHEMA {name};
             CREATE FUNCTION {name}.refuse() RETURNS event_trigger LANGUAGE plpgsql SET search_path = '' AS {body};
             CREATE EVENT TRIGGER {name} ON ddl_command_start EXECUTE FUNCTION {name}.refuse();\n"
        )
    }

    /// The statements that end it.
    pub(super) fn end(&self) -> String {
        let name = ident(&self.name);
        format!("DROP EVENT TRIGGER {name};\nDROP SCHEMA {name} CASCADE;\n")
    }
}
