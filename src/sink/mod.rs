//! Where a restore writes to: directories, databases, compressed files.
//!
//! A sink knows nodes and bytes; where they come from is not known here.

mod archive;
mod attributes;
mod beneath;
mod file;
mod gzip;
pub mod postgres;

use std::io;

pub use archive::{Holes, TarWriter};
pub use attributes::{Attributes, NotApplied};
pub(crate) use beneath::join;
pub use beneath::{Beneath, Existing};
pub use file::{FileTarget, Layout};
pub use gzip::GzipWriter;

use crate::source;

/// A sink could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The database could not be restored.
    #[error("cannot {action}")]
    Database {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: source::Error,
    },
    /// The database has other rows than the snapshot.
    #[error("after loading, table {table} has {found} rows where the snapshot has {expected}")]
    Rows {
        /// The table.
        table: String,
        /// Rows in the snapshot.
        expected: u64,
        /// Rows that were loaded.
        found: String,
    },
    /// Nothing can be restored into.
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    /// The error for an operating system's refusal of `action` on `path`.
    pub(crate) fn io(action: &'static str, path: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}
