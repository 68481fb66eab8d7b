//! Output that is waited for only as long as the caller wants to.

use std::io::{self, Read};

use super::{Error, POLL, Process, Program};
use crate::progress::Progress;

/// The output of a running process, which ends with an error when the caller wants to stop.
pub struct Watched<'a> {
    process: Process,
    progress: &'a dyn Progress,
}

impl<'a> Watched<'a> {
    /// Starts a program with nothing on its standard input.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Docker`].
    pub fn start(program: &Program, progress: &'a dyn Progress) -> Result<Self, Error> {
        let (_, process) = program.start(false)?;
        Ok(Self::on(process, progress))
    }

    /// The rest of what a process writes that was started before.
    #[must_use]
    pub const fn on(process: Process, progress: &'a dyn Progress) -> Self {
        Self { process, progress }
    }

    /// Waits for the program to end.
    ///
    /// # Errors
    /// [`Error::Failed`] when it did not end well; [`Error::NotInContainer`].
    pub fn finish(self) -> Result<(), Error> {
        self.process.finish()
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        until_cancelled(self.progress, || self.process.read_within(target, POLL))
    }
}

/// Reads until something comes, and ends with an error when the caller wants to stop while nothing does.
///
/// # Errors
/// Those of `read`; one that says so when the caller wants to stop.
pub fn until_cancelled(
    progress: &dyn Progress,
    mut read: impl FnMut() -> io::Result<Option<usize>>,
) -> io::Result<usize> {
    loop {
        if progress.cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        if let Some(len) = read()? {
            return Ok(len);
        }
    }
}
