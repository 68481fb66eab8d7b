//! PostgreSQL as a source: its connection, its programs, its dump.
//!
//! Passwords travel in the environment of the child processes, never in their arguments.

mod ahead;
mod catalog;
mod connection;
mod copy;
mod dump;
mod file;
mod names;
mod pieces;
mod quoting;
mod session;
mod tables;
mod tools;

pub use connection::Connection;
pub use copy::CopyCounter;
pub(crate) use copy::copied_table;
pub use dump::{DUMP_FILE, DumpSource, GLOBALS_FILE, session_name};
pub use file::DumpFile;
pub(crate) use names::{ident, literal};
pub(crate) use quoting::Quoting;
pub use session::{Session, Stopped};
pub use tables::{TableOptions, tables_without_order};
pub use tools::{Tools, find_server_programs, psql, psql_program, server_programs_of};
