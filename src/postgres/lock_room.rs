//! Whether a server has room for the locks of a backup that reads a database table by table.

use super::key_ranges::RANGE_BYTES;
use super::{Asked, Error, query};
use crate::cancel::Cancel;

/// Sessions that lock every table and sequence: the one that holds what is seen, and a `pg_dump`.
const SESSIONS_OF_ALL: u64 = 2;
/// Those where two of `pg_dump` are at work at once.
const SESSIONS_AT_ONCE: u64 = 3;
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

/// Whether a server has room for the locks of a backup.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LockRoom {
    /// The server could run out of locks, for the application too: why a database is not read table by table.
    Lacking(String),
    /// For those of one `pg_dump` after another.
    Enough,
    /// For those of two at once.
    Ample,
}

/// Whether a server has room for the locks of so many sessions that read a database table by table.
///
/// # Errors
/// Those of [`query`].
pub(crate) fn lock_room(asked: &impl Asked, sessions: usize, cancel: &Cancel) -> Result<LockRoom, Error> {
    let rows = query(asked, &ROOM_SQL.replace(":PIECE", &RANGE_BYTES.to_string()), cancel)?;
    let number = |at: usize| rows.first()?.get(at)?.as_deref()?.parse::<u64>().ok();
    let (Some(tables), Some(sequences), Some(of_others), Some(shared), Some(room)) =
        (number(0), number(1), number(2), number(3), number(4))
    else {
        return Ok(LockRoom::Enough);
    };
    let needed = |of_all: u64| (tables + sequences) * of_all + of_others + shared.saturating_mul(sessions as u64);
    Ok(room_for(tables, [SESSIONS_OF_ALL, SESSIONS_AT_ONCE].map(needed), room))
}

fn room_for(tables: u64, [needed, at_once]: [u64; 2], room: u64) -> LockRoom {
    let ours = room / PARTS_FOR_OTHERS;
    if at_once <= ours {
        LockRoom::Ample
    } else if needed <= ours {
        LockRoom::Enough
    } else {
        LockRoom::Lacking(format!(
            "its {tables} tables, with their sequences, would take {needed} locks, and the server has room for {room}, of which half is for others: raise \
             max_locks_per_transaction"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_locks_is_for_others() {
        assert_eq!(room_for(1_600, [3_200, 3_201], 6_400), LockRoom::Enough);
        assert_eq!(room_for(1_000, [2_000, 3_200], 6_400), LockRoom::Ample);
        let LockRoom::Lacking(why) = room_for(1_600, [3_201, 4_801], 6_400) else { panic!("too many") };
        assert!(why.contains("3201 locks") && why.contains("6400"), "{why}");
    }
}
