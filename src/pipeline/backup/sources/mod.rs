//! The sources that a backup can read, each with its answers to what a backup asks.

mod archive;
mod database;
mod directory;
mod dump_file;
mod missing;
mod stream;
mod volume;

pub use missing::MissingSource;
