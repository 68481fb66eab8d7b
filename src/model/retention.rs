//! Which snapshots are kept, by a policy, and which rule keeps each of them.
//!
//! A pure function of the manifests: no clock decides anything, ages count back from the newest snapshot. Only complete
//! snapshots take the slots of hours, days, weeks, months and years, so that a failed night never pushes a good one out.
//! What deleting frees is not known here.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use super::{Snapshot, SnapshotKind, SnapshotName, Status};
use crate::clock::{LocalTime, Period};

/// How long what a restore was about to replace is kept.
const SAFETY_KEPT: Duration = Duration::from_hours(7 * 24);

/// How many snapshots of each kind are kept. Each number counts slots of local time that have a complete snapshot; time
/// without any counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The newest ones, whatever their times.
    pub last: u32,
    /// Of each hour the best one.
    pub hourly: u32,
    /// Of each day the best one.
    pub daily: u32,
    /// Of each ISO week the best one.
    pub weekly: u32,
    /// Of each month the best one.
    pub monthly: u32,
    /// Of each year the best one.
    pub yearly: u32,
    /// Everything that is at most so much older than the newest snapshot.
    pub within: Option<Duration>,
    /// Everything with one of these tags.
    pub tags: Vec<String>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { daily: 7, weekly: 4, monthly: 3, ..Self::NONE }
    }
}

impl Retention {
    /// A policy that keeps nothing.
    pub const NONE: Self =
        Self { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within: None, tags: Vec::new() };

    const fn slots(&self) -> [(Period, u32); 5] {
        [
            (Period::Hour, self.hourly),
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ]
    }
}

/// A policy that would keep nothing is taken for a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the retention keeps nothing: no rule of it is above zero")]
pub struct EmptyRetention;

/// Why a snapshot is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The user asked for it.
    Pinned,
    /// It is the newest complete one.
    Newest,
    /// It is the newest complete one of the whole system.
    NewestFull,
    /// It is newer than the newest complete one: all that there is of its night.
    Newer,
    /// It is among the newest so many.
    Last,
    /// It is the best one of a period; the period as text.
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
            Self::Newest => formatter.write_str("newest complete"),
            Self::NewestFull => formatter.write_str("newest complete of everything"),
            Self::Newer => formatter.write_str("newer than the newest complete"),
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
    /// Whether it stays whatever the size of the repository.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.keep.iter().any(|rule| matches!(rule, Rule::Pinned | Rule::Newest | Rule::NewestFull | Rule::Newer))
    }
}

/// Decides about snapshots, which come newest first. The verdicts are in the same order.
///
/// # Errors
/// [`EmptyRetention`] when the policy has no rule.
pub fn decide(
    snapshots: &[Snapshot],
    pins: &BTreeSet<String>,
    retention: &Retention,
) -> Result<Vec<Verdict>, EmptyRetention> {
    if *retention == Retention::NONE {
        return Err(EmptyRetention);
    }
    let mut verdicts: Vec<Verdict> =
        snapshots.iter().map(|snapshot| Verdict { name: snapshot.name.clone(), keep: Vec::new() }).collect();
    let mut keep = |number: usize, rule: Rule| {
        if let Some(verdict) = verdicts.get_mut(number) {
            verdict.keep.push(rule);
        }
    };
    let good: Vec<(usize, &Snapshot)> = snapshots.iter().enumerate().filter(|(_, one)| is_good(one)).collect();
    for (number, snapshot) in snapshots.iter().enumerate() {
        if pins.contains(snapshot.name.as_str()) {
            keep(number, Rule::Pinned);
        }
    }
    let newest = good.first().map_or(snapshots.len(), |(number, _)| *number);
    (0..newest).filter(|number| !is_safety(snapshots, *number)).for_each(|number| keep(number, Rule::Newer));
    keep(newest, Rule::Newest);
    if let Some((full, _)) = good.iter().find(|(_, one)| one.kind == SnapshotKind::Full) {
        keep(*full, Rule::NewestFull);
    }
    good.iter().take(retention.last as usize).for_each(|(number, _)| keep(*number, Rule::Last));
    for (period, count) in retention.slots() {
        for (slot, number) in best_of_each(&good, period).into_iter().take(count as usize) {
            keep(number, Rule::Slot(period, slot));
        }
    }
    let now = snapshots.first().map(|snapshot| snapshot.time);
    for (number, snapshot) in snapshots.iter().enumerate() {
        let is_within = |span: Duration| now.is_some_and(|now| age(snapshot.time, now) <= span.as_micros());
        if snapshot.kind == SnapshotKind::Safety {
            if is_within(SAFETY_KEPT) {
                keep(number, Rule::Safety);
            }
        } else if retention.within.is_some_and(is_within) {
            keep(number, Rule::Within);
        }
        for tag in retention.tags.iter().filter(|tag| snapshot.tags.contains(tag)) {
            keep(number, Rule::Tag(tag.clone()));
        }
    }
    Ok(verdicts)
}

/// Whether a snapshot is one that can take a slot.
fn is_good(snapshot: &Snapshot) -> bool {
    snapshot.status == Status::Complete && snapshot.kind != SnapshotKind::Safety
}

fn is_safety(snapshots: &[Snapshot], number: usize) -> bool {
    snapshots.get(number).is_some_and(|snapshot| snapshot.kind == SnapshotKind::Safety)
}

/// How much older one is than the other, in microseconds.
fn age(time: LocalTime, now: LocalTime) -> u128 {
    u128::try_from(i128::from(now.unix_micros) - i128::from(time.unix_micros)).unwrap_or(0)
}

/// The best snapshot of each slot, newest slot first: one of the whole system before others, then the newest.
fn best_of_each(good: &[(usize, &Snapshot)], period: Period) -> Vec<(String, usize)> {
    let mut slots: Vec<(String, usize, bool)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for (number, snapshot) in good {
        let (slot, is_full) = (snapshot.time.period(period), snapshot.kind == SnapshotKind::Full);
        match known.get(&slot).and_then(|place| slots.get_mut(*place)) {
            Some(best) if is_full && !best.2 => *best = (slot, *number, true),
            Some(_) => {}
            None => {
                known.insert(slot.clone(), slots.len());
                slots.push((slot, *number, is_full));
            }
        }
    }
    slots.into_iter().map(|(slot, number, _)| (slot, number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    /// Monday, 2026-01-05, 02:00 UTC.
    const START: i64 = 1_767_578_400;

    fn at(secs: i64) -> Snapshot {
        let time = LocalTime { unix_micros: (START + secs) * 1_000_000, offset_secs: 0 };
        Snapshot::new(SnapshotName::at(time), time, SnapshotKind::Full)
    }

    fn partial(secs: i64) -> Snapshot {
        Snapshot { status: Status::Partial, ..at(secs) }
    }

    fn of_kind(secs: i64, kind: SnapshotKind) -> Snapshot {
        Snapshot { kind, ..at(secs) }
    }

    /// The verdicts on snapshots in any order, newest first.
    fn verdicts(mut snapshots: Vec<Snapshot>, retention: &Retention) -> Vec<(Snapshot, Vec<Rule>)> {
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.time));
        let verdicts = decide(&snapshots, &BTreeSet::new(), retention).expect("a policy");
        snapshots.into_iter().zip(verdicts).map(|(snapshot, verdict)| (snapshot, verdict.keep)).collect()
    }

    /// How many seconds after the start those are that are kept, newest first.
    fn kept(snapshots: Vec<Snapshot>, retention: &Retention) -> Vec<i64> {
        let kept = verdicts(snapshots, retention).into_iter().filter(|(_, rules)| !rules.is_empty());
        kept.map(|(snapshot, _)| snapshot.time.unix_micros / 1_000_000 - START).collect()
    }

    fn days(days: impl IntoIterator<Item = i64>) -> Vec<i64> {
        days.into_iter().map(|day| day * DAY).collect()
    }

    #[test]
    fn a_policy_without_a_rule_is_refused() {
        assert_eq!(decide(&[at(0)], &BTreeSet::new(), &Retention::NONE), Err(EmptyRetention));
        assert_eq!(decide(&[], &BTreeSet::new(), &Retention::default()), Ok(Vec::new()));
    }

    #[test]
    fn slots_that_have_no_snapshot_count_for_nothing() {
        let daily = Retention { daily: 3, ..Retention::NONE };
        let snapshots = [0, 1, 2, 40, 41].into_iter().map(|day| at(day * DAY)).collect();
        assert_eq!(kept(snapshots, &daily), days([41, 40, 2]));
    }

    #[test]
    fn the_newest_of_the_whole_system_is_the_best_of_its_slot() {
        let daily = Retention { daily: 2, ..Retention::NONE };
        let database = |secs| of_kind(secs, SnapshotKind::Database);
        let snapshots = vec![at(0), at(60), database(120), at(DAY), at(2 * DAY)];
        assert_eq!(kept(snapshots, &daily), [2 * DAY, DAY]);
        let snapshots = vec![at(0), at(60), database(120)];
        // The newest complete one is kept beside the one that takes the slot.
        assert_eq!(kept(snapshots, &daily), [120, 60]);
    }

    #[test]
    fn partial_ones_take_no_slot_and_stay_while_they_are_all_of_their_night() {
        let daily = Retention { daily: 2, ..Retention::NONE };
        let snapshots = vec![at(0), at(DAY), partial(DAY + 60), partial(2 * DAY)];
        assert_eq!(kept(snapshots, &daily), [2 * DAY, DAY + 60, DAY, 0]);
        let snapshots = vec![at(0), partial(DAY), at(2 * DAY)];
        assert_eq!(kept(snapshots, &daily), [2 * DAY, 0]);
        // Without a complete one, nothing is known to be better than any of them.
        assert_eq!(kept(vec![partial(0), partial(DAY)], &daily), [DAY, 0]);
    }

    #[test]
    fn safety_snapshots_take_no_slot_and_stay_for_a_week_of_snapshots() {
        let daily = Retention { daily: 1, last: 1, ..Retention::NONE };
        let safety = |day: i64| of_kind(day * DAY, SnapshotKind::Safety);
        assert_eq!(kept(vec![at(0), safety(1), safety(2), at(9 * DAY)], &daily), days([9, 2]));
        // However long ago the last snapshot was taken.
        assert_eq!(kept(vec![at(0), safety(1)], &daily), days([1, 0]));
    }

    #[test]
    fn the_newest_complete_one_and_the_newest_of_everything_always_stay() {
        let tags = Retention { tags: vec!["never".to_owned()], ..Retention::NONE };
        let snapshots = vec![at(0), at(DAY), of_kind(2 * DAY, SnapshotKind::Files), partial(3 * DAY)];
        let found = verdicts(snapshots, &tags);
        let rules: Vec<Vec<Rule>> = found.into_iter().map(|(_, rules)| rules).collect();
        assert_eq!(rules, [vec![Rule::Newer], vec![Rule::Newest], vec![Rule::NewestFull], vec![]]);
    }

    #[test]
    fn pins_tags_and_age_keep_what_no_slot_does() {
        let tagged = Snapshot { tags: vec!["before upgrade".to_owned()], ..at(DAY) };
        let mut snapshots: Vec<Snapshot> = [0, 2, 3, 4, 5].into_iter().map(|day| at(day * DAY)).collect();
        snapshots.push(tagged);
        snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.time));
        let retention = Retention {
            tags: vec!["before upgrade".to_owned()],
            within: Some(Duration::from_hours(24)),
            ..Retention::NONE
        };
        let pins = BTreeSet::from([snapshots[5].name.to_string()]);
        let verdicts = decide(&snapshots, &pins, &retention).expect("a policy");
        let rules: Vec<Vec<Rule>> = verdicts.iter().map(|verdict| verdict.keep.clone()).collect();
        assert_eq!(rules[0], [Rule::Newest, Rule::NewestFull, Rule::Within]);
        assert_eq!(rules[1], [Rule::Within]);
        assert!(rules[2].is_empty() && rules[3].is_empty());
        assert_eq!(rules[4], [Rule::Tag("before upgrade".to_owned())]);
        assert_eq!(rules[5], [Rule::Pinned]);
        assert!(verdicts[5].is_protected() && verdicts[0].is_protected() && !verdicts[4].is_protected());
    }

    #[test]
    fn slots_are_those_of_the_local_time_of_each_snapshot() {
        // 23:30 and 00:30 in Berlin are one day in UTC and two there.
        let berlin = |secs: i64| {
            let mut snapshot = at(secs);
            snapshot.time.offset_secs = 3_600;
            snapshot
        };
        let daily = Retention { daily: 5, ..Retention::NONE };
        let evening = 20 * 3_600 + 1_800;
        assert_eq!(kept(vec![berlin(evening), berlin(evening + 3_600)], &daily).len(), 2);
        assert_eq!(kept(vec![at(evening), at(evening + 3_600)], &daily).len(), 1);
    }

    #[test]
    fn each_rule_names_its_slot() {
        let retention = Retention { last: 1, hourly: 1, daily: 1, weekly: 1, monthly: 1, yearly: 1, ..Retention::NONE };
        let rules: Vec<String> = verdicts(vec![at(0)], &retention)[0].1.iter().map(ToString::to_string).collect();
        let expected = [
            "newest complete",
            "newest complete of everything",
            "last",
            "hourly 2026-01-05 02h",
            "daily 2026-01-05",
            "weekly 2026-W02",
            "monthly 2026-01",
            "yearly 2026",
        ];
        assert_eq!(rules, expected);
    }

    #[test]
    fn the_week_at_the_turn_of_the_year_is_one() {
        let weekly = Retention { weekly: 9, ..Retention::NONE };
        // Wednesday 2026-12-30, Friday 2027-01-01 and Sunday 2027-01-03 are in week 53 of 2026.
        assert_eq!(kept(vec![at(359 * DAY), at(361 * DAY), at(363 * DAY)], &weekly), days([363]));
    }

    /// The other tool kept ages of up to ten days for ever, and no month at all.
    #[test]
    fn two_hundred_days_of_nightly_backups_and_weekly_prunes_keep_days_weeks_and_months() {
        let mut stock: Vec<Snapshot> = Vec::new();
        for day in 0..200 {
            stock.push(at(day * DAY));
            if day % 7 == 6 || day == 199 {
                let kept = kept(stock.clone(), &Retention::default());
                stock.retain(|snapshot| kept.contains(&(snapshot.time.unix_micros / 1_000_000 - START)));
            }
        }
        let slots = |period| -> BTreeSet<String> { stock.iter().map(|one| one.time.period(period)).collect() };
        assert!(slots(Period::Month).len() >= 3, "{:?}", slots(Period::Month));
        let found = kept(stock, &Retention::default());
        // A week of days, the Sundays before it, and the last days of June and May.
        assert_eq!(found, days([199, 198, 197, 196, 195, 194, 193, 188, 181, 176, 146]));
    }
}
