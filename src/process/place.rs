//! Where a program runs: here, or in a container.

use std::sync::Arc;

use crate::docker::Engine;

/// Where a program runs.
#[derive(Debug, Clone, Default)]
pub enum Place {
    /// On this host.
    #[default]
    Here,
    /// In a container.
    Container {
        /// The engine that runs it.
        engine: Arc<Engine>,
        /// Its name.
        name: String,
    },
}

impl Place {
    /// The name of the container, where it is one.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Here => None,
            Self::Container { name, .. } => Some(name),
        }
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.container() == other.container()
    }
}

impl Eq for Place {}
