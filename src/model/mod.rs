//! What snapshots mean: nodes, trees, contents, manifests, and walks over them.
//!
//! Everything is read in streams, so that a directory of a million entries and a file of a terabyte need no more
//! memory than small ones.

mod bounded;
mod bytes;
mod codec;
mod content;
mod content_reader;
mod content_writer;
mod database;
mod diff;
mod expectation;
mod extra;
mod links;
mod lists;
mod names;
mod node;
mod parts;
mod path;
mod previous;
mod retention;
pub mod rows;
mod secrets;
mod show;
mod snapshot;
mod tables;
mod tree;
mod walk;

pub use bytes::ByteString;
pub use codec::{decode_snapshot, encode_snapshot};
pub use content::Content;
pub use content_reader::{ContentBytes, ContentReader};
pub use content_writer::{ChunkList, ContentWriter};
pub use database::{
    DatabaseFacts, DatabaseLocale, DatabaseProperties, DatabaseSetting, Grant, Membership, PROPERTIES_FILE, Privilege,
    ROLES_FILE, Role, Roles, SecurityLabel, ServerProperties, Setting, TableRows, Tablespace,
};
pub use diff::{Change, Difference, diff};
pub use expectation::{Expectation, Expected};
pub use extra::ExtraFields;
pub use links::{FirstNames, Name};
pub use lists::{ListSums, NoSum};
pub use names::{ComponentName, NameError, SnapshotName};
pub use node::{FileTime, Hole, Metadata, Node, NodeKind, Xattr};
pub use parts::Parts;
pub use path::{SnapshotPath, resolve};
pub use previous::Previous;
pub use retention::{EmptyRetention, Retention, Rule, Verdict, counted, decide, protect};
pub use secrets::{SECRET, message_without_secrets, without_secrets};
pub use show::{is_deceptive, show_path, show_text};
pub use snapshot::{
    Component, ComponentKind, Consistency, Problems, Snapshot, SnapshotKind, Status, StepTiming, VolumeFacts,
    VolumeMethod,
};
pub use tables::{
    DATA_FOLDER, KeyColumn, KeyOrder, KeyedTable, OtherTable, Place, Script, TABLES_FILE, TableIndex, split_names,
    split_table, unquote,
};
pub use tree::{TreeReader, TreeWriter, is_empty_tree};
pub use walk::{Step, Walk};

use crate::repo;

/// A snapshot could not be understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Stored bytes do not mean what they should.
    #[error("the {what} is damaged: {why}")]
    Damaged {
        /// The kind of thing.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The thing has a version that this program does not read: it was written by a newer one.
    #[error("the {what} has version {found}, which this program cannot read")]
    UnknownVersion {
        /// The kind of thing.
        what: &'static str,
        /// Its version.
        found: u16,
    },
    /// The thing has a field of a newer program that must not be ignored.
    #[error("the {what} has a field {tag} that this program does not know and must not ignore")]
    UnknownField {
        /// The kind of thing.
        what: &'static str,
        /// The tag of the field.
        tag: u16,
    },
    /// Something is larger than a bound of this program.
    #[error("the {what} is larger than this program allows")]
    TooLarge {
        /// The kind of thing.
        what: &'static str,
    },
    /// A path names nothing in the snapshot.
    #[error("'{path}' is not in the snapshot")]
    NotFound {
        /// The path.
        path: String,
    },
    /// The repository failed.
    #[error(transparent)]
    Repo(#[from] repo::Error),
}

impl Error {
    /// Whether a newer program can read it.
    #[must_use]
    pub const fn is_newer(&self) -> bool {
        matches!(self, Self::UnknownVersion { .. } | Self::UnknownField { .. })
    }

    /// Whether this says that the repository is damaged, and not that it cannot be used at the moment.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Repo(source) => source.is_damage(),
            _ => false,
        }
    }
}
