//! The text of a table's rows, as COPY writes it: its values, and how they are ordered.
//!
//! PostgreSQL's text format: one line for each row, tabs between values, `\N` for null, a backslash before what would be
//! mistaken.

use std::cmp::Ordering;
use std::io::{self, BufRead, Read};

use super::KeyOrder;
use crate::limits::ROW_BYTES_MAX;

/// The line that ends the rows of a table in a dump, which no row is equal to.
pub const END: &[u8] = b"\\.\n";
/// A value that is null.
pub const NULL: &[u8] = b"\\N";

/// Reads the next row, or line, behind what `line` holds. Returns how many bytes that are; 0 at the end.
///
/// # Errors
/// Those of the reader; one that says so when it is longer than is held in memory.
pub fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    let len = from.take(ROW_BYTES_MAX as u64 + 1).read_until(b'\n', line)?;
    if len > ROW_BYTES_MAX {
        let why =
            format!("it has a row of more than {ROW_BYTES_MAX} bytes, which is too long to be masked or compared");
        return Err(io::Error::other(why));
    }
    Ok(len)
}

/// The values of a row as they stand there, without the end of its line.
pub fn fields(row: &[u8]) -> impl Iterator<Item = &[u8]> {
    row.strip_suffix(b"\n").unwrap_or(row).split(|byte| *byte == b'\t')
}

/// A value as it is.
#[must_use]
pub fn unescape(field: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        value.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'r') => b'\r',
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            },
            other => *other,
        });
    }
    value
}

/// A value as it stands in a row.
#[must_use]
pub fn escape(value: &[u8]) -> Vec<u8> {
    let mut field = Vec::with_capacity(value.len());
    for byte in value {
        match byte {
            b'\\' => field.extend_from_slice(b"\\\\"),
            b'\n' => field.extend_from_slice(b"\\n"),
            b'\t' => field.extend_from_slice(b"\\t"),
            b'\r' => field.extend_from_slice(b"\\r"),
            8 => field.extend_from_slice(b"\\b"),
            12 => field.extend_from_slice(b"\\f"),
            11 => field.extend_from_slice(b"\\v"),
            other => field.push(*other),
        }
    }
    field
}

/// Which of two values comes first.
#[must_use]
pub fn compare_values(a: &[u8], b: &[u8], order: KeyOrder) -> Ordering {
    match order {
        KeyOrder::Bytes => a.cmp(b),
        KeyOrder::Integer => integer(a).cmp(&integer(b)),
        KeyOrder::Time => compare_times(a, b),
    }
}

fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Times as `datestyle = ISO` writes them: years of any length, the infinities, and years before Christ, which count
/// backwards.
fn compare_times(a: &[u8], b: &[u8]) -> Ordering {
    let era = |value: &[u8]| match value {
        b"-infinity" => 0,
        b"infinity" => 3,
        _ if value.ends_with(b" BC") => 1,
        _ => 2,
    };
    let year = |value: &[u8]| value.iter().position(|byte| *byte == b'-').unwrap_or(value.len());
    let years = (year(a), a.get(..year(a))).cmp(&(year(b), b.get(..year(b))));
    let rest = || a.get(year(a)..).cmp(&b.get(year(b)..));
    era(a).cmp(&era(b)).then(if era(a) == 1 { years.reverse() } else { years }).then_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_from_a_row() {
        let value = b"a\tb\\c\nd\re\x08\x0b\x0c\xff";
        assert_eq!(unescape(&escape(value)), value);
        assert!(!escape(value).contains(&b'\n') && !escape(value).contains(&b'\t'));
        assert_eq!(fields(b"1\t\\N\tx\n").collect::<Vec<_>>(), [&b"1"[..], NULL, b"x"]);
    }

    #[test]
    fn a_row_that_is_too_long_to_be_held_is_named() {
        let mut rows = io::BufReader::new(io::repeat(b'x').take(ROW_BYTES_MAX as u64 + 10));
        let error = read_line(&mut rows, &mut Vec::new()).expect_err("a long row");
        assert!(error.to_string().contains("too long to be masked"), "{error}");
        let mut line = b"a".to_vec();
        assert_eq!(read_line(&mut &b"b\nc"[..], &mut line).expect("a row"), 2);
        assert_eq!(line, b"ab\n");
    }

    #[test]
    fn values_are_ordered_as_the_server_orders_them() {
        let ordered: [(KeyOrder, &[&str]); 3] = [
            (KeyOrder::Integer, &["-9223372036854775808", "-10", "-9", "0", "2", "10"]),
            (
                KeyOrder::Time,
                &[
                    "-infinity",
                    "0045-01-01 BC",
                    "0044-03-15 00:00:00 BC",
                    "0044-03-15 00:00:01 BC",
                    "0001-01-01",
                    "1999-12-31 23:59:59+00",
                    "1999-12-31 23:59:59.5+00",
                    "1999-12-31 23:59:59.55+00",
                    "2000-01-01",
                    "10000-01-01",
                    "infinity",
                ],
            ),
            (KeyOrder::Bytes, &["", "A", "Z", "a", "aa", "ä"]),
        ];
        for (order, values) in ordered {
            for pair in values.windows(2) {
                let found = compare_values(pair[0].as_bytes(), pair[1].as_bytes(), order);
                assert_eq!(found, Ordering::Less, "{pair:?}");
            }
        }
    }
}
