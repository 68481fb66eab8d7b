//! A process that lets containers go on when the one that holds them has ended without doing so, or does not get to it in time,
//! for whatever reason.
//!
//! It has the reading end of a pipe, whose writing end only the process has that holds. A byte says that all are held, and the
//! time begins that they may be. The kernel closes the pipe however the process ends, and then the journal that it left says what is to
//! go on.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How much later than a run, which does it in order, containers are let go on whose time is over.
const GRACE: Duration = Duration::from_secs(5);

/// How such a process is started: a program that calls [`guard`](super::guard()) with the path and the milliseconds that are its last arguments.
#[derive(Debug, Clone)]
pub struct Guardian {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Guardian {
    /// The program with these arguments, which the path of a journal follows, and where there is a limit this in milliseconds.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        Self { program: program.into(), arguments: arguments.iter().map(OsString::from).collect() }
    }

    /// Has a journal looked after from now on, and its containers let go on when they are held for longer than this.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn watch(&self, journal: &Path, limit: Option<Duration>) -> io::Result<Watch> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(journal);
        if let Some(limit) = limit {
            command.arg(limit.saturating_add(GRACE).as_millis().to_string());
        }
        // What ends everything of a terminal does not end it, and whoever reads what this process says does not wait for it.
        command.current_dir("/").process_group(0);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Watch { child })
    }
}

/// A guardian that waits for the end of this process.
#[derive(Debug)]
pub(super) struct Watch {
    child: Child,
}

impl Watch {
    /// All are held: their time begins.
    pub(super) fn begin(&mut self) {
        if let Some(pipe) = &mut self.child.stdin {
            // It may have been killed. Then the next command does its work.
            let _ = pipe.write_all(b"h");
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It sees the end of its pipe, finds nothing to do, and ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a kill it kept the standard error of the run open, and whoever read that to its end waited for it.
    #[test]
    fn nothing_that_the_run_writes_to_is_kept_open() {
        let guardian = Guardian::new("sh", &["-c", "cat"]);
        let watch = guardian.watch(Path::new("/nothing"), None).expect("there is a shell");
        for number in [1, 2] {
            let open = std::fs::read_link(format!("/proc/{}/fd/{number}", watch.child.id())).expect("it runs");
            assert_eq!(open, Path::new("/dev/null"), "{number}");
        }
    }
}
