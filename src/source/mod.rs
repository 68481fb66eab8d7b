//! Where a backup reads from: directories, streams, databases, volumes.
//!
//! A source shows what it has to a [`Visitor`], in the order of names, and reports what it could not read. It does not
//! know what is stored, or whether anything is.

mod archive;
mod dir;
mod exclude;
mod file;
mod metadata;
pub mod postgres;
mod stored_file;
mod stream;
mod volume;

use std::io::{self, Read};

pub use archive::ArchiveFile;
pub use dir::DirSource;
pub use exclude::{Excludes, UNFINISHED_PREFIX, is_tagged_cache};
pub use file::{FileReader, Stability};
pub use metadata::{Owners, made_node, xattrs_at, xattrs_of};
pub use stored_file::StoredFile;
pub use stream::CommandSource;
pub use volume::{EntryPath, HardLinks, ReadMethod, VolumeSource, VolumeUse};

use crate::cancel::Cancelled;
use crate::docker;
use crate::model::Node;
use crate::postgres as client;
use crate::process;
use crate::rooted::{Found, Place};

/// Whoever is shown things does not want to see more: the work was interrupted, or storing failed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the backup was stopped")]
pub struct Stop;

impl From<Cancelled> for Stop {
    fn from(_: Cancelled) -> Self {
        Self
    }
}

/// Receives what a source shows. A source begins with one root: a directory with everything in it, or a stream.
pub trait Visitor {
    /// A directory begins; what follows lies in it until [`Visitor::leave`]. It is not given where it comes from an archive,
    /// and all of its metadata instead.
    fn enter(&mut self, node: Node, found: Option<&Found<'_>>) -> Result<(), Stop>;

    /// The directory ends.
    fn leave(&mut self) -> Result<(), Stop>;

    /// A regular file, whose attributes and content are read only when they are needed.
    fn file(&mut self, node: Node, place: &Place<'_>) -> Result<(), Stop>;

    /// An entry without content: a link, a pipe, a device.
    fn special(&mut self, node: Node, found: Option<&Found<'_>>) -> Result<(), Stop>;

    /// A file that is made of a stream. An error of the reader ends the component.
    ///
    /// # Errors
    /// [`Error::Stop`], and [`Error::Stream`] with the reader's error.
    fn stream(&mut self, node: Node, reader: &mut dyn Read) -> Result<(), Error>;

    /// An entry of the current directory has gone since the directory was listed. Its path is for messages.
    fn vanished(&mut self, name: &[u8], shown: &str);

    /// Something is missing from the backup.
    fn error(&mut self, message: String);

    /// Something is worth knowing and not wrong.
    fn note(&mut self, message: String);
}

/// A source could not be read at all, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root of a directory cannot be read.
    #[error("cannot read {path}")]
    Root {
        /// The root.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The root is no directory.
    #[error("{path} is not a directory")]
    NotADirectory {
        /// The root.
        path: String,
    },
    /// A pattern of the excludes cannot be understood.
    #[error("the exclude pattern '{pattern}' is not valid: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A stream broke.
    #[error("cannot read from {what}")]
    Stream {
        /// What it came from.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// A program ended well and what it wrote is not complete.
    #[error("the output of {program} is not complete: {why}")]
    Incomplete {
        /// The program.
        program: String,
        /// What is missing.
        why: &'static str,
    },
    /// A program failed.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A database server, or a program of it, failed.
    #[error(transparent)]
    Postgres(#[from] client::Error),
    /// The Docker Engine failed.
    #[error(transparent)]
    Docker(#[from] docker::Error),
    /// What should be there is not.
    #[error("{why}")]
    Missing {
        /// Why it is not.
        why: String,
    },
    /// A volume cannot be read in the way that was asked for.
    #[error("the volume {volume} cannot be read where it lies: {why}")]
    Unreadable {
        /// The volume.
        volume: String,
        /// Why not.
        why: String,
    },
    /// An archive of the engine is none that an honest engine makes.
    #[error("the archive of the volume cannot be used: {why}")]
    Archive {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The visitor does not want more.
    #[error(transparent)]
    Stop(#[from] Stop),
}
