//! Numbers as people read them.

use larder::clock::LocalTime;
use larder::model::FileTime;

const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/// A size with at most one decimal.
pub(crate) fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("PiB");
    if unit == 0 { format!("{bytes} {name}") } else { format!("{value:.1} {name}") }
}

/// A time span.
pub(crate) fn span(millis: u64) -> String {
    match millis {
        0..60_000 => format!("{:.1} s", millis as f64 / 1000.0),
        60_000..3_600_000 => format!("{} min {:02} s", millis / 60_000, millis / 1000 % 60),
        _ => format!("{} h {:02} min", millis / 3_600_000, millis / 60_000 % 60),
    }
}

/// The tables and rows of a database that are counted.
pub(crate) fn rows_of_tables(tables: u64, rows: u64) -> String {
    if tables == 0 {
        return "no rows that are counted (those of INSERT statements are not)".to_owned();
    }
    format!("{} with {}", count(tables, "table", "tables"), count(rows, "row", "rows"))
}

/// A count with its noun.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// Seconds for JSON.
pub(crate) fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// The time of a file, in the local time of the snapshot.
pub(crate) fn file_time(time: FileTime, snapshot: LocalTime) -> LocalTime {
    let unix_micros = time.secs.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos / 1000));
    LocalTime { unix_micros, offset_secs: snapshot.offset_secs }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dump of INSERT statements was said to have 0 tables with 0 rows.
    #[test]
    fn rows_that_are_not_counted_are_told() {
        assert_eq!(rows_of_tables(1, 2), "1 table with 2 rows");
        assert!(rows_of_tables(0, 0).contains("INSERT statements are not"));
    }

    #[test]
    fn sizes_and_spans() {
        assert_eq!([size(0), size(1023), size(1024), size(1_073_741_823)], ["0 B", "1023 B", "1.0 KiB", "1.0 GiB"]);
        assert_eq!([span(1234), span(61_000), span(3_661_000)], ["1.2 s", "1 min 01 s", "1 h 01 min"]);
    }
}
