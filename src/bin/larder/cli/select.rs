//! Which snapshot is meant, where several could be: options that several commands have.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use larder::model::SnapshotKind;

use crate::app::selection::Select;

/// What `latest` is the newest of.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct SelectArguments {
    /// `latest` is the newest of this system, as `larder list` shows it [default: the one that is here].
    #[arg(long, value_name = "SYSTEM", value_parser = NonEmptyStringValueParser::new())]
    system: Option<String>,
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
    /// What was said.
    pub(super) fn select(&self) -> Select {
        Select { system: self.system.clone(), kind: self.kind.map(SnapshotKind::from), tag: self.tag.clone() }
    }
}
