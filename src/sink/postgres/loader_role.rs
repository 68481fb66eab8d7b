//! Roles that are made for one restore: each has the rights of one owner of tables and no others.
//!
//! Code that runs in its session can become that owner and nobody else. `SET ROLE` alone would not do: code undoes it, and is
//! then who logged in. That one can give itself another password: so nobody can log in as it once our sessions are there, and
//! it is never used again. A role is dropped with its restore; what a killed restore leaves, the next one drops. All roles of the
//! server see it, and can keep it from being dropped: then it stays, without any rights.

use postgres_protocol::password::scram_sha_256;

use super::action;
use super::maintenance::is_temporary;
use super::session_pool::{PoolOptions, SessionPool};
use crate::cancel::Cancel;
use crate::id::{hex, random_bytes};
use crate::monitor::Monitor;
use crate::postgres::sql::{ident, literal};
use crate::postgres::{self, Connection, Kept, LOADER_ROLES, Row, Session, execute, query, tidy_up};
use crate::sink::Error;

/// What the names of these roles begin with, before sixteen hexadecimal digits.
const PREFIX: &str = "larder_load_";
/// Also in case that nobody drops it, nobody can log in as it after so many hours.
const VALID_HOURS: u32 = 48;

/// Triggers, and event triggers, do not run in a session that has this, but for those that always do.
pub(super) const REPLICA: &str = "session_replication_role = replica";
/// What only a superuser may set, and every session of a restore has.
pub(super) const NO_LIMIT: &str = "temp_file_limit = -1";

/// Drops the roles that `:WHICH` is about, and ends their sessions. One that something depends on stays: whoever owns something in
/// any database can have it depend on them. Then it has no rights of others, and nobody can log in as it. Others can also keep it
/// from being dropped as long as they like: that is not waited for.
const DROP_SQL: &str = "SET search_path = pg_catalog, pg_temp;
DO $drop$ DECLARE loader record; other name; began timestamptz := clock_timestamp();
BEGIN
    FOR loader IN SELECT oid, rolname, rolcanlogin FROM pg_roles r WHERE :WHICH ORDER BY random() LIMIT 1000 LOOP
        EXIT WHEN clock_timestamp() > began + interval '5 s';
        PERFORM set_config('lock_timeout', '1s', true);
        BEGIN
            IF :IS_FREE THEN
                PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = loader.oid;
                EXECUTE format('DROP ROLE IF EXISTS %I', loader.rolname);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            BEGIN
                PERFORM set_config('lock_timeout', '5s', true);
                IF loader.rolcanlogin THEN
                    EXECUTE format('ALTER ROLE %I NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL', loader.rolname);
                END IF;
                FOR other IN SELECT o.rolname FROM pg_auth_members m JOIN pg_roles o ON o.oid = m.roleid WHERE m.member = loader.oid LOOP
                    EXECUTE format('REVOKE %I FROM %I', other, loader.rolname);
                END LOOP;
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
        END;
    END LOOP;
END $drop$";
/// Roles that are there: their names, where something depends on them, and whether they still could do something.
const LEFT_SQL: &str = "SELECT r.rolname, (SELECT pg_catalog.string_agg(DISTINCT d.datname::pg_catalog.text, ', ') FROM pg_catalog.pg_shdepend s
            JOIN pg_catalog.pg_database d ON d.oid = s.dbid WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = r.oid),
        r.rolcanlogin OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid)
    FROM pg_catalog.pg_roles r WHERE :WHICH ORDER BY 1 LIMIT 1000";

/// What sessions of a role may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights<'r> {
    /// Whose rows or tables they are for.
    pub(super) owner: &'r str,
    /// What is granted for that, as it stands in SQL: the owner as a role, or privileges.
    pub(super) granted: &'r [String],
    /// Settings that only a superuser may set.
    pub(super) settings: &'r [&'r str],
}

/// The roles of one restore.
#[derive(Debug)]
pub(super) struct LoaderRoles {
    maintenance: Connection,
    /// The database that is loaded, as who restores reaches it.
    database: Connection,
    /// It holds a lock for each role, by which others see that it is in use.
    holder: Option<Session>,
    /// Their names. Only the last one may be in use; those before are dropped, where they could be.
    roles: Vec<String>,
}

impl LoaderRoles {
    /// No roles so far, for this database. `maintenance` is a connection to another one of the same server.
    pub(super) const fn new(maintenance: Connection, database: Connection) -> Self {
        Self { maintenance, database, holder: None, roles: Vec::new() }
    }

    /// Drops what killed restores have left, and what could not be dropped then. Best effort: the next one tries again.
    pub(super) fn drop_left(maintenance: &Connection, cancel: &Cancel) {
        if !cancel.is_cancelled() {
            // The lock of a role is its digits as a number.
            let is_free = format!(
                "pg_try_advisory_xact_lock(('x' || substr(loader.rolname, {}))::bit(64)::bigint)",
                PREFIX.len() + 1
            );
            let _ = tidy_up(maintenance, &[drop_sql(&is_loader(), &is_free)]);
        }
    }

    /// Opens sessions with these rights, as a role of their own. All that were opened before have ended. From then on nobody can
    /// log in as that role.
    ///
    /// # Errors
    /// [`Error::NoLoader`] when the server does not let such a role be made, or sessions be opened as it.
    pub(super) fn open_pool<'a>(
        &mut self,
        rights: Rights<'_>,
        options: PoolOptions<'_>,
        monitor: &'a Monitor<'a>,
    ) -> Result<SessionPool<'a>, Error> {
        let no_loader = |source| Error::NoLoader { owner: rights.owner.to_owned(), source };
        self.drop_last();
        let opened = self.make(rights, options.count, monitor.cancel()).and_then(|connection| {
            let mut pool = SessionPool::open(&connection, options, monitor.cancel())?;
            // Who restores can still log in later.
            pool.ended_by(self.database.clone());
            // Whether the server lets them in is known only when they have done something.
            match pool.wait() {
                Ok(()) => Ok(pool),
                Err(error) => {
                    pool.discard();
                    Err(error)
                }
            }
        });
        let closed = self.close();
        let pool = opened.map_err(no_loader)?;
        if let Err(error) = closed {
            pool.discard();
            return Err(no_loader(error));
        }
        Ok(pool)
    }

    /// The role of the sessions that were opened last.
    pub(super) fn last(&self) -> Option<&str> {
        self.roles.last().map(String::as_str)
    }

    /// Makes a role that as many sessions can log in as.
    fn make(&mut self, rights: Rights<'_>, count: usize, cancel: &Cancel) -> Result<Connection, postgres::Error> {
        let random = || random_bytes().map_err(|source| postgres::Error::stream("/dev/urandom", source));
        let name = format!("{PREFIX}{}", hex(random()?.first_chunk::<8>().expect("a key is longer")));
        let password = hex(&random()?);
        if self.holder.is_none() {
            self.holder = Some(Session::open(&self.maintenance, "larder", cancel)?);
        }
        let holder = self.holder.as_mut().expect("it was just opened");
        holder.run(&format!("SELECT pg_catalog.pg_advisory_lock({});", key_of(&name)), cancel)?;
        let mut statements = vec![
            "BEGIN".to_owned(),
            format!(
                "CREATE ROLE {} WITH LOGIN NOSUPERUSER NOINHERIT NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS
                    CONNECTION LIMIT {} PASSWORD {}",
                ident(&name),
                count.max(1),
                // Statements are shown to others, and logged.
                literal(&scram_sha_256(password.as_bytes()))
            ),
            format!("COMMENT ON ROLE {} IS {}", ident(&name), literal(&comment(&self.database.database))),
            "COMMIT".to_owned(),
            format!(
                "DO $until$ BEGIN EXECUTE pg_catalog.format('ALTER ROLE {name} VALID UNTIL %L', pg_catalog.now() + '{VALID_HOURS} hours'); END $until$"
            ),
        ];
        statements.extend(rights.settings.iter().map(|setting| format!("ALTER ROLE {} SET {setting}", ident(&name))));
        if is_temporary(&self.database.database) {
            // It is closed to all others.
            statements.push(self.connect("GRANT", "TO", &name));
        }
        self.roles.push(name.clone());
        execute(&self.maintenance, &statements, cancel)?;
        // The name of an owner is what this database takes it for.
        let grants: Vec<String> =
            rights.granted.iter().map(|granted| format!("GRANT {granted} TO {}", ident(&name))).collect();
        execute(&self.database, &grants, cancel)?;
        Ok(Connection { user: Some(name), password: Some(password), ..self.database.clone() })
    }

    /// Keeps everybody from logging in as the last role, which cannot allow it again, and takes away what only logging in needs.
    fn close(&self) -> Result<(), postgres::Error> {
        let Some(name) = self.last() else { return Ok(()) };
        let role = ident(name);
        let mut statements = vec![
            format!("ALTER ROLE {role} NOLOGIN CONNECTION LIMIT 0 PASSWORD NULL"),
            format!("ALTER ROLE {role} RESET ALL"),
        ];
        if is_temporary(&self.database.database) {
            statements.push(self.connect("REVOKE", "FROM", name));
        }
        tidy_up(&self.maintenance, &[statements.join("; ")])
    }

    /// Lets a role connect to the database, or not.
    fn connect(&self, verb: &str, preposition: &str, name: &str) -> String {
        format!("{verb} CONNECT ON DATABASE {} {preposition} {}", ident(&self.database.database), ident(name))
    }

    /// Drops the roles, and what they may own in the database. Their sessions are ended. What cannot be dropped has no rights, and
    /// is what [`LoaderRoles::left`] and [`left_for`] tell.
    pub(super) fn drop_all(&mut self) {
        self.drop_last();
        if self.roles.len() > 1 {
            let _ = tidy_up(&self.maintenance, &[drop_sql(&is_one_of(&self.roles), "true")]);
        }
        if let Some(holder) = self.holder.take() {
            // Its locks go with it.
            let _ = holder.end();
        }
    }

    /// Drops the roles where some were made: what they are for is given up. The next restore drops what this cannot.
    pub(super) fn discard(mut self) {
        if self.holder.is_some() {
            self.drop_all();
        }
    }

    /// Which of the roles are still there, each in words.
    pub(super) fn left(&self) -> Vec<String> {
        if self.roles.is_empty() {
            return Vec::new();
        }
        let rows = query(&self.maintenance, &LEFT_SQL.replace(":WHICH", &is_one_of(&self.roles)), &Cancel::new());
        rows.map_or_else(|_| self.roles.iter().map(|name| in_words(name, None, true)).collect(), |rows| told(&rows))
    }

    fn drop_last(&self) {
        let Some(name) = self.last() else { return };
        // It has nothing there, but for what the code of others has made as it.
        let _ = tidy_up(&self.database, &[format!("{}; DROP OWNED BY {}", end_sessions(name), ident(name))]);
        let _ = tidy_up(&self.maintenance, &[drop_sql(&is_one_of(std::slice::from_ref(&name.to_owned())), "true")]);
    }
}

impl Drop for LoaderRoles {
    fn drop(&mut self) {
        // The last resort where the program has a defect and unwinds: every other way out has dropped them.
        if self.holder.is_some() {
            self.drop_all();
        }
    }
}

/// The condition that a role `r` was made for loading: one of others may have such a name.
pub(crate) fn is_loader() -> String {
    format!(
        "r.rolname ~ '{LOADER_ROLES}' AND pg_catalog.strpos(pg_catalog.shobj_description(r.oid, 'pg_authid'), {}) = 1",
        literal(&comment(""))
    )
}

/// Drops what killed restores have made in a database and not given to its owner, and takes back what their roles were lent there.
///
/// # Errors
/// [`Error::Unusable`] where one that still goes on makes one of these tables, as they stand in SQL; [`Error::Database`] where something
/// depends on them.
pub(super) fn drop_half_made(
    (database, maintenance): (&Connection, &Connection),
    tables: &[String],
    cancel: &Cancel,
) -> Result<(), Error> {
    let names: Vec<String> = tables.iter().map(|name| literal(name)).collect();
    let sql = format!(
        "SELECT r.rolname, EXISTS (SELECT FROM pg_catalog.unnest(ARRAY[{}]::pg_catalog.text[]) AS name
                JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(name) WHERE c.relowner = r.oid)
            FROM pg_catalog.pg_roles r WHERE {} AND r.oid IN (SELECT s.refobjid FROM pg_catalog.pg_shdepend s
                WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                AND s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())) LIMIT 1000",
        names.join(", "),
        is_loader()
    );
    let failed = |source| action::failed("drop what a killed restore has left", source);
    for row in query(database, &sql, cancel).map_err(failed)? {
        let [Some(role), has_table] = row.as_slice() else { continue };
        let lock = format!("SELECT pg_catalog.pg_try_advisory_lock({})", key_of(role));
        let rows = query(maintenance, &lock, cancel).map_err(failed)?;
        let is_free = rows.into_iter().flatten().flatten().next().as_deref() == Some("t");
        if is_free {
            let drop = format!("DROP OWNED BY {}", ident(role));
            execute(database, &[format!("SET {REPLICA}"), drop], cancel).map_err(failed)?;
        } else if has_table.as_deref() == Some("t") {
            return Err(Error::Unusable("another restore is making these tables".to_owned()));
        }
    }
    Ok(())
}

/// Which roles are still there that were made for loading a database of this name, each in words.
///
/// # Errors
/// Those of [`query`].
pub(super) fn left_for(maintenance: &Kept, database: &str, cancel: &Cancel) -> Result<Vec<String>, postgres::Error> {
    let which = format!(
        "r.rolname ~ '{LOADER_ROLES}' AND pg_catalog.shobj_description(r.oid, 'pg_authid') = {}",
        literal(&comment(database))
    );
    query(maintenance, &LEFT_SQL.replace(":WHICH", &which), cancel).map(|rows| told(&rows))
}

/// What the server says of a role that was made for this database.
fn comment(database: &str) -> String {
    format!("made by Larder to load {database}")
}

fn drop_sql(which: &str, is_free: &str) -> String {
    DROP_SQL.replace(":WHICH", which).replace(":IS_FREE", is_free)
}

/// The condition that a role is one of these.
fn is_one_of(names: &[String]) -> String {
    format!("rolname IN ({})", names.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", "))
}

/// Each role that [`LEFT_SQL`] has found, in words.
fn told(rows: &[Row]) -> Vec<String> {
    let told = rows.iter().filter_map(|row| match row.as_slice() {
        [Some(name), databases, may_act] => Some(in_words(name, databases.as_deref(), may_act.as_deref() != Some("f"))),
        _ => None,
    });
    told.collect()
}

fn in_words(name: &str, databases: Option<&str>, may_act: bool) -> String {
    let why = match databases {
        Some(databases) => format!("because others have given it something in {databases}"),
        None => "because something on the server depends on it".to_owned(),
    };
    let state = if may_act {
        "look at what it may do, and drop it"
    } else {
        "it has no rights of others, nobody can log in as it, and the next restore tries again"
    };
    format!("the role {name}, which was made for loading, could not be dropped, {why}: {state}")
}

/// The statement that ends what still runs as a role.
fn end_sessions(name: &str) -> String {
    let end = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE usename OPERATOR(pg_catalog.=)";
    format!("{end} {}", literal(name))
}

/// The lock of a role: its digits as a number.
fn key_of(name: &str) -> i64 {
    let digits = name.strip_prefix(PREFIX).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_a_lock_of_its_own() {
        assert_eq!(key_of("larder_load_00000000000000ff"), 255);
        assert_eq!(key_of("larder_load_ffffffffffffffff"), -1);
    }
}
