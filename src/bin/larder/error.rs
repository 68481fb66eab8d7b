//! Errors of the program itself, and how an error is told with its causes.

/// A command was used in a way that cannot work.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct UsageError {
    message: String,
    /// What to do instead.
    pub(crate) advice: Option<String>,
}

impl UsageError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), advice: None }
    }

    pub(crate) fn with_advice(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { message: message.into(), advice: Some(advice.into()) }
    }
}

/// Somebody else does what excludes this.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct BusyError {
    message: String,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

impl BusyError {
    pub(crate) fn with_advice(message: impl Into<String>, advice: &'static str) -> Self {
        Self { message: message.into(), advice }
    }
}

/// An error with its causes, as one line.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for cause in anyhow::Chain::new(error) {
        let cause = cause.to_string();
        // A transparent wrapper repeats what its source says.
        if !text.ends_with(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}
