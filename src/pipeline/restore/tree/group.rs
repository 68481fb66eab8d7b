//! Groups of files: collected entry by entry, filled together, and what waits until they have been.

use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use super::open_directory::OpenDirectory;
use super::writer::{ChunkWriter, Filling, Written};
use crate::limits::{
    OTHER_FILES_MAX, RESTORE_CHUNKS_MAX, RESTORE_FILES_MAX, RESTORE_GROUPS_MAX, RESTORE_PATHS_BYTES_MAX,
};
use crate::model::{Content, ContentReader, Node};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::repo::ChunkReader;
use crate::sink::FileTarget;

/// Most entries that wait for their group.
const WAITING_MAX: usize = 8 * RESTORE_FILES_MAX;

/// What is to be done with an entry when its group has been written.
pub(super) enum Waiting {
    File { path: Vec<u8>, temporary: Vec<u8>, node: Box<Node>, file: Arc<Filling>, in_the_way: bool },
    Link { first: Vec<u8>, path: Vec<u8> },
    Directory { path: Vec<u8>, open: Box<OpenDirectory> },
}

/// A group of files that is being filled, and all that waits for it.
pub(super) struct Group {
    pub(super) waiting: Vec<Waiting>,
    pub(super) written: Written,
}

/// The group that is being collected.
pub(super) struct Collecting {
    writer: ChunkWriter,
    waiting: Vec<Waiting>,
    /// Length of the paths of its entries.
    paths_bytes: usize,
    open_files: usize,
    /// How many files may be open for it.
    files_max: usize,
}

impl Collecting {
    /// Nothing yet, of groups whose chunks this writer writes.
    pub(super) fn new(writer: ChunkWriter) -> Self {
        Self { writer, waiting: Vec::new(), paths_bytes: 0, open_files: 0, files_max: files_max() }
    }

    /// Whether no more is added to it.
    pub(super) fn is_full(&self) -> bool {
        self.open_files >= self.files_max
            || self.writer.planned() >= RESTORE_CHUNKS_MAX
            || self.waiting.len() >= WAITING_MAX
            || self.paths_bytes >= RESTORE_PATHS_BYTES_MAX
    }

    /// An entry with this path comes.
    pub(super) const fn add_path(&mut self, path: &[u8]) {
        self.paths_bytes += path.len();
    }

    /// A file stays open until the group has been finished.
    pub(super) const fn add_open_file(&mut self) {
        self.open_files += 1;
    }

    /// Something waits until the group has been written.
    pub(super) fn add(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// Plans all chunks of a file.
    pub(super) fn fill(
        &mut self,
        target: FileTarget,
        content: &Content,
        reader: &mut ChunkReader,
        monitor: &Monitor<'_>,
    ) -> Result<Arc<Filling>, Error> {
        let file = self.writer.add_file(target);
        let mut chunks = ContentReader::new(content.clone())?;
        let mut offset = 0;
        while let Some(chunk) = chunks.next(reader)? {
            self.writer.add_chunk(&file, offset, chunk)?;
            offset += u64::from(chunk.len_bytes);
            if self.writer.planned() >= RESTORE_CHUNKS_MAX {
                self.writer.write();
                monitor.check()?;
            }
        }
        Ok(file)
    }

    /// Hands the group over to be filled. What comes now belongs to the next one.
    pub(super) fn end(&mut self) -> Group {
        let written = self.writer.end_group();
        (self.open_files, self.paths_bytes) = (0, 0);
        Group { waiting: std::mem::take(&mut self.waiting), written }
    }
}

/// How many files a group may hold open: each of those that are filled, and of the one that is collected, has its share of what the
/// process may have open.
fn files_max() -> usize {
    let may_be_open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let share = may_be_open.saturating_sub(OTHER_FILES_MAX) / (RESTORE_GROUPS_MAX as u64 + 1);
    usize::try_from(share).unwrap_or(usize::MAX).clamp(1, RESTORE_FILES_MAX)
}
