//! What a restore did, component by component.

use super::database::DatabaseRestore;
use super::failures::Failures;
use crate::model::{Problems, show_path};
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::sink::NotApplied;

/// What was done with one component.
#[derive(Debug, Default)]
pub struct ComponentRestore {
    /// Its name.
    pub name: String,
    /// Where it went, as text.
    pub destination: String,
    /// Entries that were made or replaced, or would be.
    pub written: u64,
    /// Bytes of files that were written, or would be.
    pub bytes_written: u64,
    /// Plaintext that was decoded for it, in bytes: what others are encoded against counts too.
    pub bytes_decoded: u64,
    /// Files that matched already.
    pub unchanged: u64,
    /// Entries that were removed, or would be.
    pub removed: u64,
    /// Whether anything was changed there, be it only an owner or a time.
    pub touched: bool,
    /// What could not be restored: path and cause.
    pub failed: Failures,
    /// Owners, modes, times and attributes that could not be set on what was restored: path and cause.
    pub not_set: Failures,
    /// Whether one of the causes is damage of the repository.
    pub damaged: bool,
    /// What a reader should know.
    pub notes: Problems,
    /// Containers that were stopped for it and started again.
    pub restarted: Vec<String>,
    /// What a database restore did.
    pub database: Option<DatabaseRestore>,
}

impl ComponentRestore {
    /// Everything that went wrong and is listed: path and cause.
    pub fn problems(&self) -> impl Iterator<Item = &(String, String)> {
        self.failed.iter().chain(&self.not_set)
    }

    /// How much went wrong beyond that.
    #[must_use]
    pub const fn more_problems(&self) -> u64 {
        self.failed.more() + self.not_set.more()
    }

    /// Notes why an entry, by its path, was not restored.
    pub(super) fn fail(&mut self, path: &[u8], why: &str) {
        let shown = self.shown(path);
        self.failed.push((shown, why.to_owned()));
    }

    /// Notes with which error an entry, by its path, was not restored.
    pub(super) fn fail_with(&mut self, path: &[u8], error: &Error) {
        self.damaged |= error.is_damage();
        self.fail(path, &with_causes(error));
    }

    /// Notes what of its metadata an entry did not get. Its content is right all the same.
    pub(super) fn note_not_set(&mut self, path: &[u8], failures: NotApplied) {
        let shown = self.shown(path);
        self.not_set.extend(failures.into_iter().map(|failure| (shown.clone(), failure)));
    }

    /// Notes what a reader should know.
    pub(super) fn note_all(&mut self, notes: impl IntoIterator<Item = String>) {
        notes.into_iter().for_each(|note| self.notes.push(note));
    }

    fn shown(&self, path: &[u8]) -> String {
        if path.is_empty() { self.name.clone() } else { show_path(path) }
    }
}

/// What a restore did.
#[derive(Debug, Default)]
pub struct RestoreReport {
    /// What was done with each component; those that it did not come to are missing.
    pub components: Vec<ComponentRestore>,
    /// Whether the caller asked to stop.
    pub interrupted: bool,
}
