//! Dropping a database with whatever keeps the server from that.

use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::cancel::{Cancel, POLL};
use crate::postgres::sql::{ident, literal};
use crate::postgres::{self, Connection, Row, Session, query, tidy_up};

/// How long it is waited for others, and how often the server is asked whether it works on it.
const WAIT: Duration = Duration::from_secs(30);
/// Subscriptions of a database, with the slots at their publishers.
const SUBSCRIPTIONS_SQL: &str = "SELECT s.subname, s.subslotname FROM pg_catalog.pg_subscription s
    JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = :NAME ORDER BY 1";

/// What a session waits for that works.
const WORK_SQL: &str = "SELECT coalesce(wait_event, '') FROM pg_catalog.pg_stat_activity
    WHERE pid = :PID AND state = 'active' AND query LIKE 'DROP DATABASE %'";
/// What it waits for when it waits for all other sessions of the server to take notice of something.
const BARRIER: &str = "ProcSignalBarrier";

/// Drops a database, also where its owner has made it a template, or where it has subscriptions, whose slots stay at their publishers:
/// these are told. It is in nobody's way, and whoever wants to stop would have to drop it himself: `cancel` counts only after
/// [`WAIT`].
///
/// # Errors
/// Those of [`tidy_up`]; [`postgres::Error::AtWork`] when it is not waited for any more.
pub(super) fn drop_database(
    maintenance: &Connection,
    name: &str,
    notes: Option<&mut Vec<String>>,
    cancel: &Cancel,
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
    drop_and_wait(maintenance, &format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE);"), cancel)
}

/// Runs a statement that has the server write all that was changed to disk and remove a file for each table and index: nobody
/// knows how long that takes. It is waited for as long as the server works on it.
fn drop_and_wait(maintenance: &Connection, statement: &str, cancel: &Cancel) -> Result<(), postgres::Error> {
    let begun = &Cancel::new();
    let mut session = Session::open(maintenance, "larder", begun)?.within(WAIT);
    // Locks of others are not waited for longer than that.
    session.run(&format!("SET lock_timeout = {};", WAIT.as_millis()), begun)?;
    let pid = session.rows("SELECT pg_catalog.pg_backend_pid()", begun)?.into_iter().flatten().flatten().next();
    let sql = WORK_SQL.replace(":PID", &literal(&pid.unwrap_or_default()));
    let ask = || query(maintenance, &sql, begun).ok().and_then(|rows| rows.into_iter().flatten().next().flatten());
    let mut watch = Watch::new(Instant::now());
    let (mut session, enough) = (session.unlimited(), Cancel::new());
    let dropped = std::thread::scope(|scope| {
        let (running, ended) = bounded::<()>(0);
        let (session, enough) = (&mut session, &enough);
        let dropping = scope.spawn(move || {
            let _running = running;
            session.run(statement, enough)
        });
        while ended.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
            if watch.is_enough(Instant::now(), cancel.is_cancelled(), ask) {
                enough.cancel();
            }
        }
        dropping.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    match dropped {
        Err(_) if enough.is_cancelled() => Err(postgres::Error::AtWork { secs: watch.began.elapsed().as_secs() }),
        dropped => dropped.and_then(|()| session.end()),
    }
}

/// When something is not waited for any more.
struct Watch {
    began: Instant,
    /// When the server is asked again whether it works on it.
    next: Instant,
}

impl Watch {
    fn new(began: Instant) -> Self {
        Self { began, next: began + WAIT }
    }

    /// `ask` returns what the session waits for as it works: an empty text for nothing, none where it does not work, or is not
    /// to be seen.
    fn is_enough(&mut self, now: Instant, is_cancelled: bool, ask: impl FnOnce() -> Option<String>) -> bool {
        let is_early = now.duration_since(self.began) < WAIT;
        if is_early || (!is_cancelled && now < self.next) {
            return false;
        }
        self.next = now + WAIT;
        is_cancelled || ask().is_none_or(|waits_for| waits_for == BARRIER)
    }
}

/// Drops the subscriptions of a database, and leaves the slots at their publishers.
fn detach(maintenance: &Connection, name: &str) -> Result<Vec<String>, postgres::Error> {
    let rows = query(maintenance, &SUBSCRIPTIONS_SQL.replace(":NAME", &literal(name)), &Cancel::new())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The replaced database of six thousand tables takes a server longer than half a minute to drop. It was not waited for, and
    /// the restore ended with an error that named a database which was gone a minute later.
    #[test]
    fn a_database_is_waited_for_as_long_as_the_server_works_on_dropping_it() {
        let began = Instant::now();
        let at = |secs| began + Duration::from_secs(secs);
        let works = || Some(String::new());
        let mut watch = Watch::new(began);
        assert!(!watch.is_enough(at(29), true, || None), "what is done at an end is not stopped at once");
        assert!(!watch.is_enough(at(31), false, works));
        assert!(!watch.is_enough(at(32), false, || None), "it was asked a second ago");
        assert!(!watch.is_enough(at(900), false, || Some("CheckpointDone".to_owned())));
        assert!(watch.is_enough(at(901), true, works), "somebody wants to stop");
        let mut watch = Watch::new(began);
        assert!(watch.is_enough(at(31), false, || Some(BARRIER.to_owned())), "another session holds it up");
        assert!(watch.is_enough(at(62), false, || None), "it has ended");
    }
}
