//! Places that are known wherever they are met: the repository, which nothing is read from or written to as a component, and what
//! containers may write to.

use std::collections::HashSet;
use std::fmt::Debug;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Result;

use super::{Status, names_in, open_beneath};

/// Directories around one that are looked at: no path that the kernel takes is deeper.
const LEVELS_MAX: usize = 4_096;

/// Directories and files by device and inode: whoever may rename them cannot make others of them.
#[derive(Debug, Clone, Default)]
pub struct Guarded {
    places: HashSet<(u64, u64)>,
}

impl Guarded {
    /// An open directory, and those in it.
    #[must_use]
    pub fn new(directory: impl AsFd) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let inner = names_in(&directory).unwrap_or_default();
        let inner = inner.iter().filter_map(|name| open_beneath(&directory, name, flags).ok());
        let inner = inner.filter_map(|folder| Status::of(folder).ok()).map(|status| status.identity());
        let own = Status::of(&directory).ok().map(|status| status.identity());
        Self { places: own.into_iter().chain(inner).collect() }
    }

    /// The directory at a path, where there is one.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map(Self::new).unwrap_or_default()
    }

    /// These directories and files.
    #[must_use]
    pub fn all(opened: impl IntoIterator<Item = OwnedFd>) -> Self {
        let statuses = opened.into_iter().filter_map(|place| Status::known_of(place).ok());
        Self { places: statuses.map(|status| status.identity()).collect() }
    }

    /// Whether a directory or a file is one of these, by device and inode.
    #[must_use]
    pub fn has(&self, identity: (u64, u64)) -> bool {
        self.places.contains(&identity)
    }

    /// Whether an open directory is one of these, or lies in one.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn covers(&self, directory: impl AsFd) -> Result<bool> {
        if self.places.is_empty() {
            return Ok(false);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at: OwnedFd = openat(directory, c".", flags, Mode::empty())?;
        let mut last = None;
        for _ in 0..LEVELS_MAX {
            let identity = Status::of(&at)?.identity();
            if self.has(identity) {
                return Ok(true);
            }
            // The root is its own parent.
            if last == Some(identity) {
                break;
            }
            last = Some(identity);
            at = openat(&at, c"..", flags, Mode::empty())?;
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn what_lies_in_the_folder_is_covered_under_any_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(place("repository/packs/ab")).expect("ours");
        std::fs::create_dir_all(place("app")).expect("ours");
        std::os::unix::fs::symlink("repository/packs", place("link")).expect("ours");
        let guarded = Guarded::at(&place("repository"));
        let covers = |name: &str| guarded.covers(File::open(place(name)).expect("there")).expect("no failure");
        assert!(covers("repository") && covers("repository/packs/ab") && covers("link"));
        assert!(!covers("app") && !covers(""));
        std::fs::rename(place("repository"), place("renamed")).expect("ours");
        assert!(covers("renamed/packs"));
        assert!(!Guarded::default().covers(File::open(place("app")).expect("there")).expect("no failure"));
    }
}
