//! What is restored, and where it goes.

use std::path::PathBuf;
use std::sync::Arc;

use super::database::DatabaseTarget;
use super::volume_target::VolumeTarget;
use crate::model::{Component, Parts};
use crate::rooted::Trust;
use crate::source::Excludes;

/// Where a component goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// Its own directory in the live system, which is made equal to it.
    Live {
        /// The directory.
        folder: PathBuf,
        /// What a backup of it leaves out, and a restore leaves alone therefore.
        excludes: Excludes,
        /// Whose links on the way to the directory are followed.
        trust: Trust,
    },
    /// An entry of its name in a folder. What else is there stays.
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Whose links on the way to the folder are followed.
        trust: Trust,
    },
    /// A database, all of it or some tables.
    Database(Box<DatabaseTarget>),
    /// A volume of the engine.
    Volume(Box<VolumeTarget>),
}

/// A component, or parts of it, and where they go.
#[derive(Debug, Clone)]
pub struct RestoreJob<'a> {
    /// The component.
    pub component: &'a Component,
    /// Its destination.
    pub destination: Destination,
    /// What of it is restored, of a directory into itself or of anything into a folder; `None` for all of it. A directory around such a
    /// part stays as it is where it stands.
    pub parts: Option<Arc<Parts>>,
}

impl RestoreJob<'_> {
    /// Whether only some tables of a database that stays are written to.
    #[must_use]
    pub fn is_of_tables(&self) -> bool {
        matches!(&self.destination, Destination::Database(target) if target.replaces_rows())
    }
}
