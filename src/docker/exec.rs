//! A program that runs in a container: its input, its output, how it ends.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::engine::failed;
use super::{Engine, Error};
use crate::cancel::{Cancel, Cancelled, POLL};
use crate::limits::{SAID_BYTES_MAX, STDERR_BYTES_MAX};

/// Room for one frame of output.
const FRAME_BYTES: usize = 256 << 10;
/// How long a program that has closed its output may take to end.
const END_TRIES: u32 = 1_000;
const END_PAUSE: Duration = Duration::from_millis(10);

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// What to run.
#[derive(Debug, Clone)]
pub struct ExecOptions {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Further environment.
    pub variables: Vec<(String, String)>,
    /// Whether it is given an input.
    pub with_input: bool,
}

/// A program that has been started.
pub struct Exec {
    /// What it reads; `None` when it was started without.
    pub input: Option<ExecInput>,
    /// What it writes.
    pub output: ExecOutput,
}

/// The standard input of a program. Dropped, it ends.
pub struct ExecInput {
    engine: Arc<Engine>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// Standard output and standard error of a program.
pub struct ExecOutput {
    engine: Arc<Engine>,
    id: String,
    action: String,
    output: Output,
    pending: Bytes,
    stderr: Vec<u8>,
    ended: bool,
}

impl Exec {
    /// Starts a program in a running container.
    ///
    /// # Errors
    /// [`Error::Refused`] when the container does not run; [`Error::Broken`].
    pub fn start(engine: &Arc<Engine>, container: &str, options: ExecOptions) -> Result<Self, Error> {
        let program = options.command.first().cloned().unwrap_or_default();
        let action = format!("run {program} in the container {container}");
        let variables = options.variables.into_iter().map(|(name, value)| format!("{name}={value}"));
        let create = CreateExecOptions {
            attach_stdin: Some(options.with_input),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(variables.collect()),
            cmd: Some(options.command),
            ..Default::default()
        };
        let id = engine.block(&action, engine.docker.create_exec(container, create))?.id;
        let start = StartExecOptions { detach: false, tty: false, output_capacity: Some(FRAME_BYTES) };
        match engine.block(&action, engine.docker.start_exec(&id, Some(start)))? {
            StartExecResults::Attached { output, input } => {
                let input = options.with_input.then(|| ExecInput { engine: Arc::clone(engine), input });
                let engine = Arc::clone(engine);
                let output =
                    ExecOutput { engine, id, action, output, pending: Bytes::new(), stderr: Vec::new(), ended: false };
                Ok(Self { input, output })
            }
            StartExecResults::Detached => Err(Error::Broken { action, why: "it is not attached".to_owned() }),
        }
    }

    /// Runs a program to its end and returns the little that it wrote.
    ///
    /// # Errors
    /// [`Error::Refused`] with its standard error when it did not end well, or wrote more than an answer has; [`Error::Broken`],
    /// also when it was cancelled; [`Error::NotReady`] when it takes longer than `limit`.
    pub fn run(
        engine: &Arc<Engine>,
        container: &str,
        options: ExecOptions,
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<String, Error> {
        let mut output = Self::start(engine, container, ExecOptions { with_input: false, ..options })?.output;
        let begun = Instant::now();
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            if cancel.is_cancelled() {
                return Err(Error::Broken { action: output.action, why: Cancelled.to_string() });
            }
            let Some(left) = limit.checked_sub(begun.elapsed()) else {
                let what = format!("it still did not {}", output.action);
                return Err(Error::NotReady { secs: limit.as_secs(), what });
            };
            match output.read_within(&mut buffer, left.min(POLL)) {
                Ok(Some(0)) => break,
                Ok(Some(len)) if text.len() + len > SAID_BYTES_MAX => {
                    let why = format!("it says more than {SAID_BYTES_MAX} bytes");
                    return Err(Error::Refused { action: output.action, why, missing: false });
                }
                Ok(Some(len)) => text.extend_from_slice(buffer.get(..len).unwrap_or_default()),
                Ok(None) => {}
                Err(error) => return Err(Error::Broken { action: output.action, why: error.to_string() }),
            }
        }
        let action = output.action.clone();
        match output.finish()? {
            (0, _) => Ok(String::from_utf8_lossy(&text).into_owned()),
            (status, stderr) => {
                Err(Error::Refused { action, why: format!("exit status {status}: {stderr}"), missing: false })
            }
        }
    }
}

impl ExecOutput {
    /// Reads what the program writes; 0 at the end, `None` when nothing comes for so long.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn read_within(&mut self, target: &mut [u8], limit: Duration) -> io::Result<Option<usize>> {
        let begun = Instant::now();
        while self.pending.is_empty() {
            if self.ended {
                return Ok(Some(0));
            }
            let (next, left) = (self.output.next(), limit.saturating_sub(begun.elapsed()));
            let Ok(next) = self.engine.runtime.block_on(async { tokio::time::timeout(left, next).await }) else {
                return Ok(None);
            };
            match next {
                None => self.ended = true,
                Some(Err(error)) => return Err(io::Error::other(failed(&self.action, &error))),
                Some(Ok(LogOutput::StdErr { message })) => {
                    let room = STDERR_BYTES_MAX.saturating_sub(self.stderr.len()).min(message.len());
                    self.stderr.extend_from_slice(message.get(..room).unwrap_or_default());
                    // It may say so much there that it is never silent.
                    if begun.elapsed() >= limit {
                        return Ok(None);
                    }
                }
                Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => self.pending = message,
                Some(Ok(LogOutput::StdIn { .. })) => {}
            }
        }
        let len = self.pending.len().min(target.len());
        self.pending.copy_to_slice(target.get_mut(..len).unwrap_or_default());
        Ok(Some(len))
    }

    /// Waits for the program to end. Returns its exit status and what it wrote to standard error.
    ///
    /// # Errors
    /// [`Error::Broken`], [`Error::Refused`]; [`Error::NotReady`] when it goes on without its output.
    pub fn finish(mut self) -> Result<(i64, String), Error> {
        let mut rest = [0; 4096];
        while self
            .read_within(&mut rest, END_PAUSE)
            .map_err(|error| Error::Broken { action: self.action.clone(), why: error.to_string() })?
            .is_none_or(|len| len > 0)
        {}
        for _ in 0..END_TRIES {
            let found = self.engine.block(&self.action, self.engine.docker.inspect_exec(&self.id))?;
            if let (Some(false), Some(status)) = (found.running, found.exit_code) {
                let stderr = String::from_utf8_lossy(&self.stderr).trim().to_owned();
                return Ok((status, stderr));
            }
            std::thread::sleep(END_PAUSE);
        }
        let secs = u64::from(END_TRIES) * u64::try_from(END_PAUSE.as_millis()).unwrap_or(0) / 1000;
        Err(Error::NotReady { secs, what: format!("the program has not ended that was to {}", self.action) })
    }
}

impl Write for ExecInput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.engine.runtime.block_on(self.input.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.engine.runtime.block_on(self.input.flush())
    }
}

impl Drop for ExecInput {
    fn drop(&mut self) {
        // A program that has ended has closed its side already.
        let _ = self.engine.runtime.block_on(self.input.shutdown());
    }
}
