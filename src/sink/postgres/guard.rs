//! Keeps the shape of a database as it is while code of others may run.
//!
//! Whose code a table runs is looked at once. A function that is run for one table could give another one a trigger, and that
//! is loaded by who restores. So nobody else makes, alters or drops anything, but for the one statement that a transaction
//! of somebody else begins with: that is one of the script.

use crate::id::{hex, random_bytes};
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
const IS_OTHER: &str = "NOT own OR (:NAME.leads(SESSION_USER) AND NOT :NAME.leads(CURRENT_USER))";
/// Whether the session is one of who restores.
const OWN: &str = "own boolean := :NAME.is_own()";
/// What these ask, also where nobody else may ask it.
const ROLES: &str = "
    CREATE FUNCTION :NAME.leads(name) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = '' AS
        'SELECT rolsuper FROM pg_catalog.pg_authid WHERE rolname OPERATOR(pg_catalog.=) $1';
    CREATE FUNCTION :NAME.is_own() RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = '' AS
        'SELECT r.rolsuper FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a JOIN pg_catalog.pg_authid r ON r.oid OPERATOR(pg_catalog.=) a.usesysid';";

/// The first number that is not one of the server's own objects.
const FIRST_OWN_OID: u32 = 16_384;
/// Whether a function `p` runs with the rights of its owner, or calls one that does, whoever may call that.
const RUNS_AS_OWNER: &str = "(p.prosecdef OR EXISTS (SELECT FROM pg_catalog.pg_aggregate g JOIN pg_catalog.pg_proc q
    ON q.oid IN (g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn) WHERE g.aggfnoid = p.oid AND q.prosecdef))";
/// A function `p` and a role `a.grantee` as they stand in a statement.
const GRANTED: &str = "CASE WHEN pg_catalog.to_jsonb(p) ->> 'prokind' = 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END
    || p.oid::pg_catalog.regprocedure::pg_catalog.text AS granted,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS role";

impl Guard {
    /// A guard with a name of its own.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub(super) fn new() -> Result<Self, Error> {
        let key = random_bytes().map_err(|source| Error::stream("/dev/urandom", source))?;
        Ok(Self {
            name: format!("larder_guard_{}", hex(key.first_chunk::<8>().expect("a key is longer"))),
            allowed: Allowed::One,
        })
    }

    /// The statements that begin it, and allow [`Allowed::One`].
    pub(super) fn begin(&self) -> String {
        let name = ident(&self.name);
        let refuse = "RAISE EXCEPTION 'nothing is made, altered or dropped while the database is loaded'";
        let [own, is_other, roles] = [OWN, IS_OTHER, ROLES].map(|text| text.replace(":NAME", &name));
        let nothing = literal(&format!("DECLARE {own}; BEGIN IF {is_other} THEN {refuse}; END IF; END"));
        let one = literal(&format!(
            "DECLARE {own}; BEGIN IF NOT own THEN PERFORM {name}.begin(); ELSIF {is_other} THEN {refuse}; END IF;
             EXCEPTION WHEN unique_violation THEN {refuse}; END"
        ));
        let begin = literal(&format!("INSERT INTO {name}.begun VALUES (pg_catalog.txid_current())"));
        // Whoever asks is known by who runs these, so that they run as that.
        let function = "RETURNS event_trigger LANGUAGE plpgsql SET search_path = ''";
        let statements = format!(
            "CREATE SCHEMA {name}; GRANT USAGE ON SCHEMA {name} TO PUBLIC;
             CREATE TABLE {name}.begun (transaction bigint PRIMARY KEY);
             CREATE TABLE {name}.closed (function oid, grantee oid, is_grantable boolean, PRIMARY KEY (function, grantee));
             {roles}
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

    /// The statement that keeps everybody but their owners from functions that run with the rights of those: nobody has been
    /// denied them yet, and the triggers and policies are not there that watch what they do.
    pub(super) fn close_functions(&self) -> String {
        let name = ident(&self.name);
        each(&format!(
            "IF pg_catalog.to_regclass({}) IS NULL THEN RETURN; END IF;
             FOR f IN SELECT p.*, a.grantee, a.is_grantable, {GRANTED} FROM pg_catalog.pg_proc p CROSS JOIN LATERAL
                    pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
                WHERE p.oid >= {FIRST_OWN_OID} AND a.grantee <> p.proowner AND {RUNS_AS_OWNER}
                    AND p.pronamespace <> {}::pg_catalog.regnamespace
             LOOP
                INSERT INTO {name}.closed VALUES (f.oid, f.grantee, f.is_grantable) ON CONFLICT DO NOTHING;
                EXECUTE pg_catalog.format('REVOKE EXECUTE ON %s FROM %s CASCADE', f.granted, f.role);
             END LOOP;",
            literal(&format!("{name}.closed")),
            literal(&name)
        ))
    }

    /// The statement that takes that back.
    pub(super) fn open_functions(&self) -> String {
        let name = ident(&self.name);
        each(&format!(
            "IF pg_catalog.to_regclass({}) IS NULL THEN RETURN; END IF;
             FOR f IN SELECT a.is_grantable, {GRANTED} FROM {name}.closed a JOIN pg_catalog.pg_proc p ON p.oid = a.function
             LOOP
                EXECUTE pg_catalog.format('GRANT EXECUTE ON %s TO %s%s', f.granted, f.role, CASE WHEN f.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
             END LOOP;",
            literal(&format!("{name}.closed"))
        ))
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

/// A statement that does something with each `f`.
fn each(body: &str) -> String {
    format!("DO {};\n", literal(&format!("DECLARE f record; BEGIN {body} END")))
}
