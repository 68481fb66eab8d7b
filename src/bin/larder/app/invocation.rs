//! The command line that a command was given by, for advice and notes that repeat it.

use crate::host::shell::quoted;

/// Program, arguments, and where they were given. It is empty where there was no command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Invocation {
    pub(crate) words: Vec<String>,
    pub(crate) directory: String,
}

impl Invocation {
    /// As a shell reads it.
    pub(crate) fn line(&self) -> String {
        self.words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}
