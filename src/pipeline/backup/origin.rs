//! What a component is read from: the list of all sources, which is looked through here alone.

use super::source::{Description, Source};
use super::sources::MissingSource;
use super::volume_origin::VolumeOrigin;
use crate::model::{Component, ComponentKind, ComponentName};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::source::postgres::{DumpFile, DumpSource};
use crate::source::{ArchiveFile, CommandSource, DirSource};

/// Where the data of a component comes from.
#[derive(Debug)]
pub enum Origin {
    /// A directory.
    Directory(DirSource),
    /// A database.
    Database(Box<DumpSource>),
    /// A command or standard input.
    Command(CommandSource),
    /// A Docker volume.
    Volume(Box<VolumeOrigin>),
    /// A dump that lies in a file.
    DumpFile(Box<DumpFile>),
    /// A volume that lies in a file as an archive.
    Archive(Box<ArchiveFile>),
    /// Something that should be there and is not, which makes the snapshot partial.
    Missing(MissingSource),
}

impl Origin {
    /// Something of this kind that should be there and is not, and why.
    #[must_use]
    pub const fn missing(kind: ComponentKind, why: String) -> Self {
        Self::Missing(MissingSource { kind, why })
    }

    fn source(&self) -> &dyn Source {
        match self {
            Self::Directory(directory) => directory,
            Self::Database(dump) => &**dump,
            Self::Command(command) => command,
            Self::Volume(volume) => &**volume,
            Self::DumpFile(dump) => &**dump,
            Self::Archive(archive) => &**archive,
            Self::Missing(missing) => missing,
        }
    }
}

/// A component that is to be backed up.
#[derive(Debug)]
pub struct ComponentSource {
    /// Its name in the snapshot.
    pub name: ComponentName,
    /// Where its data comes from.
    pub origin: Origin,
}

impl ComponentSource {
    /// What it is read from.
    pub(super) fn source(&self) -> &dyn Source {
        self.origin.source()
    }

    /// The component before it is read.
    pub(super) fn empty_component(&self) -> Component {
        let Description { kind, source, consistency, volume } = self.source().describe();
        Component { volume, ..Component::new(self.name.clone(), kind, source, consistency) }
    }

    /// Why there is nothing to read; `None` where there is.
    pub(in crate::pipeline) fn why_missing(&self) -> Option<&str> {
        self.source().why_missing()
    }

    /// Whether there is something that a restore would replace.
    pub(in crate::pipeline) fn is_there(&self, monitor: &Monitor<'_>) -> Result<bool, Error> {
        self.source().is_there(monitor)
    }
}
