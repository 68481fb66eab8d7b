//! Snapshots that are later than the clock, which commands warn of.

use larder::clock::LocalTime;
use larder::events::Events;
use larder::model::Snapshot;

/// Warns of snapshots that are later than the clock.
pub(crate) fn warn_of_clock(events: &dyn Events, snapshots: &[Snapshot]) {
    let now = LocalTime::now();
    let ahead = snapshots.iter().filter(|snapshot| snapshot.is_ahead_of(now));
    warn_of_ahead(events, &ahead.map(|snapshot| snapshot.name.as_str()).collect::<Vec<_>>());
}

/// Warns of snapshots of these names, newest first, that are later than the clock.
pub(crate) fn warn_of_ahead(events: &dyn Events, names: &[&str]) {
    let Some((newest, others)) = names.split_first() else { return };
    let others = if others.is_empty() { String::new() } else { format!(", and {} more,", others.len()) };
    let now = LocalTime::now().to_text();
    let why = format!("{newest}{others} is later than the clock, which says {now}: it does not count as the newest");
    let advice =
        "set the clock, if it is wrong; if it is right, `larder forget NAME` deletes what was made while it was not";
    events.warn_with(&why, advice);
}
