//! The newest copy of each component of a system, which stays whatever the policy says.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, Verdict};
use crate::model::expectation::has_far_more;
use crate::model::{Component, ComponentKind, Snapshot, SnapshotKind};

/// What copies are of: system and component; whether that is a stream, which may be called like anything; the name of a database; and the
/// server, directory or volume, which may be another one under the same name.
type Key<'a> = (&'a str, &'a str, bool, &'a str, &'a str);

/// Whether a component of a snapshot counts as a copy.
type IsCopy<'a> = &'a dyn Fn(&Snapshot, &Component) -> bool;

/// Keeps the newest copy of each component, and the newest one before it that has far more, as what was there before something was
/// lost: good ones where there are any, and rather those of backups than what a restore replaced. The snapshots come newest first, and the
/// verdicts are theirs. What is protected already needs no further rule.
pub(super) fn keep_newest(snapshots: &[Snapshot], verdicts: &mut [Verdict]) {
    let is_backup = |snapshot: &Snapshot| snapshot.kind != SnapshotKind::Safety;
    let mut done = BTreeSet::new();
    let mut needed: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    let passes: [IsCopy<'_>; 3] = [
        &|snapshot, component| is_backup(snapshot) && component.is_good(),
        &|_, component| component.is_good(),
        &|snapshot, component| is_backup(snapshot) && component.root.is_some(),
    ];
    for is_copy in passes {
        let newest = newest_of_each(snapshots, &done, is_copy);
        done.extend(newest.keys().copied());
        for (key, numbers) in newest {
            for number in numbers {
                needed.entry(number).or_default().insert(key.1);
            }
        }
    }
    for (number, names) in needed {
        if let Some(verdict) = verdicts.get_mut(number).filter(|verdict| !verdict.is_protected()) {
            verdict.keep.push(Rule::Copy(names.into_iter().map(str::to_owned).collect()));
        }
    }
}

/// The numbers of the snapshots that have the copies to keep of each component that is not done.
fn newest_of_each<'a>(
    newest_first: &'a [Snapshot],
    done: &BTreeSet<Key<'a>>,
    is_copy: IsCopy<'_>,
) -> BTreeMap<Key<'a>, Vec<usize>> {
    let mut kept: BTreeMap<Key<'a>, Vec<usize>> = BTreeMap::new();
    let mut last: BTreeMap<Key<'a>, &Component> = BTreeMap::new();
    for (number, snapshot) in newest_first.iter().enumerate() {
        for component in snapshot.components.iter().filter(|component| is_copy(snapshot, component)) {
            let key = key(snapshot, component);
            if !done.contains(&key) && last.get(&key).is_none_or(|later| has_far_more(component, later)) {
                kept.entry(key).or_default().push(number);
                last.insert(key, component);
            }
        }
    }
    kept
}

fn key<'a>(snapshot: &'a Snapshot, component: &'a Component) -> Key<'a> {
    let is_stream = component.kind == ComponentKind::Stream;
    let database = component.database.as_ref().map_or("", |facts| facts.name.as_str());
    // What was imported says where its folder lay, and a stream only how it was made.
    let is_at_its_place = snapshot.imported.is_none() && !is_stream;
    let place = component.server().unwrap_or(&component.source);
    (&snapshot.system, component.name.as_str(), is_stream, database, if is_at_its_place { place } else { "" })
}
