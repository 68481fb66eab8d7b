//! A process that lets containers go on when the one that holds them has ended without doing so, for whatever reason.
//!
//! It has the reading end of a pipe, whose writing end only the process has that holds. The kernel closes that one however the
//! process ends, and then the journal that it left says what is to go on.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Engine, Error, Journal, Purpose};

/// How long the engine, and the lock of a process that has just ended, are waited for.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a container may take to end that was being stopped.
const STOP_PATIENCE: Duration = Duration::from_hours(24);
const PAUSE: Duration = Duration::from_millis(100);

/// How such a process is started: a program that calls [`guard`] with the path that is its last argument.
#[derive(Debug, Clone)]
pub struct Guardian {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Guardian {
    /// The program with these arguments, which the path of a journal follows.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        Self { program: program.into(), arguments: arguments.iter().map(OsString::from).collect() }
    }

    /// Has a journal looked after from now on.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn watch(&self, journal: &Path) -> io::Result<Watch> {
        let mut command = Command::new(&self.program);
        // What ends everything of a terminal does not end it, and whoever reads what this process says does not wait for it.
        command.args(&self.arguments).arg(journal).current_dir("/").process_group(0);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Watch { child })
    }
}

/// A guardian that waits for the end of this process.
#[derive(Debug)]
pub(super) struct Watch {
    child: Child,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It sees the end of its pipe, finds nothing to do, and ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Waits until whoever has started this process has ended, and lets go on what the journal names that it left. Containers of
/// a restore stay as they are, because their volumes are not whole.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unreachable`] and its like when the engine stays away.
pub fn guard(journal: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io { action: "wait for the end of", path: "a run".to_owned(), source };
    io::stdin().lock().read_to_end(&mut Vec::new()).map_err(failed)?;
    let end = Instant::now() + PATIENCE;
    let (journal, leftover) = loop {
        match Journal::left_at(journal) {
            Some(found) => break found,
            // Its lock goes with the process, and may go after the pipe.
            None if journal.exists() && Instant::now() < end => std::thread::sleep(PAUSE),
            None => return Ok(()),
        }
    };
    if leftover.purpose != Purpose::Backup {
        return Ok(());
    }
    loop {
        match Engine::connect(Some(&leftover.host)).and_then(|engine| leftover.resume(&engine, STOP_PATIENCE)) {
            Err(error) if error.is_away() && Instant::now() < end => std::thread::sleep(PAUSE),
            Err(error) => return Err(error),
            Ok(()) => {
                journal.clear();
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a kill it kept the standard error of the run open, and whoever read that to its end waited for it.
    #[test]
    fn nothing_that_the_run_writes_to_is_kept_open() {
        let guardian = Guardian::new("sh", &["-c", "cat"]);
        let watch = guardian.watch(Path::new("/nothing")).expect("there is a shell");
        for number in [1, 2] {
            let open = std::fs::read_link(format!("/proc/{}/fd/{number}", watch.child.id())).expect("it runs");
            assert_eq!(open, Path::new("/dev/null"), "{number}");
        }
    }
}
