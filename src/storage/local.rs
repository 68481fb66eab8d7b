//! A storage in a folder of the local file system.
//!
//! An object is written to a temporary file of its area, synced, linked or renamed
//! into place, and the directory synced. Files that are still being written begin with `.tmp-` and are not listed; `sweep`
//! removes those that a killed process left. Folders are made at the first write, with mode 0700; files have mode 0600.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, fsync, linkat, renameat_with, unlinkat};
use rustix::io::Errno;

use super::folder::{Folder, join};
use super::key::{AREAS, SHARD_CHARS};
use super::{
    Area, Error, ExclusiveLease, Fetched, Key, Lease, Listed, PutMode, Reservation, Retractable, Storage, Upload,
    beside, flock,
};
use crate::rooted::{Guarded, Status, Trust, is_on_local_disk};

const TEMPORARY_PREFIX: &str = ".tmp-";
/// How often a folder is listed in which files go away meanwhile.
const LIST_TRIES: u32 = 8;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Objects as files below a root folder.
#[derive(Debug, Clone)]
pub struct LocalStorage {
    folder: Arc<Folder>,
}

impl LocalStorage {
    /// The storage below `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::trusting(root, Trust::default())
    }

    /// The storage below `root`, which need not exist yet. It is refused when somebody may write to it, or a link on the way
    /// is somebody's, who is not believed.
    #[must_use]
    pub fn trusting(root: impl Into<PathBuf>, trust: Trust) -> Self {
        Self { folder: Arc::new(Folder::new(root.into(), trust)) }
    }
}

struct LocalUpload {
    root: Arc<Folder>,
    /// The folder of the temporary file.
    around: OwnedFd,
    name: String,
    file: File,
    /// Whether it has its own name, or has been removed.
    is_named: bool,
}

impl LocalUpload {
    fn begin(root: &Arc<Folder>, area: Area) -> Result<Self, Error> {
        let around = root.make(folder_of(area))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id());
            match rustix::fs::openat(&around, name.as_str(), flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => {
                    root.local()?.give(&file);
                    let root = Arc::clone(root);
                    return Ok(Self { root, around, name, file: File::from(file), is_named: false });
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(root.failed("create a file in", folder_of(area), errno)),
            }
        }
    }

    /// Gives the file its name, in the place of a file that has it where `mode` allows that.
    fn persist(&mut self, folder: &OwnedFd, name: &str, mode: PutMode) -> Result<(), Errno> {
        let own = self.name.as_str();
        let flags = if mode == PutMode::Exclusive { RenameFlags::NOREPLACE } else { RenameFlags::empty() };
        match renameat_with(&self.around, own, folder, name, flags) {
            // Not every file system has such a rename.
            Err(Errno::INVAL | Errno::NOSYS) if mode == PutMode::Exclusive => {
                linkat(&self.around, own, folder, name, AtFlags::empty())?;
                unlinkat(&self.around, own, AtFlags::empty())?;
            }
            renamed => renamed?,
        }
        self.is_named = true;
        Ok(())
    }
}

impl Drop for LocalUpload {
    fn drop(&mut self) {
        if !self.is_named {
            // What stays is swept later.
            let _ = unlinkat(&self.around, self.name.as_str(), AtFlags::empty());
        }
    }
}

impl Upload for LocalUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(bytes);
        written.map_err(|source| Error::from_write(self.root.show(&self.name), bytes.len() as u64, source))
    }

    fn finish(mut self: Box<Self>, key: &Key, mode: PutMode) -> Result<(), Error> {
        let path = key.path();
        self.file.sync_all().map_err(|source| Error::from_write(self.root.show(&path), 0, source))?;
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let root = Arc::clone(&self.root);
        let around = root.make(folder)?;
        self.persist(&around, name, mode).map_err(|errno| root.failed("create", &path, errno))?;
        fsync(&around).map_err(|errno| root.failed("sync", folder, errno))
    }
}

/// The folder of an area, relative to the root.
const fn folder_of(area: Area) -> &'static str {
    match area {
        Area::Config => "",
        _ => area.folder(),
    }
}

impl Storage for LocalStorage {
    fn describe(&self) -> String {
        self.folder.path.display().to_string()
    }

    fn describe_object(&self, key: &Key) -> String {
        self.folder.show(&key.path())
    }

    fn guarded(&self) -> Result<Guarded, Error> {
        Ok(Guarded::new(self.folder.local()?.directory()))
    }

    fn lease(&self, waits: &dyn Fn()) -> Result<Lease, Error> {
        flock::lease(self.folder.local()?, waits)
    }

    fn reserve(&self, name: &str) -> Result<Option<Reservation>, Error> {
        Ok(flock::reserve(self.folder.local()?, name)?.map(Reservation::new))
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), Error> {
        let mut upload = self.upload(key.area())?;
        upload.write(bytes)?;
        upload.finish(key, mode)
    }

    fn upload(&self, area: Area) -> Result<Box<dyn Upload>, Error> {
        Ok(Box::new(LocalUpload::begin(&self.folder, area)?))
    }

    fn get(&self, key: &Key, len_bytes_max: u64) -> Result<Vec<u8>, Error> {
        let (file, status) = self.folder.open_object("read", key)?;
        let (found, object) = (status.size_bytes(), || self.folder.show(&key.path()));
        if found > len_bytes_max {
            return Err(Error::Length { object: object(), expected: len_bytes_max, found });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found).unwrap_or(0));
        let read = file.take(len_bytes_max).read_to_end(&mut bytes);
        read.map_err(|source| Error::from_io("read", object(), source))?;
        Ok(bytes)
    }

    fn get_range(&self, key: &Key, offset: u64, target: &mut [u8]) -> Result<(), Error> {
        self.get_ranges(key, &mut [(offset, target)])
    }

    fn get_ranges(&self, key: &Key, ranges: &mut [(u64, &mut [u8])]) -> Result<(), Error> {
        let (file, status) = self.folder.open_object("read", key)?;
        let (found, object) = (status.size_bytes(), || self.folder.show(&key.path()));
        for (offset, target) in ranges {
            match file.read_exact_at(target, *offset) {
                Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                    let expected = offset.saturating_add(target.len() as u64);
                    return Err(Error::Length { object: object(), expected, found });
                }
                result => result.map_err(|source| Error::from_io("read", object(), source))?,
            }
        }
        Ok(())
    }

    fn fetch(&self, key: &Key) -> Result<Fetched, Error> {
        let (file, status) = self.folder.open_object("open", key)?;
        let is_ours = Trust::default().check(Path::new(""), &status).is_ok() && is_on_local_disk(&file);
        Ok(if is_ours { Fetched::Mappable(file) } else { Fetched::File(file, status.size_bytes()) })
    }

    fn stat(&self, key: &Key) -> Result<u64, Error> {
        match self.folder.look(&key.path())? {
            Some(status) if status.is_file() => Ok(status.size_bytes()),
            Some(_) => Err(self.folder.not_a_file(&key.path())),
            None => Err(Error::Missing { object: self.folder.show(&key.path()) }),
        }
    }

    fn list(&self, area: Area) -> Result<Vec<Listed>, Error> {
        let folder = if area == Area::Config { "." } else { area.folder() };
        let mut tries = LIST_TRIES;
        loop {
            tries -= 1;
            let (mut listed, mut is_whole) = (Vec::new(), true);
            for name in self.folder.names(folder)? {
                let path = join(folder, &name);
                let is_directory = |status: Status| status.file_type() == FileType::Directory;
                if area.is_sharded() && self.folder.look(&path)?.is_some_and(is_directory) {
                    // One that lies in another folder is not found by its name, and is none.
                    let is_here = |pack: &&String| name.len() == SHARD_CHARS && pack.starts_with(&name);
                    for pack in self.folder.names(&path)?.iter().filter(is_here) {
                        is_whole &= self.folder.list_entry((&path, pack), &mut listed)?;
                    }
                } else if area != Area::Config || name == Area::Config.folder() {
                    is_whole &= self.folder.list_entry((folder, &name), &mut listed)?;
                }
            }
            if is_whole || tries == 0 {
                return Ok(listed);
            }
        }
    }

    fn occupied_by(&self) -> Result<Option<String>, Error> {
        let names = self.folder.names(".")?;
        // Somebody else makes one at this moment.
        if names.iter().any(|name| name == Area::Config.folder()) {
            return Ok(None);
        }
        Ok(names.into_iter().find(|name| !is_temporary(name) && !beside::may_lie_there(name)))
    }

    fn delete(&self, key: &Key, _alone: &ExclusiveLease) -> Result<(), Error> {
        self.remove(key)
    }

    fn retract(&self, area: Retractable, name: &str) -> Result<(), Error> {
        self.remove(&Key::new(area.into(), name))
    }

    fn sweep(&self, _alone: &ExclusiveLease) -> Result<(), Error> {
        flock::sweep_reservations(self.folder.local()?);
        for folder in AREAS.map(Area::folder).into_iter().chain(["."]) {
            let names = self.folder.names(folder)?;
            for name in names.iter().filter(|name| is_temporary(name)) {
                // Who makes the repository holds no lock yet, and may just have given its file its name.
                self.folder.remove(&join(folder, name))?;
            }
        }
        Ok(())
    }
}

impl LocalStorage {
    fn remove(&self, key: &Key) -> Result<(), Error> {
        let path = key.path();
        let Some(around) = self.folder.remove(&path)? else { return Ok(()) };
        fsync(&around).map_err(|errno| self.folder.failed("sync", &path, errno))
    }
}

/// Whether it is the name of a file that is being written: the prefix, and two numbers.
fn is_temporary(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_prefix(TEMPORARY_PREFIX).and_then(|rest| rest.split_once('-'));
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    /// Runs what takes a proof that nobody else is there.
    fn alone<T>(storage: &LocalStorage, work: impl FnOnce(&ExclusiveLease) -> Result<T, Error>) -> Result<T, Error> {
        storage.lease(&|| {})?.when_alone(work).map(|result| result.expect("nobody else is there"))
    }

    #[test]
    fn files_are_private_and_sweep_removes_what_a_killed_process_left() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let root = folder.path().join("repository");
        let storage = LocalStorage::new(&root);
        let key = Key::new(Area::Index, "a");
        storage.put(&key, b"x", PutMode::SameContent).expect("put");
        let mode = |path: &std::path::Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&root), 0o700);
        assert_eq!(mode(&root.join("index/a")), 0o600);

        let folders = ["", "index", "packs", "snapshots", "pins", "forgotten", "quarantine", "parity"]
            .map(|folder| root.join(folder));
        for folder in &folders {
            fs::create_dir_all(folder).expect("create");
            fs::write(folder.join(".tmp-1-0"), b"half").expect("write");
        }
        alone(&storage, |alone| storage.sweep(alone)).expect("sweep");
        for folder in &folders {
            assert!(!folder.join(".tmp-1-0").exists(), "{}", folder.display());
        }
        assert_eq!(storage.list(Area::Index).expect("list").len(), 1);
    }

    /// Who could write to a repository had root delete and make files wherever links in it led to.
    #[test]
    fn no_link_in_the_repository_leads_elsewhere() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (root, outside) = (folder.path().join("repository"), folder.path().join("outside"));
        fs::create_dir_all(outside.join("ab")).expect("create");
        fs::create_dir(&root).expect("create");
        fs::write(outside.join("one"), b"kept").expect("write");
        fs::write(outside.join(".tmp-1-0"), b"kept").expect("write");
        for area in ["packs", "index", "snapshots", "forgotten", "quarantine"] {
            symlink(&outside, root.join(area)).expect("link");
        }
        symlink(outside.join("one"), root.join("config")).expect("link");
        let storage = LocalStorage::new(&root);
        for area in [Area::Index, Area::Snapshots, Area::Forgotten, Area::Quarantine] {
            let key = Key::new(area, "one");
            assert!(storage.get(&key, 9).is_err() && storage.stat(&key).is_err() && storage.list(area).is_err());
            assert!(
                alone(&storage, |alone| storage.delete(&key, alone)).is_err()
                    && storage.put(&key, b"x", PutMode::SameContent).is_err()
            );
        }
        assert!(storage.get(&Key::config(), 9).is_err() && alone(&storage, |alone| storage.sweep(alone)).is_err());
        let pack = Key::new(Area::Packs, "ab".repeat(32));
        assert!(storage.put(&pack, b"x", PutMode::SameContent).is_err());
        assert_eq!(fs::read(outside.join("one")).expect("it stays"), b"kept");
        assert_eq!(fs::read_dir(&outside).expect("it stays").count(), 3, "nothing was made or removed");
    }

    /// The owner of a repository moved a file of root's from a directory of his into it. What could not be understood of it was put aside,
    /// as a copy of his.
    #[test]
    fn what_is_not_of_the_owner_of_a_repository_is_not_used_for_him() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("temporary folder");
        let root = folder.path().join("repository");
        fs::create_dir_all(root.join("snapshots")).expect("create");
        for path in ["", "snapshots"] {
            lchown(root.join(path), Some(61_997), Some(61_997)).expect("root");
        }
        let file = root.join("snapshots/one");
        let storage = LocalStorage::trusting(&root, Trust::of(&[61_997]));
        let key = Key::new(Area::Snapshots, "one");
        for (gid, mode, is_read) in [(0, 0o600, false), (61_997, 0o640, false), (0, 0o644, false)] {
            fs::write(&file, b"a secret").expect("write");
            lchown(&file, Some(0), Some(gid)).expect("root");
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("root");
            assert_eq!(storage.get(&key, 99).is_ok(), is_read, "{gid} {mode:o}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("root");
        let refused = storage.get(&key, 99).expect_err("it is closed to him");
        assert!(std::error::Error::source(&refused).is_some_and(|why| why.to_string().contains("chown 61997")));
        lchown(&file, Some(61_997), None).expect("root");
        storage.get(&key, 99).expect("it is his");
        // A directory of root's, moved there, was emptied.
        lchown(root.join("snapshots"), Some(0), None).expect("root");
        assert!(storage.list(Area::Snapshots).is_err() && alone(&storage, |alone| storage.sweep(alone)).is_err());
        assert!(
            alone(&storage, |alone| storage.delete(&key, alone)).is_err()
                && storage.put(&key, b"x", PutMode::SameContent).is_err()
                && file.exists()
        );
    }

    #[test]
    fn the_folder_of_somebody_else_is_no_repository() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().expect("temporary folder");
        let root = folder.path().join("repository");
        fs::create_dir(&root).expect("create");
        lchown(&root, Some(61_997), None).expect("root");
        let key = Key::new(Area::Index, "a");
        let put = |storage: LocalStorage| storage.put(&key, b"x", PutMode::SameContent);
        let refused = put(LocalStorage::new(&root)).expect_err("it is not ours");
        assert!(std::error::Error::source(&refused).is_some_and(|why| why.to_string().contains("user 61997")));
        assert_eq!(fs::read_dir(&root).expect("it is there").count(), 0);
        put(LocalStorage::trusting(&root, Trust::of(&[61_997]))).expect("root has named him");
    }
}
