//! A program that runs: its input, its output, and how it ends.
//!
//! Whether it runs here or in a container is not seen from outside of this file.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::{Child, ChildStdout};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::error::{Error, status_text};
use super::poll::poll_readable;
use crate::cancel::{Cancel, Cancelled, POLL};
use crate::docker::{ExecInput, ExecOutput};
use crate::limits::{SAID_BYTES_MAX, STDERR_BYTES_MAX};

/// What an exec ends with when the program could not be started.
const NOT_STARTED: [i64; 2] = [126, 127];
/// How long output is waited for at once.
const WAIT: Duration = Duration::from_hours(1);

/// The standard input of a process. Dropped, it ends.
pub enum ProcessInput {
    /// Of a child.
    Pipe(std::process::ChildStdin),
    /// Of a program in a container.
    Exec(ExecInput),
}

impl Write for ProcessInput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.write(bytes),
            Self::Exec(exec) => exec.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.flush(),
            Self::Exec(exec) => exec.flush(),
        }
    }
}

/// A process of this host. Dropped, it is killed.
struct ChildProcess {
    child: Child,
    output: ChildStdout,
    stderr: Option<JoinHandle<String>>,
}

impl ChildProcess {
    fn read_within(&mut self, target: &mut [u8], limit: Duration) -> io::Result<Option<usize>> {
        match poll_readable(&self.output, limit) {
            Ok(false) => Ok(None),
            Ok(true) => self.output.read(target).map(Some),
            Err(error) => Err(error),
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // Both fail harmlessly when the process has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

enum Running {
    Child(ChildProcess),
    Exec(ExecOutput),
}

/// A process that runs. Reading it reads its standard output.
///
/// Dropped before [`Process::finish`], a child is killed. A program in a container cannot be: it goes on until what it
/// does fails.
pub struct Process {
    program: String,
    running: Running,
}

impl Process {
    /// A program in a container, as messages call it.
    pub(super) const fn of_exec(program: String, output: ExecOutput) -> Self {
        Self { program, running: Running::Exec(output) }
    }

    /// A child, as messages call it, and its output. Its standard error is read from now on.
    pub(super) fn of_child(program: String, mut child: Child, output: ChildStdout) -> Self {
        let stderr = child.stderr.take().map(|stderr| std::thread::spawn(move || read_bounded(stderr)));
        Self { program, running: Running::Child(ChildProcess { child, output, stderr }) }
    }

    /// Reads what it writes; 0 at the end, `None` when nothing comes for so long.
    ///
    /// # Errors
    /// Those of the operating system, or of the engine.
    pub fn read_within(&mut self, target: &mut [u8], limit: Duration) -> io::Result<Option<usize>> {
        match &mut self.running {
            Running::Exec(output) => output.read_within(target, limit),
            Running::Child(child) => child.read_within(target, limit),
        }
    }

    /// Reads the little that it says to its end.
    ///
    /// # Errors
    /// Those of [`Process::read_within`]; one that says so when it says more than [`SAID_BYTES_MAX`], or has not ended within
    /// `limit`, or when it was cancelled.
    pub fn read_short(&mut self, limit: Duration, cancel: &Cancel) -> io::Result<Vec<u8>> {
        let (mut said, mut buffer, began) = (Vec::new(), [0; 4096], Instant::now());
        loop {
            if cancel.is_cancelled() {
                return Err(Cancelled::as_io());
            }
            let read = self.read_within(&mut buffer, POLL)?;
            if read != Some(0) && began.elapsed() >= limit {
                return Err(io::Error::other(format!("it has not ended within {} s", limit.as_secs())));
            }
            match read {
                Some(0) => return Ok(said),
                Some(len) if said.len() + len > SAID_BYTES_MAX => {
                    return Err(io::Error::other(format!("it says more than {SAID_BYTES_MAX} bytes")));
                }
                Some(len) => {
                    said.extend_from_slice(buffer.get(..len).unwrap_or_default());
                }
                None => {}
            }
        }
    }

    /// Ends a child at once, so that it does nothing more with what it has.
    pub fn kill(&mut self) {
        if let Running::Child(process) = &mut self.running {
            // Fails harmlessly when it has ended.
            let _ = process.child.kill();
        }
    }

    /// Whether a child has ended. Of a program in a container nothing is known.
    pub fn has_ended(&mut self) -> bool {
        match &mut self.running {
            Running::Child(process) => !matches!(process.child.try_wait(), Ok(None)),
            Running::Exec(_) => false,
        }
    }

    /// Tells a child to leave what it does and end.
    pub fn quit(&mut self) {
        if !self.has_ended()
            && let Running::Child(process) = &self.running
            && let Some(pid) = i32::try_from(process.child.id()).ok().and_then(Pid::from_raw)
        {
            // It has not been waited for, so the number is its own; it fails harmlessly when it has ended.
            let _ = kill_process(pid, Signal::QUIT);
        }
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// [`Error::Failed`] when it did not end well, [`Error::NotInContainer`] when it could not be started there.
    pub fn finish(self) -> Result<(), Error> {
        self.finish_saying().map(drop)
    }

    /// Waits for the process to end. Returns what it has said on its standard error.
    ///
    /// # Errors
    /// Those of [`Process::finish`].
    pub fn finish_saying(self) -> Result<String, Error> {
        let program = self.program;
        match self.running {
            Running::Exec(output) => match output.finish()? {
                (0, stderr) => Ok(stderr),
                (status, _) if NOT_STARTED.contains(&status) => Err(Error::NotInContainer { program }),
                (status, stderr) => Err(Error::Failed { program, status: format!("exit status {status}"), stderr }),
            },
            Running::Child(mut process) => {
                // What it still has to say must not keep it from ending.
                let drained = io::copy(&mut process.output, &mut io::sink());
                drained.map_err(|source| Error::Stream { program: program.clone(), source })?;
                let status = process.child.wait();
                let status = status.map_err(|source| Error::Stream { program: program.clone(), source })?;
                let stderr = process.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
                if status.success() {
                    return Ok(stderr);
                }
                Err(Error::Failed { program, status: status_text(status), stderr })
            }
        }
    }
}

impl Read for Process {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(len) = self.read_within(target, WAIT)? {
                return Ok(len);
            }
        }
    }
}

/// What a process says on its standard error, up to a bound: its beginning and its end.
fn read_bounded(mut from: impl Read) -> String {
    const HALF: usize = STDERR_BYTES_MAX / 2;
    let (mut first, mut last, mut buffer) = (Vec::new(), VecDeque::<u8>::new(), [0; 4096]);
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let bytes = buffer.get(..len).unwrap_or_default();
        let (begin, rest) = bytes.split_at(len.min(HALF - first.len()));
        first.extend_from_slice(begin);
        last.extend(rest);
        last.drain(..last.len().saturating_sub(HALF));
    }
    first.extend(last);
    String::from_utf8_lossy(&first).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_complaint_the_beginning_and_the_end_are_kept() {
        let text = format!("first {} last", "x".repeat(3 * STDERR_BYTES_MAX));
        let kept = read_bounded(text.as_bytes());
        assert!(kept.starts_with("first x") && kept.ends_with("x last") && kept.len() == STDERR_BYTES_MAX);
        assert_eq!(read_bounded(&b" short\n"[..]), "short");
    }
}
