//! A directory as a source: everything below it, in the order of names, on one mount.
//!
//! It is walked by descriptors and through no link, so whoever may change it meanwhile leads the walk nowhere else.
//! `.gitignore` means nothing here. What is left out is what the user excluded, what marks itself as a cache, and what is
//! mounted there.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

use super::exclude::is_tagged_cache;
use super::{Error, Excludes, Owners, Stop, UNFINISHED_PREFIX, Visitor};
use crate::limits::{NAME_BYTES_MAX, PATH_BYTES_MAX, TREE_DEPTH_MAX};
use crate::model::show_path;
use crate::rooted::{
    self, Found, Guarded, Place, Refusal, RootedDir, Status, Trust, explain, is_local_mount, is_mount_point,
    mounts_below,
};

/// What an empty file system has.
const MADE_BY_FILE_SYSTEM: &[u8] = b"lost+found";

/// A directory that is to be backed up.
#[derive(Debug)]
pub struct DirSource {
    root: PathBuf,
    trust: Trust,
    excludes: Excludes,
    /// What is never read: the repository itself.
    forbidden: Guarded,
    /// Directories that are saved by themselves: device, inode and name of each.
    components: Vec<(u64, u64, String)>,
    /// How what is mounted is left out.
    decision: Option<String>,
    /// Whether what marks itself as a cache is shown like everything else.
    with_caches: bool,
    problems: Vec<String>,
}

impl DirSource {
    /// The directory `root`. Its existence is checked when it is read.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, excludes: Excludes) -> Self {
        Self {
            root: root.into(),
            trust: Trust::default(),
            excludes,
            forbidden: Guarded::default(),
            components: Vec::new(),
            decision: None,
            with_caches: false,
            problems: Vec::new(),
        }
    }

    /// The root of the directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Follows links on the way to the root when `trust` believes their owners.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Never enters these directories, wherever they are met. It is an error when the root lies in one of them.
    #[must_use]
    pub fn forbidding(mut self, forbidden: Guarded) -> Self {
        self.forbidden = forbidden;
        self
    }

    /// Knows a directory that is saved as a component of its own: where it is mounted below this one, nothing is missing. It is an error
    /// where it is this very one.
    #[must_use]
    pub fn beside(mut self, name: &str, directory: &Path) -> Self {
        if let Some((device, inode)) = identity_of(directory) {
            self.components.push((device, inode, name.to_owned()));
        }
        self
    }

    /// Says in the error for a mount how it is left out.
    #[must_use]
    pub fn deciding(mut self, how: String) -> Self {
        self.decision = Some(how);
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

    /// The length of all files together, for those who want to know how far a backup is. What is mounted there is not looked
    /// into: it is not saved, and may keep whoever asks it waiting.
    #[must_use]
    pub fn count_bytes(&self) -> u64 {
        let Ok(root) = self.root.canonicalize() else { return 0 };
        let mounts = mounts_below(&root).unwrap_or_default();
        let is_part = |entry: &DirEntry| mounts.iter().all(|mount| mount != entry.path());
        let entries = WalkDir::new(&root).into_iter().filter_entry(is_part).flatten();
        let metadata = entries.filter(|entry| entry.file_type().is_file()).flat_map(|entry| entry.metadata());
        metadata.map(|metadata| metadata.len()).sum()
    }

    /// What is missing because something is mounted below the root, without walking through it.
    #[must_use]
    pub fn missing_mounts(&self) -> Vec<String> {
        self.missing().into_iter().map(|(_, why)| why).collect()
    }

    /// The patterns that leave it out.
    #[must_use]
    pub fn missing_patterns(&self) -> Vec<String> {
        let missing = self.missing();
        missing.iter().map(|(relative, _)| Excludes::pattern_of(relative.as_os_str().as_bytes())).collect()
    }

    fn missing(&self) -> Vec<(PathBuf, String)> {
        let Ok(root) = self.root.canonicalize() else { return Vec::new() };
        let mut inside: Vec<PathBuf> = Vec::new();
        let mut missing = Vec::new();
        for place in mounts_below(&root).unwrap_or_default() {
            let relative = place.strip_prefix(&root).unwrap_or(&place);
            let is_reached = !relative.ancestors().any(|part| self.excludes.matches(part))
                && !inside.iter().any(|mount| place.starts_with(mount));
            if is_reached && let Some(why) = self.missing_at(&place, relative) {
                missing.push((relative.to_owned(), why));
            }
            inside.push(place);
        }
        missing
    }

    /// Why nothing of it can be saved, as far as that is known before it is read.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let root = match self.trust.open_directory(&self.root) {
            Err(refusal @ Refusal::OfContainer { .. }) => return Some(refusal.to_string()),
            opened => opened.ok()?,
        };
        let is_repository = self.forbidden.covers(&root).is_ok_and(|covers| covers);
        is_repository.then(|| in_repository(&self.root.display().to_string()))
    }

    /// Why nobody can tell this component from another one: its root, perhaps by a link, is that of the other.
    #[must_use]
    pub fn confusion(&self) -> Option<String> {
        let own = identity_of(&self.root)?;
        let (_, _, name) = self.components.iter().find(|(device, inode, _)| (*device, *inode) == own)?;
        let root = self.root.display();
        let why =
            "which a restore makes equal to the one or the other: take one of them out of [directories] of larder.toml";
        Some(format!("{root} is the directory of the component {name}, too, {why}"))
    }

    fn missing_at(&self, place: &Path, relative: &Path) -> Option<String> {
        let (around, name) = (self.trust.open_directory(place.parent()?).ok()?, place.file_name()?.as_bytes());
        let shown = show_path(self.root.join(relative).as_os_str().as_bytes());
        let relative = relative.as_os_str().as_bytes();
        let Ok(status) = Status::known_of_entry(&around, name) else {
            return Some(self.missing_mount((&shown, relative), false));
        };
        if self.forbidden.has(status.identity()) {
            return None;
        }
        let is_empty = is_empty(&Place { directory: around.as_fd(), name, path: place }, &status);
        self.on_mount((&shown, relative), &status, is_empty).err()
    }

    /// What is to be said of a mount that is left out: a note, or an error when its content is missing and nobody has decided
    /// so.
    fn on_mount(&self, (shown, relative): (&str, &[u8]), status: &Status, is_empty: bool) -> Result<String, String> {
        let component = self.components.iter().find(|(device, inode, _)| (*device, *inode) == status.identity());
        if let Some((_, _, name)) = component {
            return Ok(format!("left out what is in {shown}: the component {name} is mounted there"));
        }
        if is_empty {
            return Ok(format!("left out {shown}: something empty is mounted there"));
        }
        Err(self.missing_mount((shown, relative), status.is_directory()))
    }

    fn missing_mount(&self, (shown, relative): (&str, &[u8]), is_directory: bool) -> String {
        let exclude = || format!("exclude `{}`", show_path(Excludes::pattern_of(relative).as_bytes()));
        let decision = self.decision.clone().unwrap_or_else(exclude);
        let other = if is_directory { ", or save it as a component of its own" } else { "" };
        format!("what is in {shown} is not saved, because it is mounted there: {decision}{other}")
    }

    /// Shows everything to `visitor`; the root is called `name`.
    ///
    /// # Errors
    /// [`Error::Root`] and [`Error::NotADirectory`] when there is nothing to show; [`Error::Stop`].
    pub fn visit(&self, name: &str, visitor: &mut dyn Visitor) -> Result<(), Error> {
        let path = self.root.display().to_string();
        let failed = |source: io::Error| Error::Root { path: path.clone(), source };
        let tree = RootedDir::open(&self.root, &self.trust).map_err(|error| match error.kind() {
            io::ErrorKind::NotADirectory => Error::NotADirectory { path: path.clone() },
            _ => failed(error),
        })?;
        let root = Arc::clone(tree.root());
        if self.forbidden.covers(&root).map_err(|errno| failed(errno.into()))? {
            return Err(Error::Missing { why: in_repository(&path) });
        }
        let status = Status::of(&root).map_err(|errno| failed(errno.into()))?;
        let owners = Owners::of_system();
        let found = Found { entry: root.as_fd(), path: &self.root };
        let node = owners.node(name.as_bytes(), &status).map_err(failed)?;
        let names = sorted_names(&root).map_err(|errno| failed(errno.into()))?;
        self.problems.iter().cloned().chain(self.confusion()).for_each(|problem| visitor.error(problem));
        visitor.enter(node, Some(&found))?;
        let path = self.root.as_os_str().as_bytes().to_vec();
        let root_len = if path.ends_with(b"/") { path.len() } else { path.len() + 1 };
        let levels = vec![Level { names, len: path.len() }];
        let (entered, hasher) = (HashSet::new(), RandomState::new());
        Ok(Walk { source: self, owners, tree, path, root_len, levels, entered, hasher, visitor }.run()?)
    }
}

/// A directory whose entries are being shown.
struct Level {
    names: std::vec::IntoIter<Vec<u8>>,
    /// Length of its path.
    len: usize,
}

struct Walk<'a> {
    source: &'a DirSource,
    owners: Owners,
    tree: RootedDir,
    /// The path of the current entry, with the root's own path before it, and where the part below the root begins.
    path: Vec<u8>,
    root_len: usize,
    levels: Vec<Level>,
    /// Hashes of what identifies the directories that were read.
    entered: HashSet<u64>,
    hasher: RandomState,
    visitor: &'a mut dyn Visitor,
}

impl Walk<'_> {
    fn run(mut self) -> Result<(), Stop> {
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.len);
            let Some(name) = level.names.next() else {
                self.levels.pop();
                self.visitor.leave()?;
                continue;
            };
            if !self.path.ends_with(b"/") {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            self.entry(&name)?;
        }
        Ok(())
    }

    fn show(&self) -> String {
        show_path(&self.path)
    }

    /// Shows the current entry, and goes into it when it is a directory that is to be saved.
    fn entry(&mut self, name: &[u8]) -> Result<(), Stop> {
        let relative = self.path.get(self.root_len..).unwrap_or_default();
        let is_excluded = self.source.excludes.matches(Path::new(OsStr::from_bytes(relative)));
        if is_excluded {
            return Ok(());
        }
        let around = match self.tree.directory(rooted::split(relative).0) {
            Ok(around) => around,
            Err(errno) => return self.failed(name, &explain(errno)),
        };
        let place = Place { directory: around.as_fd(), name, path: Path::new(OsStr::from_bytes(&self.path)) };
        let status = match self.tree.status_in(&around, name) {
            Ok(status) => status,
            // What a user has mounted for himself is closed to root, too.
            Err(Errno::ACCESS) if is_mount_point(place.path) => {
                self.visitor.error(self.source.missing_mount((&show_path(&self.path), relative), false));
                return Ok(());
            }
            Err(errno) => return self.failed(name, &explain(errno)),
        };
        // A directory of that name may be anybody's.
        if name.starts_with(UNFINISHED_PREFIX) && !status.is_directory() {
            self.visitor.note(format!("left out {}: a restore has left it unfinished", self.show()));
            return Ok(());
        }
        if status.is_directory() && self.source.forbidden.has(status.identity()) {
            self.visitor.note(format!("left out {}: it is the repository", self.show()));
            return Ok(());
        }
        if self.tree.is_mount(&status) {
            if status.is_directory() {
                // Its attributes are those of what is mounted.
                match self.owners.node(name, &status) {
                    Ok(node) => self.visitor.enter(node, None)?,
                    Err(error) => return self.failed(name, &error),
                }
                self.visitor.leave()?;
            }
            let shown = show_path(&self.path);
            match self.source.on_mount((&shown, relative), &status, is_empty(&place, &status)) {
                Ok(note) => self.visitor.note(note),
                Err(error) => self.visitor.error(error),
            }
            return Ok(());
        }
        match status.file_type() {
            FileType::Directory => self.directory(name, &status),
            FileType::RegularFile => match self.owners.node(name, &status) {
                Ok(node) => self.visitor.file(node, &place),
                Err(error) => self.failed(name, &error),
            },
            _ => self.special(name, &around),
        }
    }

    /// Shows an entry that is neither file nor directory, all that is said of it being of one and the same.
    fn special(&mut self, name: &[u8], around: &OwnedFd) -> Result<(), Stop> {
        let found = match rooted::find(around, name) {
            Ok(found) => found,
            Err(errno) => return self.failed(name, &explain(errno)),
        };
        let found = Found { entry: found.as_fd(), path: Path::new(OsStr::from_bytes(&self.path)) };
        let node = Status::of(found.entry).map_err(explain).and_then(|status| {
            if status.is_directory() || status.is_file() {
                return Err(explain(Errno::STALE));
            }
            self.owners.node_of(name, &found, &status)
        });
        match node {
            Ok(node) => self.visitor.special(node, Some(&found)),
            Err(error) => self.failed(name, &error),
        }
    }

    /// Goes into a directory. What is said of it is of the one whose entries follow, whatever stands there by then.
    fn directory(&mut self, name: &[u8], status: &Status) -> Result<(), Stop> {
        if self.levels.len() >= TREE_DEPTH_MAX || self.path.len() > PATH_BYTES_MAX - 2 * NAME_BYTES_MAX {
            // A reader goes no deeper. A message with all of such a path would be of no use.
            let end = self.path.len().saturating_sub(NAME_BYTES_MAX);
            let shown = show_path(self.path.get(end..).unwrap_or_default());
            let what = format!("more than {TREE_DEPTH_MAX} directories or {} KiB deep", PATH_BYTES_MAX >> 10);
            self.visitor.error(format!("…{shown} is not saved: it lies {what}"));
            return Ok(());
        }
        let relative = self.path.get(self.root_len..).unwrap_or_default();
        let opened = self.tree.directory(relative).and_then(|opened| Ok((Status::of(&opened)?, opened)));
        let (status, opened) = match opened {
            Ok((status, opened)) => (status, Some(opened)),
            Err(Errno::NOENT) => return self.failed(name, &explain(Errno::NOENT)),
            Err(errno) => {
                self.failed(name, &explain(errno))?;
                (*status, None)
            }
        };
        if self.source.forbidden.has(status.identity()) {
            return self.failed(name, &explain(Errno::STALE));
        }
        let node = match self.owners.node(name, &status) {
            Ok(node) => node,
            Err(error) => return self.failed(name, &error),
        };
        let mut level = Level { names: Vec::new().into_iter(), len: self.path.len() };
        if let Some(opened) = opened {
            // Further down the way is opened anew, and has to lead through the same.
            self.tree.pin(self.path.get(self.root_len..).unwrap_or_default(), status.identity());
            let found = Found { entry: opened.as_fd(), path: Path::new(OsStr::from_bytes(&self.path)) };
            self.visitor.enter(node, Some(&found))?;
            level.names = self.names_of(name, &opened)?;
            if !self.is_first_time(&status) {
                let text = "was read before by another name: it was moved meanwhile, and others may be missing";
                self.visitor.error(format!("the directory {} {text}", self.show()));
            }
        } else {
            self.visitor.enter(node, None)?;
        }
        self.levels.push(level);
        Ok(())
    }

    /// The names in the directory that was entered; none of what marks itself as a cache.
    fn names_of(&mut self, name: &[u8], opened: &OwnedFd) -> Result<std::vec::IntoIter<Vec<u8>>, Stop> {
        if !self.source.with_caches && is_tagged_cache(opened.as_fd()) {
            self.visitor.note(format!("left out what is in {}: it has a CACHEDIR.TAG", self.show()));
            return Ok(Vec::new().into_iter());
        }
        match sorted_names(opened) {
            Ok(names) => Ok(names),
            Err(errno) => self.failed(name, &explain(errno)).map(|()| Vec::new().into_iter()),
        }
    }

    /// Whether a directory is met for the first time. One whose file system does not say when it was made cannot be told from a
    /// later one.
    fn is_first_time(&mut self, status: &Status) -> bool {
        let Some(made) = status.made() else { return true };
        self.entered.insert(self.hasher.hash_one((status.identity(), made)))
    }

    /// Tells why the current entry cannot be read.
    #[expect(clippy::unnecessary_wraps, reason = "it ends the work on an entry, as showing it does")]
    fn failed(&mut self, name: &[u8], error: &io::Error) -> Result<(), Stop> {
        let shown = self.show();
        if error.kind() == io::ErrorKind::NotFound {
            self.visitor.vanished(name, &shown);
        } else {
            self.visitor.error(format!("cannot read {shown}: {error}"));
        }
        Ok(())
    }
}

fn in_repository(path: &str) -> String {
    format!("{path} is the repository, or lies in it: another `backup_dir`, or another directory, mends that")
}

fn identity_of(directory: &Path) -> Option<(u64, u64)> {
    directory.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn sorted_names(directory: &OwnedFd) -> rustix::io::Result<std::vec::IntoIter<Vec<u8>>> {
    let mut names = rooted::names_in(directory)?;
    names.sort_unstable();
    Ok(names.into_iter())
}

/// Whether nothing is lost when what is mounted at a place is left out.
fn is_empty(place: &Place<'_>, status: &Status) -> bool {
    if !is_local_mount(status.mount()) {
        // It may keep whoever looks into it waiting.
        return false;
    }
    match status.file_type() {
        FileType::Directory => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let directory = openat(place.directory, place.name, flags, Mode::empty());
            let names = directory.and_then(rooted::names_in);
            names.is_ok_and(|names| names.iter().all(|name| name == MADE_BY_FILE_SYSTEM))
        }
        FileType::RegularFile => status.size_bytes() == 0,
        _ => true,
    }
}
