//! What a backup of a system is expected to have: everything that the last complete one of the whole system had.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Component, ComponentKind, ComponentName, Snapshot, SnapshotKind, Status, TableRows, counted};
use crate::clock::LocalTime;

/// A component that has less than one of so many parts of what it had is not what was expected.
const PARTS: u64 = 10;
/// Where it had at least so many files or rows, or bytes: few things come and go.
const THINGS_MIN: u64 = 20;
const BYTES_MIN: u64 = 1 << 20;
/// One that has less than one of so many parts is as expected, which is worth knowing.
const NOTED_PARTS: u64 = 2;
/// Tables that are named.
const TABLES_NAMED: usize = 5;

/// A component that is expected, and the snapshot that had it last.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// The component as it was then.
    pub component: &'a Component,
}

impl Expected<'_> {
    /// Whether nothing older tells more.
    fn is_final(&self) -> bool {
        self.component.is_good() || self.component.is_accepted()
    }
}

/// The components that are expected.
#[derive(Debug, Default)]
pub struct Expectation<'a> {
    components: BTreeMap<&'a str, Expected<'a>>,
    /// The newest good copies of components that are not expected any more, and may come back.
    former: BTreeMap<&'a str, Expected<'a>>,
}

impl<'a> Expectation<'a> {
    /// What a system is expected to have, by its snapshots, which come newest first: the components of the newest complete one of
    /// everything, and those that partial ones since then have, but for what was dropped on purpose.
    #[must_use]
    pub fn of_system(newest_first: &'a [Snapshot], system: &str, now: LocalTime) -> Self {
        Self::of(newest_first, system, &[SnapshotKind::Full.series()], now)
    }

    /// What some series of a system are expected to have together.
    #[must_use]
    pub fn of(newest_first: &'a [Snapshot], system: &str, series: &[&str], now: LocalTime) -> Self {
        let is_counted = counted(newest_first, now);
        let of_system = newest_first.iter().zip(is_counted).filter(|(snapshot, _)| snapshot.system == system);
        let (counted, ahead): (Vec<_>, Vec<_>) = of_system.partition(|(_, is_counted)| *is_counted);
        // What was imported may lack what the system has. Those that are later than the clock come last: it may be the clock that is wrong.
        let (own, imported): (Vec<_>, Vec<_>) =
            counted.into_iter().partition(|(snapshot, _)| snapshot.imported.is_none());
        let by_trust = own.into_iter().chain(imported).chain(ahead);
        let by_trust: Vec<&Snapshot> = by_trust.map(|(snapshot, _)| snapshot).collect();
        let mut expectation = Self::default();
        for series in series {
            let of_series = || by_trust.iter().copied().filter(|snapshot| snapshot.series == *series);
            expectation.add(of_series());
            expectation.add_former(of_series());
        }
        expectation.take_accepted(&by_trust);
        expectation
    }

    /// Adds what the newest complete snapshot of a series has, and partial ones before it.
    fn add(&mut self, by_trust: impl Iterator<Item = &'a Snapshot>) {
        let mut dropped = BTreeSet::new();
        for snapshot in by_trust {
            for component in snapshot.components.iter().filter(|component| component.root.is_some()) {
                let name = component.name.as_str();
                if !dropped.contains(name) {
                    let known = self.components.entry(name).or_insert(Expected { snapshot, component });
                    // The newest good one counts. Where there is none, one of those with errors may be one that was no more as expected.
                    if !known.is_final() && (component.is_good() || has_more(component, known.component)) {
                        *known = Expected { snapshot, component };
                    }
                }
            }
            dropped.extend(snapshot.dropped.iter().map(ComponentName::as_str));
            if snapshot.status == Status::Complete {
                break;
            }
        }
    }

    /// Adds what is not expected any more.
    fn add_former(&mut self, by_trust: impl Iterator<Item = &'a Snapshot>) {
        for snapshot in by_trust {
            for component in snapshot.components.iter().filter(|component| component.is_good()) {
                self.former.entry(component.name.as_str()).or_insert(Expected { snapshot, component });
            }
        }
    }

    /// What was taken as it is, by whatever backup, is what is expected from then on.
    fn take_accepted(&mut self, by_trust: &[&'a Snapshot]) {
        for (name, expected) in &mut self.components {
            let accepted =
                by_trust.iter().take_while(|snapshot| snapshot.name != expected.snapshot.name).find_map(|snapshot| {
                    let is_it = |component: &&Component| component.name.as_str() == *name && component.is_accepted();
                    let component = snapshot.components.iter().find(is_it)?;
                    Some(Expected { snapshot, component })
                });
            if let Some(accepted) = accepted.filter(|accepted| accepted.component.kind == expected.component.kind) {
                *expected = accepted;
            }
        }
    }

    /// All that is expected, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = &Expected<'a>> {
        self.components.values()
    }

    /// The component of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Expected<'a>> {
        self.components.get(name)
    }

    /// What is worth knowing of a component that is as expected: it has less than half of what it had, or tables of it are empty now.
    #[must_use]
    pub fn remarks(&self, component: &Component) -> Vec<String> {
        let Some(Expected { snapshot, component: before }) = self.get(component.name.as_str()) else {
            return Vec::new();
        };
        let of = &snapshot.name;
        let less = less_than(NOTED_PARTS, before, component);
        let less = less.map(|(was, is)| format!("in {of} it was {was}, and now it {is}"));
        let emptied = emptied_tables(before, component)
            .map(|tables| format!("these tables had rows in {of}, and have none now: {tables}"));
        less.into_iter().chain(emptied).collect()
    }

    /// Why a component that was saved is not what was expected: it has nothing any more, is another database, or comes from another
    /// place; `None` when it is.
    #[must_use]
    pub fn doubt(&self, component: &Component) -> Option<String> {
        component.root.as_ref()?;
        self.doubt_of(component)
    }

    /// The same of a component that was only looked at.
    #[must_use]
    pub fn doubt_of(&self, component: &Component) -> Option<String> {
        let name = component.name.as_str();
        let Expected { snapshot, component: before } = self.get(name).or_else(|| self.former.get(name))?;
        let (was, is) = other_database(before, component)
            .or_else(|| {
                shrunk(before, component).map(|(was, is)| (was, is + &most_lost(before, component).unwrap_or_default()))
            })
            // What was imported says where its folder lay.
            .or_else(|| other_place(before, component).filter(|_| snapshot.imported.is_none()))?;
        let (name, of) = (&component.name, &snapshot.name);
        Some(format!(
            "in {of} it was {was}, and now it {is}; if that is right, add `--accept {name}` to `larder create`"
        ))
    }
}

/// Whether a component has far more than a later copy of it, which is not what was expected then.
pub(super) fn has_far_more(before: &Component, later: &Component) -> bool {
    shrunk(before, later).is_some()
}

/// Whether a component has more of anything than another one.
fn has_more(one: &Component, other: &Component) -> bool {
    (rows(one), one.files, one.bytes) > (rows(other), other.files, other.bytes)
}

/// From where a component was and is read, where that is another directory, or a server at another place. Containers and volumes have the
/// names that an engine gives them.
fn other_place(before: &Component, now: &Component) -> Option<(String, String)> {
    let place = |component: &Component| match component.kind {
        ComponentKind::Directory => Some(component.source.clone()),
        ComponentKind::Database => component.server().map(str::to_owned),
        ComponentKind::Volume | ComponentKind::Stream => None,
    };
    let (was, is) = (place(before)?, place(now)?);
    (was != is).then(|| (format!("at {was}"), format!("is at {is}")))
}

/// What a component was and is, where it is of another database.
fn other_database(before: &Component, now: &Component) -> Option<(String, String)> {
    let (was, is) = (before.database.as_ref()?, now.database.as_ref()?);
    // A dump that was imported may not say its name.
    let differs = was.name != is.name && !was.name.is_empty() && !is.name.is_empty();
    differs.then(|| (format!("the database '{}'", was.name), format!("is '{}'", is.name)))
}

/// What a component had and has, where that is nothing any more or next to nothing.
fn shrunk(before: &Component, now: &Component) -> Option<(String, String)> {
    less_than(PARTS, before, now)
}

/// What a component had and has, where that is less than one of so many parts.
fn less_than(parts: u64, before: &Component, now: &Component) -> Option<(String, String)> {
    // How many files a database is depends on how it is read.
    let things = if before.database.is_some() && now.database.is_some() {
        ("tables", tables(before).count() as u64, tables(now).count() as u64, THINGS_MIN)
    } else {
        ("files", before.files, now.files, THINGS_MIN)
    };
    let counts = [
        ("rows", rows(before), rows(now), THINGS_MIN),
        things,
        // A file that is emptied, as logs are, is still there.
        ("bytes", before.bytes, now.bytes, BYTES_MIN),
    ];
    let is_less = |what: &str, had: u64, has: u64, least: u64| {
        (has == 0 && had > 0 && what != "bytes") || (had >= least && has < had / parts)
    };
    let (what, had, has, _) = counts.into_iter().find(|(what, had, has, least)| is_less(what, *had, *has, *least))?;
    let what = if had == 1 { what.trim_end_matches('s') } else { what };
    Some((format!("{had} {what}"), if has == 0 { "has none".to_owned() } else { format!("has {has}") }))
}

/// The tables that had some rows and have none now, or are gone; those that had most come first.
fn emptied_tables(before: &Component, now: &Component) -> Option<String> {
    let has = rows_of_tables(now);
    let is_emptied =
        |table: &&TableRows| table.rows >= THINGS_MIN && has.get(table.table.as_str()).is_none_or(|rows| *rows == 0);
    let told = |table: &TableRows| {
        let gone = if has.contains_key(table.table.as_str()) { "" } else { ", the table is gone" };
        format!("{} ({} rows{gone})", table.table, table.rows)
    };
    let mut emptied: Vec<&TableRows> = tables(before).filter(is_emptied).collect();
    emptied.sort_by_key(|table| Reverse(table.rows));
    let named = emptied.iter().take(TABLES_NAMED).map(|table| told(table)).collect::<Vec<_>>().join(", ");
    let more = emptied.len().saturating_sub(TABLES_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!emptied.is_empty()).then(|| format!("{named}{more}"))
}

/// The tables that lost most, where any lost some.
fn most_lost(before: &Component, now: &Component) -> Option<String> {
    let has = rows_of_tables(now);
    let lost = |table: &TableRows| {
        let rows = has.get(table.table.as_str()).copied().unwrap_or_default();
        (table.rows.saturating_sub(rows), format!("{} ({} rows, now {rows})", table.table, table.rows))
    };
    let mut lost: Vec<(u64, String)> = tables(before).map(lost).filter(|(rows, _)| *rows > 0).collect();
    lost.sort_by_key(|(rows, _)| Reverse(*rows));
    let named: Vec<String> = lost.into_iter().take(TABLES_NAMED).map(|(_, told)| told).collect();
    (!named.is_empty()).then(|| format!(" (most in {})", named.join(", ")))
}

fn tables(component: &Component) -> impl Iterator<Item = &TableRows> {
    component.database.iter().flat_map(|facts| &facts.tables)
}

fn rows_of_tables(component: &Component) -> BTreeMap<&str, u64> {
    tables(component).map(|table| (table.table.as_str(), table.rows)).collect()
}

fn rows(component: &Component) -> u64 {
    tables(component).map(|table| table.rows).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Consistency, Content, DatabaseFacts, Metadata, Node, NodeKind, SnapshotName};

    fn now() -> LocalTime {
        LocalTime { unix_micros: 100 * 86_400_000_000, offset_secs: 0 }
    }

    fn component(name: &str, files: u64) -> Component {
        let name: ComponentName = name.parse().expect("a name");
        let node = Node::new(
            name.as_str().as_bytes().into(),
            Metadata::default(),
            NodeKind::Directory { tree: Content::default() },
        );
        let component = Component::new(name, ComponentKind::Directory, "x".to_owned(), Consistency::Live);
        Component { root: Some(node), files, bytes: files * 20_000, ..component }
    }

    fn failed(name: &str) -> Component {
        Component { root: None, ..component(name, 0) }
    }

    fn database(name: &str, rows: u64) -> Component {
        let tables = vec![TableRows { table: "public.t".to_owned(), rows }];
        let facts = DatabaseFacts { name: name.to_owned(), tables, ..DatabaseFacts::default() };
        Component { database: Some(facts), ..component("database", 3) }
    }

    fn snapshot(day: i64, status: Status, components: Vec<Component>) -> Snapshot {
        let time = LocalTime { unix_micros: day * 86_400_000_000, offset_secs: 0 };
        let snapshot = Snapshot::new(SnapshotName::at(time), time, SnapshotKind::Full);
        Snapshot { system: "here".to_owned(), status, components, ..snapshot }
    }

    fn names(newest_first: &[Snapshot]) -> Vec<String> {
        let expectation = Expectation::of_system(newest_first, "here", now());
        expectation.iter().map(|expected| expected.component.name.to_string()).collect()
    }

    /// A run without its database was complete.
    #[test]
    fn what_the_last_complete_one_and_partial_ones_since_have_is_expected() {
        use Status::{Complete, Partial};
        let old = snapshot(1, Complete, vec![component("old", 1)]);
        let complete = snapshot(2, Complete, vec![component("a", 1), component("b", 1)]);
        let partial = snapshot(3, Partial, vec![component("a", 1), failed("b"), component("c", 1), failed("d")]);
        assert_eq!(names(&[partial.clone(), complete.clone(), old.clone()]), ["a", "b", "c"]);
        let dropped = Snapshot { dropped: vec!["b".parse().expect("a name")], ..partial };
        assert_eq!(names(&[dropped, complete.clone(), old]), ["a", "c"]);
        let others = [
            Snapshot { system: "there".to_owned(), ..complete.clone() },
            Snapshot { series: "folders".to_owned(), ..complete },
            // A clock that was wrong decides nothing.
            snapshot(500, Complete, vec![component("future", 1)]),
            snapshot(1, Complete, vec![component("own", 1)]),
        ];
        assert_eq!(names(&others), ["own"]);
        assert!(names(&others[..2]).is_empty() && names(&others[2..3]) == ["future"]);
    }

    /// A database that was read table by table, and was one dump next, had lost its files.
    #[test]
    fn a_database_is_measured_by_its_tables_and_not_by_its_files() {
        let of = |files: u64, count: u64| {
            let component = Component { files, bytes: 1_000, ..database("shop", 1) };
            let facts = component.database.as_ref().map(|facts| DatabaseFacts {
                // Nearly all rows are in the first.
                tables: (0..count)
                    .map(|number| TableRows {
                        table: format!("public.t{number}"),
                        rows: if number == 0 { 1_000 } else { 5 },
                    })
                    .collect(),
                ..facts.clone()
            });
            Component { database: facts, ..component }
        };
        let earlier = [snapshot(1, Status::Complete, vec![of(79, 70)])];
        let expectation = Expectation::of_system(&earlier, "here", now());
        assert_eq!(expectation.doubt(&of(4, 70)), None);
        assert!(expectation.remarks(&of(4, 70)).is_empty());
        let lost = expectation.doubt(&of(79, 6)).expect("most tables are gone");
        assert!(lost.contains("it was 70 tables, and now it has 6"), "{lost}");
    }

    /// A run in which a component was empty was what the next one was measured against.
    #[test]
    fn a_good_one_counts_before_a_newer_one_with_errors() {
        let mut emptied = component("a", 0);
        emptied.errors.push("it is empty".to_owned());
        let newest_first =
            [snapshot(2, Status::Partial, vec![emptied]), snapshot(1, Status::Complete, vec![component("a", 5)])];
        let expectation = Expectation::of_system(&newest_first, "here", now());
        assert!(expectation.doubt(&component("a", 0)).is_some());
    }

    #[test]
    fn what_is_gone_or_nearly_gone_or_another_database_is_told() {
        let before = |component: Component| [snapshot(1, Status::Complete, vec![component])];
        let doubt = |was: Component, is: Component| Expectation::of_system(&before(was), "here", now()).doubt(&is);
        let text = doubt(component("a", 5), component("a", 0)).expect("it is empty");
        assert!(text.contains("5 files") && text.contains("has none") && text.contains("--accept a"), "{text}");
        assert!(doubt(component("a", 1_000), component("a", 99)).is_some());
        let text = doubt(database("shop", 341_598), database("shop", 1)).expect("it has nothing");
        assert!(text.contains("341598 rows") && text.contains("has 1"), "{text}");
        let text = doubt(database("shop", 5), database("crm", 5)).expect("it is another one");
        assert!(text.contains("'shop'") && text.contains("'crm'"), "{text}");
        for (was, is) in [
            (component("a", 1_000), component("a", 100)),
            (component("a", 9), component("a", 1)),
            (component("a", 0), component("a", 0)),
            (database("shop", 19), database("shop", 1)),
            (database("", 5), database("shop", 5)),
            (component("a", 5), component("b", 0)),
            (component("a", 5), failed("a")),
        ] {
            assert_eq!(doubt(was, is), None);
        }
    }

    /// A table that was dropped was not told of, and one that was emptied not behind five others.
    #[test]
    fn tables_without_rows_are_told_with_the_largest_first() {
        let with = |tables: &[(&str, u64)]| {
            let rows = |(table, rows): &(&str, u64)| TableRows { table: (*table).to_owned(), rows: *rows };
            let facts = DatabaseFacts { tables: tables.iter().map(rows).collect(), ..DatabaseFacts::default() };
            Component { database: Some(facts), ..component("database", 3) }
        };
        let many =
            [("a", 30), ("b", 30), ("c", 30), ("d", 30), ("e", 30), ("gone", 900), ("large", 5_000), ("z", 2_000)];
        let before = [snapshot(1, Status::Complete, vec![with(&many)])];
        let empty = [("a", 0), ("b", 0), ("c", 0), ("d", 0), ("e", 0), ("large", 5_000), ("z", 0)];
        let expectation = Expectation::of_system(&before, "here", now());
        let [remark] = expectation.remarks(&with(&empty)).try_into().expect("one");
        assert!(remark.contains("now: z (2000 rows), gone (900 rows, the table is gone), a (30 rows), "), "{remark}");
        assert!(remark.ends_with(" and 2 more"), "{remark}");
        let doubt = expectation.doubt(&with(&[("large", 100), ("z", 3)])).expect("it lost most");
        assert!(doubt.contains("most in large (5000 rows, now 100), z (2000 rows, now 3), gone"), "{doubt}");
    }
}
