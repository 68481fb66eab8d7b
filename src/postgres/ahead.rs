//! Queries that several sessions run at once, and whose rows are read one query after another.
//!
//! Of n sessions each runs every nth query. It stands still when as much of its rows waits to be read as memory is meant for.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{Error, Session};
use crate::progress::Progress;

/// What waits to be read of each session: as much as one piece of a table is aimed at, and some more.
const PARTS_AHEAD: usize = 80;
/// Small enough that its memory is used again and again.
const PART_BYTES: usize = 64 << 10;
/// How often it is seen to while nothing comes whether the caller wants to stop.
const POLL: Duration = Duration::from_millis(200);

enum Part {
    Rows(Vec<u8>),
    /// The rows of a query are at their end.
    End,
    Failed(Error),
}

/// The rows of all queries.
pub(crate) struct Ahead<'a> {
    lanes: Vec<Receiver<Part>>,
    /// The number of the query whose rows come next.
    query: usize,
    progress: &'a dyn Progress,
}

/// The rows of some queries, one after another.
pub(crate) struct Rows<'a, 'p> {
    ahead: &'a mut Ahead<'p>,
    /// Queries that are not at their end.
    left: usize,
    part: Vec<u8>,
    position: usize,
    /// Rows that have passed.
    pub(crate) count: u64,
    /// Bytes that have passed.
    pub(crate) bytes: u64,
    /// What the server said, where it failed.
    pub(crate) failure: Option<Error>,
}

/// Runs the queries in these sessions, and gives their rows to `read`. The sessions come back when it has read them.
///
/// # Errors
/// Those of `read`.
pub(crate) fn read_ahead<E>(
    sessions: Vec<Session>,
    queries: &[&str],
    progress: &dyn Progress,
    read: impl FnOnce(&mut Ahead<'_>) -> Result<(), E>,
) -> Result<Vec<Session>, E> {
    let given_up = AtomicBool::new(false);
    let count = sessions.len();
    std::thread::scope(|scope| {
        let (mut lanes, mut threads) = (Vec::new(), Vec::new());
        for (lane, mut session) in sessions.into_iter().enumerate() {
            let (sender, receiver) = bounded(PARTS_AHEAD);
            lanes.push(receiver);
            let given_up = &given_up;
            threads.push(scope.spawn(move || {
                run(&mut session, queries.iter().skip(lane).step_by(count).copied(), &sender, given_up);
                session
            }));
        }
        let outcome = read(&mut Ahead { lanes, query: 0, progress });
        // Whoever still waits for the server, or for somebody to read, waits for nothing.
        given_up.store(true, Ordering::Release);
        let sessions = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        outcome.map(|()| sessions)
    })
}

fn run<'q>(session: &mut Session, queries: impl Iterator<Item = &'q str>, parts: &Sender<Part>, given_up: &AtomicBool) {
    let stopped = || given_up.load(Ordering::Acquire);
    for query in queries {
        let mut part = Vec::with_capacity(2 * PART_BYTES);
        let rows = session.copy(query, &stopped, &mut |bytes| {
            part.extend_from_slice(bytes);
            if part.len() < PART_BYTES {
                return Ok(());
            }
            let full = std::mem::replace(&mut part, Vec::with_capacity(2 * PART_BYTES));
            let unread = |_| Error::stream("psql", io::ErrorKind::BrokenPipe.into());
            parts.send(Part::Rows(full)).map_err(unread)
        });
        let is_over = rows.is_err();
        let end = rows.map_or_else(Part::Failed, |()| Part::End);
        if parts.send(Part::Rows(part)).is_err() || parts.send(end).is_err() || is_over {
            return;
        }
    }
}

impl<'p> Ahead<'p> {
    /// The rows of the next so many queries.
    pub(crate) const fn rows(&mut self, queries: usize) -> Rows<'_, 'p> {
        Rows { ahead: self, left: queries, part: Vec::new(), position: 0, count: 0, bytes: 0, failure: None }
    }

    fn next_part(&mut self) -> io::Result<Part> {
        let lane = self.lanes.get(self.query % self.lanes.len().max(1)).ok_or(io::ErrorKind::NotFound)?;
        loop {
            if self.progress.cancelled() {
                return Err(io::Error::other("interrupted"));
            }
            match lane.recv_timeout(POLL) {
                Ok(part) => return Ok(part),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

impl Read for Rows<'_, '_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while self.position == self.part.len() {
            if self.left == 0 {
                return Ok(0);
            }
            match self.ahead.next_part()? {
                Part::Rows(rows) => {
                    self.count += memchr::memchr_iter(b'\n', &rows).count() as u64;
                    (self.part, self.position) = (rows, 0);
                }
                Part::End => {
                    self.ahead.query += 1;
                    self.left -= 1;
                }
                Part::Failed(error) => {
                    self.failure = Some(error);
                    return Err(io::Error::other("the server stopped"));
                }
            }
        }
        let rest = self.part.get(self.position..).unwrap_or_default();
        let len = rest.len().min(target.len());
        let (from, to) = (rest.get(..len), target.get_mut(..len));
        to.expect("bounded by the target").copy_from_slice(from.expect("bounded by the part"));
        self.position += len;
        self.bytes += len as u64;
        Ok(len)
    }
}
