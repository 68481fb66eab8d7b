//! What a command says that ended with an error before it had anything else to say.

use serde::Serialize;

/// An error.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorDocument<'a> {
    /// What went wrong, with its causes.
    pub(crate) error: &'a str,
    /// What to do about it.
    pub(crate) advice: Option<&'a str>,
    /// The exit status.
    pub(crate) status: u8,
}
