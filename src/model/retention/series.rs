//! Snapshots that take each other's place, and which of them count: those whose times are believed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::behind::made_behind;
use crate::clock::LocalTime;
use crate::model::{Snapshot, SnapshotKind, Status};

/// Time between two snapshots counts for so much at most.
const GAP_MAX: Duration = Duration::from_hours(7 * 24);

/// A snapshot with its number in the list of all.
pub(super) type Numbered<'a> = (usize, &'a Snapshot);

/// Snapshots that take each other's place.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    /// Those whose times are believed, newest first.
    pub(super) counted: Vec<Numbered<'a>>,
}

impl<'a> Series<'a> {
    /// Those that are complete, newest first.
    pub(super) fn good(&self) -> impl Iterator<Item = &Numbered<'a>> {
        self.counted.iter().filter(|(_, snapshot)| snapshot.status == Status::Complete)
    }

    /// Those that are at most so much older than the newest one.
    pub(super) fn within(&self, span: Duration) -> impl Iterator<Item = &Numbered<'a>> {
        let ages = ages(self.counted.iter().map(|(_, snapshot)| snapshot.time));
        self.counted.iter().zip(ages).filter(move |(_, age)| *age <= span).map(|(one, _)| one)
    }
}

/// All series but those of what restores replaced.
pub(super) fn all_series(snapshots: &[Snapshot], now: LocalTime) -> Vec<Series<'_>> {
    let mut series: BTreeMap<(&str, &str), Vec<Numbered<'_>>> = BTreeMap::new();
    let (counted, behind) = (counted(snapshots, now), made_behind(snapshots, now));
    for (number, snapshot) in snapshots.iter().enumerate() {
        let is_counted = counted.get(number) == Some(&true) && behind.get(number) == Some(&false);
        if is_counted && snapshot.kind != SnapshotKind::Safety {
            series.entry((&snapshot.system, &snapshot.series)).or_default().push((number, snapshot));
        }
    }
    series.into_iter().map(|((_, name), counted)| Series { name, counted }).collect()
}

/// Which of the snapshots count for what is newest: those that are not later than the clock, or all of a system where all of it are.
#[must_use]
pub fn counted(snapshots: &[Snapshot], now: LocalTime) -> Vec<bool> {
    let in_time = snapshots.iter().filter(|snapshot| !snapshot.is_ahead_of(now));
    let systems: BTreeSet<&str> = in_time.map(|snapshot| snapshot.system.as_str()).collect();
    let is_counted = |snapshot: &Snapshot| !snapshot.is_ahead_of(now) || !systems.contains(snapshot.system.as_str());
    snapshots.iter().map(is_counted).collect()
}

/// How much older than the first, which is the newest, each of them is. Time in which nothing was saved counts for a week at most: it may
/// be that no time passed, and the clock was set.
pub(super) fn ages(newest_first: impl Iterator<Item = LocalTime>) -> impl Iterator<Item = Duration> {
    let mut later: Option<LocalTime> = None;
    newest_first.scan(Duration::ZERO, move |age, time| {
        let micros =
            later.replace(time).map_or(0, |later| i128::from(later.unix_micros) - i128::from(time.unix_micros));
        let gap = Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(GAP_MAX);
        *age = age.saturating_add(gap);
        Some(*age)
    })
}
