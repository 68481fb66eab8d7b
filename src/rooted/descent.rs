//! A walk over what stands in a directory, in the order of names, each directory before its entries and once more after them.
//!
//! It takes no stack and few descriptors, however deep the directory is.

use rustix::io::{Errno, Result};

use super::{RootedDir, Status, names_in};

/// What a walk meets.
#[derive(Debug)]
pub enum Step {
    /// An entry. What is in a directory follows it, unless that is skipped.
    Entry(Status),
    /// The directory whose entries came before has ended.
    Leave,
}

/// A walk that begins with one entry.
#[derive(Debug)]
pub struct Descent {
    path: Vec<u8>,
    /// The first entry, while it is still to come.
    first: Option<Status>,
    /// Device and inode of the last entry, when it is a directory that is to be gone into.
    entered: Option<(u64, u64)>,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    names: Vec<Vec<u8>>,
    path_len: usize,
}

impl Descent {
    /// A walk from what stands at a path.
    #[must_use]
    pub fn new(path: &[u8], status: Status) -> Self {
        Self { path: path.to_vec(), first: Some(status), entered: None, levels: Vec::new() }
    }

    /// The path of the last step.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Does not go into the directory that was the last entry. It has no [`Step::Leave`] then.
    pub const fn skip(&mut self) {
        self.entered = None;
    }

    /// The next step; `None` at the end. An entry that has gone meanwhile is passed over.
    ///
    /// # Errors
    /// Those of the operating system; `STALE` when a directory was exchanged since its step.
    pub fn next(&mut self, tree: &mut RootedDir) -> Result<Option<Step>> {
        if let Some(status) = self.first.take() {
            self.entered = status.is_directory().then(|| status.identity());
            return Ok(Some(Step::Entry(status)));
        }
        if let Some(identity) = self.entered.take() {
            let directory = tree.directory(&self.path)?;
            if Status::of(&directory)?.identity() != identity {
                return Err(Errno::STALE);
            }
            let mut names = names_in(&directory)?;
            // The last one comes first.
            names.sort_unstable_by(|one, other| other.cmp(one));
            self.levels.push(Level { names, path_len: self.path.len() });
        }
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path_len);
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                return Ok(Some(Step::Leave));
            };
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            match tree.status(&self.path) {
                Ok(status) => {
                    self.entered = status.is_directory().then(|| status.identity());
                    return Ok(Some(Step::Entry(status)));
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(None)
    }
}
