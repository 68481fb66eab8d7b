//! What a database needs of a server beside PostgreSQL itself, and which of it one lacks.

use std::collections::HashSet;

use super::action::{do_all, run};
use crate::cancel::Cancel;
use crate::model::DatabaseFacts;
use crate::postgres::Connection;
use crate::postgres::sql::{ident, literal};
use crate::sink::Error;

const PROBE: &str = "larder_probe";

/// What a server lacks of what the facts of a database ask for: extensions, and the locale. It makes a database to find out,
/// and drops it: the server is one for tests.
///
/// # Errors
/// [`Error::Database`] when it cannot be asked.
pub fn lacking(maintenance: &Connection, facts: &DatabaseFacts, cancel: &Cancel) -> Result<Vec<String>, Error> {
    let action = "look for what the database needs";
    let available = run(maintenance, action, "SELECT name FROM pg_catalog.pg_available_extensions", cancel)?;
    let available: HashSet<String> = available.into_iter().flatten().flatten().collect();
    let missing = facts.extensions.keys().filter(|name| !available.contains(*name));
    let mut lacking: Vec<String> = missing.map(|name| format!("the extension {}", name.escape_debug())).collect();
    if facts.collate.is_empty() {
        return Ok(lacking);
    }
    let make = format!(
        "CREATE DATABASE {PROBE} TEMPLATE template0 ALLOW_CONNECTIONS false ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        literal(&facts.encoding),
        literal(&facts.collate),
        literal(&facts.ctype)
    );
    match do_all(maintenance, action, &[make], cancel) {
        Ok(()) => do_all(maintenance, action, &[format!("DROP DATABASE {PROBE}")], cancel)?,
        Err(Error::Database { source, .. }) if source.is_refusal() => {
            let locale = format!("the locale {} (character types: {})", facts.collate, facts.ctype);
            lacking.push(locale.escape_debug().to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(lacking)
}

/// The role that is missing, where that is what a server said when a dump was loaded.
#[must_use]
pub fn missing_role(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("role \"")?;
    let (role, _) = rest.split_once("\" does not exist")?;
    (!role.is_empty() && !role.contains([';', '\n'])).then(|| role.to_owned())
}

/// Makes a role with no rights on a server for tests.
///
/// # Errors
/// [`Error::Database`].
pub fn make_role(maintenance: &Connection, role: &str, cancel: &Cancel) -> Result<(), Error> {
    do_all(maintenance, "make a role that is missing", &[format!("CREATE ROLE {}", ident(role))], cancel)
}

/// Whether what a server said when a dump was loaded means that it lacks an extension, its library, a collation, or a
/// tablespace, which no facts tell before.
#[must_use]
pub fn says_lacking(text: &str) -> bool {
    let is = |begin: &str, end: &str| text.split_once(begin).is_some_and(|(_, rest)| rest.contains(end));
    is("extension \"", "\" is not available")
        || is("could not open extension control file", "No such file")
        || is("could not access file \"$libdir/", "No such file")
        || is("collation \"", "does not exist")
        || is("tablespace \"", "\" does not exist")
        || is("Tablespace \"", "\" does not exist")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_told_from_what_is_wrong() {
        assert!(says_lacking("ERROR:  extension \"postgis\" is not available; DETAIL:  Could not open …"));
        assert!(says_lacking("could not access file \"$libdir/postgis-3\": No such file or directory"));
        assert!(says_lacking("ERROR:  collation \"de_DE.utf8\" for encoding \"UTF8\" does not exist"));
        assert!(says_lacking(
            "invalid value for parameter \"default_tablespace\": \"x\"; DETAIL:  Tablespace \"x\" does not exist."
        ));
        assert_eq!(missing_role("ERROR:  role \"app\" does not exist; LINE 1").as_deref(), Some("app"));
        assert_eq!(missing_role("ERROR:  relation \"app\" does not exist"), None);
        assert!(!says_lacking("ERROR:  relation \"a\" does not exist"));
        assert!(!says_lacking("ERROR:  new row for relation \"a\" violates check constraint"));
    }
}
