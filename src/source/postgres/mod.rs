//! PostgreSQL as a source: a database table by table or as one dump, and dumps that lie in files.

mod answers;
mod dump;
mod file;
mod layout;
mod name_list;
mod plain;
mod scripts;
mod some;
mod tables;

pub use dump::{DumpSource, session_name};
pub use file::DumpFile;
pub use layout::DUMP_FILE;
pub use some::dump_of_tables;
pub use tables::{TableOptions, tables_without_order};
