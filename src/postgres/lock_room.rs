//! Whether a server has room for the locks of a backup that reads a database table by table.

use super::pieces::PIECE_BYTES;
use super::{Connection, Error, Stopped, query};

/// Sessions that lock every table and sequence: the one that holds what is seen, and a `pg_dump`.
const SESSIONS_OF_ALL: u64 = 2;
/// Locks are shared with the application: so many of one in all of them are for it.
const PARTS_FOR_OTHERS: u64 = 2;

/// Tables of a database; its sequences; tables of others than who asks and superusers, which another session locks; those that several sessions read at
/// once, with their indexes; and the locks that the server has room for.
const ROOM_SQL: &str = "SELECT pg_catalog.count(*) FILTER (WHERE c.relkind <> 'S'), pg_catalog.count(*) FILTER (WHERE c.relkind = 'S'),
        pg_catalog.count(*) FILTER (WHERE c.relkind <> 'S' AND NOT r.rolsuper AND r.rolname OPERATOR(pg_catalog.<>) CURRENT_USER),
        coalesce(pg_catalog.sum(1 OPERATOR(pg_catalog.+) (SELECT pg_catalog.count(*) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid))
            FILTER (WHERE c.relkind = 'r' AND pg_catalog.pg_table_size(c.oid) OPERATOR(pg_catalog.>) :PIECE), 0)::pg_catalog.int8,
        pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 OPERATOR(pg_catalog.*)
            (pg_catalog.current_setting('max_connections')::pg_catalog.int8 OPERATOR(pg_catalog.+) pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
    WHERE c.relkind IN ('r', 'p', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

/// Why a database is not read table by table by so many sessions: the server could run out of locks, for the application too.
///
/// # Errors
/// Those of [`query`].
pub(crate) fn lacks_locks(
    connection: &Connection,
    sessions: usize,
    stopped: Stopped<'_>,
) -> Result<Option<String>, Error> {
    let rows = query(connection, &ROOM_SQL.replace(":PIECE", &PIECE_BYTES.to_string()), stopped)?;
    let number = |at: usize| rows.first()?.get(at)?.as_deref()?.parse::<u64>().ok();
    let (Some(tables), Some(sequences), Some(of_others), Some(shared), Some(room)) =
        (number(0), number(1), number(2), number(3), number(4))
    else {
        return Ok(None);
    };
    let needed = (tables + sequences) * SESSIONS_OF_ALL + of_others + shared.saturating_mul(sessions as u64);
    Ok(lacks(tables, needed, room))
}

fn lacks(tables: u64, needed: u64, room: u64) -> Option<String> {
    (needed > room / PARTS_FOR_OTHERS).then(|| {
        format!(
            "its {tables} tables, with their sequences, would take {needed} locks, and the server has room for {room}, of which half is for others: raise \
             max_locks_per_transaction"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_locks_is_for_others() {
        assert_eq!(lacks(1_600, 3_200, 6_400), None);
        let text = lacks(1_600, 3_201, 6_400).expect("too many");
        assert!(text.contains("3201 locks") && text.contains("6400"), "{text}");
    }
}
