//! The Docker Engine: its containers and volumes, programs that run in containers, archives of what volumes hold.
//!
//! Calls block; what is asynchronous underneath stays on this floor. It knows nothing of snapshots: who is paused and
//! what is read is decided above.

mod archive;
mod container;
mod engine;
mod exec;
mod guard;
mod guardian;
mod helper;
mod here;
mod hold;
mod journal;
mod labels;
mod leftover;
mod owner;
mod parts;
mod places;
pub mod redis;
mod remove;
mod stack;
mod throwaway;
mod throwaway_container;
mod upload;
mod volume;

use std::io;

pub use archive::{Archive, ArchiveEntry, EntryKind, VOLUME_FOLDER};
pub use container::{Bind, Container, Mount, State};
pub use engine::Engine;
pub use exec::{Exec, ExecInput, ExecOptions, ExecOutput};
pub use guard::guard;
pub use guardian::Guardian;
pub use helper::Helper;
pub(crate) use here::has_mounted;
pub use hold::Hold;
pub use journal::{Journal, Journals};
pub use leftover::{Held, HoldMethod, Leftover, Purpose};
pub use parts::Parts;
pub use remove::{Removal, VolumeCleaner};
pub use stack::{DatabaseServer, Stack};
pub use throwaway::ThrowawayVolume;
pub use throwaway_container::{ThrowawayContainer, ThrowawayOptions};
pub use upload::Upload;
pub(crate) use volume::LOCAL_DRIVER;
pub use volume::Volume;

/// The engine could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No engine answers.
    #[error("no Docker Engine answers at {host}: {why}")]
    Unreachable {
        /// Where it was looked for.
        host: String,
        /// Why it cannot be reached.
        why: String,
    },
    /// The engine's socket is not for this user.
    #[error("the Docker Engine at {host} may not be used by this user")]
    Forbidden {
        /// Its address.
        host: String,
    },
    /// The engine's address is of a kind that is not supported.
    #[error("'{host}' is not the address of a Docker Engine that can be used: {why}")]
    Address {
        /// The address.
        host: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The engine refused.
    #[error("the Docker Engine cannot {action}: {why}")]
    Refused {
        /// What it was asked for.
        action: String,
        /// What it said.
        why: String,
        /// Whether what it was asked about is not there.
        missing: bool,
    },
    /// A container cannot be held.
    #[error("the container {container} cannot be held: {why}")]
    Unholdable {
        /// The container.
        container: String,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// The connection to the engine broke.
    #[error("the Docker Engine went away while it was to {action}: {why}")]
    Broken {
        /// What was going on.
        action: String,
        /// What happened.
        why: String,
    },
    /// Containers are not as they should be after a time.
    #[error("after {secs} s {what}")]
    NotReady {
        /// How long it was waited for.
        secs: u64,
        /// What is not as it should be.
        what: String,
    },
    /// A file of ours cannot be written or read.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// Whether what was asked about is not there.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { missing: true, .. })
    }

    /// Whether the engine did not answer, which may be different in a moment.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Unreachable { .. })
    }
}
