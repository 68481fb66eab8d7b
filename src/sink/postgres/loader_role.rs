//! Roles that are made for one restore: each has the rights of one owner of tables and no others.
//!
//! Code that runs in its session can become that owner and nobody else. `SET ROLE` alone would not do: code undoes it, and is
//! then who logged in. A role is dropped with its restore; what a killed restore leaves, the next one drops.

use super::{Error, is_temporary};
use crate::id::{hex, random_key};
use crate::postgres::sql::{ident, literal};
use crate::postgres::{self, Connection, LOADER_ROLES, Session, Stopped, execute, query, tidy_up};

/// What the names of these roles begin with, before sixteen hexadecimal digits.
const PREFIX: &str = "larder_load_";
/// Also in case that nobody drops it, nobody can log in as it after so many hours.
const VALID_HOURS: u32 = 48;

/// The roles of one restore.
#[derive(Debug)]
pub(super) struct LoaderRoles {
    maintenance: Connection,
    /// It holds a lock for each role, by which others see that it is in use.
    holder: Option<Session>,
    roles: Vec<LoaderRole>,
}

#[derive(Debug, Clone)]
struct LoaderRole {
    owner: String,
    name: String,
    password: String,
}

impl LoaderRoles {
    /// No roles so far.
    pub(super) const fn new(maintenance: Connection) -> Self {
        Self { maintenance, holder: None, roles: Vec::new() }
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
                let _ = tidy_up(maintenance, &[format!("DROP ROLE IF EXISTS {}", ident(&name))]);
            }
        }
    }

    /// How to reach a database with the rights of this owner. `setting` is one of its sessions that only a superuser may set.
    ///
    /// # Errors
    /// [`Error::NoLoader`] when the server does not let such a role be made.
    pub(super) fn connection(
        &mut self,
        owner: &str,
        database: &str,
        setting: Option<&str>,
        stopped: Stopped<'_>,
    ) -> Result<Connection, Error> {
        let known = self.roles.iter().find(|role| role.owner == owner).cloned();
        let role = match known {
            Some(role) => role,
            None => self.make(owner, (database, setting), stopped).map_err(|source| no_loader(owner, source))?,
        };
        let connection = Connection {
            user: Some(role.name.clone()),
            password: Some(role.password.clone()),
            ..self.maintenance.with_database(database)
        };
        // Whether the server lets it in is known only when it was tried.
        query(&connection, "SELECT 1", stopped).map_err(|source| no_loader(owner, source))?;
        Ok(connection)
    }

    fn make(
        &mut self,
        owner: &str,
        (database, setting): (&str, Option<&str>),
        stopped: Stopped<'_>,
    ) -> Result<LoaderRole, postgres::Error> {
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
                "CREATE ROLE {} WITH LOGIN NOSUPERUSER NOINHERIT NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD {}",
                ident(&name),
                literal(&password)
            ),
            format!("GRANT {} TO {}", ident(owner), ident(&name)),
            format!(
                "DO $until$ BEGIN EXECUTE pg_catalog.format('ALTER ROLE {name} VALID UNTIL %L', pg_catalog.now() + '{VALID_HOURS} hours'); END $until$"
            ),
        ];
        statements.extend(setting.map(|setting| format!("ALTER ROLE {} SET {setting}", ident(&name))));
        if is_temporary(database) {
            // It is closed to all others.
            statements.push(format!("GRANT CONNECT ON DATABASE {} TO {}", ident(database), ident(&name)));
        }
        let role = LoaderRole { owner: owner.to_owned(), name, password };
        self.roles.push(role.clone());
        execute(&self.maintenance, &statements, stopped)?;
        Ok(role)
    }

    /// Drops the roles, and what they may own in this database.
    ///
    /// # Errors
    /// [`Error::Database`] when one cannot be dropped.
    pub(super) fn drop_all(&mut self, database: &str) -> Result<(), Error> {
        let mut outcome = Ok(());
        for role in std::mem::take(&mut self.roles) {
            let name = ident(&role.name);
            // It has nothing there, but for what the code of others has made as it.
            let owned = self.maintenance.with_database(database);
            let _ = tidy_up(&owned, &[format!("DROP OWNED BY {name}")]);
            let action = format!("drop the role {}, which was made for loading", role.name);
            let dropped = tidy_up(&self.maintenance, &[format!("DROP ROLE IF EXISTS {name}")]);
            if let (Ok(()), Err(source)) = (&outcome, dropped) {
                outcome = Err(Error::Database { action, source });
            }
        }
        if let Some(holder) = self.holder.take() {
            // Its locks go with it.
            let _ = holder.end();
        }
        outcome
    }
}

impl Drop for LoaderRoles {
    fn drop(&mut self) {
        // The next restore drops what this cannot.
        let database = self.maintenance.database.clone();
        let _ = self.drop_all(&database);
    }
}

/// The lock of a role: its digits as a number.
fn key_of(name: &str) -> i64 {
    let digits = name.strip_prefix(PREFIX).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default().cast_signed()
}

fn no_loader(owner: &str, source: postgres::Error) -> Error {
    Error::NoLoader { owner: owner.to_owned(), source }
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
