//! The exit statuses of the program. The numbers are documented.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Partial = 3,
    Damage = 4,
    Locked = 5,
    NoSuchSnapshot = 6,
    Interrupted = 130,
}

impl Exit {
    /// The same, but for what is done: something is not.
    pub(crate) const fn or_partial(self) -> Self {
        if matches!(self, Self::Done) { Self::Partial } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
