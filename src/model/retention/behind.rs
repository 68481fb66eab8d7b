//! Snapshots that were made while the clock was behind: their times are earlier than those of what was there before.

use std::collections::HashMap;

use crate::clock::LocalTime;
use crate::model::{Snapshot, SnapshotName};

/// So many seconds the times in names may differ while the clocks were right: a day, and the two zones that are farthest apart.
const SECS_MAX: i64 = 86_400 + 26 * 3_600;

/// Which of the snapshots were made while the clock was behind: earlier than the snapshot that each was compared with, by more than clocks of
/// one system differ. Where the time of that one cannot be true either, because it is later than now, the one that it was itself compared
/// with counts, and so on. One that was imported has the time of what it was imported from.
pub(super) fn made_behind(snapshots: &[Snapshot], now: LocalTime) -> Vec<bool> {
    let by_name: HashMap<&SnapshotName, &Snapshot> = snapshots.iter().map(|one| (&one.name, one)).collect();
    let is_behind = |snapshot: &Snapshot| {
        let mut parent = snapshot.parent.as_ref().filter(|_| snapshot.imported.is_none());
        // No chain is longer than all of them together.
        for _ in snapshots {
            let Some((name, time)) = parent.and_then(|name| Some((name, name.time()?))) else { return false };
            if !is_surely_later(time, now) {
                return snapshot.name.time().is_some_and(|own| is_surely_later(time, own));
            }
            parent = by_name.get(name).and_then(|snapshot| snapshot.parent.as_ref());
        }
        false
    };
    snapshots.iter().map(is_behind).collect()
}

fn is_surely_later(time: LocalTime, than: LocalTime) -> bool {
    time.unix_micros > than.plus_secs(SECS_MAX).unix_micros
}
