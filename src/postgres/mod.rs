//! PostgreSQL as seen by a client: how to reach a server, what to ask it, and the text that its programs write.
//!
//! Names, settings and dumps belong to somebody else. SQL is made of them by `sql` alone; `psql` is started by `client`
//! alone, and runs no command that stands in what it reads; answers travel as COPY. Passwords travel in the environment of
//! the child processes, never in their arguments.

mod accepts;
pub(crate) mod access;
pub(crate) mod ahead;
mod allowed;
pub(crate) mod authors;
mod builtins;
mod calls;
pub(crate) mod catalog;
mod client;
mod connection;
mod copy;
pub(crate) mod definition;
mod doubts;
pub(crate) mod dump_encoding;
mod entries;
mod error;
mod facts;
mod findings;
pub(crate) mod granted;
mod kept;
pub(crate) mod key_code;
mod kinds;
mod lexer;
mod lock_room;
mod made;
mod maintenance;
mod members;
pub(crate) mod moment;
pub(crate) mod name_lock;
pub(crate) mod neutral;
pub(crate) mod of_superuser;
pub(crate) mod owned;
pub(crate) mod part;
mod pieces;
mod refused;
mod restriction;
mod roles;
mod row_order;
pub(crate) mod script;
pub(crate) mod script_settings;
pub(crate) mod shape_lock;
mod shared;
pub(crate) mod sql;
mod statement;
mod table_file;
mod tokens;
mod tools;
mod whole_rows;
pub(crate) mod wrapped;

pub(crate) use accepts::Accepts;
pub(crate) use allowed::reads_alike;
pub(crate) use client::{Fed, start_fed, tidy_up};
pub use client::{QUESTION_LIMIT, Row, Session, Stopped, execute, query};
pub use connection::Connection;
pub use copy::CopyCounter;
pub(crate) use copy::copied_table;
pub(crate) use doubts::{doubts, made_under_other_name};
pub use error::Error;
pub(crate) use facts::{Found, comment_statement, locale_options, property_statements, read_facts};
pub(crate) use findings::code_in;
pub(crate) use kept::Kept;
pub(crate) use lexer::Lexer;
pub(crate) use lock_room::lacks_locks;
pub(crate) use maintenance::{find_sql, maintenance};
pub(crate) use members::read_left_out;
pub(crate) use refused::{object_of, refused};
pub(crate) use restriction::{Restriction, unrestricted};
pub use roles::MadeRoles;
pub(crate) use roles::{LOADER_ROLES, create_missing_roles, globals_text, read_roles};
pub(crate) use row_order::{Named, RowOrder};
pub use tools::{Tools, find_server_programs, psql_program, server_programs_of};
pub(crate) use whole_rows::WholeRows;
