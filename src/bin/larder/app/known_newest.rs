//! The newest snapshot of each series of the systems of this host, as it knows them: one that is gone, and that nobody deleted here, is lost, and
//! others with it perhaps.

use std::collections::BTreeSet;
use std::path::Path;

use larder::clock::LocalTime;
use larder::model::{Snapshot, SnapshotKind};
use larder::pipeline::lookup;
use larder::repo::Repository;

use super::context::Context;
use crate::host::real_path::{identity, real};
use crate::host::remembered::{Heads, Remembered, remember, remembered};

/// What to do about manifests that may be lost.
pub(crate) const WAYS_OUT_OF_LOSS: &str =
    "put back what was lost; or `larder create --new-repository` goes on with what is there";

/// Why manifests of a repository may be lost: a newest snapshot that was known here is gone, nobody deleted it, and there is no newer one of
/// its series. That is missed until it is back, or until what is there is taken as it is.
pub(crate) fn lost_newest(
    context: &Context<'_>,
    repository: &Repository,
    takes_what_is_there: bool,
) -> anyhow::Result<Option<String>> {
    let (known, place) = (remembered(context.events), place(context, repository));
    let missed = if takes_what_is_there { BTreeSet::new() } else { missed(repository, &known, &place, &[])? };
    if known.missed(&place) != &missed {
        remember(context.events, |known| known.set_missed(&place, missed.clone()));
    }
    let names: Vec<&str> = missed.iter().map(String::as_str).collect();
    Ok((!names.is_empty()).then(|| {
        let is = if names.len() == 1 { "the snapshot" } else { "the snapshots" };
        let gone = if names.len() == 1 {
            "is gone, and nobody deleted it here"
        } else {
            "are gone, and nobody deleted them here"
        };
        format!("{is} {} {gone}: what lies in `snapshots/` may be lost in part", names.join(", "))
    }))
}

/// Remembers what is there of the systems of this host, after something was added, or these snapshots were deleted on purpose.
pub(crate) fn remember_newest(
    context: &Context<'_>,
    repository: &Repository,
    deleted: &[String],
) -> anyhow::Result<()> {
    remember_at(context, &place(context, repository), repository, deleted)
}

/// Remembers what is there, where anything of it was known, after snapshots were deleted or brought back.
pub(crate) fn refresh_newest(context: &Context<'_>, repository: &Repository, deleted: &[String]) -> anyhow::Result<()> {
    let (known, here) = (remembered(context.events), identity(&context.settings.backup_dir));
    let id = repository.config().id.to_string();
    // Another path may lead to the same one.
    let is_here = |place: &&String| {
        let path = place.strip_prefix(id.as_str()).and_then(|place| place.strip_prefix(' '));
        path.is_some_and(|path| here.is_some() && identity(Path::new(path)) == here)
    };
    for place in known.all_with_heads().filter(is_here) {
        remember_at(context, place, repository, deleted)?;
    }
    Ok(())
}

fn remember_at(context: &Context<'_>, place: &str, repository: &Repository, deleted: &[String]) -> anyhow::Result<()> {
    let known = remembered(context.events);
    let mut heads = heads(&lookup::snapshots(repository)?.snapshots);
    let id = repository.config().id.to_string();
    heads.retain(|system, _| known.systems(&id).any(|own| own == system));
    let missed = missed(repository, &known, place, deleted)?;
    remember(context.events, |known| {
        known.set_heads(place, heads);
        known.set_missed(place, missed);
    });
    Ok(())
}

/// A repository at its place: a copy of it elsewhere goes its own way.
fn place(context: &Context<'_>, repository: &Repository) -> String {
    format!("{} {}", repository.config().id, real(&context.settings.backup_dir).display())
}

/// What was known and is gone, but for what was deleted on purpose.
fn missed(
    repository: &Repository,
    known: &Remembered,
    place: &str,
    deleted: &[String],
) -> anyhow::Result<BTreeSet<String>> {
    let names: BTreeSet<String> = repository.manifest_names()?.into_iter().collect();
    let there = heads(&lookup::snapshots(repository)?.snapshots);
    let mut missed = known.missed(place).clone();
    for (system, series, name) in known.heads(place) {
        let is_followed = there.get(system).and_then(|all| all.get(series)).is_some_and(|newest| newest > name);
        if !is_followed {
            missed.insert(name.clone());
        }
    }
    missed.retain(|name| !names.contains(name) && !deleted.contains(name));
    Ok(missed)
}

/// The newest of each. What is later than the clock is none, and what restores have replaced is no backup.
fn heads(newest_first: &[Snapshot]) -> Heads {
    let now = LocalTime::now();
    let mut heads = Heads::new();
    for snapshot in newest_first.iter().filter(|one| one.kind != SnapshotKind::Safety && !one.is_ahead_of(now)) {
        let of_system = heads.entry(snapshot.system.clone()).or_default();
        of_system.entry(snapshot.series.clone()).or_insert_with(|| snapshot.name.to_string());
    }
    heads
}
