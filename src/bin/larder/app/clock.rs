//! Snapshots that are later than the clock, which commands warn of.

use larder::clock::LocalTime;
use larder::model::Snapshot;

use crate::console::{advice, warning};

/// Warns of snapshots that are later than the clock.
pub(super) fn warn_of_clock(snapshots: &[Snapshot]) {
    let now = LocalTime::now();
    let ahead = snapshots.iter().filter(|snapshot| snapshot.is_ahead_of(now));
    warn_of_ahead(&ahead.map(|snapshot| snapshot.name.as_str()).collect::<Vec<_>>());
}

/// Warns of snapshots of these names, newest first, that are later than the clock.
pub(super) fn warn_of_ahead(names: &[&str]) {
    let Some((newest, others)) = names.split_first() else { return };
    let others = if others.is_empty() { String::new() } else { format!(", and {} more,", others.len()) };
    let now = LocalTime::now().to_text();
    warning(&format!("{newest}{others} is later than the clock, which says {now}: it does not count as the newest"));
    advice(
        "set the clock, if it is wrong; if it is right, `larder forget NAME` deletes what was made while it was not",
    );
}
