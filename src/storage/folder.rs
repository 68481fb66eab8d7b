//! The folder of a repository: opened once, and everything in it reached from there and through no link.
//!
//! What is in it has to belong to somebody who is believed, like the folder itself. What root makes in the folder of somebody
//! else becomes his.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, fchown, fsync, mkdirat, unlinkat};
use rustix::io::Errno;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{Error, Key, Listed};
use crate::rooted::{Status, Trust, names_in, open_beneath, split};

/// The root folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    trust: Trust,
    opened: OnceLock<Root>,
}

#[derive(Debug)]
struct Root {
    directory: OwnedFd,
    /// Whose it is, where that is not root and root writes to it.
    owner: Option<(Uid, Gid)>,
}

impl Root {
    /// Refuses what somebody else has than the owner of the repository, who may have moved it here: what root makes of it is given to
    /// him, and what is in it is removed.
    fn check_owner(&self, status: &Status) -> Result<(), io::Error> {
        match self.owner {
            Some((uid, _)) if status.uid() != uid.as_raw() => {
                let (own, uid) = (status.uid(), uid.as_raw());
                let why = format!(
                    "it belongs to user {own}, and the repository to user {uid}, who may have moved it here: `chown {uid}` gives it to \
                     him, if Larder has made it"
                );
                Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
            }
            _ => Ok(()),
        }
    }
}

/// The open root folder of a storage, and its path for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalRoot<'a> {
    path: &'a Path,
    directory: BorrowedFd<'a>,
    owner: Option<(Uid, Gid)>,
    /// Whether it is all the same whose something in it is.
    is_of_anybody: bool,
}

impl<'a> LocalRoot<'a> {
    /// An open folder that belongs to its user.
    #[cfg(test)]
    pub(super) const fn new(path: &'a Path, directory: BorrowedFd<'a>) -> Self {
        Self { path, directory, owner: None, is_of_anybody: false }
    }

    /// Where it was when it was opened.
    #[must_use]
    pub(super) const fn path(&self) -> &'a Path {
        self.path
    }

    /// The folder, whatever stands at its path now.
    #[must_use]
    pub(super) const fn directory(&self) -> BorrowedFd<'a> {
        self.directory
    }

    /// Whether something in it belongs to its owner, where that is not root.
    #[must_use]
    pub(super) fn has_as_own(&self, opened: impl AsFd) -> bool {
        let own = self.owner.filter(|_| !self.is_of_anybody).map(|(uid, _)| uid.as_raw());
        own.is_none_or(|own| Status::of(opened).is_ok_and(|status| status.uid() == own))
    }

    /// Makes a folder in it, which is its owner's.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn make_directory(&self, name: &str) -> rustix::io::Result<()> {
        make_directory(self.directory, name.as_bytes(), self.owner)
    }

    /// Gives a file that was made in it to its owner, who could not use his repository any more after one command of root's.
    pub(super) fn give(&self, made: impl AsFd) {
        give(made, self.owner);
    }
}

/// Makes a folder as its owner, whose it is from the first moment. One that root makes, and gives to him, may be another one of root's by
/// then, which he has put there.
fn make_directory(around: impl AsFd, name: &[u8], owner: Option<(Uid, Gid)>) -> rustix::io::Result<()> {
    let around = around.as_fd();
    let Some((uid, gid)) = owner else { return mkdirat(around, name, Mode::RWXU) };
    let as_owner = || {
        // Of this thread alone, which ends with it.
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        mkdirat(around, name, Mode::RWXU)
    };
    std::thread::scope(|scope| scope.spawn(as_owner).join().unwrap_or(Err(Errno::IO)))
}

fn give(made: impl AsFd, owner: Option<(Uid, Gid)>) {
    if let Some((uid, gid)) = owner {
        // Where that cannot be, as on another host's disk, he has it or does without.
        let _ = fchown(made, Some(uid), Some(gid));
    }
}

impl Folder {
    pub(super) const fn new(path: PathBuf, trust: Trust) -> Self {
        Self { path, trust, opened: OnceLock::new() }
    }

    /// The open folder, which has to exist.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Io`].
    pub(super) fn local(&self) -> Result<LocalRoot<'_>, Error> {
        let Root { directory, owner } = self.root().map_err(|error| self.failed("open", "", error))?;
        let is_of_anybody = self.trust.is_of_everybody();
        Ok(LocalRoot { path: &self.path, directory: directory.as_fd(), owner: *owner, is_of_anybody })
    }

    pub(super) fn show(&self, path: &str) -> String {
        self.path.join(path).display().to_string()
    }

    pub(super) fn failed(&self, action: &'static str, path: &str, source: impl Into<io::Error>) -> Error {
        Error::from_io(action, self.show(path), source.into())
    }

    /// The root, which has to exist.
    fn root(&self) -> Result<&Root, io::Error> {
        if let Some(root) = self.opened.get() {
            return Ok(root);
        }
        let directory = self.trust.open_directory(&self.path)?;
        let status = Status::of(&directory)?;
        self.trust.check(&self.path, &status)?;
        self.trust.check_list(&self.path, &status, &directory)?;
        let is_of_other = rustix::process::geteuid().is_root() && status.uid() != 0;
        let owner = is_of_other.then(|| (Uid::from_raw(status.uid()), Gid::from_raw(status.gid())));
        Ok(self.opened.get_or_init(|| Root { directory, owner }))
    }

    fn open(&self, path: &str, flags: OFlags) -> Result<(OwnedFd, Status), io::Error> {
        let root = self.root()?;
        let opened = open_beneath(&root.directory, path.as_bytes(), flags | OFlags::NONBLOCK | OFlags::CLOEXEC)?;
        let status = Status::of(&opened)?;
        self.check(&status, &opened)?;
        if !self.trust.is_of_everybody() {
            root.check_owner(&status)?;
        }
        Ok((opened, status))
    }

    fn open_folder(&self, path: &str) -> Result<OwnedFd, io::Error> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY).map(|(folder, _)| folder)
    }

    /// Whoever could write to a repository, or could exchange what is in it, has put into it what he likes.
    fn check(&self, status: &Status, opened: &OwnedFd) -> Result<(), io::Error> {
        let checked = self.trust.check(&self.path, status);
        let refusal = match checked.and_then(|()| self.trust.check_list(&self.path, status, opened)) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        let what = match refusal.owner() {
            Some(uid) => format!("it belongs to user {uid}, who is not trusted"),
            None => format!("others than its owner may write to it (mode {:o})", status.mode()),
        };
        let why = format!(
            "{what}: whoever could write to a repository has its next restore write what he likes; `chown -R` or --trust-files only where \
             you know that nobody has"
        );
        Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
    }

    /// Opens the file of an object.
    pub(super) fn open_object(&self, action: &'static str, key: &Key) -> Result<(File, Status), Error> {
        let path = key.path();
        match self.open(&path, OFlags::RDONLY) {
            Ok((file, status)) if status.is_file() => Ok((File::from(file), status)),
            Ok(_) => Err(self.not_a_file(&path)),
            // Links and sockets cannot be opened.
            Err(_) if self.look(&path).is_ok_and(|found| found.is_some_and(|status| !status.is_file())) => {
                Err(self.not_a_file(&path))
            }
            Err(error) => Err(self.failed(action, &path, error)),
        }
    }

    pub(super) fn not_a_file(&self, path: &str) -> Error {
        Error::NotAFile { object: self.show(path) }
    }

    /// A folder of the storage, which is made durably where there is none. Its path is relative; empty for the root.
    pub(super) fn make(&self, path: &str) -> Result<OwnedFd, Error> {
        let failed = |source| self.failed("create the folder", path, source);
        let around = if path.is_empty() { "" } else { text_of(split(path.as_bytes()).0) };
        let wanted = if path.is_empty() { "." } else { path };
        match self.open_folder(wanted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map_err(failed),
        }
        if path.is_empty() {
            make_folder(&self.path)?;
            return self.open_folder(wanted).map_err(failed);
        }
        let parent = self.make(around)?;
        let owner = self.root().map_err(failed)?.owner;
        match make_directory(&parent, split(path.as_bytes()).1, owner) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
        fsync(&parent).map_err(|errno| self.failed("sync", around, errno))?;
        self.open_folder(wanted).map_err(failed)
    }

    /// The names in a folder; none when it does not exist.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, Error> {
        let listed = self.open_folder(path).and_then(|folder| Ok(names_in(folder)?));
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed("list", path, error)),
            // Ours are plain text.
            Ok(names) => Ok(names.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect()),
        }
    }

    /// What stands at a path; `None` when it has gone.
    pub(super) fn look(&self, path: &str) -> Result<Option<Status>, Error> {
        let (around, name) = split(path.as_bytes());
        let around = if around.is_empty() { "." } else { text_of(around) };
        let looked = self.open_folder(around);
        match looked.and_then(|around| Ok(Status::of_entry(around, name)?)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("look at", path, error)),
            Ok(status) => Ok(Some(status)),
        }
    }

    /// Adds what a path has to those that are listed, also what is no file: whoever reads it is told. Says whether it still stood there: a
    /// file that has gone since its name was read may have been replaced by another one whose name was not.
    pub(super) fn list_entry(&self, (around, name): (&str, &str), listed: &mut Vec<Listed>) -> Result<bool, Error> {
        if name.starts_with('.') {
            return Ok(true);
        }
        let Some(status) = self.look(&join(around, name))? else { return Ok(false) };
        if !status.is_directory() {
            listed.push(Listed { name: name.to_owned(), len_bytes: status.size_bytes() });
        }
        Ok(true)
    }

    /// Removes a file; one that has gone is no error.
    pub(super) fn remove(&self, path: &str) -> Result<Option<OwnedFd>, Error> {
        let (around, name) = split(path.as_bytes());
        let around = if around.is_empty() { "." } else { text_of(around) };
        let removed = self.open_folder(around).and_then(|around| {
            unlinkat(&around, name, AtFlags::empty())?;
            Ok(around)
        });
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            removed => removed.map(Some).map_err(|error| self.failed("remove", path, error)),
        }
    }
}

/// Paths of the storage are made of text.
fn text_of(path: &[u8]) -> &str {
    std::str::from_utf8(path).unwrap_or_default()
}

pub(super) fn join(folder: &str, name: &str) -> String {
    if matches!(folder, "" | ".") { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Creates the root folder with all its parents, durably, with mode 0700.
fn make_folder(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    let show = |path: &Path| path.display().to_string();
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), make_folder)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::from_io("create the folder", show(folder), source));
        }
        _ => {}
    }
    let parent = parent.unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| Error::from_io("sync", show(parent), source))
}
