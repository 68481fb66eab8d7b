//! Tablespaces: whether a database can be made in one, and those that a server for tests lacks.

use super::action::run;
use crate::cancel::Cancel;
use crate::model::Tablespace;
use crate::postgres::sql::{ident, literal};
use crate::postgres::{Connection, Kept, execute};
use crate::sink::Error;

/// So many are made for a test.
const MADE_MAX: usize = 64;

/// Whether a server has a tablespace that a database can be made in.
pub(super) fn is_usable(maintenance: &Kept, name: &str, cancel: &Cancel) -> Result<bool, Error> {
    let sql = format!(
        "SELECT 1 FROM pg_catalog.pg_tablespace WHERE spcname = {} AND spcname <> 'pg_global'
            AND pg_catalog.has_tablespace_privilege(oid, 'CREATE')",
        literal(name)
    );
    run(maintenance, "look for the tablespace of the database", &sql, cancel).map(|rows| !rows.is_empty())
}

/// Makes tablespaces in the data directory of a server for tests, as far as it can: one that is missing is told by what needs it.
pub fn make_tablespaces(maintenance: &Connection, tablespaces: &[Tablespace], cancel: &Cancel) {
    for Tablespace { name, .. } in tablespaces.iter().take(MADE_MAX) {
        let make = format!("CREATE TABLESPACE {} LOCATION ''", ident(name));
        let _ = execute(maintenance, &["SET allow_in_place_tablespaces = on".to_owned(), make], cancel);
    }
}
