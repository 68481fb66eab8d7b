//! The output of a command as a source. How the command ends decides whether the output counts.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use super::process::poll_readable;
use super::{Error, Place, Process, Program, StoredFile, Visitor, made_node};
use crate::clock::LocalTime;
use crate::model::{Content, NodeKind};
use crate::progress::Progress;

/// How often a silent process is looked at for an interruption.
const POLL: Duration = Duration::from_millis(200);

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

/// Standard input, which may have to be waited for.
struct WatchedStdin<'a> {
    input: File,
    progress: &'a dyn Progress,
}

impl Read for WatchedStdin<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        until_cancelled(self.progress, || {
            if poll_readable(&self.input, POLL)? { self.input.read(target).map(Some) } else { Ok(None) }
        })
    }
}

/// Reads until something comes, and ends with an error when the caller wants to stop while nothing does.
fn until_cancelled(progress: &dyn Progress, mut read: impl FnMut() -> io::Result<Option<usize>>) -> io::Result<usize> {
    loop {
        if progress.cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        if let Some(len) = read()? {
            return Ok(len);
        }
    }
}

/// A command whose output is to be backed up, or standard input.
#[derive(Debug)]
pub enum CommandSource {
    /// What is piped into this process.
    Stdin,
    /// Program and arguments.
    Command(Vec<OsString>),
    /// A file in which an earlier output was kept.
    File(StoredFile),
}

impl CommandSource {
    /// How the source is called in manifests.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(file) => file.path().display().to_string(),
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
            Self::File(file) => {
                let failed = |source| Error::Stream { what: self.describe(), source };
                let mut stored = file.open().map_err(failed)?;
                visitor.stream(node, &mut counted.over(stored.as_mut()))?;
            }
            Self::Command(words) => {
                let (program, arguments) = words
                    .split_first()
                    .ok_or(Error::Incomplete { program: "no command".to_owned(), why: "no program was named" })?;
                let mut command = Program::new(program, Place::Here);
                command.args(arguments);
                let mut stream = Watched::start(&command, progress)?;
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
