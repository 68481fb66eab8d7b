//! Circles of files, each of which can be understood only with all the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::imports::Arrow;

/// The circles, with the arrows that make each of them.
pub(crate) fn circles(arrows: &BTreeSet<Arrow>) -> Vec<String> {
    let mut to: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in arrows {
        to.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> = to.keys().map(|file| (*file, reached(file, &to))).collect();
    let leads_to = |from: &str, file: &str| reached.get(from).is_some_and(|reached| reached.contains(file));
    let mut circles: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    for (file, forth) in &reached {
        let circle: BTreeSet<&str> = forth.iter().copied().filter(|other| leads_to(other, file)).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.iter().map(|circle| describe(circle, arrows)).collect()
}

fn reached<'a>(from: &str, to: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(file) = waiting.pop() {
        for next in to.get(file).into_iter().flatten() {
            if seen.insert(*next) {
                waiting.push(next);
            }
        }
    }
    seen
}

fn describe(circle: &BTreeSet<&str>, arrows: &BTreeSet<Arrow>) -> String {
    let within =
        arrows.iter().filter(|arrow| circle.contains(arrow.from.as_str()) && circle.contains(arrow.to.as_str()));
    let lines = within.map(|Arrow { from, to, line, name }| format!("  {from}:{line} uses {name} of {to}"));
    format!("a circle of {} files:\n{}", circle.len(), lines.collect::<Vec<_>>().join("\n"))
}
