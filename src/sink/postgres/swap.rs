//! Putting a database into the place of another one, and dropping one with whatever keeps the server from that.

use std::time::{Duration, Instant};

use super::{Error, ask, execute};
use crate::postgres::sql::{ident, literal};
use crate::postgres::{self, Connection, Kept, Row, Stopped, query, tidy_up};

/// How long that is tried, while nobody can connect. The server itself waits five seconds for sessions to end.
const RENAME_LIMIT: Duration = Duration::from_secs(10);
const RENAME_PAUSE: Duration = Duration::from_millis(100);
/// Most of what goes with a database that is named.
const NAMED_MAX: usize = 10;

/// Slots that others read changes of a database from. They go with it.
const SLOTS_SQL: &str =
    "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE database = :NAME ORDER BY 1 LIMIT :LIMIT";
/// Subscriptions of a database, with the slots at their publishers.
const SUBSCRIPTIONS_SQL: &str = "SELECT s.subname, s.subslotname FROM pg_catalog.pg_subscription s
    JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = :NAME ORDER BY 1";

/// What is lost with a database when it is replaced, in words.
///
/// # Errors
/// [`Error::Database`].
pub(super) fn slots_of(maintenance: &Kept, target: &str, stopped: Stopped<'_>) -> Result<Vec<String>, Error> {
    let sql = SLOTS_SQL.replace(":NAME", &literal(target)).replace(":LIMIT", &NAMED_MAX.to_string());
    let slots = ask(maintenance, "look for replication slots", &sql, stopped)?;
    let told = |slot: String| {
        let slot = slot.escape_debug();
        format!(
            "the replication slot {slot} has gone with the replaced database: whoever read changes from it needs a new one"
        )
    };
    Ok(slots.into_iter().flatten().flatten().map(told).collect())
}

/// Renames a database to the name of another one, which gets a name beside it.
///
/// # Errors
/// [`Error::Database`]; the other one serves on then.
pub(super) fn swap(
    maintenance: &Kept,
    new: &str,
    (target, old): (&str, &str),
    stopped: Stopped<'_>,
) -> Result<(), Error> {
    let allow = |allowed: bool| [format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", ident(target))];
    let action = format!("put the restored database in the place of {target}");
    execute(maintenance, &action, &allow(false), stopped)?;
    let terminate = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
            WHERE datname IN ({}, {}) AND pid <> pg_catalog.pg_backend_pid()",
        literal(target),
        literal(new)
    );
    let rename = [
        "BEGIN".to_owned(),
        format!("ALTER DATABASE {} RENAME TO {}", ident(target), ident(old)),
        format!("ALTER DATABASE {} RENAME TO {}", ident(new), ident(target)),
        "COMMIT".to_owned(),
    ];
    // Connections take a moment to end, and the server refuses to rename until they have.
    let began = Instant::now();
    let renamed = loop {
        let renamed = ask(maintenance, &action, &terminate, stopped)
            .and_then(|_| execute(maintenance, &action, &rename, stopped));
        if renamed.is_ok() || stopped() || began.elapsed() > RENAME_LIMIT {
            break renamed;
        }
        std::thread::sleep(RENAME_PAUSE);
    };
    if renamed.is_err() {
        execute(maintenance, "let connections to the database in again", &allow(true), &|| false)?;
    }
    renamed
}

/// Drops a database, also where its owner has made it a template, or where it has subscriptions, whose slots stay at their publishers:
/// these are told. It is in nobody's way, and whoever wants to stop would have to drop it himself.
///
/// # Errors
/// Those of [`tidy_up`].
pub(super) fn drop_database(
    maintenance: &Connection,
    name: &str,
    notes: Option<&mut Vec<String>>,
) -> Result<(), postgres::Error> {
    let quoted = ident(name);
    let free = [
        format!("ALTER DATABASE {quoted} OWNER TO CURRENT_USER"),
        format!("ALTER DATABASE {quoted} IS_TEMPLATE false"),
    ];
    // What could not be done for that is said by what it is for.
    let _ = tidy_up(maintenance, &free);
    let told = detach(maintenance, name);
    if let (Ok(told), Some(notes)) = (told, notes) {
        notes.extend(told);
    }
    tidy_up(maintenance, &[format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")])
}

/// Drops the subscriptions of a database, and leaves the slots at their publishers.
fn detach(maintenance: &Connection, name: &str) -> Result<Vec<String>, postgres::Error> {
    let go_on = || false;
    let rows = query(maintenance, &SUBSCRIPTIONS_SQL.replace(":NAME", &literal(name)), &go_on)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let quoted = ident(name);
    // Nobody but superusers gets in meanwhile.
    let allow = |allowed: bool| format!("ALTER DATABASE {quoted} ALLOW_CONNECTIONS {allowed}");
    tidy_up(maintenance, &[format!("ALTER DATABASE {quoted} CONNECTION LIMIT 0"), allow(true)])?;
    let dropped = drop_subscriptions(&maintenance.with_database(name), &rows);
    // Where it stays, it lets nobody in.
    tidy_up(maintenance, &[allow(false)])?;
    dropped
}

/// Drops subscriptions, given with their slots, through the database that has them.
fn drop_subscriptions(database: &Connection, rows: &[Row]) -> Result<Vec<String>, postgres::Error> {
    let mut notes = Vec::new();
    for row in rows {
        let [Some(subscription), slot] = row.as_slice() else { continue };
        let quoted = ident(subscription);
        // Triggers of the database are not run for that.
        let statements = [
            format!("SET session_replication_role = replica; ALTER SUBSCRIPTION {quoted} DISABLE"),
            format!("SET session_replication_role = replica; ALTER SUBSCRIPTION {quoted} SET (slot_name = NONE)"),
            format!("SET session_replication_role = replica; DROP SUBSCRIPTION {quoted}"),
        ];
        tidy_up(database, &statements)?;
        if let Some(slot) = slot {
            let (subscription, slot) = (subscription.escape_debug(), slot.escape_debug());
            notes.push(format!(
                "the subscription {subscription} is restored and disabled: its slot {slot} stays at the publisher, and is used again \
                 when it is enabled"
            ));
        }
    }
    Ok(notes)
}
