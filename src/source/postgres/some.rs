//! Some tables of a database, as `pg_dump` gives them.

use crate::cancel::Cancel;
use crate::model::split_table;
use crate::postgres::sql::ident;
use crate::postgres::{Connection, Error, Tools};

/// A dump of these tables, quoted where needed, with what belongs to them and without owners, in this encoding. It must be short: of tables
/// without rows.
///
/// # Errors
/// [`Error::Process`], also when there is no such table; [`Error::NoProgram`].
pub fn dump_of_tables(
    connection: &Connection,
    tables: &[String],
    encoding: &str,
    cancel: &Cancel,
) -> Result<Vec<u8>, Error> {
    let tools = Tools::of(connection, cancel)?;
    let mut program = connection.program(&tools.dump);
    program.args(["--format=plain", "--no-password", "--no-owner"]).arg(format!("--encoding={encoding}"));
    for table in tables {
        let (schema, name) = split_table(table);
        program.arg(format!("--table={}.{}", ident(&schema), ident(&name)));
    }
    Ok(program.run(cancel)?)
}
