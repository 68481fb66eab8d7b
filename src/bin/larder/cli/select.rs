//! Which snapshot is meant, where several could be: options that several commands have.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use larder::model::{Snapshot, SnapshotKind, SnapshotPath};
use larder::pipeline::lookup::{self, Selection};
use larder::repo::Repository;

use super::Context;
use crate::failure::UsageError;
use crate::identity::system_name;
use crate::shell::quoted;

/// What `latest` is the newest of.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SelectArguments {
    /// `latest` is the newest of this system, as `larder list` shows it [default: the one that is here].
    #[arg(long, value_name = "SYSTEM", value_parser = NonEmptyStringValueParser::new())]
    pub(super) system: Option<String>,
    /// `latest` is the newest of this type.
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    kind: Option<Kind>,
    /// `latest` is the newest with this tag.
    #[arg(long, value_name = "TAG", value_parser = NonEmptyStringValueParser::new())]
    tag: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Full,
    Database,
    Files,
    Selected,
    Stream,
    Safety,
}

impl From<Kind> for SnapshotKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Full => Self::Full,
            Kind::Database => Self::Database,
            Kind::Files => Self::Files,
            Kind::Selected => Self::Selected,
            Kind::Stream => Self::Stream,
            Kind::Safety => Self::Safety,
        }
    }
}

impl SelectArguments {
    /// What is meant in a repository.
    pub(super) fn selection(&self, context: &Context<'_>, repository: &Repository) -> Selection {
        let own = system_name(&context.settings, Some(repository));
        Selection { own, system: self.system.clone(), kind: self.kind.map(SnapshotKind::from), tag: self.tag.clone() }
    }

    /// The snapshot of this name.
    pub(super) fn snapshot(
        &self,
        context: &Context<'_>,
        repository: &Repository,
        wanted: &str,
    ) -> anyhow::Result<Snapshot> {
        Ok(lookup::snapshot(repository, wanted, &self.selection(context, repository))?)
    }

    /// Refuses to put a snapshot of another system over this one, unless that system was named.
    pub(super) fn check_system(
        &self,
        context: &Context<'_>,
        repository: &Repository,
        snapshot: &Snapshot,
    ) -> Result<(), UsageError> {
        let own = system_name(&context.settings, Some(repository));
        let is_known = !snapshot.system.is_empty();
        if !is_known || snapshot.system == own || self.system.as_ref() == Some(&snapshot.system) {
            return Ok(());
        }
        let message = format!("{} is of the system '{}', and this is '{own}'", snapshot.name, snapshot.system);
        let command: Vec<String> = std::env::args_os().map(|word| quoted(&word.to_string_lossy())).collect();
        let (command, system) = (command.join(" "), quoted(&snapshot.system));
        let advice = format!("if it is to replace what is here: `{command} --system={system}`");
        Err(UsageError::with_advice(message, advice))
    }

    /// Splits `NAME:PATH` at its first colon, finds the snapshot, and gives both.
    pub(super) fn snapshot_and_path(
        &self,
        context: &Context<'_>,
        repository: &Repository,
        text: &str,
    ) -> anyhow::Result<(Snapshot, SnapshotPath)> {
        let (name, path) = text.split_once(':').unwrap_or((text, ""));
        Ok((self.snapshot(context, repository, name)?, SnapshotPath::new(path.as_bytes())))
    }
}
