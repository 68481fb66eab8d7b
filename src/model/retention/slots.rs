//! Which snapshots stand for an hour, a day, a week, a month or a year.

use std::collections::{BTreeSet, HashMap};

use super::series::Numbered;
use crate::clock::Period;
use crate::model::{ComponentName, Snapshot, Status};

/// The snapshots that stand for each slot that has a complete one, newest slot first: the newest complete one with everything that any
/// of the slot has, or as many as are needed for that. They come newest first.
pub(super) fn best_of_each(newest_first: &[Numbered<'_>], period: Period) -> Vec<(String, Vec<usize>)> {
    let mut slots: Vec<(String, Vec<Numbered<'_>>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for one in newest_first {
        let slot = one.1.time.period(period);
        let place = *known.entry(slot.clone()).or_insert(slots.len());
        if place == slots.len() {
            slots.push((slot, Vec::new()));
        }
        if let Some((_, members)) = slots.get_mut(place) {
            members.push(*one);
        }
    }
    let has_complete = |(_, members): &(String, Vec<Numbered<'_>>)| members.iter().any(|(_, one)| is_complete(one));
    slots.into_iter().filter(has_complete).map(|(slot, members)| (slot, best_of(&members))).collect()
}

fn is_complete(snapshot: &Snapshot) -> bool {
    snapshot.status == Status::Complete
}

/// The best of those of one slot.
fn best_of(newest_first: &[Numbered<'_>]) -> Vec<usize> {
    let wanted = components(newest_first);
    let complete = || newest_first.iter().filter(|(_, one)| is_complete(one));
    let has_all = |snapshot: &Snapshot| wanted.iter().all(|name| snapshot.copy_of(name).is_some());
    if let Some((number, _)) = complete().find(|(_, snapshot)| has_all(snapshot)) {
        return vec![*number];
    }
    let (mut best, mut lacking) = (BTreeSet::new(), wanted);
    let partial = newest_first.iter().filter(|(_, one)| !is_complete(one));
    for (number, snapshot) in complete().chain(partial) {
        let before = lacking.len();
        lacking.retain(|name| snapshot.copy_of(name).is_none());
        if best.is_empty() || lacking.len() < before {
            best.insert(*number);
        }
    }
    best.into_iter().collect()
}

/// The components that any of them has a good copy of, but for those that a newer one had dropped on purpose.
fn components<'a>(newest_first: &[Numbered<'a>]) -> BTreeSet<&'a str> {
    let (mut wanted, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    for (_, snapshot) in newest_first {
        let copies = snapshot.components.iter().filter(|component| component.is_good());
        wanted.extend(copies.map(|component| component.name.as_str()).filter(|name| !dropped.contains(name)));
        dropped.extend(snapshot.dropped.iter().map(ComponentName::as_str));
    }
    wanted
}
