//! The server around a database: whether it has it, and what databases are called that are made for a while.

use super::action::run;
use crate::cancel::Cancel;
use crate::clock::LocalTime;
use crate::postgres::sql::literal;
use crate::postgres::{self, Asked, Connection, Kept, find_sql};
use crate::sink::Error;

/// What a database is made for: to be loaded, to be dropped after it was replaced, to prove that it can be loaded, to show what tables look like.
const PURPOSES: [&str; 4] = ["new", "old", "test", "shape"];
const MARK: &str = "_larder_";
/// Longest name of a database, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A connection to the same server that does not use the database itself, and whether there is that database.
///
/// # Errors
/// [`Error::Database`] when the server cannot be reached.
pub fn maintenance(connection: &Connection, cancel: &Cancel) -> Result<(Connection, bool), Error> {
    postgres::maintenance(connection, cancel)
        .map_err(|source| Error::Database { action: format!("reach the server of {connection}"), source })
}

/// Whether the server has the database of a connection.
///
/// # Errors
/// Those of [`maintenance`].
pub fn exists(connection: &Connection, cancel: &Cancel) -> Result<bool, Error> {
    maintenance(connection, cancel).map(|(_, is_there)| is_there)
}

/// Whether a server has a database of this name, which this connection is not to.
pub(super) fn has(connection: &Kept, name: &str, cancel: &Cancel) -> Result<bool, Error> {
    run(connection, "look for the database", &find_sql(name), cancel).map(|rows| !rows.is_empty())
}

/// What of transactions that were prepared in a database is named.
const PREPARED_SQL: &str = "SELECT pg_catalog.left(gid, 60) FROM pg_catalog.pg_prepared_xacts WHERE database = :NAME ORDER BY prepared LIMIT 5";

/// The names of transactions that were prepared in a database, the first ones. It can neither be renamed nor dropped before they end.
///
/// # Errors
/// [`Error::Database`].
pub fn prepared_transactions(connection: &Connection, name: &str, cancel: &Cancel) -> Result<Vec<String>, Error> {
    let rows =
        run(connection, "look for prepared transactions", &PREPARED_SQL.replace(":NAME", &literal(name)), cancel)?;
    Ok(rows.into_iter().flatten().flatten().collect())
}

/// The encoding of a database, as the server calls it; nothing where there is none of that name.
///
/// # Errors
/// [`Error::Database`].
pub fn encoding_of(connection: &Connection, name: &str, cancel: &Cancel) -> Result<Option<String>, Error> {
    let sql = format!(
        "SELECT pg_catalog.pg_encoding_to_char(encoding) FROM pg_catalog.pg_database WHERE datname = {}",
        literal(name)
    );
    Ok(run(connection, "look for the encoding", &sql, cancel)?.into_iter().flatten().flatten().next())
}

/// Which of these privileges a role lacks of a schema.
///
/// # Errors
/// [`Error::Database`].
pub(super) fn lacking_of_schema(
    connection: &impl Asked,
    (role, schema): (&str, &str),
    privileges: &[&'static str],
    cancel: &Cancel,
) -> Result<Vec<&'static str>, Error> {
    let (role, schema) = (literal(role), literal(schema));
    let asked: Vec<String> = privileges
        .iter()
        .map(|privilege| format!("pg_catalog.has_schema_privilege({role}, {schema}, '{privilege}')"))
        .collect();
    let rows = run(connection, "look for a privilege", &format!("SELECT {}", asked.join(", ")), cancel)?;
    let has = rows.first().into_iter().flatten().map(|has| has.as_deref() == Some("t"));
    Ok(privileges.iter().zip(has).filter(|(_, has)| !has).map(|(privilege, _)| *privilege).collect())
}

/// A name for a database beside another one, unique to this moment and within the server's bound.
pub(super) fn beside(name: &str, purpose: &str) -> String {
    let tail = format!("{MARK}{purpose}_{}_{}", LocalTime::now().stamp(), std::process::id());
    let mut head = name.to_owned();
    while head.len() + tail.len() > NAME_BYTES_MAX {
        head.pop();
    }
    head + &tail
}

/// Whether a database has a name that only those have that a restore makes for a while.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    let is_number = |text: &str, len: Option<usize>| {
        !text.is_empty() && len.is_none_or(|len| text.len() == len) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let Some((_, tail)) = name.rsplit_once(MARK) else { return false };
    match tail.split('_').collect::<Vec<_>>().as_slice() {
        [purpose, day, time, process] => {
            PURPOSES.contains(purpose)
                && is_number(day, Some(8))
                && is_number(time, Some(6))
                && is_number(process, None)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_a_database_fit_and_are_known_again() {
        for purpose in PURPOSES {
            let name = beside(&"ä".repeat(40), purpose);
            assert!(name.len() <= NAME_BYTES_MAX && is_temporary(&name), "{name}");
        }
    }

    #[test]
    fn a_database_that_is_only_called_like_one_is_none() {
        for name in [
            "crm_larder_prod",
            "x_larder_new",
            "x_larder_new_20260101_000000_",
            "x_larder_new_2026_000000_1",
            "x_larder_other_20260101_000000_1",
            "x_larder_new_20260101_000000_1_prod",
        ] {
            assert!(!is_temporary(name), "{name}");
        }
    }
}
