//! Programs that run here or in a container, alike: the one place that starts them.
//!
//! Passwords go into their environment, never into their arguments. What a program reads and says belongs to its callers.

mod child;
mod error;
mod isolated;
mod keys;
mod place;
mod poll;
mod program;
mod running;
mod sandbox;
mod watched;

pub use error::{Error, status_text};
pub use isolated::isolated_user;
pub use place::Place;
pub use poll::poll_readable;
pub use program::Program;
pub use running::{Process, ProcessInput};
pub use sandbox::Sandbox;
pub use watched::{Watched, until_cancelled};
