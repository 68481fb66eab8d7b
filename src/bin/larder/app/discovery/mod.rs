//! What there is of the system that is backed up: what the settings name, and what is found in the Docker Engine.

mod binds;
mod missing;
mod sources;
mod system;
mod targets;

pub(crate) use missing::Missing;
pub(crate) use system::{Database, System, trust_now};
