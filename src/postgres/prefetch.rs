//! Prefetching: several sessions run queries at once, and the rows are read one query after another.
//!
//! Of n sessions each runs every nth query, and blocks when its bounded channel is full. A table that somebody waits to alter is read by
//! the session that has locked all.

use std::io::{self, Read};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::moment::{TableQuery, lock_one, unlock};
use super::{Error, Session};
use crate::cancel::{Cancel, Cancelled, POLL};

/// How many parts are prefetched by each session: as much as a range of a table is aimed at, and some more.
const PARTS_AHEAD: usize = 80;
/// Small enough that its memory is used again and again.
const PART_BYTES: usize = 64 << 10;

enum Part {
    Rows(Vec<u8>),
    /// The rows of a query are at their end.
    End,
    /// The table cannot be locked now.
    NotLocked,
    Failed(Error),
}

/// The rows of all queries.
pub(crate) struct Prefetcher<'a> {
    /// What each session has read.
    parts: Vec<Receiver<Part>>,
    queries: &'a [TableQuery<'a>],
    /// The number of the query whose rows come next.
    query: usize,
    /// The queries for the session that has locked all, and what it has read.
    holder: (Sender<TableQuery<'a>>, Receiver<Part>),
    /// Whether that one reads this query.
    by_holder: bool,
    cancel: &'a Cancel,
}

/// The rows of some queries, one after another.
pub(crate) struct Rows<'a, 'p> {
    prefetcher: &'a mut Prefetcher<'p>,
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

/// Runs the queries in these sessions, or in the holder of all locks, and gives their rows to `read`. The sessions come back when it
/// has read them, that one first.
///
/// # Errors
/// Those of `read`.
pub(crate) fn prefetch<'q, E>(
    (mut holder, sessions): (Session, Vec<Session>),
    queries: &'q [TableQuery<'q>],
    cancel: &'q Cancel,
    read: impl FnOnce(&mut Prefetcher<'_>) -> Result<(), E>,
) -> Result<(Session, Vec<Session>), E> {
    // Not a child: what the sessions say of a cancel is not what the server says.
    let discarded = Cancel::new();
    let count = sessions.len();
    std::thread::scope(|scope| {
        let (mut all_parts, mut threads) = (Vec::new(), Vec::new());
        let discarded = &discarded;
        for (number, mut session) in sessions.into_iter().enumerate() {
            let (sender, receiver) = bounded(PARTS_AHEAD);
            all_parts.push(receiver);
            threads.push(scope.spawn(move || {
                run(&mut session, queries.iter().skip(number).step_by(count).copied(), &sender, discarded);
                session
            }));
        }
        let (ask, asked) = bounded::<TableQuery<'q>>(1);
        let (sender, receiver) = bounded(PARTS_AHEAD);
        let held = scope.spawn(move || {
            run(&mut holder, asked.iter(), &sender, discarded);
            holder
        });
        let holder = (ask, receiver);
        let mut prefetcher = Prefetcher { parts: all_parts, queries, query: 0, holder, by_holder: false, cancel };
        let outcome = read(&mut prefetcher);
        // Threads that are blocked on the server or on a full channel stop.
        discarded.cancel();
        drop(prefetcher);
        let sessions = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        let holder = held.join();
        outcome.map(|()| (holder.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), sessions))
    })
}

fn run<'q>(
    session: &mut Session,
    queries: impl Iterator<Item = TableQuery<'q>>,
    parts: &Sender<Part>,
    cancel: &Cancel,
) {
    for TableQuery { sql, locked } in queries {
        let is_locked = locked.map_or(Ok(true), |table| lock_one(session, table, cancel));
        let is_over = match is_locked {
            Ok(true) => {
                let rows = copy(session, sql, parts, cancel);
                let rows = rows.and_then(|rest| locked.map_or(Ok(()), |_| unlock(session, cancel)).map(|()| rest));
                let is_over = rows.is_err();
                let sent = match rows {
                    Ok(rest) => parts.send(Part::Rows(rest)).and_then(|()| parts.send(Part::End)),
                    Err(error) => parts.send(Part::Failed(error)),
                };
                is_over || sent.is_err()
            }
            Ok(false) => parts.send(Part::NotLocked).is_err(),
            Err(error) => {
                drop(parts.send(Part::Failed(error)));
                true
            }
        };
        if is_over {
            return;
        }
    }
}

/// Sends the rows of a query on, but for the last, which come back.
fn copy(session: &mut Session, sql: &str, parts: &Sender<Part>, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    let mut part = Vec::with_capacity(2 * PART_BYTES);
    session.copy(sql, cancel, &mut |bytes| {
        part.extend_from_slice(bytes);
        if part.len() < PART_BYTES {
            return Ok(());
        }
        let full = std::mem::replace(&mut part, Vec::with_capacity(2 * PART_BYTES));
        let unread = |_| Error::stream("psql", io::ErrorKind::BrokenPipe.into());
        parts.send(Part::Rows(full)).map_err(unread)
    })?;
    Ok(part)
}

impl<'p> Prefetcher<'p> {
    /// The rows of the next so many queries.
    pub(crate) const fn rows(&mut self, queries: usize) -> Rows<'_, 'p> {
        Rows { prefetcher: self, left: queries, part: Vec::new(), position: 0, count: 0, bytes: 0, failure: None }
    }

    /// Has the holder of all locks read the query whose rows come next.
    fn ask_holder(&mut self) -> io::Result<()> {
        let query = self.queries.get(self.query).ok_or(io::ErrorKind::NotFound)?;
        self.by_holder = true;
        let asked = self.holder.0.send(TableQuery { sql: query.sql, locked: None });
        asked.map_err(|_| io::ErrorKind::UnexpectedEof.into())
    }

    fn next_part(&mut self) -> io::Result<Part> {
        let of_session = self.parts.get(self.query % self.parts.len().max(1));
        let parts = if self.by_holder { Some(&self.holder.1) } else { of_session };
        let parts = parts.ok_or(io::ErrorKind::NotFound)?;
        loop {
            if self.cancel.is_cancelled() {
                return Err(Cancelled::as_io());
            }
            match parts.recv_timeout(POLL) {
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
            match self.prefetcher.next_part()? {
                Part::Rows(rows) => {
                    self.count += memchr::memchr_iter(b'\n', &rows).count() as u64;
                    (self.part, self.position) = (rows, 0);
                }
                Part::NotLocked => self.prefetcher.ask_holder()?,
                Part::End => {
                    self.prefetcher.by_holder = false;
                    self.prefetcher.query += 1;
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
