//! Output that is waited for only until the work is cancelled.

use std::io::{self, Read};

use super::{Error, Process, Program};
use crate::cancel::{Cancel, Cancelled, POLL};

/// The output of a running process, which ends with an error when the work is cancelled.
pub struct Watched<'a> {
    process: Process,
    cancel: &'a Cancel,
}

impl<'a> Watched<'a> {
    /// Starts a program with nothing on its standard input.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Docker`].
    pub fn start(program: &Program, cancel: &'a Cancel) -> Result<Self, Error> {
        let (_, process) = program.start(false)?;
        Ok(Self::on(process, cancel))
    }

    /// The rest of what a process writes that was started before.
    #[must_use]
    pub const fn on(process: Process, cancel: &'a Cancel) -> Self {
        Self { process, cancel }
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
        until_cancelled(self.cancel, || self.process.read_within(target, POLL))
    }
}

/// Reads until something comes, and ends with an error when the work is cancelled while nothing does.
///
/// # Errors
/// Those of `read`; [`Cancelled::as_io`] when the work is cancelled.
pub fn until_cancelled(cancel: &Cancel, mut read: impl FnMut() -> io::Result<Option<usize>>) -> io::Result<usize> {
    loop {
        if cancel.is_cancelled() {
            return Err(Cancelled::as_io());
        }
        if let Some(len) = read()? {
            return Ok(len);
        }
    }
}
