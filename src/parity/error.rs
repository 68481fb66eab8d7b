//! Why parity could not be made, or did not help.

use crate::storage::{self, Key};

/// Parity could not be made, or did not help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The parity of an object is damaged itself.
    #[error("{object} is damaged: {what}")]
    Damaged {
        /// The parity object.
        object: String,
        /// What is wrong.
        what: &'static str,
    },
    /// More of an object is damaged than its parity can restore.
    #[error("{object} has {damaged} damaged shards of {all}, and its parity restores {restorable}")]
    TooMuch {
        /// The object.
        object: String,
        /// Shards that are damaged.
        damaged: usize,
        /// Shards of the object.
        all: usize,
        /// Shards that can be restored.
        restorable: usize,
    },
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl Error {
    /// Whether this says that something is damaged, and not that it cannot be used at the moment.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::TooMuch { .. } => true,
            Self::Storage(source) => source.is_damage(),
        }
    }
}

pub(super) fn damage(object: &Key, what: &'static str) -> Error {
    Error::Damaged { object: object.path(), what }
}
