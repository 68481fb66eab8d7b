//! How a database is loaded.

use crate::model::DatabaseSetting;

/// How a database is loaded.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct LoadOptions<'o> {
    /// Sessions that load at once.
    pub jobs: usize,
    /// The encoding that the scripts and rows are written in.
    pub encoding: &'o str,
    /// What the database is going to be set to.
    pub settings: &'o [DatabaseSetting],
    /// Whether all rows are there, so that all foreign keys can be made.
    pub has_all_rows: bool,
    /// Whether code of roles that are no superusers may run with all rights of who restores.
    pub trusts_code: bool,
    /// Whether somebody else may have written the dump, whoever it says owns what it makes.
    pub is_foreign: bool,
    /// Whether everything else is loaded where the server refuses something.
    pub goes_on: bool,
}
