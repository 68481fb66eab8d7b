//! Whom root believes: users whose links are followed, and whose files decide what is done.
//!
//! A path is walked name by name, and every link on the way is looked at before it is followed, so that whoever may write
//! to a directory on the way cannot aim Larder elsewhere.

use std::fs::{File, read_link};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

use super::access_list::{access_list, lets_write};
use super::way::{Link, find_here, walk};
use super::{Guarded, Refusal, Status, open_directory};

const ROOT: u32 = 0;
/// Rights of everybody to write.
const WRITABLE_BY_ALL: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// Users that are believed: root and whoever runs Larder are, and those that root has named.
#[derive(Debug, Clone)]
pub struct Trust {
    others: Arc<[u32]>,
    everybody: bool,
    /// Directories in which nobody's links are followed, and files that are somebody else's.
    strange: Arc<Strange>,
}

/// Places that are looked at only when there is a link: on a mount of another host one might never be.
#[derive(Debug, Default)]
struct Strange {
    paths: Vec<PathBuf>,
    found: OnceLock<Guarded>,
}

impl Strange {
    fn places(&self) -> &Guarded {
        self.found.get_or_init(|| Guarded::all(self.paths.iter().filter_map(|path| open_place(path))))
    }
}

/// What stands at a place that somebody has told of, unless whoever has its file system may never answer.
fn open_place(path: &Path) -> Option<OwnedFd> {
    if path.starts_with("/proc") {
        // The kernel's own links lead where their text does not.
        return rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok();
    }
    find_here(path)
}

impl Default for Trust {
    fn default() -> Self {
        Self { others: Arc::new([]), everybody: false, strange: Arc::default() }
    }
}

impl Trust {
    /// These users besides.
    #[must_use]
    pub fn of(others: &[u32]) -> Self {
        Self { others: others.into(), everybody: false, strange: Arc::default() }
    }

    /// Everybody, because whoever runs Larder insists.
    #[must_use]
    pub fn of_everybody() -> Self {
        Self { others: Arc::new([]), everybody: true, strange: Arc::default() }
    }

    /// Whether everybody is believed.
    #[must_use]
    pub const fn is_of_everybody(&self) -> bool {
        self.everybody
    }

    /// The same users, but nobody's links in these directories and below either: in a container that may write there, root is somebody else.
    #[must_use]
    pub fn but_links_in(&self, strange: impl IntoIterator<Item = PathBuf>) -> Self {
        let paths = self.strange.paths.iter().cloned().chain(strange).collect();
        Self { strange: Arc::new(Strange { paths, found: OnceLock::new() }), ..self.clone() }
    }

    /// Whether a path leads to one of those places, or into one.
    #[must_use]
    pub fn is_strange(&self, path: &Path) -> bool {
        match self.find_with_around(path) {
            Err(refusal) => matches!(refusal, Refusal::OfContainer { .. }),
            Ok((around, found)) => {
                let strange = self.strange.places();
                let is_one = Status::known_of(&found).is_ok_and(|status| strange.has(status.identity()));
                // Only a directory has something around it that it can be asked for.
                is_one || [found, around].iter().any(|place| strange.covers(place).unwrap_or_default())
            }
        }
    }

    /// Why somebody who is not believed may exchange what lies in a folder, which is given without links: of it and those above it the
    /// innermost that is his, or that he may write to.
    #[must_use]
    pub fn strange_folder(&self, folder: &Path) -> Option<Refusal> {
        folder.ancestors().find_map(|folder| {
            let status = Status::of_entry(CWD, folder).ok()?;
            match self.check(folder, &status) {
                // There nobody takes away what is another's.
                Err(Refusal::Writable { mode, .. }) if mode & STICKY != 0 => None,
                checked => checked.err(),
            }
        })
    }

    /// Whether a user is believed.
    #[must_use]
    pub fn believes(&self, uid: u32) -> bool {
        let own = rustix::process::geteuid().as_raw();
        self.everybody || uid == ROOT || uid == own || self.others.contains(&uid)
    }

    /// Opens a directory. Links on the way are followed when their owners are believed.
    ///
    /// # Errors
    /// [`Refusal::Io`], [`Refusal::Link`].
    pub fn open_directory(&self, path: &Path) -> Result<OwnedFd, Refusal> {
        let found = self.find(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&found, c".", flags, Mode::empty()).map_err(|errno| Refusal::io(path, errno))
    }

    /// The path of what stands there, without links. Those on the way are followed when their owners are believed.
    ///
    /// # Errors
    /// [`Refusal::Io`], [`Refusal::Link`], [`Refusal::OfContainer`].
    pub fn real_path(&self, path: &Path) -> Result<PathBuf, Refusal> {
        let found = self.find(path)?;
        read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).map_err(|source| Refusal::io(path, source))
    }

    /// Whether links on the way to a place would be followed that need not be there.
    ///
    /// # Errors
    /// [`Refusal::Link`], [`Refusal::OfContainer`].
    pub fn check_way(&self, path: &Path) -> Result<(), Refusal> {
        for standing in path.ancestors().filter(|path| !path.as_os_str().is_empty()) {
            match self.find(standing) {
                Err(Refusal::Io { .. }) => {}
                found => return found.map(drop),
            }
        }
        Ok(())
    }

    /// Opens a directory, and makes it where there is none, with those around it that are missing. Links on the way are
    /// followed when their owners are believed.
    ///
    /// # Errors
    /// [`Refusal::Io`], [`Refusal::Link`].
    pub fn make_directory(&self, path: &Path) -> Result<OwnedFd, Refusal> {
        let mut missing = Vec::new();
        let mut standing = path;
        let mut at = loop {
            match self.open_directory(if standing.as_os_str().is_empty() { Path::new(".") } else { standing }) {
                Err(refusal) if refusal.is_not_found() => match (standing.parent(), standing.file_name()) {
                    (Some(around), Some(name)) => {
                        missing.push(name);
                        standing = around;
                    }
                    _ => return Err(refusal),
                },
                opened => break opened?,
            }
        };
        for name in missing.into_iter().rev() {
            match mkdirat(&at, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(Refusal::io(path, errno)),
            }
            at = open_directory(&at, name.as_bytes()).map_err(|errno| Refusal::io(path, errno))?;
        }
        Ok(at)
    }

    /// Opens a regular file that decides what is done: its owner has to be believed, and nobody else may write to it.
    ///
    /// # Errors
    /// Every [`Refusal`].
    pub fn open_file(&self, path: &Path) -> Result<File, Refusal> {
        let found = self.find(path)?;
        let status = Status::of(&found).map_err(|errno| Refusal::io(path, errno))?;
        if !status.is_file() {
            return Err(not_regular(path));
        }
        self.check(path, &status)?;
        self.check_list(path, &status, &found)?;
        reopen(path, &found)
    }

    /// Opens a regular file that somebody named, whoever owns it. Links on the way are followed when their owners are believed.
    ///
    /// # Errors
    /// [`Refusal::Io`], [`Refusal::Link`].
    pub fn open_named(&self, path: &Path) -> Result<File, Refusal> {
        let found = self.find(path)?;
        let status = Status::of(&found).map_err(|errno| Refusal::io(path, errno))?;
        if !status.is_file() {
            return Err(not_regular(path));
        }
        reopen(path, &found)
    }

    /// The text of such a file, up to a length.
    ///
    /// # Errors
    /// Those of [`Trust::open_named`]; [`Refusal::Io`] also for what is not UTF-8, or longer.
    pub fn read_named(&self, path: &Path, len_bytes_max: u64) -> Result<String, Refusal> {
        let failed = |source| Refusal::Io { path: path.to_owned(), source };
        let mut text = String::new();
        let len = self.open_named(path)?.take(len_bytes_max + 1).read_to_string(&mut text).map_err(failed)?;
        if len as u64 > len_bytes_max {
            let why = format!("it is longer than {len_bytes_max} bytes");
            return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, why)));
        }
        Ok(text)
    }

    /// Refuses what somebody owns who is not believed, or what others may write to.
    ///
    /// # Errors
    /// [`Refusal::Owner`], [`Refusal::Writable`].
    pub fn check(&self, path: &Path, status: &Status) -> Result<(), Refusal> {
        let mode = status.mode();
        let is_writable = |owner: u32| {
            // A group of the owner's own number has nobody else in it, as adduser makes it.
            let is_own_group = status.gid() == owner || status.gid() == ROOT;
            mode & WRITABLE_BY_ALL != 0 || (mode & WRITABLE_BY_GROUP != 0 && !is_own_group)
        };
        if !self.believes(status.uid()) {
            let mode = is_writable(rustix::process::geteuid().as_raw()).then_some(mode);
            return Err(Refusal::Owner { path: path.to_owned(), uid: status.uid(), mode });
        }
        if !self.everybody && is_writable(status.uid()) {
            return Err(Refusal::Writable { path: path.to_owned(), mode });
        }
        Ok(())
    }

    /// Refuses what an access control list lets others write to, of which this is a descriptor.
    ///
    /// # Errors
    /// [`Refusal::Writable`].
    pub fn check_list(&self, path: &Path, status: &Status, file: impl AsFd) -> Result<(), Refusal> {
        // A mode without rights of the group has none behind it.
        let may_let = !self.everybody && status.mode() & WRITABLE_BY_GROUP != 0;
        if may_let && lets_write(&access_list(file), |uid| self.believes(uid)) {
            return Err(Refusal::Writable { path: path.to_owned(), mode: status.mode() });
        }
        Ok(())
    }

    /// A descriptor of what stands at a path, which is not opened for it.
    fn find(&self, path: &Path) -> Result<OwnedFd, Refusal> {
        self.find_with_around(path).map(|(_, found)| found)
    }

    /// The same, after the directory that it was found in.
    fn find_with_around(&self, path: &Path) -> Result<(OwnedFd, OwnedFd), Refusal> {
        let follow = |Link { path: link, status, around }: Link<'_>| {
            if !self.believes(status.uid()) {
                return Err(Refusal::Link { path: link, uid: status.uid() });
            }
            let covers = || self.strange.places().covers(around).map_err(|errno| Refusal::io(path, errno));
            if !self.everybody && covers()? {
                return Err(Refusal::OfContainer { path: link });
            }
            Ok(())
        };
        walk(path, |next| Status::of(next), follow)
    }
}

fn not_regular(path: &Path) -> Refusal {
    let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    Refusal::Io { path: path.to_owned(), source }
}

/// Opens for reading what was found.
fn reopen(path: &Path, found: &OwnedFd) -> Result<File, Refusal> {
    let own = format!("/proc/self/fd/{}", found.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(own, flags, Mode::empty()).map(File::from).map_err(|errno| Refusal::io(path, errno))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    const STRANGER: u32 = 61_998;

    #[test]
    fn links_and_files_of_strangers_are_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        fs::create_dir(place("real")).expect("ours");
        fs::write(place("real/file"), "x").expect("ours");
        symlink("real", place("ours")).expect("ours");
        symlink(place("ours"), place("theirs")).expect("ours");
        lchown(place("theirs"), Some(STRANGER), None).expect("root");
        let trust = Trust::default();
        trust.open_directory(&place("ours")).expect("our link");
        trust.open_file(&place("ours/file")).expect("our link and file");
        for path in ["theirs", "theirs/file", "ours/../theirs/file"] {
            let refusal = trust.open_directory(&place(path)).expect_err("a link of somebody else");
            assert_eq!(refusal.owner(), Some(STRANGER), "{path}");
            assert!(refusal.mend().expect("a command").ends_with("theirs'"), "{refusal}");
        }
        Trust::of(&[STRANGER]).open_file(&place("theirs/file")).expect("root has named him");
        fs::set_permissions(place("real/file"), fs::Permissions::from_mode(0o666)).expect("ours");
        assert!(matches!(trust.open_file(&place("real/file")), Err(Refusal::Writable { .. })));
        lchown(place("real/file"), Some(STRANGER), None).expect("root");
        assert!(matches!(trust.open_file(&place("real/file")), Err(Refusal::Owner { uid: STRANGER, .. })));
        Trust::of_everybody().open_file(&place("theirs/file")).expect("insisted on");
        assert!(trust.open_file(&place("none")).expect_err("nothing").is_not_found());
        rustix::fs::mkfifoat(CWD, place("pipe"), Mode::RWXU).expect("a pipe");
        assert!(trust.open_file(&place("pipe")).is_err(), "it would be waited for");
        symlink("loop", place("loop")).expect("ours");
        assert!(trust.open_file(&place("loop")).is_err());
    }

    /// Only directories were known, and a place was looked for where a link had led to it once.
    #[test]
    fn nobodys_links_are_followed_in_places_of_containers() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| folder.path().join(name);
        for directory in ["theirs/below", "ours"] {
            fs::create_dir_all(place(directory)).expect("ours");
        }
        for file in ["ours/file", "ours/other", "theirs/file"] {
            fs::write(place(file), "x").expect("ours");
        }
        symlink(place("ours"), place("theirs/below/link")).expect("ours");
        symlink("theirs", place("way")).expect("ours");
        let trust = Trust::default().but_links_in([place("theirs")]).but_links_in([place("ours/file"), place("none")]);
        assert!(matches!(trust.open_directory(&place("theirs/below/link")), Err(Refusal::OfContainer { .. })));
        assert!(matches!(trust.open_named(&place("way/below/link/other")), Err(Refusal::OfContainer { .. })));
        trust.open_directory(&place("way/below")).expect("a link that is not theirs");
        Trust::of_everybody()
            .but_links_in([place("theirs")])
            .open_directory(&place("theirs/below/link"))
            .expect("insisted on");
        for strange in ["theirs", "theirs/file", "theirs/below", "way/file", "theirs/below/link", "ours/file"] {
            assert!(trust.is_strange(&place(strange)), "{strange}");
        }
        for own in ["ours", "ours/other", "none", ""] {
            assert!(!trust.is_strange(&place(own)), "{own}");
        }
        for way in ["theirs/below/link", "theirs/below/link/new/deep"] {
            trust.check_way(&place(way)).expect_err("it leads elsewhere");
        }
        for way in ["theirs/new/deep", "way/new", "new"] {
            trust.check_way(&place(way)).expect("nothing leads elsewhere");
        }
    }
}
