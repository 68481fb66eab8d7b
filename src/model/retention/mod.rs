//! Which snapshots are kept, by a policy, and which rule keeps each of them.
//!
//! A pure function of the manifests. Snapshots are compared only with those of their series: one stream never takes the place of the
//! whole system, nor one system that of another. Ages count back from the newest snapshot of the series. The clock makes a snapshot
//! count less where its time cannot be true, and never has one deleted. What deleting frees is not known here.

mod behind;
mod copies;
mod policy;
mod series;
mod slots;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::BTreeSet;
use std::time::Duration;

use behind::made_behind;
pub use policy::{EmptyRetention, Retention};
pub use series::counted;
use series::{ages, all_series};
pub use verdict::{Rule, Verdict};

use super::{Snapshot, SnapshotKind};
use crate::clock::LocalTime;

/// How long what a restore was about to replace is kept.
const SAFETY_KEPT: Duration = Duration::from_hours(7 * 24);

/// Decides about snapshots, which come newest first, by what the clock says now. The verdicts are in the same order.
///
/// # Errors
/// [`EmptyRetention`] when the policy has no rule.
pub fn decide(
    snapshots: &[Snapshot],
    pins: &BTreeSet<String>,
    retention: &Retention,
    now: LocalTime,
) -> Result<Vec<Verdict>, EmptyRetention> {
    if *retention == Retention::NONE {
        return Err(EmptyRetention);
    }
    let mut verdicts = protect(snapshots, pins, now);
    for series in all_series(snapshots, now) {
        series.good().take(retention.last as usize).for_each(|(number, _)| keep(&mut verdicts, *number, Rule::Last));
        for (period, count) in retention.slots() {
            for (slot, numbers) in slots::best_of_each(&series.counted, period).into_iter().take(count as usize) {
                let rule = Rule::Slot(period, slot);
                for number in numbers {
                    keep(&mut verdicts, number, rule.clone());
                }
            }
        }
        for (number, _) in retention.within.iter().flat_map(|span| series.within(*span)) {
            keep(&mut verdicts, *number, Rule::Within);
        }
    }
    for (number, snapshot) in snapshots.iter().enumerate() {
        let is_kept = snapshot.kind == SnapshotKind::Safety && is_young_for_safety(snapshots, snapshot, now);
        is_kept.then(|| keep(&mut verdicts, number, Rule::Safety));
        for tag in retention.tags.iter().filter(|tag| snapshot.tags.contains(tag)) {
            keep(&mut verdicts, number, Rule::Tag(tag.clone()));
        }
    }
    Ok(verdicts)
}

/// The rules that hold whatever the policy says, for snapshots that come newest first: what they keep is deleted only by name.
#[must_use]
pub fn protect(snapshots: &[Snapshot], pins: &BTreeSet<String>, now: LocalTime) -> Vec<Verdict> {
    let verdict = |(snapshot, is_behind): (&Snapshot, bool)| {
        let pinned = pins.contains(snapshot.name.as_str()).then_some(Rule::Pinned);
        let behind = is_behind.then_some(Rule::Behind);
        Verdict { name: snapshot.name.clone(), keep: pinned.into_iter().chain(behind).collect() }
    };
    let mut verdicts: Vec<Verdict> = snapshots.iter().zip(made_behind(snapshots, now)).map(verdict).collect();
    for series in all_series(snapshots, now) {
        let newest = series.good().next().map(|(number, _)| *number);
        for (number, _) in series.counted.iter().take_while(|(number, _)| Some(*number) != newest) {
            keep(&mut verdicts, *number, Rule::Newer);
        }
        if let Some(number) = newest {
            keep(&mut verdicts, number, Rule::Newest(series.name.to_owned()));
        }
    }
    for (number, _) in counted(snapshots, now).iter().enumerate().filter(|(_, is_counted)| !**is_counted) {
        keep(&mut verdicts, number, Rule::Ahead);
    }
    copies::keep_newest(snapshots, &mut verdicts);
    verdicts
}

fn keep(verdicts: &mut [Verdict], number: usize, rule: Rule) {
    if let Some(verdict) = verdicts.get_mut(number) {
        verdict.keep.push(rule);
    }
}

/// Whether a safety snapshot is at most a week older than the newest one of its system.
fn is_young_for_safety(snapshots: &[Snapshot], safety: &Snapshot, now: LocalTime) -> bool {
    let counted = counted(snapshots, now);
    let of_system = |(snapshot, is_counted): &(&Snapshot, bool)| *is_counted && snapshot.system == safety.system;
    let newer = snapshots.iter().zip(counted).filter(of_system).map(|(snapshot, _)| snapshot);
    let newer = newer.take_while(|snapshot| snapshot.name != safety.name).map(|snapshot| snapshot.time);
    ages(newer.chain([safety.time])).last().is_none_or(|age| age <= SAFETY_KEPT)
}
