//! Statements of others as `psql` is given them: as a value in a statement of ours, which the server runs.
//!
//! So `psql` never has to find out where one of them ends, which it gets wrong for a function that is called `begin`, and no
//! byte of them can be a command, a variable or the end of a string, in whatever encoding it reads them.

use super::dump_encoding::UTF8;
use super::sql::{self, column, literal};
use super::statement::Statements;
use super::{Error, Lexer};
use crate::id::{hex, push_hex};

const DO: &str = "DO ";
const END: &str = ";\n";
/// What stands before the digits, within a string.
const DECODE: &str = "pg_catalog.decode(''";

/// Statements in this encoding, all of one transaction, as one statement.
pub(crate) fn wrapped(statements: &[u8], encoding: &str) -> String {
    framed(statements, &format!("BEGIN EXECUTE {}; END", value(&[], encoding)))
}

/// The same for statements that do nothing where one of them is refused. `note` is the statement that is run then, in which `SQLERRM` says why.
pub(crate) fn wrapped_noting(statements: &[u8], encoding: &str, note: &str) -> String {
    let value = value(&[], encoding);
    framed(statements, &format!("BEGIN EXECUTE {value}; EXCEPTION WHEN OTHERS OR ASSERT_FAILURE THEN {note}; END"))
}

/// Statements in a frame of PL/pgSQL that has none at their place.
fn framed(statements: &[u8], frame: &str) -> String {
    let frame = literal(frame);
    let place = frame.find(DECODE).map_or(0, |place| place + DECODE.len());
    let (before, after) = frame.split_at(place);
    // Digits are the same within a string. Statements may be long, and are written once.
    let mut text = String::with_capacity(frame.len() + 2 * statements.len() + DO.len() + END.len());
    text.extend([DO, before]);
    push_hex(&mut text, statements);
    text.extend([after, END]);
    text
}

/// The same for statements of which each is run only where there is what it names.
pub(crate) fn wrapped_where_there(statements: &[Vec<u8>], encoding: &str) -> String {
    let each = statements.iter().map(|statement| {
        let value = value(statement, encoding);
        format!("BEGIN EXECUTE {value}; EXCEPTION WHEN undefined_function OR undefined_object OR undefined_table OR invalid_schema_name THEN NULL; END; ")
    });
    format!("DO {};\n", literal(&format!("BEGIN {} END", each.collect::<String>())))
}

fn value(statements: &[u8], encoding: &str) -> String {
    format!("pg_catalog.convert_from(pg_catalog.decode('{}', 'hex'), {})", hex(statements), literal(encoding))
}

/// The statement before rows in this encoding of a table with these columns, all quoted where needed. Code that ran before may have
/// changed how `psql` reads the names, so it is told again; `set` is `SET`, or `SET LOCAL` in a transaction that nothing outlasts.
///
/// # Errors
/// [`Error::Name`].
pub(crate) fn copy((table, columns): (&str, &[String]), set: &str, encoding: &str) -> Result<String, Error> {
    let columns: Vec<String> = columns.iter().map(|name| column(name)).collect::<Result<_, _>>()?;
    let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    let (names, table) = (literal(UTF8), sql::table(table)?);
    Ok(format!(
        "{set} client_encoding = {names};\nCOPY {table}{columns} FROM STDIN WITH (ENCODING {});\n",
        literal(encoding)
    ))
}

/// Statements one by one, each with what stands before it. What a function is written out as is not cut.
pub(crate) fn one_by_one(statements: &[u8]) -> Vec<&[u8]> {
    let (mut found, mut begin) = (Vec::new(), 0);
    let mut lexer = Lexer::of_statements();
    for (place, byte) in statements.iter().enumerate() {
        lexer.advance(std::slice::from_ref(byte));
        let is_end = *byte == b';' && lexer.is_outside() && lexer.statements().is_some_and(Statements::is_at_start);
        if is_end {
            found.push(statements.get(begin..=place).unwrap_or_default());
            begin = place + 1;
        }
    }
    found.push(statements.get(begin..).unwrap_or_default());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_a_value() {
        assert_eq!(
            wrapped(b"\\!'", "UTF8"),
            "DO E'BEGIN EXECUTE pg_catalog.convert_from(pg_catalog.decode(''5c2127'', ''hex''), E''UTF8''); END';\n"
        );
    }

    #[test]
    fn names_before_rows_are_quoted() {
        let columns = ["a".to_owned(), "\"B \"\"c\"".to_owned()];
        assert_eq!(
            copy(("m.begin", &columns), "SET", "UTF8").expect("names"),
            "SET client_encoding = E'UTF8';\nCOPY \"m\".\"begin\" (\"a\", \"B \"\"c\") FROM STDIN WITH (ENCODING E'UTF8');\n"
        );
        assert_eq!(
            copy(("t", &[]), "SET LOCAL", "LATIN1").expect("a name"),
            "SET LOCAL client_encoding = E'UTF8';\nCOPY \"t\" FROM STDIN WITH (ENCODING E'LATIN1');\n"
        );
        assert!(copy(("t; DROP", &[]), "SET", "UTF8").is_err());
    }

    #[test]
    fn statements_are_told_apart() {
        for made in [
            "CREATE TABLE t (a text DEFAULT ';', \"b;\" int CHECK ((1 > 0)));",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql\n BEGIN ATOMIC\n SELECT CASE WHEN true THEN 1 END;\n SELECT 1;\nEND;",
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $_$ BEGIN; $$; -- $_$;",
        ] {
            let text = format!("-- ;\n{made}\n\n-- ;\nALTER TABLE t OWNER TO o;\n");
            let found: Vec<String> =
                one_by_one(text.as_bytes()).iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
            assert_eq!(found.concat(), text);
            assert_eq!(found.len(), 3, "{found:?}");
        }
    }
}
