//! What the file of a table is called.

use crate::id::Digest;

/// Bytes of a file's name that is made of a table's; a longer one is cut.
const FILE_NAME_BYTES: usize = 180;
/// What file systems allow, as a restore into a folder makes the file there.
const FILE_NAME_BYTES_MAX: usize = 255;
const _: () = assert!(FILE_NAME_BYTES + 17 <= FILE_NAME_BYTES_MAX);

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
    let sum = Digest::of(whole.as_bytes()).to_string();
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
}
