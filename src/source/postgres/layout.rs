//! The names of the files that a database is shown as, but for those that a restore knows by the model.

/// The dump within the component.
pub const DUMP_FILE: &str = "database.sql";
/// The roles and tablespaces of the cluster as SQL within the component, without passwords, for people.
pub(super) const GLOBALS_FILE: &str = "globals.sql";
/// What `pg_dump` writes before the data.
pub(super) const BEFORE_FILE: &str = "pre-data.sql";
/// The rows of tables that are not read in the order of a key, and all other data.
pub(super) const OTHERS_FILE: &str = "other-data.sql";
/// What it writes after the data.
pub(super) const AFTER_FILE: &str = "post-data.sql";
