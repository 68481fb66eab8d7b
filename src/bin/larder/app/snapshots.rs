//! The snapshots of a repository: which there are, what is known of one, and which are kept whatever the retention says.

use std::collections::BTreeSet;

use larder::model::Snapshot;
use larder::pipeline::stats::{self, RepositoryStats, SnapshotStats};
use larder::pipeline::{Error, forget, lookup};

use super::clock::warn_of_clock;
use super::context::Context;
use super::known_newest::refresh_newest;
use super::selection::{Select, warn_of_unreadable};
use crate::config::RetentionTable;
use crate::exit::Exit;

/// The snapshots that were asked for, newest first.
pub(crate) struct Listing {
    pub(crate) snapshots: Vec<Snapshot>,
    /// The names of those that are pinned.
    pub(crate) pins: BTreeSet<String>,
    /// Whether the repository has snapshots of several systems.
    pub(crate) has_systems: bool,
    /// Whether the repository has none at all.
    pub(crate) is_empty: bool,
    /// Deleted ones that can be brought back.
    pub(crate) forgotten: usize,
    pub(crate) exit: Exit,
}

/// What the repository takes.
pub(crate) struct Taken {
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) stats: RepositoryStats,
    /// Bytes that it may take; `None` for no limit.
    pub(crate) bytes_max: Option<u64>,
    pub(crate) exit: Exit,
}

/// The snapshots that somebody asks for.
pub(crate) fn list(context: &Context<'_>, select: &Select) -> anyhow::Result<Listing> {
    let repository = context.repository()?;
    let mut found = lookup::snapshots(&repository)?;
    warn_of_clock(context.events, &found.snapshots);
    let has_systems = lookup::systems(&found.snapshots).len() > 1;
    let selection = select.selection(context, &repository);
    selection.check(&found.snapshots)?;
    let is_empty = found.snapshots.is_empty();
    found.snapshots.retain(|snapshot| selection.has(snapshot));
    let pins = repository.pins()?;
    let exit = if warn_of_unreadable(context, &found) { Exit::Damage } else { Exit::Done };
    if is_empty && let Some(why) = lookup::lost_manifests(&repository, &found.snapshots)? {
        context.events.warn(why);
    }
    let forgotten = repository.forgotten_names()?.len();
    Ok(Listing { snapshots: found.snapshots, pins, has_systems, is_empty, forgotten, exit })
}

/// A snapshot, and the names of those that are pinned.
pub(crate) fn show(context: &Context<'_>, select: &Select, name: &str) -> anyhow::Result<(Snapshot, BTreeSet<String>)> {
    let repository = context.repository()?;
    let snapshot = select.snapshot(context, &repository, name)?;
    Ok((snapshot, repository.pins()?))
}

/// What the repository takes.
pub(crate) fn taken(context: &Context<'_>) -> anyhow::Result<Taken> {
    let repository = context.repository()?;
    let found = lookup::snapshots(&repository)?;
    let exit = if warn_of_unreadable(context, &found) { Exit::Damage } else { Exit::Done };
    let stats = stats::repository(&repository, &found.snapshots)?;
    let bytes_max = RetentionTable::default().resolve(&context.settings.retention)?.1;
    Ok(Taken { snapshots: found.snapshots, stats, bytes_max, exit })
}

/// What one snapshot refers to.
pub(crate) fn taken_by(
    context: &Context<'_>,
    select: &Select,
    name: &str,
) -> anyhow::Result<(Snapshot, SnapshotStats)> {
    let repository = context.repository()?;
    let snapshot = select.snapshot(context, &repository, name)?;
    let stats = stats::snapshot(&repository, &snapshot, &context.monitor)?;
    Ok((snapshot, stats))
}

/// Pins a snapshot, or takes its pin away. Gives its name, and whether it was pinned before.
pub(crate) fn pin(
    context: &Context<'_>,
    select: &Select,
    (name, pinned): (&str, bool),
) -> anyhow::Result<(String, bool)> {
    let repository = context.repository()?;
    let selection = select.selection(context, &repository);
    let pins = repository.pins()?;
    let change = if pinned { forget::pin } else { forget::unpin };
    let name = change(&repository, name, &selection)?;
    let was_pinned = pins.contains(&name);
    Ok((name, was_pinned))
}

/// Brings a deleted snapshot back. Gives its name.
pub(crate) fn undelete(context: &Context<'_>, name: &str) -> anyhow::Result<String> {
    let repository = context.repository()?;
    let name = match forget::undelete(&repository, name) {
        Err(error @ Error::NoSuchSnapshot { .. }) => {
            let names = repository.forgotten_names()?;
            let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            context.events.note(&format!("deleted and not collected: {there}"));
            return Err(error.into());
        }
        result => result?,
    };
    refresh_newest(context, &repository, &[])?;
    Ok(name)
}
