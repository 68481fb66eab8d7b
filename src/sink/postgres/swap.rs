//! Putting a database into the place of another one.

use std::time::{Duration, Instant};

use super::action::{execute, run};
use crate::cancel::Cancel;
use crate::postgres::Kept;
use crate::postgres::sql::{ident, literal};
use crate::sink::Error;

/// How long that is tried, while nobody can connect. The server itself waits five seconds for sessions to end.
const RENAME_LIMIT: Duration = Duration::from_secs(10);
const RENAME_PAUSE: Duration = Duration::from_millis(100);
/// Most of what goes with a database that is named.
const NAMED_MAX: usize = 10;

/// Slots that others read changes of a database from. They go with it.
const SLOTS_SQL: &str =
    "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE database = :NAME ORDER BY 1 LIMIT :LIMIT";

/// What is lost with a database when it is replaced, in words.
///
/// # Errors
/// [`Error::Database`].
pub(super) fn slots_of(maintenance: &Kept, target: &str, cancel: &Cancel) -> Result<Vec<String>, Error> {
    let sql = SLOTS_SQL.replace(":NAME", &literal(target)).replace(":LIMIT", &NAMED_MAX.to_string());
    let slots = run(maintenance, "look for replication slots", &sql, cancel)?;
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
pub(super) fn swap(maintenance: &Kept, new: &str, (target, old): (&str, &str), cancel: &Cancel) -> Result<(), Error> {
    let allow = |allowed: bool| [format!("ALTER DATABASE {} ALLOW_CONNECTIONS {allowed}", ident(target))];
    let action = format!("put the restored database in the place of {target}");
    execute(maintenance, &action, &allow(false), cancel)?;
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
        let renamed =
            run(maintenance, &action, &terminate, cancel).and_then(|_| execute(maintenance, &action, &rename, cancel));
        if renamed.is_ok() || cancel.is_cancelled() || began.elapsed() > RENAME_LIMIT {
            break renamed;
        }
        std::thread::sleep(RENAME_PAUSE);
    };
    if renamed.is_err() {
        execute(maintenance, "let connections to the database in again", &allow(true), &Cancel::new())?;
    }
    renamed
}
