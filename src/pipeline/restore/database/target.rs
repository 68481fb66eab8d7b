//! Where a database goes, and what of it.

use std::sync::Arc;

use crate::pipeline::database::SavedDatabase;
use crate::pipeline::filter::Wanted;
use crate::pipeline::mask::Mask;
use crate::postgres::Connection;

/// Where a database goes, and what of it.
#[derive(Debug, Clone)]
pub struct DatabaseTarget {
    /// The database.
    pub connection: Connection,
    /// Whether it is one of its own that must not be there yet; else the one that is there is replaced.
    pub is_new: bool,
    /// The only tables that are restored; all when there are none. In a database that is there, their rows are replaced.
    pub tables: Vec<String>,
    /// How rows are masked.
    pub mask: Option<Arc<Mask>>,
    /// Whether each rule of the mask must be for a table of this database: there is no other one that is restored.
    pub has_all_rules: bool,
}

impl DatabaseTarget {
    /// All of a database in the place of the one of this connection.
    #[must_use]
    pub const fn whole(connection: Connection) -> Self {
        Self { connection, is_new: false, tables: Vec::new(), mask: None, has_all_rules: false }
    }

    /// Whether rows are replaced in tables that stay.
    pub(in crate::pipeline::restore) const fn replaces_rows(&self) -> bool {
        !self.is_new && !self.tables.is_empty()
    }

    pub(super) fn wanted<'w>(&'w self, saved: &'w SavedDatabase<'_>) -> Wanted<'w> {
        Wanted { mask: self.mask.as_deref(), tables: &self.tables, index: saved.index(), ..Wanted::default() }
    }
}
