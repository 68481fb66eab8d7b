//! What the process does that a run has started to look after its journal.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::{Engine, Error, Journal, Leftover, Purpose};

/// How long the engine, and the lock of a process that has just ended, are waited for.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a container may take to end that was being stopped.
const STOP_PATIENCE: Duration = Duration::from_hours(24);
const PAUSE: Duration = Duration::from_millis(100);

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
