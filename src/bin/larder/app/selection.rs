//! Which snapshot is meant, where several could be.

use larder::model::{Snapshot, SnapshotKind, SnapshotPath};
use larder::pipeline::lookup::{self, Selection};
use larder::repo::Repository;

use super::context::Context;
use super::identity::system_name;
use crate::error::{UsageError, with_causes};
use crate::host::shell::quoted;

/// What `latest` is the newest of, as somebody said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Select {
    /// A system; `None` for the one that is here.
    pub(crate) system: Option<String>,
    pub(crate) kind: Option<SnapshotKind>,
    pub(crate) tag: Option<String>,
}

impl Select {
    /// What is meant in a repository.
    pub(crate) fn selection(&self, context: &Context<'_>, repository: &Repository) -> Selection {
        let own = system_name(context, Some(repository));
        Selection { own, system: self.system.clone(), kind: self.kind, tag: self.tag.clone() }
    }

    /// The snapshot of this name.
    pub(crate) fn snapshot(
        &self,
        context: &Context<'_>,
        repository: &Repository,
        wanted: &str,
    ) -> anyhow::Result<Snapshot> {
        Ok(lookup::snapshot(repository, wanted, &self.selection(context, repository))?)
    }

    /// Splits `NAME:PATH` at its first colon, finds the snapshot, and gives both.
    pub(crate) fn snapshot_and_path(
        &self,
        context: &Context<'_>,
        repository: &Repository,
        text: &str,
    ) -> anyhow::Result<(Snapshot, SnapshotPath)> {
        let (name, path) = text.split_once(':').unwrap_or((text, ""));
        Ok((self.snapshot(context, repository, name)?, SnapshotPath::new(path.as_bytes())))
    }

    /// Refuses to put a snapshot of another system over this one, unless that system was named.
    pub(crate) fn check_system(
        &self,
        context: &Context<'_>,
        repository: &Repository,
        snapshot: &Snapshot,
    ) -> Result<(), UsageError> {
        let own = system_name(context, Some(repository));
        let is_known = !snapshot.system.is_empty();
        if !is_known || snapshot.system == own || self.system.as_ref() == Some(&snapshot.system) {
            return Ok(());
        }
        let message = format!("{} is of the system '{}', and this is '{own}'", snapshot.name, snapshot.system);
        let (command, system) = (context.invocation.line(), quoted(&snapshot.system));
        let advice = format!("if it is to replace what is here: `{command} --system={system}`");
        Err(UsageError::with_advice(message, advice))
    }
}

/// Warns of manifests that cannot be read; says whether there are any.
pub(crate) fn warn_of_unreadable(context: &Context<'_>, found: &lookup::Snapshots) -> bool {
    for (name, error) in &found.unreadable {
        context.events.warn(&format!("the manifest of {name} cannot be read: {}", with_causes(error)));
    }
    !found.unreadable.is_empty()
}
