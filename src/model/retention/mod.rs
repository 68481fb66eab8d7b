//! Which snapshots are kept, by a policy, and which rule keeps each of them.
//!
//! A pure function of the manifests. Snapshots are compared only with those of their series: one stream never takes the place of the
//! whole system, nor one system that of another. Ages count back from the newest snapshot of the series. The clock makes a snapshot
//! count less where its time cannot be true, and never has one deleted. What deleting frees is not known here.

mod behind;
mod copies;
mod policy;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use behind::made_behind;
pub use policy::{EmptyRetention, Retention};

use super::{Snapshot, SnapshotKind, SnapshotName, Status};
use crate::clock::{LocalTime, Period};

/// How long what a restore was about to replace is kept.
const SAFETY_KEPT: Duration = Duration::from_hours(7 * 24);

/// Time between two snapshots counts for so much at most.
const GAP_MAX: Duration = Duration::from_hours(7 * 24);

/// Why a snapshot is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The user asked for it.
    Pinned,
    /// A restore of it has not ended well, and needs it again.
    Unended,
    /// It is the newest complete one of its series, which is named.
    Newest(String),
    /// It is newer than the newest complete one of its series.
    Newer,
    /// It has the newest copy of these components, or the newest with far more than that.
    Copy(Vec<String>),
    /// Its time is later than the clock.
    Ahead,
    /// Its time is earlier than that of the snapshot before it: the clock was behind when it was made.
    Behind,
    /// It is among the newest so many.
    Last,
    /// It is the best one of a period, or has something that the best one lacks; the period as text.
    Slot(Period, String),
    /// It is young enough.
    Within,
    /// It has a tag that is kept.
    Tag(String),
    /// A restore replaced what is in it, less than a week ago.
    Safety,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => formatter.write_str("pinned"),
            Self::Unended => formatter.write_str("a restore of it has not ended well"),
            Self::Newest(series) => write!(formatter, "newest complete of {series}"),
            Self::Newer => formatter.write_str("newer than the newest complete"),
            Self::Copy(components) => write!(formatter, "newest copy of {}", components.join(", ")),
            Self::Ahead => formatter.write_str("later than the clock"),
            Self::Behind => formatter.write_str("made while the clock was behind"),
            Self::Last => formatter.write_str("last"),
            Self::Slot(period, slot) => write!(formatter, "{} {slot}", period.adverb()),
            Self::Within => formatter.write_str("within"),
            Self::Tag(tag) => write!(formatter, "tag {tag}"),
            Self::Safety => formatter.write_str("safety, for a week"),
        }
    }
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The snapshot.
    pub name: SnapshotName,
    /// The rules that keep it; without any it goes.
    pub keep: Vec<Rule>,
}

impl Verdict {
    /// Whether it stays whatever the policy says, and whatever the size of the repository.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        let protects = |rule: &Rule| {
            use Rule::{Ahead, Behind, Copy, Newer, Newest, Pinned, Unended};
            matches!(rule, Pinned | Unended | Newest(_) | Newer | Copy(_) | Ahead | Behind)
        };
        self.keep.iter().any(protects)
    }
}

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

/// Which of the snapshots count for what is newest: those that are not later than the clock, or all of a system where all of it are.
#[must_use]
pub fn counted(snapshots: &[Snapshot], now: LocalTime) -> Vec<bool> {
    let in_time = snapshots.iter().filter(|snapshot| !snapshot.is_ahead_of(now));
    let systems: BTreeSet<&str> = in_time.map(|snapshot| snapshot.system.as_str()).collect();
    let is_counted = |snapshot: &Snapshot| !snapshot.is_ahead_of(now) || !systems.contains(snapshot.system.as_str());
    snapshots.iter().map(is_counted).collect()
}

fn keep(verdicts: &mut [Verdict], number: usize, rule: Rule) {
    if let Some(verdict) = verdicts.get_mut(number) {
        verdict.keep.push(rule);
    }
}

/// A snapshot with its number in the list of all.
type Numbered<'a> = (usize, &'a Snapshot);

/// Snapshots that take each other's place.
struct Series<'a> {
    name: &'a str,
    /// Those whose times are believed, newest first.
    counted: Vec<Numbered<'a>>,
}

impl<'a> Series<'a> {
    /// Those that are complete, newest first.
    fn good(&self) -> impl Iterator<Item = &Numbered<'a>> {
        self.counted.iter().filter(|(_, snapshot)| snapshot.status == Status::Complete)
    }

    /// Those that are at most so much older than the newest one.
    fn within(&self, span: Duration) -> impl Iterator<Item = &Numbered<'a>> {
        let ages = ages(self.counted.iter().map(|(_, snapshot)| snapshot.time));
        self.counted.iter().zip(ages).filter(move |(_, age)| *age <= span).map(|(one, _)| one)
    }
}

/// All series but those of what restores replaced.
fn all_series(snapshots: &[Snapshot], now: LocalTime) -> Vec<Series<'_>> {
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

/// Whether a safety snapshot is at most a week older than the newest one of its system.
fn is_young_for_safety(snapshots: &[Snapshot], safety: &Snapshot, now: LocalTime) -> bool {
    let counted = counted(snapshots, now);
    let of_system = |(snapshot, is_counted): &(&Snapshot, bool)| *is_counted && snapshot.system == safety.system;
    let newer = snapshots.iter().zip(counted).filter(of_system).map(|(snapshot, _)| snapshot);
    let newer = newer.take_while(|snapshot| snapshot.name != safety.name).map(|snapshot| snapshot.time);
    ages(newer.chain([safety.time])).last().is_none_or(|age| age <= SAFETY_KEPT)
}

/// How much older than the first, which is the newest, each of them is. Time in which nothing was saved counts for a week at most: it may
/// be that no time passed, and the clock was set.
fn ages(newest_first: impl Iterator<Item = LocalTime>) -> impl Iterator<Item = Duration> {
    let mut later: Option<LocalTime> = None;
    newest_first.scan(Duration::ZERO, move |age, time| {
        let micros =
            later.replace(time).map_or(0, |later| i128::from(later.unix_micros) - i128::from(time.unix_micros));
        let gap = Duration::from_micros(u64::try_from(micros).unwrap_or(0)).min(GAP_MAX);
        *age = age.saturating_add(gap);
        Some(*age)
    })
}
