//! A directory as a source: everything below it, in the order of names, on one file system.
//!
//! `.gitignore` means nothing here. What is left out is what the user excluded and what marks itself as a cache.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::exclude::is_tagged_cache;
use super::{Error, Excludes, Owners, Stop, UNFINISHED_PREFIX, Visitor};
use crate::model::{Node, show_path};

/// A directory that is to be backed up.
#[derive(Debug)]
pub struct DirSource {
    root: PathBuf,
    excludes: Excludes,
    /// Device and inode of a directory that is never entered: the repository itself.
    forbidden: Option<(u64, u64)>,
    /// Whether what marks itself as a cache is shown like everything else.
    with_caches: bool,
    problems: Vec<String>,
}

impl DirSource {
    /// The directory `root`. Its existence is checked when it is read.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, excludes: Excludes) -> Self {
        Self { root: root.into(), excludes, forbidden: None, with_caches: false, problems: Vec::new() }
    }

    /// The root of the directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Never enters `directory`, wherever it is met.
    #[must_use]
    pub fn forbidding(mut self, directory: Option<&Path>) -> Self {
        let metadata = directory.and_then(|directory| std::fs::metadata(directory).ok());
        self.forbidden = metadata.map(|metadata| (metadata.dev(), metadata.ino()));
        self
    }

    /// Reports problems that are known before it is read, as errors of the component.
    #[must_use]
    pub fn reporting(mut self, problems: Vec<String>) -> Self {
        self.problems = problems;
        self
    }

    /// Shows what lies in tagged caches, too.
    #[must_use]
    pub const fn with_caches(mut self) -> Self {
        self.with_caches = true;
        self
    }

    /// The length of all files together, for those who want to know how far a backup is.
    #[must_use]
    pub fn count_bytes(&self) -> u64 {
        let entries = WalkDir::new(&self.root).into_iter().flatten();
        let metadata = entries.filter(|entry| entry.file_type().is_file()).flat_map(|entry| entry.metadata());
        metadata.map(|metadata| metadata.len()).sum()
    }

    /// Shows everything to `visitor`; the root is called `name`.
    ///
    /// # Errors
    /// [`Error::Root`] and [`Error::NotADirectory`] when there is nothing to show; [`Error::Stop`].
    pub fn visit(&self, name: &str, visitor: &mut dyn Visitor) -> Result<(), Error> {
        let path = self.root.display().to_string();
        let failed = |source| Error::Root { path: path.clone(), source };
        let metadata = std::fs::metadata(&self.root).map_err(failed)?;
        if !metadata.is_dir() {
            return Err(Error::NotADirectory { path });
        }
        std::fs::read_dir(&self.root).map_err(failed)?;
        let owners = Owners::of_system();
        let root = owners.node(name.as_bytes(), &self.root, &metadata).map_err(failed)?;
        let mut walk = Walk { source: self, owners, device: metadata.dev(), depth: 0, visitor };
        self.problems.iter().for_each(|problem| walk.visitor.error(problem.clone()));
        walk.visitor.enter(root, &self.root)?;
        walk.run()?;
        for _ in 0..=walk.depth {
            walk.visitor.leave()?;
        }
        Ok(())
    }
}

struct Walk<'a> {
    source: &'a DirSource,
    owners: Owners,
    device: u64,
    /// Directories below the root that have been entered.
    depth: usize,
    visitor: &'a mut dyn Visitor,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let mut entries = WalkDir::new(&self.source.root).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.walk_error(&error);
                    continue;
                }
            };
            // Entries of the root have depth 1: so many directories less one are open around them.
            while self.depth >= entry.depth() {
                self.depth -= 1;
                self.visitor.leave()?;
            }
            let is_directory = entry.file_type().is_dir();
            let entered = self.entry(&entry)?;
            if is_directory && !entered {
                entries.skip_current_dir();
            }
        }
        Ok(())
    }

    /// Shows an entry; `true` when it is a directory that is to be entered.
    fn entry(&mut self, entry: &DirEntry) -> Result<bool, Stop> {
        let path = entry.path();
        let relative = path.strip_prefix(&self.source.root).unwrap_or(path);
        let unfinished = entry.file_name().as_bytes().starts_with(UNFINISHED_PREFIX);
        if unfinished || self.source.excludes.matches(relative) {
            return Ok(false);
        }
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                self.walk_error(&error);
                return Ok(false);
            }
        };
        let node = match self.owners.node(entry.file_name().as_bytes(), path, &metadata) {
            Ok(node) => node,
            Err(error) => {
                self.visitor.error(format!("cannot read {}: {error}", show(path)));
                return Ok(false);
            }
        };
        if node.is_directory() {
            return self.directory(node, path);
        }
        if node.is_file() {
            self.visitor.file(node, path)?;
        } else {
            self.visitor.special(node, path)?;
        }
        Ok(false)
    }

    fn directory(&mut self, node: Node, path: &Path) -> Result<bool, Stop> {
        if self.source.forbidden == Some((node.device, node.inode)) {
            self.visitor.note(format!("left out {}: it is the repository", show(path)));
            return Ok(false);
        }
        let foreign = node.device != self.device;
        let cache = !foreign && !self.source.with_caches && is_tagged_cache(path);
        self.visitor.enter(node, path)?;
        self.depth += 1;
        if foreign {
            self.visitor.note(format!("left out what is in {}: it is another file system", show(path)));
        }
        Ok(!foreign && !cache)
    }

    fn walk_error(&mut self, error: &walkdir::Error) {
        let place = error.path().map_or_else(|| show(&self.source.root), show);
        match error.io_error() {
            Some(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                self.visitor.note(format!("{place} vanished before it was read"));
            }
            Some(cause) => self.visitor.error(format!("cannot read {place}: {cause}")),
            None => self.visitor.error(format!("cannot read {place}: {error}")),
        }
    }
}

fn show(path: &Path) -> String {
    show_path(path.as_os_str().as_bytes())
}
