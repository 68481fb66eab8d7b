//! What can end a job, and the classes of it that a caller answers differently.

use crate::cancel::Cancelled;
use crate::{docker, model, postgres, process, repo, sink, source};

/// A job could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No snapshot has this name, or a name that begins like this.
    #[error("there is no snapshot '{wanted}'")]
    NoSuchSnapshot {
        /// What was asked for.
        wanted: String,
    },
    /// There is no snapshot at all.
    #[error("there are no snapshots yet")]
    NoSnapshots,
    /// A name of a snapshot is empty, which every name begins with.
    #[error("the name of a snapshot is empty")]
    NoName,
    /// The newest snapshot is asked for, and there are only some of other systems.
    #[error("there is no snapshot of the system '{own}'; there are some of {}", .systems.join(", "))]
    OtherSystems {
        /// The system that is here.
        own: String,
        /// The systems that have some.
        systems: Vec<String>,
    },
    /// What was looked for is not a pattern.
    #[error("'{pattern}' is not a pattern: {why}")]
    Pattern {
        /// What was looked for.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// Several snapshots have names that begin like this.
    #[error("'{wanted}' could be any of {}{}", .candidates.join(", "), and_more(*more))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The first few that it could be.
        candidates: Vec<String>,
        /// How many others it could be.
        more: usize,
    },
    /// The snapshot, or the configuration, has no such component.
    #[error("there is no component '{wanted}' {place}; there are {}", .known.join(", "))]
    NoSuchComponent {
        /// What was asked for.
        wanted: String,
        /// Where it was looked for.
        place: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A path is not in the snapshot, or is not what the job needs.
    #[error("{path}: {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is nothing to import at a path.
    #[error("{path} cannot be imported: {why}")]
    NoBackup {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No component could be saved.
    #[error("nothing could be saved: {}", .errors.join("; "))]
    NothingSaved {
        /// What went wrong with each.
        errors: Vec<String>,
    },
    /// What a restore would replace could not be saved first.
    #[error("what the restore would replace could not be saved first: {error} (what could be is in {name})")]
    NotSafe {
        /// The first error.
        error: String,
        /// The partial snapshot.
        name: String,
    },
    /// A path of the snapshot could not be rendered.
    #[error("{path} cannot be exported: {why}")]
    NotRendered {
        /// The path.
        path: String,
        /// Why.
        why: String,
        /// Whether damage of the repository is the cause.
        damaged: bool,
    },
    /// What a job relies on is not as it should be.
    #[error("{0}")]
    Refused(String),
    /// A file of the snapshot is needed and cannot be read.
    #[error("{path} in {snapshot} is lost")]
    Lost {
        /// The snapshot.
        snapshot: String,
        /// The path.
        path: String,
        /// Why.
        source: model::Error,
    },
    /// The manifest of a snapshot cannot be read.
    #[error("the manifest of {name} cannot be read")]
    Manifest {
        /// The snapshot.
        name: String,
        /// Why.
        source: model::Error,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The Docker Engine failed.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// A program failed.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A database server, or a program of it, failed.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// A source failed.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// A sink failed.
    #[error(transparent)]
    Sink(#[from] sink::Error),
    /// A snapshot could not be understood.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The repository failed.
    #[error(transparent)]
    Repo(#[from] repo::Error),
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

impl Error {
    /// Whether this says that the repository is damaged, and not that it cannot be used at the moment.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Lost { source, .. } | Self::Manifest { source, .. } | Self::Model(source) => source.is_damage(),
            Self::Repo(source) => source.is_damage(),
            Self::NotRendered { damaged, .. } => *damaged,
            _ => false,
        }
    }
}
