//! What a journal says: which containers were held, how, and why.

use serde::{Deserialize, Serialize};

use super::Container;

/// Why containers are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Volumes are read: the containers may go on at any time.
    Backup,
    /// Volumes are written: the containers may go on only when the volumes are whole again.
    Restore {
        /// What they are restored from.
        snapshot: String,
        /// The components, each with the volume of the engine that it goes into.
        volumes: Vec<(String, String)>,
        /// What they were before.
        safety: Option<String>,
    },
}

/// How containers are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HoldMethod {
    /// Their processes are frozen.
    Pause,
    /// They are ended, and started again.
    Stop,
}

/// What a journal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Address of the engine.
    pub host: String,
    /// Why the containers were held.
    pub purpose: Purpose,
    /// How they were held.
    pub method: HoldMethod,
    /// The containers, in the order in which they are to go on.
    pub containers: Vec<Held>,
}

impl Leftover {
    /// Names of the containers.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.containers.iter().map(|held| held.name.clone()).collect()
    }
}

/// A container that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its id. Another container can get its name.
    pub id: String,
    /// Its name, for messages.
    pub name: String,
}

impl From<&Container> for Held {
    fn from(container: &Container) -> Self {
        Self { id: container.id.clone(), name: container.name.clone() }
    }
}
