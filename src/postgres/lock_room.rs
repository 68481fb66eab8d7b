//! Whether a server has room for the locks of a backup that reads a database table by table.

use super::{Connection, Error, Stopped, query};

/// Sessions that lock every table, beside those that read: the one that holds what is seen, and three of `pg_dump`.
const SESSIONS_BESIDE: u64 = 4;
/// Locks are shared with the application: so many of one in all of them are for it.
const PARTS_FOR_OTHERS: u64 = 2;

/// Tables of a database, their indexes, and the locks that the server has room for.
const ROOM_SQL: &str = "SELECT pg_catalog.count(*) FILTER (WHERE c.relkind IN ('r', 'p')), pg_catalog.count(*) FILTER (WHERE c.relkind = 'i'),
        pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 OPERATOR(pg_catalog.*)
            (pg_catalog.current_setting('max_connections')::pg_catalog.int8 OPERATOR(pg_catalog.+) pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Why a database is not read table by table by so many sessions: the server could run out of locks, for the application too.
///
/// # Errors
/// Those of [`query`].
pub(crate) fn lacks_locks(
    connection: &Connection,
    sessions: usize,
    stopped: Stopped<'_>,
) -> Result<Option<String>, Error> {
    let rows = query(connection, ROOM_SQL, stopped)?;
    let number = |at: usize| rows.first()?.get(at)?.as_deref()?.parse::<u64>().ok();
    let (Some(tables), Some(indexes), Some(room)) = (number(0), number(1), number(2)) else { return Ok(None) };
    Ok(lacks(tables, indexes, sessions as u64, room))
}

fn lacks(tables: u64, indexes: u64, sessions: u64, room: u64) -> Option<String> {
    let needed = tables.saturating_mul(sessions + SESSIONS_BESIDE).saturating_add(indexes);
    (needed > room / PARTS_FOR_OTHERS).then(|| {
        format!(
            "its {tables} tables with {indexes} indexes would take {needed} locks, and the server has room for {room}, of which half is for \
             others: raise max_locks_per_transaction"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_locks_is_for_others() {
        assert_eq!(lacks(500, 200, 2, 6_400), None);
        let text = lacks(3_000, 9_000, 2, 6_400).expect("too many");
        assert!(text.contains("27000 locks") && text.contains("6400"), "{text}");
        assert!(lacks(500, 201, 2, 6_400).is_some());
    }
}
