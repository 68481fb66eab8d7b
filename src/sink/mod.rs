//! Where a restore writes to: directories, databases, compressed files.
//!
//! A sink knows nodes and bytes; where they come from is not known here.

mod archive;
mod attributes;
mod dir_target;
mod directory;
mod existing;
mod file;
mod gzip;
mod made;
mod ownership;
pub mod postgres;
mod special;
mod staging;

use std::io;

pub use archive::{Holes, TarWriter};
pub use attributes::{Attributes, NotApplied};
pub use dir_target::DirTarget;
pub use existing::Existing;
pub use file::{FileTarget, Layout};
pub use gzip::GzipWriter;
pub use ownership::give_to;

use crate::postgres as client;
use crate::postgres::access::NeedsAllRights;

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
        source: client::Error,
    },
    /// Loading would run code of roles that are no superusers with all rights of who restores.
    #[error(
        "loading {} would run code of roles that are no superusers with all rights of the restoring role \
         (`--run-code-as-superuser` allows that)",
        .objects.join(", ")
    )]
    Code {
        /// The tables, domains or constraints.
        objects: Vec<String>,
    },
    /// The owner of tables cannot load them, or make what is made of their rows.
    #[error("the owner {owner} cannot load what runs its code (`--run-code-as-superuser` loads it with all rights)")]
    AsOwner {
        /// The owner.
        owner: String,
        /// Why.
        source: client::Error,
    },
    /// The server does not let rows be loaded with the rights of their owner alone.
    #[error(
        "the server does not let rows be loaded as their owner {owner}, whose code they run (`--run-code-as-superuser` \
         loads them with all rights)"
    )]
    NoLoader {
        /// The owner.
        owner: String,
        /// Why.
        source: client::Error,
    },
    /// Code that replacing rows runs has written to something else.
    #[error(
        "no rows are replaced: code of {owner} has written to {} besides, where triggers do not run \
         (`--run-code-as-superuser` allows that)",
        .relations.join(", ")
    )]
    Written {
        /// Whose rights it had.
        owner: String,
        /// What it has written to.
        relations: Vec<String>,
    },
    /// Code that replacing rows runs could put something off until nobody looks at what it does.
    #[error(
        "no rows are replaced: what a trigger that always runs puts off to the end of a transaction is not seen: {} \
         (`--run-code-as-superuser` allows that)",
        .triggers.join(", ")
    )]
    Deferred {
        /// The triggers, with their tables.
        triggers: Vec<String>,
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

impl From<NeedsAllRights> for Error {
    fn from(refused: NeedsAllRights) -> Self {
        Self::Code { objects: refused.objects }
    }
}

impl Error {
    /// The error for an operating system's refusal of `action` on `path`.
    pub(crate) fn io(action: &'static str, path: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }

    /// The error for one object that would run code of others.
    fn code(object: &str) -> Self {
        Self::Code { objects: vec![object.to_owned()] }
    }
}
