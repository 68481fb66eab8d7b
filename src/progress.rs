//! How long work tells its caller where it stands and learns that it should stop.
//!
//! The library prints nothing: it calls [`Progress`], and the application draws it. This file does not know what
//! the phases are.

/// Receives the progress of long work. All methods may be called from several threads.
pub trait Progress: Sync {
    /// A phase begins. `total_bytes` is the work that is expected, where it is known.
    fn begin(&self, phase: &str, total_bytes: Option<u64>);

    /// `bytes` more of the current phase are done.
    fn advance(&self, bytes: u64);

    /// Something that the user should read, as one line.
    fn note(&self, message: &str);

    /// Whether somebody looks who wants to know how much work there is, even if counting it takes a moment.
    fn wants_totals(&self) -> bool {
        false
    }

    /// Something is under way, or is so no more, that has to be undone before the process ends: it should not be killed.
    fn hold(&self, _held: bool) {}

    /// Whether the work should stop as soon as it safely can.
    fn cancelled(&self) -> bool;
}

/// The work was asked to stop and did.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("interrupted")]
pub struct Cancelled;

/// Returns an error when the caller asked the work to stop.
///
/// # Errors
/// [`Cancelled`], when it did.
pub fn check(progress: &dyn Progress) -> Result<(), Cancelled> {
    if progress.cancelled() { Err(Cancelled) } else { Ok(()) }
}

/// Progress that nobody looks at and that never asks to stop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _phase: &str, _total_bytes: Option<u64>) {}
    fn advance(&self, _bytes: u64) {}
    fn note(&self, _message: &str) {}
    fn cancelled(&self) -> bool {
        false
    }
}
