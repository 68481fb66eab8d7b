//! What Larder does, as one function for each job: back up, restore, export, verify, look things up.
//!
//! Options go in, a report comes out. Nothing is printed.

mod archive;
pub mod backup;
mod error;
pub mod export;
pub mod find;
pub mod forget;
pub mod import;
pub mod lookup;
mod presence;
pub mod prune;
pub mod repair;
pub mod restore;
pub mod savings;
pub mod stats;
mod stream;
pub mod verify;

pub use error::Error;
pub use stream::write_content;
