//! A process that lets containers go on when the one that holds them has ended without doing so, or does not get to it in time,
//! for whatever reason.
//!
//! It has the reading end of a pipe, whose writing end only the process has that holds. A byte says that all are held, and the
//! time begins that they may be. The kernel closes the pipe however the process ends, and then the journal that it left says what is to
//! go on.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::{Engine, Error, Journal, Leftover, Purpose};

/// How long the engine, and the lock of a process that has just ended, are waited for.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a container may take to end that was being stopped.
const STOP_PATIENCE: Duration = Duration::from_hours(24);
const PAUSE: Duration = Duration::from_millis(100);
/// How much later than a run, which does it in order, containers are let go on whose time is over.
const GRACE: Duration = Duration::from_secs(5);

/// How such a process is started: a program that calls [`guard`] with the path and the milliseconds that are its last arguments.
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

/// Waits until whoever has started this process has ended, and lets go on what the journal names that it left; what it still holds
/// after the limit, at once. Containers of a restore stay as they are, because their volumes are not whole.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unreachable`] and its like when the engine stays away.
pub fn guard(journal: &Path, limit: Option<Duration>) -> Result<(), Error> {
    let failed = |source| Error::Io { action: "wait for the end of", path: "a run".to_owned(), source };
    let (sender, held) = channel();
    let pipe = std::thread::spawn(move || forward(&sender));
    if let (Ok(()), Some(limit)) = (held.recv(), limit)
        && held.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)
        && let Some(leftover) = Journal::of_living(journal)
    {
        // Where it fails it is tried again when the run has ended.
        let _ = let_go(&leftover);
    }
    pipe.join().unwrap_or(Ok(())).map_err(failed)?;
    let end = Instant::now() + PATIENCE;
    let (journal, leftover) = loop {
        match Journal::left_at(journal) {
            Some(found) => break found,
            // Its lock goes with the process, and may go after the pipe.
            None if journal.exists() && Instant::now() < end => std::thread::sleep(PAUSE),
            None => return Ok(()),
        }
    };
    if leftover.purpose == Purpose::Backup {
        let_go(&leftover)?;
        journal.clear();
    }
    Ok(())
}

/// Says of each byte that it has come, until the pipe ends.
fn forward(sender: &Sender<()>) -> io::Result<()> {
    for byte in io::stdin().lock().bytes() {
        byte?;
        // Nobody may wait for it any more.
        let _ = sender.send(());
    }
    Ok(())
}

/// Lets containers go on that are held for a backup. The engine is waited for.
fn let_go(leftover: &Leftover) -> Result<(), Error> {
    let end = Instant::now() + PATIENCE;
    loop {
        match Engine::connect(Some(&leftover.host)).and_then(|engine| leftover.resume(&engine, STOP_PATIENCE)) {
            Err(error) if error.is_away() && Instant::now() < end => std::thread::sleep(PAUSE),
            ended => return ended,
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
        let watch = guardian.watch(Path::new("/nothing"), None).expect("there is a shell");
        for number in [1, 2] {
            let open = std::fs::read_link(format!("/proc/{}/fd/{number}", watch.child.id())).expect("it runs");
            assert_eq!(open, Path::new("/dev/null"), "{number}");
        }
    }
}
