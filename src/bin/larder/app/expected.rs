//! What a backup is expected to have, and what of it is left out on purpose.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use larder::clock::LocalTime;
use larder::events::Events;
use larder::model::{ComponentKind, ComponentName, Expectation, Snapshot, SnapshotKind, show_path};
use larder::pipeline::backup::{ComponentSource, Origin};

use crate::app::discovery::{Missing, System};
use crate::error::UsageError;

/// What is missing of a system, and what is left out.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// What fails because it is not there.
    pub(crate) missing: Vec<Missing>,
    /// What was left out on purpose.
    pub(crate) dropped: Vec<ComponentName>,
}

impl Gaps {
    /// Compares a system with what a run of this kind is expected to have, by earlier snapshots, which come newest first. What is in
    /// `drop` is left out on purpose.
    ///
    /// # Errors
    /// What is to be left out is not missing.
    pub(crate) fn find(
        system: &System<'_>,
        (name, earlier): (&str, &[Snapshot]),
        kind: SnapshotKind,
        drop: &[String],
    ) -> Result<Self, UsageError> {
        let expectation = expectation(name, earlier, kind);
        let mut missing = system.missing(&expectation);
        missing.retain(|missing| match kind {
            SnapshotKind::Full => true,
            SnapshotKind::Database => missing.kind == ComponentKind::Database,
            SnapshotKind::Files => missing.kind == ComponentKind::Directory,
            _ => false,
        });
        let is_dropped = |missing: &Missing| drop.iter().any(|name| name == missing.name.as_str());
        if let Some(name) = drop.iter().find(|name| !missing.iter().any(|missing| missing.name.as_str() == *name)) {
            let is_configured = system.names().contains(name);
            let why =
                if is_configured { "it is configured, or found" } else { "the last backup has nothing of that name" };
            let advice = "--drop is for what the last backup had and is gone; what is configured or found is left out in larder.toml";
            return Err(UsageError::with_advice(format!("--drop {name}: {why}"), advice));
        }
        let (dropped, missing): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_dropped);
        let dropped = dropped.into_iter().map(|missing| missing.name);
        let unwanted = if kind == SnapshotKind::Full { system.unwanted(&expectation) } else { Vec::new() };
        Ok(Self { missing, dropped: dropped.chain(unwanted).collect() })
    }

    /// What is missing, as sources that fail.
    pub(crate) fn sources(&self) -> impl Iterator<Item = ComponentSource> {
        self.missing.iter().map(|missing| {
            let origin = Origin::missing(missing.kind, missing.why.clone());
            ComponentSource { name: missing.name.clone(), origin }
        })
    }

    /// Says what is left out.
    pub(crate) fn tell(&self, events: &dyn Events) {
        for name in &self.dropped {
            events.note(&format!("{name} is left out on purpose from now on; earlier snapshots still have it"));
        }
    }
}

/// Says that no database is saved, where it was not said that there is none.
pub(crate) fn tell_of_no_database(events: &dyn Events, system: &System<'_>, gaps: &Gaps) {
    let is_missing = gaps.missing.iter().any(|missing| missing.kind == ComponentKind::Database);
    if system.databases.is_empty() && !system.settings.skips_database && !is_missing {
        events.hint(
            "no database is saved, because none is configured or found; if there is none, `skip = true` in [database] of larder.toml \
             says so",
        );
    }
}

/// What containers write to of the host and no component has, in words.
pub(crate) fn uncovered(system: &System<'_>) -> Vec<String> {
    let tell = |(path, containers): (PathBuf, Vec<String>)| {
        let (path, containers) = (show_path(path.as_os_str().as_bytes()), containers.join(", "));
        format!("{path} is not saved, where {containers} may write: name it in [directories] of larder.toml")
    };
    system.uncovered_binds().into_iter().map(tell).collect()
}

/// What a run of this kind is expected to have: what those of the whole system have, or where there are none those of its own kind.
pub(crate) fn expectation<'a>(system: &str, earlier: &'a [Snapshot], kind: SnapshotKind) -> Expectation<'a> {
    let is_whole = |snapshot: &Snapshot| snapshot.system == system && snapshot.kind == SnapshotKind::Full;
    let parts = SnapshotKind::PARTS.map(SnapshotKind::series);
    let series: &[&str] = match kind {
        _ if earlier.iter().any(is_whole) => &[SnapshotKind::Full.series()],
        SnapshotKind::Full => &parts,
        _ => &[kind.series()],
    };
    Expectation::of(earlier, system, series, LocalTime::now())
}
