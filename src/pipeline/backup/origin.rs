//! What a component is read from, and what is known of it before.

use std::time::Duration;

use crate::docker::{Container, HoldMethod};
use crate::model::{Component, ComponentKind, ComponentName, Consistency};
use crate::source::postgres::{DumpFile, DumpSource};
use crate::source::{ArchiveFile, CommandSource, DirSource, VolumeSource};

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
    Missing {
        /// What it would be.
        kind: ComponentKind,
        /// Why it is not there.
        why: String,
    },
}

/// A volume, and what is done with the containers that write to it.
#[derive(Debug)]
pub struct VolumeOrigin {
    /// The volume.
    pub source: VolumeSource,
    /// How they are held while what has changed is read; `None` when they go on.
    pub hold: Option<HoldMethod>,
    /// How long they may be held.
    pub limit: Duration,
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
    pub(super) fn empty_component(&self) -> Component {
        let (kind, source, consistency) = match &self.origin {
            Origin::Directory(directory) => {
                (ComponentKind::Directory, directory.root().display().to_string(), Consistency::Live)
            }
            Origin::Database(dump) => (ComponentKind::Database, dump.connection().to_string(), Consistency::Dumped),
            Origin::Command(command) => (ComponentKind::Stream, command.describe(), Consistency::Dumped),
            Origin::Volume(volume) => {
                let name = format!("the volume {}", volume.source.volume().name);
                (ComponentKind::Volume, name, unheld(volume))
            }
            Origin::DumpFile(dump) => {
                (ComponentKind::Database, dump.file().path().display().to_string(), Consistency::Dumped)
            }
            Origin::Archive(archive) => {
                (ComponentKind::Volume, archive.file().path().display().to_string(), Consistency::Live)
            }
            Origin::Missing { kind, .. } => (*kind, "nothing".to_owned(), Consistency::Live),
        };
        let mut component = Component::new(self.name.clone(), kind, source, consistency);
        component.volume = match &self.origin {
            Origin::Archive(archive) => Some(archive.facts()),
            _ => self.volume().map(|volume| volume.source.facts()),
        };
        component
    }

    /// The volume that it is, if it is one.
    pub(super) const fn volume(&self) -> Option<&VolumeOrigin> {
        match &self.origin {
            Origin::Volume(volume) => Some(volume),
            _ => None,
        }
    }
}

/// What a volume's consistency is before anybody was held for it.
fn unheld(volume: &VolumeOrigin) -> Consistency {
    if volume.source.writers().iter().any(Container::is_up) { Consistency::Live } else { Consistency::Stopped }
}
