//! Keeps the shape of a database as it is while code of others may run.
//!
//! Whose code a table runs is looked at once. A function that is run for one table could give another one a trigger, and that
//! is loaded by who restores. So nobody else makes, alters or drops anything, but for the one statement that a transaction
//! of somebody else begins with: that is one of the script.

use crate::id::{hex, random_key};
use crate::postgres::Error;
use crate::postgres::sql::{ident, literal};

/// Event triggers, in a schema of their own by a name that nobody knows.
#[derive(Debug)]
pub(super) struct Guard {
    name: String,
    pub(super) allowed: Allowed,
}

/// What others may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// One statement in each transaction makes, alters or drops something: the first.
    One,
    /// None does.
    Nothing,
}

/// Whether code of others asks, in a session of theirs or, while an index or a materialized view is made, in one of who restores.
/// That one becomes others by itself too, for privileges that those have given.
const IS_OTHER: &str = "NOT own OR (
    (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) SESSION_USER)
    AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER))";
/// Whether the session is one of who restores.
const OWN: &str =
    "own boolean := (SELECT r.rolsuper FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a
    JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) a.usesysid)";

impl Guard {
    /// A guard with a name of its own.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub(super) fn new() -> Result<Self, Error> {
        let key = random_key().map_err(|source| Error::stream("/dev/urandom", source))?;
        Ok(Self {
            name: format!("larder_guard_{}", hex(key.first_chunk::<8>().expect("a key is longer"))),
            allowed: Allowed::One,
        })
    }

    /// The statements that begin it, and allow [`Allowed::One`].
    pub(super) fn begin(&self) -> String {
        let name = ident(&self.name);
        let refuse = "RAISE EXCEPTION 'nothing is made, altered or dropped while the database is loaded'";
        let nothing = literal(&format!("DECLARE {OWN}; BEGIN IF {IS_OTHER} THEN {refuse}; END IF; END"));
        let one = literal(&format!(
            "DECLARE {OWN}; BEGIN IF NOT own THEN PERFORM {name}.begin(); ELSIF {IS_OTHER} THEN {refuse}; END IF;
             EXCEPTION WHEN unique_violation THEN {refuse}; END"
        ));
        let begin = literal(&format!("INSERT INTO {name}.begun VALUES (pg_catalog.txid_current())"));
        // Whoever asks is known by who runs these, so that they run as that.
        let function = "RETURNS event_trigger LANGUAGE plpgsql SET search_path = ''";
        let statements = format!(
            "CREATE SCHEMA {name}; GRANT USAGE ON SCHEMA {name} TO PUBLIC;
             CREATE TABLE {name}.begun (transaction bigint PRIMARY KEY);
             CREATE FUNCTION {name}.begin() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = '' AS {begin};
             CREATE FUNCTION {name}.one() {function} AS {one};
             CREATE FUNCTION {name}.nothing() {function} AS {nothing};
             {}",
            self.trigger()
        );
        // Only a superuser can have it, and for one who is none nobody else's code is run.
        let is_superuser =
            "(SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) CURRENT_USER)";
        format!(
            "DO {};\n",
            literal(&format!("BEGIN IF {is_superuser} THEN EXECUTE {}; END IF; END", literal(&statements)))
        )
    }

    /// The statements that allow others something else from now on.
    pub(super) fn allow(&mut self, allowed: Allowed) -> String {
        self.allowed = allowed;
        format!("DROP EVENT TRIGGER IF EXISTS {};\n{}", ident(&self.name), self.trigger())
    }

    /// The statements that end it.
    pub(super) fn end(&self) -> String {
        let name = ident(&self.name);
        format!("DROP EVENT TRIGGER IF EXISTS {name};\nDROP SCHEMA IF EXISTS {name} CASCADE;\n")
    }

    fn trigger(&self) -> String {
        let name = ident(&self.name);
        let function = match self.allowed {
            Allowed::One => "one",
            Allowed::Nothing => "nothing",
        };
        format!("CREATE EVENT TRIGGER {name} ON ddl_command_start EXECUTE FUNCTION {name}.{function}();\n")
    }
}
