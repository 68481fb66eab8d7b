//! Lost chunks out of files that still have them: files are cut as a backup cuts them, and what is wanted is stored.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::cancel::Cancelled;
use crate::chunk::Chunker;
use crate::events::Phase;
use crate::id::{BaseId, ChunkId};
use crate::model::Node;
use crate::monitor::Monitor;
use crate::pack::PackKind;
use crate::pipeline::Error;
use crate::repo::{self, Repository, Transaction, Unlike};
use crate::rooted::{Found, Place, Trust, open_file};
use crate::source::{self, DirSource, Excludes, Stop, Visitor};

/// Bytes that are read at once, more than any chunk has.
const READ_BYTES: usize = 1 << 20;

/// What is looked for.
pub(super) struct Wanted {
    /// Chunks that snapshots need.
    pub(super) chunks: HashSet<ChunkId>,
    /// Chunks that others were encoded against.
    pub(super) bases: HashSet<BaseId>,
}

impl Wanted {
    fn has(&self, id: ChunkId) -> bool {
        self.chunks.contains(&id) || self.bases.contains(&id.into())
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) chunks: u64,
    pub(super) bytes: u64,
    /// Files that could not be read.
    pub(super) unreadable: Vec<String>,
}

/// Stores what is wanted of files, and of all files below directories.
pub(super) fn fetch(
    repository: &Repository,
    wanted: &Wanted,
    live: &[PathBuf],
    monitor: &Monitor<'_>,
) -> Result<Fetched, Error> {
    monitor.begin(Phase::SearchingLiveFiles, None);
    let mut fetch = Fetch {
        chunker: repository.chunker(),
        transaction: repository.begin(monitor)?,
        wanted,
        monitor,
        buffer: vec![0; READ_BYTES],
        fetched: Fetched::default(),
        failed: None,
    };
    for path in live {
        if path.is_dir() {
            let directory = DirSource::new(path, Excludes::default()).with_caches();
            let directory = directory.forbidding(repository.guarded()?);
            match directory.visit("live", &mut fetch) {
                Err(source::Error::Stop(Stop)) => return Err(fetch.stopped()),
                result => result?,
            }
        } else if fetch.read(Trust::default().open_named(path).map_err(io::Error::from), path).is_err() {
            return Err(fetch.stopped());
        }
    }
    let Fetch { transaction, fetched, .. } = fetch;
    transaction.finish()?;
    Ok(fetched)
}

struct Fetch<'a> {
    chunker: Chunker,
    transaction: Transaction<'a>,
    wanted: &'a Wanted,
    monitor: &'a Monitor<'a>,
    buffer: Vec<u8>,
    fetched: Fetched,
    /// Why nothing more can be stored.
    failed: Option<Error>,
}

impl Fetch<'_> {
    /// Why it ended before everything was read.
    fn stopped(self) -> Error {
        self.failed.unwrap_or(Error::Cancelled(Cancelled))
    }

    fn read(&mut self, file: io::Result<File>, path: &Path) -> Result<(), Stop> {
        let result = file.and_then(|mut file| self.cut(&mut file));
        if self.failed.is_some() || self.monitor.is_cancelled() {
            return Err(Stop);
        }
        if let Err(error) = result {
            self.fetched.unreadable.push(format!("{}: {error}", path.display()));
        }
        Ok(())
    }

    fn cut(&mut self, file: &mut File) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.cut_through(file, &mut buffer);
        self.buffer = buffer;
        result
    }

    fn cut_through(&mut self, file: &mut File, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        loop {
            let len = match file.read(buffer.get_mut(filled..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            filled += len;
            self.monitor.advance(len as u64);
            let mut start = 0;
            while let Some(rest) = buffer.get(start..filled)
                && let Some(chunk_len) = self.chunker.cut(rest, len == 0)
            {
                if let Err(error) = self.store(rest.get(..chunk_len).unwrap_or_default()) {
                    self.failed = Some(error.into());
                    return Ok(());
                }
                start += chunk_len;
            }
            buffer.copy_within(start..filled, 0);
            filled -= start;
            if len == 0 || self.monitor.is_cancelled() {
                return Ok(());
            }
        }
    }

    fn store(&mut self, chunk: &[u8]) -> Result<(), repo::Error> {
        let id = self.transaction.ids().chunk_id(chunk);
        if self.wanted.has(id) && self.transaction.store(PackKind::Data, id, chunk, &mut Unlike)? {
            self.fetched.chunks += 1;
            self.fetched.bytes += chunk.len() as u64;
        }
        Ok(())
    }
}

impl Visitor for Fetch<'_> {
    fn enter(&mut self, _node: Node, _found: Option<&Found<'_>>) -> Result<(), Stop> {
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    fn file(&mut self, _node: Node, place: &Place<'_>) -> Result<(), Stop> {
        self.read(open_file(place.directory, place.name, OFlags::empty()).map(|(file, _)| file), place.path)
    }

    fn special(&mut self, _node: Node, _found: Option<&Found<'_>>) -> Result<(), Stop> {
        Ok(())
    }

    fn stream(&mut self, _node: Node, _reader: &mut dyn Read) -> Result<(), source::Error> {
        Ok(())
    }

    fn vanished(&mut self, _name: &[u8], _shown: &str) {}

    fn error(&mut self, message: String) {
        self.fetched.unreadable.push(message);
    }

    fn note(&mut self, _message: String) {}
}
