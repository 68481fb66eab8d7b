//! Keeps the shape of a database as it is while code of others may run in sessions of theirs.
//!
//! Whose code a table runs is looked at once. A function that is run for one table could give another one a trigger, and that
//! is loaded by who restores. So nobody but he makes, alters or drops anything, but for the one statement that a transaction
//! of somebody else begins with, where that is one of the script.

use crate::id::{hex, random_key};
use crate::postgres::Error;
use crate::postgres::sql::{ident, literal};

/// Event triggers, in a schema of their own by a name that nobody knows.
#[derive(Debug)]
pub(super) struct Guard {
    name: String,
}

/// What others may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// One statement in each transaction makes, alters or drops something: the first.
    One,
    /// None does.
    Nothing,
}

/// Whether the session is one of others, whoever it has become.
const IS_OTHER: &str = "NOT (SELECT r.rolsuper FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a
    JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid)";

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
    pub(super) fn begin(&self, allowed: Allowed) -> String {
        let name = ident(&self.name);
        let refuse = "RAISE EXCEPTION 'nothing is made, altered or dropped while the database is loaded'";
        let nothing = literal(&format!("BEGIN IF {IS_OTHER} THEN {refuse}; END IF; END"));
        let one = literal(&format!(
            "BEGIN IF {IS_OTHER} THEN INSERT INTO {name}.begun VALUES (pg_catalog.txid_current()); END IF;
             EXCEPTION WHEN unique_violation THEN {refuse}; END"
        ));
        let function = "RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''";
        format!(
            "CREATE SCHEMA {name};
             CREATE TABLE {name}.begun (transaction bigint PRIMARY KEY);
             CREATE FUNCTION {name}.one() {function} AS {one};
             CREATE FUNCTION {name}.nothing() {function} AS {nothing};\n{}",
            self.trigger(allowed)
        )
    }

    /// The statements that allow others something else from now on.
    pub(super) fn allow(&self, allowed: Allowed) -> String {
        format!("DROP EVENT TRIGGER {};\n{}", ident(&self.name), self.trigger(allowed))
    }

    /// The statements that end it.
    pub(super) fn end(&self) -> String {
        let name = ident(&self.name);
        format!("DROP EVENT TRIGGER {name};\nDROP SCHEMA {name} CASCADE;\n")
    }

    fn trigger(&self, allowed: Allowed) -> String {
        let name = ident(&self.name);
        let function = match allowed {
            Allowed::One => "one",
            Allowed::Nothing => "nothing",
        };
        format!("CREATE EVENT TRIGGER {name} ON ddl_command_start EXECUTE FUNCTION {name}.{function}();\n")
    }
}
