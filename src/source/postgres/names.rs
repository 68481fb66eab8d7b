//! Names: how they are quoted, what is none, and what the file of a table is called.

use crate::id::ChunkId;
use crate::source::Error;

/// Bytes of a file's name that is made of a table's; a longer one is cut.
const FILE_NAME_BYTES: usize = 180;
/// What file systems allow, as a restore into a folder makes the file there.
const FILE_NAME_BYTES_MAX: usize = 255;
const _: () = assert!(FILE_NAME_BYTES + 17 <= FILE_NAME_BYTES_MAX);

/// A name as it stands in SQL.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a literal of SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Makes sure that a name is nothing but a name, whoever has rewritten the functions of the server that quote names: what is sent
/// to `psql` can be a command.
pub(super) fn check_name(quoted: &str) -> Result<(), Error> {
    let mut rest = quoted;
    loop {
        let end = match rest.strip_prefix('"') {
            Some(inside) => {
                let mut end = None;
                let mut places = inside.match_indices('"').map(|(place, _)| place);
                while let Some(place) = places.next() {
                    if inside.get(place + 1..).is_some_and(|after| after.starts_with('"')) {
                        places.next();
                    } else {
                        end = Some(place + 2);
                        break;
                    }
                }
                end
            }
            None => rest.find(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).or(Some(rest.len())),
        };
        let after = end.filter(|end| *end > 0).and_then(|end| rest.get(end..));
        match after {
            Some("") => return Ok(()),
            Some(after) if after.starts_with('.') => rest = &after[1..],
            _ => {
                let why = "a name that it gives is none";
                return Err(Error::Incomplete { program: "the server's catalog".to_owned(), why });
            }
        }
    }
}

/// The name of a table's file: `schema.table`, with `%` and two digits for what would be mistaken in it.
pub(super) fn file_name(schema: &str, table: &str) -> String {
    let part = |name: &str| {
        let mut safe = String::new();
        for char in name.chars() {
            if char.is_control() || matches!(char, '/' | '.' | '%') {
                safe.extend(char.to_string().bytes().map(|byte| format!("%{byte:02X}")));
            } else {
                safe.push(char);
            }
        }
        safe
    };
    let whole = format!("{}.{}", part(schema), part(table));
    if whole.len() <= FILE_NAME_BYTES {
        return whole;
    }
    let mut end = FILE_NAME_BYTES;
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    let head = whole.get(..end).unwrap_or_default();
    let sum = ChunkId::of(whole.as_bytes()).to_string();
    format!("{head}~{}", sum.get(..16).unwrap_or(&sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_like_their_tables_and_never_alike() {
        assert_eq!(file_name("public", "articles"), "public.articles");
        assert_eq!(file_name("a.b", "c/d"), "a%2Eb.c%2Fd");
        assert_ne!(file_name("a.b", "c"), file_name("a", "b.c"));
        assert_ne!(file_name("a%2Eb", "c"), file_name("a.b", "c"));
        let long = |last: &str| file_name(&"/".repeat(63), &format!("{}{last}", "\u{1}".repeat(60)));
        assert!(long("a").len() <= FILE_NAME_BYTES_MAX && long("a") != long("b"));
    }

    #[test]
    fn quoting_holds() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's \\"), "E'it''s \\\\'");
    }

    #[test]
    fn names_are_names_and_nothing_else() {
        for name in ["a", "public.a_1", "\"A b\".\"c\"\"d\"", "\"a\nb\".c", "\"\\! x\""] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "a.", ".a", "a b", "a\n\\! x", "\"a", "\"a\"\"", "\"a\"b", "a;b", "a\"b\""] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
