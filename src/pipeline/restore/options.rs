//! How something is restored.

use super::report::ComponentRestore;
use crate::model::Component;

/// How to restore.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct RestoreOptions {
    /// Leave files that the snapshot does not have.
    pub keep_extra: bool,
    /// Touch nothing, and say what would be done.
    pub dry_run: bool,
    /// Sessions that load into a database at once.
    pub jobs: usize,
    /// Let code of roles that are no superusers, and of whoever wrote an imported dump, run with all rights of who restores.
    pub trusts_code: bool,
    /// Restore everything else of a database where its server refuses something.
    pub goes_on: bool,
}

impl RestoreOptions {
    /// Whether what the component does not have is removed; a note says why not.
    pub(super) fn is_made_equal(self, component: &Component, result: &mut ComponentRestore) -> bool {
        if !component.errors.is_empty() && !self.keep_extra {
            // What could not be read that night is missing from the snapshot, and was not missing from the system.
            result.notes.push("nothing was removed, because the snapshot of it is not complete".to_owned());
        }
        !self.keep_extra && component.errors.is_empty()
    }
}

/// How a tree is restored.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TreeOptions {
    /// Remove what the snapshot does not have.
    pub(super) make_equal: bool,
    /// Touch nothing.
    pub(super) dry_run: bool,
    /// Remove first, and replace no file by one that is complete beside it: the disk may be full.
    pub(super) delete_before_write: bool,
}
