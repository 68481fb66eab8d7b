//! Programs that run here or in a container, alike: input, output, errors, and how they end.
//!
//! Passwords go into their environment, never into their arguments.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Error;
use crate::docker::{Engine, Exec, ExecInput, ExecOptions, ExecOutput};
use crate::limits::STDERR_BYTES_MAX;

/// What an exec ends with when the program could not be started.
const NOT_STARTED: [i64; 2] = [126, 127];
/// Room in the pipes to and from a process.
const PIPE_BYTES: usize = 1 << 20;
/// How long output is waited for at once.
const WAIT: Duration = Duration::from_hours(1);

/// Where a program runs.
#[derive(Debug, Clone, Default)]
pub enum Place {
    /// On this host.
    #[default]
    Here,
    /// In a container.
    Container {
        /// The engine that runs it.
        engine: Arc<Engine>,
        /// Its name.
        name: String,
    },
}

impl Place {
    /// The name of the container, where it is one.
    #[must_use]
    pub fn container(&self) -> Option<&str> {
        match self {
            Self::Here => None,
            Self::Container { name, .. } => Some(name),
        }
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.container() == other.container()
    }
}

impl Eq for Place {}

/// A program that is to be run.
#[derive(Debug, Clone)]
pub struct Program {
    name: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(String, String)>,
    removed: Vec<String>,
    place: Place,
}

impl Program {
    /// The program of this name, or at this path.
    pub fn new(name: impl AsRef<OsStr>, place: Place) -> Self {
        let name = name.as_ref().to_owned();
        Self { name, arguments: Vec::new(), variables: Vec::new(), removed: Vec::new(), place }
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = A>) -> &mut Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    pub fn variable(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Takes a variable out of its environment.
    pub fn without_variable(&mut self, name: &str) -> &mut Self {
        self.variables.retain(|(known, _)| known != name);
        self.removed.push(name.to_owned());
        self
    }

    /// How it is called in messages.
    fn shown(&self) -> String {
        let name = self.name.to_string_lossy();
        match &self.place {
            Place::Here => name.into_owned(),
            Place::Container { name: container, .. } => format!("{name} in the container {container}"),
        }
    }

    /// Starts it, with an input where it is to be given one.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Docker`].
    pub fn start(&self, with_input: bool) -> Result<(Option<ProcessInput>, Process), Error> {
        match &self.place {
            Place::Here => self.start_here(with_input),
            Place::Container { engine, name } => {
                let words = std::iter::once(&self.name).chain(&self.arguments);
                let options = ExecOptions {
                    command: words.map(|word| word.to_string_lossy().into_owned()).collect(),
                    variables: self.variables.clone(),
                    with_input,
                };
                let exec = Exec::start(engine, name, options)?;
                let process = Process { program: self.shown(), running: Running::Exec(exec.output) };
                Ok((exec.input.map(ProcessInput::Exec), process))
            }
        }
    }

    fn start_here(&self, with_input: bool) -> Result<(Option<ProcessInput>, Process), Error> {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        for name in &self.removed {
            command.env_remove(name);
        }
        let input = if with_input { Stdio::piped() } else { Stdio::null() };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |source| Error::Start { program: self.shown(), source };
        let mut child = command.spawn().map_err(failed)?;
        let input = child.stdin.take();
        // Who writes faster than the other reads is stopped less often; where a pipe may not be so large, it stays small.
        if let Some(input) = &input {
            let _ = rustix::pipe::fcntl_setpipe_size(input, PIPE_BYTES);
        }
        let input = input.map(ProcessInput::Pipe);
        let output = child.stdout.take().expect("the output is piped");
        let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE_BYTES);
        let stderr = child.stderr.take().map(|stderr| std::thread::spawn(move || read_bounded(stderr)));
        let running = Running::Child(ChildProcess { child, output, stderr });
        Ok((input, Process { program: self.shown(), running }))
    }

    /// Runs it to its end with this input, and returns what it wrote.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Docker`], [`Error::Failed`], [`Error::Stream`].
    pub fn run(&self, input: &[u8]) -> Result<Vec<u8>, Error> {
        let (stdin, mut process) = self.start(!input.is_empty())?;
        let mut output = Vec::new();
        let failed = |source| Error::Stream { what: self.shown(), source };
        let (written, read) = std::thread::scope(|scope| {
            let writer = scope.spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(input)));
            let read = process.read_to_end(&mut output);
            (writer.join(), read)
        });
        read.map_err(failed)?;
        process.finish()?;
        match written {
            // It has ended well without reading everything, so something is wrong all the same.
            Ok(Err(source)) => Err(failed(source)),
            _ => Ok(output),
        }
    }
}

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

    /// Ends a child at once, so that it does nothing more with what it has.
    pub fn kill(&mut self) {
        if let Running::Child(process) = &mut self.running {
            // Fails harmlessly when it has ended.
            let _ = process.child.kill();
        }
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// [`Error::Failed`] when it did not end well, [`Error::NotInContainer`] when it could not be started there.
    pub fn finish(self) -> Result<(), Error> {
        let program = self.program;
        match self.running {
            Running::Exec(output) => match output.finish()? {
                (0, _) => Ok(()),
                (status, _) if NOT_STARTED.contains(&status) => Err(Error::NotInContainer { program }),
                (status, stderr) => Err(Error::Failed { program, status: format!("exit status {status}"), stderr }),
            },
            Running::Child(mut process) => {
                // What it still has to say must not keep it from ending.
                let drained = io::copy(&mut process.output, &mut io::sink());
                drained.map_err(|source| Error::Stream { what: program.clone(), source })?;
                let status = process.child.wait();
                let status = status.map_err(|source| Error::Stream { what: program.clone(), source })?;
                let stderr = process.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
                if status.success() {
                    return Ok(());
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

/// Waits until something can be read, or the other end is closed.
pub(super) fn poll_readable(from: &impl AsFd, limit: Duration) -> io::Result<bool> {
    let timeout =
        Timespec { tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX), tv_nsec: limit.subsec_nanos().into() };
    match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// `exit status 3` or `signal 9`.
pub(crate) fn status_text(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

/// What a process says on its standard error, up to a bound; the rest is read and forgotten.
fn read_bounded(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let room = STDERR_BYTES_MAX.saturating_sub(kept.len()).min(len);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}
