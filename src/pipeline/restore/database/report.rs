//! What a restore of a database did.

/// What a restore of a database did.
#[derive(Debug, Default)]
pub struct DatabaseRestore {
    /// Tables whose rows were compared.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Whether there was a database of that name before.
    pub replaced: bool,
    /// Whether only some tables in it were written to.
    pub rows_replaced: bool,
    /// Tables that were gone and were made in it, quoted where needed.
    pub tables_made: Vec<String>,
    /// Roles that were made, without passwords.
    pub roles_created: Vec<String>,
    /// Roles that were made for loading, and that others kept from being dropped, each in words.
    pub roles_left: Vec<String>,
    /// What was loaded otherwise than it was saved, each in words.
    pub notes: Vec<String>,
}
