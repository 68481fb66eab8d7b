//! The output of a command as a source. How the command ends decides whether the output counts.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use super::{Error, StoredFile, Visitor, made_node};
use crate::cancel::{Cancel, POLL};
use crate::clock::LocalTime;
use crate::model::{Content, NodeKind};
use crate::monitor::Monitor;
use crate::process::{Place, Program, Watched, poll_readable, until_cancelled};

/// Standard input, which may have to be waited for.
struct WatchedStdin<'a> {
    input: File,
    cancel: &'a Cancel,
}

impl Read for WatchedStdin<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        until_cancelled(self.cancel, || {
            if poll_readable(&self.input, POLL)? { self.input.read(target).map(Some) } else { Ok(None) }
        })
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
    /// [`Error::Process`], [`Error::Stream`], [`Error::Incomplete`] when there is no output at all,
    /// [`Error::Stop`].
    pub fn visit(
        &self,
        name: &str,
        time: LocalTime,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<(), Error> {
        let node = made_node(name, NodeKind::File { content: Content::default(), holes: Vec::new() }, time);
        let mut counted = Counted { bytes: 0 };
        match self {
            Self::Stdin => {
                let failed = |source| Error::Stream { what: self.describe(), source };
                let input = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
                visitor.stream(node, &mut counted.over(&mut WatchedStdin { input, cancel: monitor.cancel() }))?;
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
                let mut stream = Watched::start(&command, monitor.cancel())?;
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
