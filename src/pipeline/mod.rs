//! What Larder does, as one function for each job: back up, restore, export, verify, look things up.
//!
//! Options go in, a report comes out. Nothing is printed.

mod archive;
pub mod backup;
mod causes;
mod database;
mod error;
pub mod export;
mod filter;
pub mod find;
pub mod forget;
pub mod import;
pub mod lookup;
mod mask;
mod presence;
pub mod prune;
pub mod repair;
pub mod restore;
mod rows;
pub mod savings;
pub mod stats;
mod stream;
pub mod verify;

pub use archive::write_archive;
pub use database::write_dump;
pub use error::Error;
pub use mask::{Mask, Rule};
pub use rows::{RowChanges, compare_rows};
pub use stream::write_content;
