//! Loading a dump into a fresh database, proving its rows, and putting it into the place of the old one.
//!
//! The old database serves until the new one is complete; renaming both is one transaction.

mod action;
mod call_checks;
mod continue_on_error;
mod counts;
mod discard;
mod drops;
mod guard;
mod late;
mod load_options;
mod load_script;
mod loaded_database;
mod loader;
mod loader_role;
mod maintenance;
mod makers;
mod needs;
mod of_superuser;
mod overloads;
mod owners;
mod privileges;
mod reading;
mod recreate;
mod refusals;
mod replace;
mod row_session;
mod rows;
mod session_pool;
mod sessions;
mod shape;
mod swap;
mod table_script;
mod tablespaces;
mod written;

pub use load_options::LoadOptions;
pub use load_script::Loaded;
pub use loaded_database::{LoadedDatabase, Replaced};
pub use loader::Loader;
pub(crate) use loader_role::is_loader;
pub use maintenance::{encoding_of, exists, is_temporary, maintenance, prepared_transactions};
pub use needs::{lacking, make_role, missing_role, says_lacking};
pub use recreate::{Recreated, TableMaker};
pub use refusals::{Refusal, in_short};
pub use replace::{ReplaceOptions, RowReplacer};
pub use row_session::RowSession;
pub use table_script::{TableScript, owners_of_tables};
pub use tablespaces::make_tablespaces;
pub(crate) use written::SETTLE;
