//! The encoding that a dump is written in, which all names in it can be told in.
//!
//! Names that a server is asked for are UTF-8. A name in a dump is the same text only where it is ASCII, or the dump is UTF-8
//! too. A dump is in the encoding of its database where that is enough: text of it need not have a meaning in UTF-8.

use super::{Asked, Error, query};
use crate::cancel::Cancel;

/// The encoding of all that is asked and said.
pub(crate) const UTF8: &str = "UTF8";
/// Encodings of databases whose text is not known to be anything in UTF-8.
const WITHOUT_UTF8: [&str; 2] = ["SQL_ASCII", "MULE_INTERNAL"];
/// Encodings whose characters are in the order of their bytes in UTF-8 too.
const ORDERED_ALIKE: [&str; 3] = [UTF8, "LATIN1", "SQL_ASCII"];
/// Bytes of a statement that are shown of one that has such a name.
const SHOWN_BYTES: usize = 200;

/// What has a name.
const KINDS: [&str; 9] = [
    "a schema",
    "a table, sequence, view or index",
    "a column",
    "a type",
    "a function",
    "a constraint",
    "a trigger",
    "a policy",
    "an extension",
];
/// What of these has a name that is not ASCII, and the bytes of the name: everything of a database that is compared by its name.
/// The bytes are hexadecimal digits, which are sent whatever they mean.
const NAMES_SQL: &str = "SELECT kind, pg_catalog.encode(pg_catalog.convert_to(name, 'SQL_ASCII'), 'hex') FROM (
        SELECT 0, nspname::pg_catalog.text FROM pg_catalog.pg_namespace
        UNION ALL SELECT 1, relname::pg_catalog.text FROM pg_catalog.pg_class
        UNION ALL SELECT 2, attname::pg_catalog.text FROM pg_catalog.pg_attribute
        UNION ALL SELECT 3, typname::pg_catalog.text FROM pg_catalog.pg_type
        UNION ALL SELECT 4, proname::pg_catalog.text FROM pg_catalog.pg_proc
        UNION ALL SELECT 5, conname::pg_catalog.text FROM pg_catalog.pg_constraint
        UNION ALL SELECT 6, tgname::pg_catalog.text FROM pg_catalog.pg_trigger
        UNION ALL SELECT 7, polname::pg_catalog.text FROM pg_catalog.pg_policy
        UNION ALL SELECT 8, extname::pg_catalog.text FROM pg_catalog.pg_extension
    ) AS named (kind, name) WHERE name COLLATE \"C\" ~ '[^\\x01-\\x7F]' ORDER BY kind, name COLLATE \"C\"";

/// The encoding that a dump of a database is written in whose own is `encoding`: that one, or UTF-8 where a name needs it.
///
/// # Errors
/// Those of [`query`]; [`Error::UnknownName`] where a name is not UTF-8 and cannot be made it.
pub(super) fn dump_encoding(asked: &impl Asked, encoding: &str, cancel: &Cancel) -> Result<String, Error> {
    if encoding == UTF8 {
        return Ok(encoding.to_owned());
    }
    if !WITHOUT_UTF8.contains(&encoding) {
        let names = query(asked, &format!("{NAMES_SQL} LIMIT 1"), cancel)?;
        return Ok(if names.is_empty() { encoding } else { UTF8 }.to_owned());
    }
    for row in query(asked, NAMES_SQL, cancel)? {
        let [Some(kind), Some(digits)] = row.as_slice() else { continue };
        let name = bytes_of(digits);
        if !is_told(&name, encoding) {
            let kind = kind.parse().ok().and_then(|kind: usize| KINDS.get(kind));
            let (kind, name) = (kind.copied().unwrap_or_default(), name.escape_ascii().to_string());
            return Err(Error::UnknownName { kind, name, encoding: encoding.to_owned() });
        }
    }
    Ok(encoding.to_owned())
}

/// Whether the order of texts in a database is another one in a dump of it.
pub(crate) fn reorders(database: &str, dump: &str) -> bool {
    database != dump && !ORDERED_ALIKE.contains(&database)
}

/// Makes sure that the names in a statement of a dump, which is in `encoding`, can be told.
///
/// # Errors
/// [`Error::UntoldName`].
pub(super) fn check_names(statement: &[u8], encoding: &str) -> Result<(), Error> {
    if is_told(statement, encoding) {
        return Ok(());
    }
    let shown = statement.get(..SHOWN_BYTES.min(statement.len())).unwrap_or_default();
    let statement = shown.trim_ascii_end().escape_ascii().to_string();
    Err(Error::UntoldName { statement, encoding: encoding.escape_debug().to_string() })
}

/// Whether a text in a dump is the same one in UTF-8. Text of a database without an encoding is what it is taken for.
fn is_told(text: &[u8], encoding: &str) -> bool {
    let name: String = encoding.chars().filter(char::is_ascii_alphanumeric).collect();
    let may_be_utf8 = matches!(name.to_ascii_uppercase().as_str(), "UTF8" | "UNICODE" | "SQLASCII");
    text.is_ascii() || (may_be_utf8 && std::str::from_utf8(text).is_ok())
}

/// The bytes that hexadecimal digits stand for.
pub(super) fn bytes_of(digits: &str) -> Vec<u8> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or(0);
    digits.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | value(digit))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_where_they_are_the_same_in_utf_8() {
        for (text, encoding, expected) in [
            (&b"t"[..], "LATIN1", true),
            (b"t\xc3\xa9", "UTF8", true),
            (b"t\xc3\xa9", "utf-8", true),
            (b"t\xc3\xa9", "SQL_ASCII", true),
            (b"t\xc3\xa9", "LATIN1", false),
            (b"t\xe9", "LATIN1", false),
            (b"t\xe9", "UTF8", false),
            (b"t\xe9", "SQL_ASCII", false),
        ] {
            assert_eq!(check_names(text, encoding).is_ok(), expected, "{text:?} in {encoding}");
        }
        let refused =
            check_names(b"COPY public.\"t\xe9\" (id) FROM stdin;\n", "LATIN1").expect_err("it cannot be told");
        assert!(refused.to_string().contains("COPY public.\\\"t\\xe9\\\" (id) FROM stdin;"), "{refused}");
        assert_eq!(bytes_of("74e9"), b"t\xe9");
    }

    #[test]
    fn texts_are_in_another_order_where_their_bytes_are_others() {
        assert!(reorders("WIN1252", UTF8) && reorders("EUC_JP", UTF8));
        assert!(!reorders("WIN1252", "WIN1252") && !reorders("LATIN1", UTF8) && !reorders(UTF8, UTF8));
    }
}
