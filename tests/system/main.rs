//! Backups and restores of a real PostgreSQL database together with folders, by the real binary.
//!
//! The server is the one that `tests/run` starts and names in `LARDER_TEST_DATABASE_URL`. Every test has a database of
//! its own there, and folders of its own.

#[path = "../common/mod.rs"]
mod common;
mod continuing;
mod doubts;
mod dump;
mod earlier;
mod encodings;
mod extensions;
mod failures;
mod gone;
mod locks;
mod nights;
mod order;
mod owners;
mod parts;
mod prepared;
mod programs;
mod properties;
mod roles;
mod savings;
mod schemas;
mod settings;
mod support;
mod tables;
mod tablespaces;
mod throwaway;
