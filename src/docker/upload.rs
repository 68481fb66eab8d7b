//! An archive that is sent to the engine while it is written.

use std::future::Future;
use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;

use super::Error;
use super::engine::failed;
use super::parts::{PART_BYTES, PARTS_IN_FLIGHT, Parts};

/// An archive that is sent to the engine while it is written.
pub struct Upload {
    runtime: Handle,
    action: String,
    parts: Option<Sender<io::Result<Bytes>>>,
    buffer: BytesMut,
    call: Option<JoinHandle<Result<(), bollard::errors::Error>>>,
}

impl Upload {
    pub(super) fn new<F>(runtime: Handle, action: &str, call: impl FnOnce(Parts) -> F) -> Self
    where
        F: Future<Output = Result<(), bollard::errors::Error>> + Send + 'static,
    {
        let (sender, receiver) = channel::<io::Result<Bytes>>(PARTS_IN_FLIGHT);
        let call = runtime.spawn(call(receiver));
        let buffer = BytesMut::with_capacity(PART_BYTES);
        Self { runtime, action: action.to_owned(), parts: Some(sender), buffer, call: Some(call) }
    }

    /// Sends what is left and waits until the engine has unpacked everything.
    ///
    /// # Errors
    /// [`Error::Refused`] with what the engine said, [`Error::Broken`].
    pub fn finish(mut self) -> Result<(), Error> {
        let sent = self.flush();
        // The end of the parts is the end of the archive.
        self.parts = None;
        self.outcome()?;
        sent.map_err(|error| Error::Broken { action: self.action.clone(), why: error.to_string() })
    }

    /// Breaks the archive off, so that the engine sees that it is not complete. Returns what the engine said before
    /// that, if it was the one that failed.
    pub fn abort(mut self) -> Option<Error> {
        let ended_before = self.parts.as_ref().is_none_or(Sender::is_closed);
        self.break_off();
        self.outcome().err().filter(|_| ended_before)
    }

    fn break_off(&mut self) {
        if let Some(parts) = self.parts.take() {
            // An engine that has ended the call is not told.
            let _ = parts.blocking_send(Err(io::Error::other("the archive was broken off")));
        }
    }

    fn outcome(&mut self) -> Result<(), Error> {
        let Some(call) = self.call.take() else { return Ok(()) };
        let broken = |why: String| Error::Broken { action: self.action.clone(), why };
        let ended = self.runtime.block_on(call).map_err(|error| broken(error.to_string()))?;
        ended.map_err(|error| failed(&self.action, &error))
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let part = self.buffer.split().freeze();
        let parts = self.parts.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        parts.blocking_send(Ok(part)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // The engine must have stopped unpacking before anybody else writes there.
        self.break_off();
        let _ = self.outcome();
    }
}
