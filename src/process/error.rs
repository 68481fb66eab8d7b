//! What can go wrong with a program: it cannot be started, its streams break, it does not end well.

use std::io;
use std::process::ExitStatus;

use crate::cancel::Cancelled;
use crate::docker;

/// A program could not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be started.
    #[error("cannot run {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It is not in the container.
    #[error("{program} could not be started: it is not there, or may not be run")]
    NotInContainer {
        /// The program and the container.
        program: String,
    },
    /// Its input or output broke, or nobody waits for it any more.
    #[error("cannot read from {program}")]
    Stream {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It ended with an error.
    #[error("{program} failed with {status}{}", stderr_suffix(.stderr))]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// The Docker Engine failed.
    #[error(transparent)]
    Docker(#[from] docker::Error),
}

impl Error {
    /// The error of a program that was left because the work is cancelled.
    pub(crate) fn interrupted(program: &str) -> Self {
        Self::Stream { program: program.to_owned(), source: Cancelled::as_io() }
    }
}

fn stderr_suffix(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {}", stderr.lines().collect::<Vec<_>>().join("; ")) }
}

/// `exit status 3` or `signal 9`.
#[must_use]
pub fn status_text(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
