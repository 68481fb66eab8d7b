//! A program that is to be run, and the ways to run it.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use super::child::{self, ChildOptions};
use super::{Error, Place, Process, ProcessInput, Sandbox, isolated_user};
use crate::cancel::Cancel;
use crate::docker::{Exec, ExecOptions};

/// How long a program may take that is asked something short.
const ANSWER_LIMIT: Duration = Duration::from_mins(3);

/// A program that is to be run.
#[derive(Debug, Clone)]
pub struct Program {
    name: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(String, String)>,
    removed: Vec<String>,
    place: Place,
    /// The user that it runs as on this host, where that is not ours.
    user: Option<u32>,
    /// Bytes of address space that it may have on this host, where they are bounded.
    memory: Option<u64>,
    /// What it is shut off in on this host, where it is.
    sandbox: Option<Sandbox>,
    /// Whether what is typed on the terminal does not reach it.
    apart: bool,
}

impl Program {
    /// The program of this name, or at this path.
    pub fn new(name: impl AsRef<OsStr>, place: Place) -> Self {
        let name = name.as_ref().to_owned();
        let (arguments, variables, removed) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, arguments, variables, removed, place, user: None, memory: None, sandbox: None, apart: false }
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

    /// Has it run as a user that owns nothing, where that is up to us: as root on this host.
    pub fn without_rights(&mut self) -> &mut Self {
        self.user = isolated_user();
        self
    }

    /// Lets it have so many bytes of address space on this host, and no more.
    pub fn memory(&mut self, bytes: u64) -> &mut Self {
        self.memory = Some(bytes);
        self
    }

    /// Has it run in a sandbox of this host, with an environment of its own. It ends when its input is dropped.
    pub fn in_sandbox(&mut self, sandbox: Sandbox) -> &mut Self {
        self.sandbox = Some(sandbox);
        self.apart()
    }

    /// Keeps from it what is typed on the terminal: we end it ourselves.
    pub fn apart(&mut self) -> &mut Self {
        self.apart = true;
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
                Ok((exec.input.map(ProcessInput::Exec), Process::of_exec(self.shown(), exec.output)))
            }
        }
    }

    fn start_here(&self, with_input: bool) -> Result<(Option<ProcessInput>, Process), Error> {
        let mut command = match &self.sandbox {
            Some(sandbox) => sandbox.command(&self.name, &self.arguments),
            None => Command::new(&self.name),
        };
        if self.sandbox.is_none() {
            command.args(&self.arguments);
        }
        if self.apart {
            command.process_group(0);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        for name in &self.removed {
            command.env_remove(name);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let without_keys = self.sandbox.is_some() || self.user.is_some();
        child::start(self.shown(), &mut command, ChildOptions { with_input, without_keys, memory: self.memory })
    }

    /// Runs it to its end with an input that it does not read and that ends after it, and forgets what it wrote.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Docker`], [`Error::Failed`], [`Error::Stream`].
    pub fn run_apart(&self) -> Result<(), Error> {
        let (input, process) = self.start(true)?;
        let ended = process.finish();
        drop(input);
        ended
    }

    /// Runs it to its end, and returns the little that it says.
    ///
    /// # Errors
    /// [`Error::Start`], [`Error::Docker`], [`Error::Failed`]; [`Error::Stream`], also when it says too much, or has not
    /// ended within three minutes, or when it was cancelled.
    pub fn run(&self, cancel: &Cancel) -> Result<Vec<u8>, Error> {
        let (_, mut process) = self.start(false)?;
        let said = process.read_short(ANSWER_LIMIT, cancel);
        let said = said.map_err(|source| Error::Stream { program: self.shown(), source })?;
        process.finish()?;
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What a program said without end was held whole, and one that said nothing was waited for.
    #[test]
    fn a_program_that_never_answers_is_given_up() {
        let run = |script: &str, cancel: &Cancel| {
            let mut program = Program::new("sh", Place::Here);
            let error = program.args(["-c", script]).run(cancel).expect_err("it has no end");
            std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
        };
        let cancelled = Cancel::new();
        cancelled.cancel();
        assert!(run("exec cat /dev/zero", &Cancel::new()).contains("says more than 65536 bytes"));
        assert_eq!(run("exec sleep 1000", &cancelled), "interrupted");
        let (_, mut silent) = Program::new("sleep", Place::Here).arg("1000").start(false).expect("it is there");
        let error = silent.read_short(Duration::ZERO, &Cancel::new()).expect_err("it says nothing");
        assert!(error.to_string().contains("has not ended within 0 s"), "{error}");
    }

    /// One that said a byte now and then was waited for without end.
    #[test]
    fn a_program_that_says_little_for_ever_is_given_up() {
        let mut program = Program::new("sh", Place::Here);
        program.args(["-c", "while printf x; do sleep 0.1; done"]);
        let (_, mut dripping) = program.start(false).expect("there is a shell");
        let error = dripping.read_short(Duration::from_secs(2), &Cancel::new()).expect_err("it has no end");
        assert!(error.to_string().contains("has not ended within 2 s"), "{error}");
    }

    /// A message of 250 MB had `psql` take 3.7 GB of memory.
    #[test]
    fn memory_is_bounded() {
        let mut program = Program::new("sh", Place::Here);
        program.args(["-c", "read -r line; ulimit -v"]).memory(256 << 20);
        let (input, mut process) = program.start(true).expect("there is a shell");
        input.expect("it was asked for").write_all(b"go on\n").expect("it reads");
        let output = process.read_short(ANSWER_LIMIT, &Cancel::new()).expect("it says it");
        assert_eq!(String::from_utf8_lossy(&output).trim(), (256 << 10).to_string(), "in KiB");
    }
}
