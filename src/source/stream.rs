//! The output of a child process as a source. How the process ends decides whether the output counts.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Error, Visitor, made_node};
use crate::clock::LocalTime;
use crate::limits::STDERR_BYTES_MAX;
use crate::model::{Content, NodeKind};
use crate::progress::Progress;

/// How often a silent process is looked at for an interruption.
const POLL: Duration = Duration::from_millis(200);

/// The standard output of a running process.
///
/// Reading ends with an error when the caller wants to stop. Dropped before [`ChildStream::finish`], it kills the
/// process.
pub struct ChildStream<'a> {
    program: String,
    child: Child,
    output: ChildStdout,
    stderr: Option<JoinHandle<String>>,
    progress: &'a dyn Progress,
}

impl<'a> ChildStream<'a> {
    /// Starts a process with nothing on its standard input.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub fn start(mut command: Command, progress: &'a dyn Progress) -> Result<Self, Error> {
        let program = command.get_program().to_string_lossy().into_owned();
        let failed = |source| Error::Start { program: program.clone(), source };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let output = child.stdout.take().expect("the output is piped");
        let stderr = child.stderr.take().map(|stderr| std::thread::spawn(move || read_bounded(stderr)));
        Ok(Self { program, child, output, stderr, progress })
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// [`Error::Failed`] when it did not end well.
    pub fn finish(mut self) -> Result<(), Error> {
        let status = self.child.wait();
        let status = status.map_err(|source| Error::Stream { what: self.program.clone(), source })?;
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        Err(Error::Failed { program: self.program.clone(), status: status_text(status), stderr })
    }
}

impl Read for ChildStream<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        read_watched(&mut self.output, target, self.progress)
    }
}

/// Reads what comes, and ends with an error when the caller wants to stop while nothing does.
fn read_watched(from: &mut (impl Read + AsFd), target: &mut [u8], progress: &dyn Progress) -> io::Result<usize> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(POLL.subsec_nanos()) };
    loop {
        if progress.cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return from.read(target),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Standard input, which may have to be waited for.
struct WatchedStdin<'a> {
    input: File,
    progress: &'a dyn Progress,
}

impl Read for WatchedStdin<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        read_watched(&mut self.input, target, self.progress)
    }
}

impl Drop for ChildStream<'_> {
    fn drop(&mut self) {
        // Both fail harmlessly when the process has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
pub(crate) fn read_bounded(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let room = STDERR_BYTES_MAX.saturating_sub(kept.len()).min(len);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// A command whose output is to be backed up, or standard input.
#[derive(Debug)]
pub enum CommandSource {
    /// What is piped into this process.
    Stdin,
    /// Program and arguments.
    Command(Vec<OsString>),
}

impl CommandSource {
    /// How the source is called in manifests.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::Command(words) => {
                words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// Shows the whole output as one file called `name`.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Failed`], [`Error::Stream`], [`Error::Incomplete`] when there is no output at all,
    /// [`Error::Stop`].
    pub fn visit(
        &self,
        name: &str,
        time: LocalTime,
        visitor: &mut dyn Visitor,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let node = made_node(name, NodeKind::File { content: Content::default(), holes: Vec::new() }, time);
        let mut counted = Counted { bytes: 0 };
        match self {
            Self::Stdin => {
                let failed = |source| Error::Stream { what: self.describe(), source };
                let input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
                visitor.stream(node, &mut counted.over(&mut WatchedStdin { input, progress }))?;
            }
            Self::Command(words) => {
                let (program, arguments) = words
                    .split_first()
                    .ok_or(Error::Incomplete { program: "no command".to_owned(), why: "no program was named" })?;
                let mut command = Command::new(program);
                command.args(arguments);
                let mut stream = ChildStream::start(command, progress)?;
                visitor.stream(node, &mut counted.over(&mut stream))?;
                stream.finish()?;
            }
        }
        if counted.bytes == 0 {
            return Err(Error::Incomplete { program: self.describe(), why: "it is empty" });
        }
        Ok(())
    }
}

struct Counted {
    bytes: u64,
}

impl Counted {
    fn over<'a>(&'a mut self, reader: &'a mut dyn Read) -> CountingReader<'a> {
        CountingReader { counted: self, reader }
    }
}

struct CountingReader<'a> {
    counted: &'a mut Counted,
    reader: &'a mut dyn Read,
}

impl Read for CountingReader<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(target)?;
        self.counted.bytes += len as u64;
        Ok(len)
    }
}
