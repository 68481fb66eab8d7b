//! Roles that are made for one restore: each has the rights of one owner of tables and no others.
//!
//! Code that runs in its session can become that owner and nobody else. `SET ROLE` alone would not do: code undoes it, and is
//! then who logged in. That one can give itself another password: so nobody can log in as it once our sessions are there, and
//! it is never used again. A role is dropped with its restore; what a killed restore leaves, the next one drops.

use postgres_protocol::password::scram_sha_256;

use super::lanes::{LaneOptions, Lanes};
use super::{Error, is_temporary};
use crate::id::{hex, random_key};
use crate::postgres::sql::{ident, literal};
use crate::postgres::{self, Connection, LOADER_ROLES, Session, Stopped, execute, query, tidy_up};
use crate::progress::Progress;

/// What the names of these roles begin with, before sixteen hexadecimal digits.
const PREFIX: &str = "larder_load_";
/// Also in case that nobody drops it, nobody can log in as it after so many hours.
const VALID_HOURS: u32 = 48;

/// The roles of one restore.
#[derive(Debug)]
pub(super) struct LoaderRoles {
    maintenance: Connection,
    /// The database that is loaded, as who restores reaches it.
    database: Connection,
    /// It holds a lock for each role, by which others see that it is in use.
    holder: Option<Session>,
    /// Their names. Only the last one may be in use.
    roles: Vec<String>,
}

impl LoaderRoles {
    /// No roles so far, for this database. `maintenance` is a connection to another one of the same server.
    pub(super) const fn new(maintenance: Connection, database: Connection) -> Self {
        Self { maintenance, database, holder: None, roles: Vec::new() }
    }

    /// Drops what killed restores have left. Best effort: the next one tries again.
    pub(super) fn drop_left(maintenance: &Connection, stopped: Stopped<'_>) {
        let sql = format!("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname ~ '{LOADER_ROLES}' LIMIT 1000");
        let Ok(left) = query(maintenance, &sql, stopped) else { return };
        for name in left.into_iter().flatten().flatten() {
            let key = key_of(&name);
            let free = format!("SELECT pg_catalog.pg_try_advisory_xact_lock({key})");
            let is_free = query(maintenance, &free, stopped);
            if is_free.is_ok_and(|rows| rows.first().and_then(|row| row.first()?.clone()).as_deref() == Some("t")) {
                let drop = format!("DROP ROLE IF EXISTS {}", ident(&name));
                let _ = tidy_up(maintenance, &[end_sessions(&name), drop]);
            }
        }
    }

    /// Opens sessions with the rights of this owner, as a role of their own. All that were opened before have ended. `settings`
    /// are those of them that only a superuser may set. From then on nobody can log in as that role.
    ///
    /// # Errors
    /// [`Error::NoLoader`] when the server does not let such a role be made, or sessions be opened as it.
    pub(super) fn lanes<'a>(
        &mut self,
        owner: &str,
        options: LaneOptions<'_>,
        settings: &[&str],
        progress: &'a dyn Progress,
    ) -> Result<Lanes<'a>, Error> {
        let no_loader = |source| Error::NoLoader { owner: owner.to_owned(), source };
        // What cannot be dropped now is dropped at the end, which says so.
        let _ = self.drop_roles();
        let opened = self.make((owner, options.count), settings, &|| progress.cancelled()).and_then(|connection| {
            let mut lanes = Lanes::open(&connection, options, progress)?;
            // Who restores can still log in later.
            lanes.ended_by(self.database.clone());
            // Whether the server lets them in is known only when they have answered.
            lanes.wait()?;
            Ok(lanes)
        });
        let closed = self.close();
        let lanes = opened.map_err(no_loader)?;
        closed.map_err(no_loader)?;
        Ok(lanes)
    }

    /// The role of the sessions that were opened last.
    pub(super) fn last(&self) -> Option<&str> {
        self.roles.last().map(String::as_str)
    }

    /// Makes a role that as many sessions can log in as.
    fn make(
        &mut self,
        (owner, count): (&str, usize),
        settings: &[&str],
        stopped: Stopped<'_>,
    ) -> Result<Connection, postgres::Error> {
        let random = || random_key().map_err(|source| postgres::Error::stream("/dev/urandom", source));
        let name = format!("{PREFIX}{}", hex(random()?.first_chunk::<8>().expect("a key is longer")));
        let password = hex(&random()?);
        if self.holder.is_none() {
            self.holder = Some(Session::open(&self.maintenance, "larder")?);
        }
        let holder = self.holder.as_mut().expect("it was just opened");
        holder.run(&format!("SELECT pg_catalog.pg_advisory_lock({});", key_of(&name)), stopped)?;
        let mut statements = vec![
            format!(
                "CREATE ROLE {} WITH LOGIN NOSUPERUSER NOINHERIT NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS
                    CONNECTION LIMIT {} PASSWORD {}",
                ident(&name),
                count.max(1),
                // Statements are shown to others, and logged.
                literal(&scram_sha_256(password.as_bytes()))
            ),
            format!("GRANT {} TO {}", ident(owner), ident(&name)),
            format!(
                "DO $until$ BEGIN EXECUTE pg_catalog.format('ALTER ROLE {name} VALID UNTIL %L', pg_catalog.now() + '{VALID_HOURS} hours'); END $until$"
            ),
        ];
        statements.extend(settings.iter().map(|setting| format!("ALTER ROLE {} SET {setting}", ident(&name))));
        if is_temporary(&self.database.database) {
            // It is closed to all others.
            statements.push(self.connect("GRANT", "TO", &name));
        }
        self.roles.push(name.clone());
        execute(&self.maintenance, &statements, stopped)?;
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

    /// Drops the roles, and what they may own in the database. Their sessions are ended.
    ///
    /// # Errors
    /// [`Error::Database`] when one cannot be dropped.
    pub(super) fn drop_all(&mut self) -> Result<(), Error> {
        let outcome = self.drop_roles();
        if let Some(holder) = self.holder.take() {
            // Its locks go with it.
            let _ = holder.end();
        }
        outcome
    }

    fn drop_roles(&mut self) -> Result<(), Error> {
        let mut outcome = Ok(());
        for name in std::mem::take(&mut self.roles) {
            // It has nothing there, but for what the code of others has made as it.
            let _ = tidy_up(&self.database, &[format!("{}; DROP OWNED BY {}", end_sessions(&name), ident(&name))]);
            let dropped = tidy_up(&self.maintenance, &[format!("DROP ROLE IF EXISTS {}", ident(&name))]);
            if let Err(source) = dropped {
                let action = format!("drop the role {name}, which was made for loading");
                self.roles.push(name);
                outcome = outcome.and(Err(Error::Database { action, source }));
            }
        }
        outcome
    }
}

impl Drop for LoaderRoles {
    fn drop(&mut self) {
        // The next restore drops what this cannot.
        let _ = self.drop_all();
    }
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
