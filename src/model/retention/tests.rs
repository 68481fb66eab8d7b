//! Which snapshots stay, and by which rules.

use super::*;
use crate::clock::Period;
use crate::model::{
    Component, ComponentKind, ComponentName, Consistency, Content, DatabaseFacts, Metadata, Node, NodeKind,
    SnapshotName, Status,
};

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
    Snapshot { kind, series: kind.series().to_owned(), ..at(secs) }
}

/// Late enough for all that is tested.
fn now() -> LocalTime {
    LocalTime { unix_micros: (START + 400 * DAY) * 1_000_000, offset_secs: 0 }
}

/// The verdicts on snapshots in any order, newest first.
fn verdicts(mut snapshots: Vec<Snapshot>, retention: &Retention) -> Vec<(Snapshot, Vec<Rule>)> {
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.time));
    let verdicts = decide(&snapshots, &BTreeSet::new(), retention, now()).expect("a policy");
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
    assert_eq!(decide(&[at(0)], &BTreeSet::new(), &Retention::NONE, now()), Err(EmptyRetention));
    assert_eq!(decide(&[], &BTreeSet::new(), &Retention::default(), now()), Ok(Vec::new()));
}

#[test]
fn slots_that_have_no_snapshot_count_for_nothing() {
    let daily = Retention { daily: 3, ..Retention::NONE };
    let snapshots = [0, 1, 2, 40, 41].into_iter().map(|day| at(day * DAY)).collect();
    assert_eq!(kept(snapshots, &daily), days([41, 40, 2]));
}

fn everything() -> Rule {
    Rule::Newest("everything".to_owned())
}

/// A component that was saved, or one that failed.
fn component(name: &str, is_good: bool) -> Component {
    let name: ComponentName = name.parse().expect("a name");
    let kind = NodeKind::Directory { tree: Content::default() };
    let root = is_good.then(|| Node::new(name.as_str().as_bytes().into(), Metadata::default(), kind));
    let component = Component::new(name, ComponentKind::Directory, "x".to_owned(), Consistency::Live);
    let mut component = Component { root, ..component };
    if !is_good {
        component.errors.push("it is not there".to_owned());
    }
    component
}

fn with(snapshot: Snapshot, names: &[&str]) -> Snapshot {
    Snapshot { components: names.iter().map(|name| component(name, true)).collect(), ..snapshot }
}

fn stream(secs: i64, name: &str) -> Snapshot {
    let snapshot = Snapshot { series: format!("stream {name}"), ..of_kind(secs, SnapshotKind::Stream) };
    with(snapshot, &[name])
}

fn of_system(system: &str, snapshot: Snapshot) -> Snapshot {
    Snapshot { system: system.to_owned(), ..snapshot }
}

/// A full snapshot took the slot of the streams of its day, which were deleted.
#[test]
fn each_series_has_slots_of_its_own() {
    let daily = Retention { daily: 1, ..Retention::NONE };
    let snapshots = vec![
        at(0),
        at(60),
        of_kind(70, SnapshotKind::Database),
        stream(80, "crm"),
        stream(90, "crm"),
        stream(95, "wiki"),
        at(99),
    ];
    assert_eq!(kept(snapshots, &daily), [99, 95, 90, 70]);
}

/// Two hosts with one repository: each deleted what the other had saved.
#[test]
fn each_system_has_slots_of_its_own() {
    let daily = Retention { daily: 1, ..Retention::NONE };
    let snapshots = vec![of_system("a", at(0)), of_system("b", at(60)), of_system("b", at(120))];
    assert_eq!(kept(snapshots, &daily), [120, 0]);
}

/// A run without its database was complete, and the one that had it was deleted for it.
#[test]
fn what_stands_for_a_slot_has_everything_that_any_of_the_slot_has() {
    let weekly = Retention { weekly: 2, ..Retention::NONE };
    let next_week = with(at(7 * DAY), &["a", "b", "c"]);
    let stock = |others: Vec<Snapshot>| others.into_iter().chain([next_week.clone()]).collect::<Vec<_>>();
    // The newest that has everything, alone.
    let snapshots = stock(vec![with(at(0), &["a", "b"]), with(at(60), &["a", "b"]), with(at(120), &["a"])]);
    assert_eq!(kept(snapshots, &weekly), [7 * DAY, 60]);
    // As many as are needed.
    let snapshots = stock(vec![with(at(0), &["a", "b"]), with(at(60), &["b"]), with(at(120), &["a", "c"])]);
    assert_eq!(kept(snapshots, &weekly), [7 * DAY, 120, 60]);
    // A partial one too, where it alone has something.
    let mut half = with(partial(180), &["b"]);
    half.components.push(component("c", false));
    let snapshots = stock(vec![with(at(0), &["a"]), with(at(60), &["a"]), half, with(at(200), &["a"])]);
    assert_eq!(kept(snapshots, &weekly), [7 * DAY, 200, 180]);
    // But for what was dropped on purpose.
    let dropped = Snapshot { dropped: vec!["b".parse().expect("a name")], ..with(at(120), &["a"]) };
    let snapshots = stock(vec![with(at(0), &["a", "b"]), dropped]);
    assert_eq!(kept(snapshots, &weekly), [7 * DAY, 120]);
}

/// The last copy of a component went with the snapshots of its time.
#[test]
fn the_newest_copy_of_each_component_stays() {
    let last = Retention { last: 1, ..Retention::NONE };
    let mut failed = with(partial(2 * DAY), &["a"]);
    failed.components.push(component("b", false));
    let snapshots = vec![with(at(0), &["a", "b"]), with(at(DAY), &["a", "b"]), failed, with(at(9 * DAY), &["a"])];
    assert_eq!(kept(snapshots.clone(), &last), days([9, 1]));
    let rules = verdicts(snapshots, &last);
    assert_eq!(rules[2].1, [Rule::Copy(vec!["b".to_owned()])]);
    // Also where an older one that is pinned has it too.
    let pins = BTreeSet::from([at(0).name.to_string()]);
    let stock = [with(at(9 * DAY), &["a"]), with(at(DAY), &["a", "b"]), with(at(0), &["a", "b"])];
    let pinned = decide(&stock, &pins, &last, now()).expect("a policy");
    assert_eq!(pinned[1].keep, [Rule::Copy(vec!["b".to_owned()])]);
    // A backup has it rather than what a restore replaced; where there is no other, that has.
    let safety = |day: i64, names: &[&str]| with(of_kind(day * DAY, SnapshotKind::Safety), names);
    let snapshots = vec![with(at(0), &["a", "b"]), safety(1, &["b", "c"]), with(at(9 * DAY), &["a"])];
    assert_eq!(kept(snapshots, &last), days([9, 1, 0]));
    // A broken copy is better than none, and one of another system is none.
    let mut broken = with(partial(0), &["b"]);
    broken.components[0].errors.push("a file could not be read".to_owned());
    let snapshots = vec![broken, of_system("other", with(at(DAY), &["b"])), with(at(9 * DAY), &["a"])];
    assert_eq!(kept(snapshots, &last), days([9, 1, 0]));
}

/// What was given up by one word, or was lost without anybody seeing it, was deleted by the next prune.
#[test]
fn what_had_far_more_stays() {
    let last = Retention { last: 1, ..Retention::NONE };
    let of = |secs: i64, files: u64| {
        let mut snapshot = with(at(secs), &["a"]);
        snapshot.components[0].files = files;
        snapshot
    };
    let snapshots = vec![of(0, 700), of(DAY, 600), of(2 * DAY, 590), of(3 * DAY, 10), of(4 * DAY, 12)];
    assert_eq!(kept(snapshots, &last), days([4, 2]));
    // What is called alike and is a stream is no copy of it, nor is that of another database.
    let mut listed = stream(DAY, "a");
    listed.components[0].kind = ComponentKind::Stream;
    assert_eq!(kept(vec![with(at(0), &["a", "b"]), listed, with(at(2 * DAY), &["b"])], &last), days([2, 1, 0]));
    let database = |secs: i64, name: &str| {
        let mut snapshot = with(at(secs), &["database"]);
        snapshot.components[0].database = Some(DatabaseFacts { name: name.to_owned(), ..DatabaseFacts::default() });
        snapshot
    };
    assert_eq!(kept(vec![database(0, "shop"), database(DAY, "crm"), database(2 * DAY, "crm")], &last), days([2, 0]));
}

/// Time in which nothing was saved is no age: it may be that the clock was set.
#[test]
fn a_gap_counts_for_a_week_at_most() {
    let within = Retention { within: Some(Duration::from_hours(10 * 24)), ..Retention::NONE };
    let snapshots = vec![at(0), at(2 * DAY), at(3 * DAY), at(300 * DAY), at(301 * DAY)];
    assert_eq!(kept(snapshots, &within), days([301, 300, 3, 2]));
    let safety = of_kind(DAY, SnapshotKind::Safety);
    assert_eq!(kept(vec![at(0), safety, at(300 * DAY)], &Retention { last: 1, ..Retention::NONE }), days([300, 1]));
}

/// A snapshot from the future was the newest for ever, and everything else too old.
#[test]
fn a_clock_that_is_wrong_has_nothing_deleted() {
    let within = Retention { within: Some(Duration::from_hours(48)), ..Retention::NONE };
    let snapshots = vec![at(0), at(5 * DAY), at(6 * DAY), at(5_000 * DAY)];
    assert_eq!(kept(snapshots.clone(), &within), days([5_000, 6, 5]));
    assert_eq!(verdicts(snapshots, &within)[0].1, [Rule::Ahead]);
    // What of one system is later says nothing of another one.
    let two = vec![of_system("a", at(0)), of_system("b", at(5_000 * DAY)), of_system("b", at(5_001 * DAY))];
    assert_eq!(verdicts(two, &within)[0].1, [everything(), Rule::Within]);
    // Where the clock of whoever prunes is behind, all are later.
    let all: Vec<Snapshot> = [5_002, 5_001, 5_000, 4_000].map(|day| at(day * DAY)).to_vec();
    assert_eq!(kept(all, &within), days([5_002, 5_001, 5_000]));
    // One that was made while the clock was behind would be the oldest.
    let later = at(300 * DAY);
    let behind = Snapshot { parent: Some(later.name.clone()), ..at(0) };
    let ordinary = Snapshot { parent: Some(at(299 * DAY).name), ..later.clone() };
    assert_eq!(kept(vec![behind.clone(), at(DAY), ordinary.clone()], &within), days([300, 0]));
    // The one that it was compared with was made while the clock was ahead.
    let ahead = Snapshot { parent: Some(later.name.clone()), ..at(5_000 * DAY) };
    let of_ahead = |snapshot: Snapshot| Snapshot { parent: Some(ahead.name.clone()), ..snapshot };
    let all = vec![of_ahead(at(0)), of_ahead(at(DAY)), of_ahead(at(301 * DAY)), ordinary.clone(), ahead.clone()];
    let last = Retention { last: 1, ..Retention::NONE };
    assert_eq!(kept(all, &last), days([5_000, 301, 1, 0]));
    let imported = Snapshot { imported: Some("x".to_owned()), ..behind };
    assert_eq!(kept(vec![imported, at(DAY), ordinary], &within), days([300]));
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
fn the_newest_complete_one_of_each_series_always_stays() {
    let tags = Retention { tags: vec!["never".to_owned()], ..Retention::NONE };
    let snapshots = vec![at(0), at(DAY), of_kind(2 * DAY, SnapshotKind::Files), partial(3 * DAY)];
    let found = verdicts(snapshots, &tags);
    let rules: Vec<Vec<Rule>> = found.into_iter().map(|(_, rules)| rules).collect();
    assert_eq!(rules, [vec![Rule::Newer], vec![Rule::Newest("folders".to_owned())], vec![everything()], vec![]]);
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
    let verdicts = decide(&snapshots, &pins, &retention, now()).expect("a policy");
    let rules: Vec<Vec<Rule>> = verdicts.iter().map(|verdict| verdict.keep.clone()).collect();
    assert_eq!(rules[0], [everything(), Rule::Within]);
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
