//! A walk over what stands in a directory, in the order of names, each directory before its entries and once more after them.
//!
//! It takes no stack and few descriptors, however deep the directory is.

use rustix::io::{Errno, Result};

use super::{Held, Identity, RootedDir, Status, names_in};

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
    /// Which directory the last entry is, when it is one that is to be gone into.
    entered: Option<Identity>,
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    names: Vec<Vec<u8>>,
    path_len: usize,
    /// Keeps another one from being gone into under its name on the way up; none of the root, which is open.
    held: Option<Held>,
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
            self.entered = status.is_directory().then(|| status.whole_identity());
            return Ok(Some(Step::Entry(status)));
        }
        if let Some(identity) = self.entered.take() {
            let directory = tree.directory(&self.path)?;
            if Status::of(&directory)?.whole_identity() != identity {
                return Err(Errno::STALE);
            }
            let mut names = names_in(&directory)?;
            // The last one comes first.
            names.sort_unstable_by(|one, other| other.cmp(one));
            let held = if self.path.is_empty() { None } else { Some(tree.hold(&self.path, identity)?) };
            self.levels.push(Level { names, path_len: self.path.len(), held });
        }
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path_len);
            let Some(name) = level.names.pop() else {
                if let Some(held) = self.levels.pop().and_then(|level| level.held) {
                    tree.release(&held);
                }
                return Ok(Some(Step::Leave));
            };
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            match tree.status(&self.path) {
                Ok(status) => {
                    self.entered = status.is_directory().then(|| status.whole_identity());
                    return Ok(Some(Step::Entry(status)));
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::rooted::Trust;

    /// On the way up a directory was opened anew by its name, and another one in its place was emptied.
    #[test]
    fn a_directory_that_is_exchanged_while_the_walk_is_deep_in_it_ends_the_walk() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |relative: &str| folder.path().join(relative);
        fs::create_dir_all(path(&format!("s/e/{}", "a/".repeat(200)))).expect("ours");
        fs::create_dir_all(path("other")).expect("ours");
        for file in ["s/e/zz", "other/zz"] {
            fs::write(path(file), "x").expect("ours");
        }
        let mut tree = RootedDir::open(folder.path(), &Trust::default()).expect("open");
        let mut descent = Descent::new(b"s/e", tree.status(b"s/e").expect("there"));
        while !matches!(descent.next(&mut tree).expect("there"), Some(Step::Leave)) {}
        fs::rename(path("s/e"), path("away")).expect("ours");
        fs::rename(path("other"), path("s/e")).expect("ours");
        let mut found = Vec::new();
        let ended = loop {
            match descent.next(&mut tree) {
                Ok(Some(_)) => found.push(descent.path().to_vec()),
                ended => break ended,
            }
        };
        assert!(matches!(ended, Err(Errno::STALE)), "{ended:?}");
        assert!(!found.contains(&b"s/e/zz".to_vec()), "it is that of the other directory");
    }

    /// Whoever emptied and removed a directory had its number given to the next one.
    #[test]
    fn the_number_of_a_directory_that_is_gone_is_not_enough() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |relative: &str| folder.path().join(relative);
        fs::create_dir(path("d")).expect("ours");
        let mut tree = RootedDir::open(folder.path(), &Trust::default()).expect("open");
        let before = Status::of(tree.directory(b"d").expect("there")).expect("open");
        tree.hold(b"d", before.whole_identity()).expect("there");
        tree.forget(b"d");
        fs::remove_dir(path("d")).expect("it is empty");
        // Where numbers are not given again there is nothing to see.
        for number in 0..2_000 {
            let next = path(&format!("n{number}"));
            fs::create_dir(&next).expect("ours");
            if Status::of_place(&next).expect("there").identity() == before.identity() && before.made().is_some() {
                fs::rename(&next, path("d")).expect("ours");
                assert!(matches!(tree.directory(b"d"), Err(Errno::STALE)));
                return;
            }
        }
    }
}
