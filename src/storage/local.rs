//! A storage in a folder of the local file system.
//!
//! An object is written to a temporary file of its area, synced, linked or renamed into place, and the directory
//! synced. Files that are still being written begin with `.tmp-` and are not listed; `sweep` removes those that a
//! killed process left. Folders are made at the first write, with mode 0700; files have mode 0600.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{AREAS, Area, Error, Key, Listed, PutMode, Storage, Upload};

const TEMPORARY_PREFIX: &str = ".tmp-";
/// How often a folder is listed in which files go away meanwhile.
const LIST_TRIES: u32 = 8;

/// Objects as files below a root folder.
#[derive(Debug, Clone)]
pub struct LocalStorage {
    root: PathBuf,
}

impl LocalStorage {
    /// The storage below `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.path())
    }

    fn temporary_folder(&self, area: Area) -> PathBuf {
        match area {
            Area::Config => self.root.clone(),
            _ => self.root.join(area.folder()),
        }
    }
}

/// Creates a folder with all its parents, durably, with mode 0700.
fn create_folder(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_folder(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::from_io("create the folder", show(folder), source))
        }
        _ => folder.parent().map_or(Ok(()), sync_folder),
    }
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| Error::from_io("sync", show(folder), source))
}

fn read_folder(folder: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries,
    };
    entries
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(|source| Error::from_io("list", show(folder), source))
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

struct LocalUpload {
    root: PathBuf,
    temporary: NamedTempFile,
}

impl Upload for LocalUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.temporary.as_file_mut().write_all(bytes);
        written.map_err(|source| Error::from_write(show(self.temporary.path()), bytes.len() as u64, source))
    }

    fn finish(self: Box<Self>, key: &Key, mode: PutMode) -> Result<(), Error> {
        let path = self.root.join(key.path());
        self.temporary.as_file().sync_all().map_err(|source| Error::from_write(show(&path), 0, source))?;
        let folder = path.parent().unwrap_or(&self.root);
        create_folder(folder)?;
        let named = match mode {
            PutMode::SameContent => self.temporary.persist(&path),
            PutMode::Exclusive => self.temporary.persist_noclobber(&path),
        };
        named.map_err(|failure| Error::from_io("create", show(&path), failure.error))?;
        sync_folder(folder)
    }
}

impl Storage for LocalStorage {
    fn upload(&self, area: Area) -> Result<Box<dyn Upload>, Error> {
        let folder = self.temporary_folder(area);
        create_folder(&folder)?;
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY_PREFIX)
            .tempfile_in(&folder)
            .map_err(|source| Error::from_io("create a file in", show(&folder), source))?;
        Ok(Box::new(LocalUpload { root: self.root.clone(), temporary }))
    }

    fn get(&self, key: &Key, len_bytes_max: u64) -> Result<Vec<u8>, Error> {
        let path = self.path(key);
        let failed = |source| Error::from_io("read", show(&path), source);
        let file = File::open(&path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?.len();
        if found > len_bytes_max {
            return Err(Error::Length { object: show(&path), expected: len_bytes_max, found });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found).unwrap_or(0));
        file.take(len_bytes_max).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }

    fn get_range(&self, key: &Key, offset: u64, target: &mut [u8]) -> Result<(), Error> {
        let path = self.path(key);
        let failed = |source| Error::from_io("read", show(&path), source);
        let file = File::open(&path).map_err(failed)?;
        match file.read_exact_at(target, offset) {
            Err(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                let found = file.metadata().map_err(failed)?.len();
                Err(Error::Length { object: show(&path), expected: offset.saturating_add(target.len() as u64), found })
            }
            result => result.map_err(failed),
        }
    }

    fn stat(&self, key: &Key) -> Result<u64, Error> {
        let path = self.path(key);
        fs::metadata(&path)
            .map(|metadata| metadata.len())
            .map_err(|source| Error::from_io("look at", show(&path), source))
    }

    fn list(&self, area: Area) -> Result<Vec<Listed>, Error> {
        let folder = self.temporary_folder(area);
        let mut tries = LIST_TRIES;
        loop {
            tries -= 1;
            let (mut listed, mut is_whole) = (Vec::new(), true);
            for entry in read_folder(&folder)? {
                if area == Area::Packs && entry.file_type().is_ok_and(|file_type| file_type.is_dir()) {
                    for pack in read_folder(&entry.path())? {
                        is_whole &= list_entry(&pack, &mut listed)?;
                    }
                } else if area != Area::Config || entry.file_name() == "config" {
                    is_whole &= list_entry(&entry, &mut listed)?;
                }
            }
            if is_whole || tries == 0 {
                return Ok(listed);
            }
        }
    }

    fn delete(&self, key: &Key) -> Result<(), Error> {
        let path = self.path(key);
        match fs::remove_file(&path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::from_io("remove", show(&path), source)),
            Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        }
    }

    fn sweep(&self) -> Result<(), Error> {
        let folders = AREAS.map(|area| self.root.join(area.folder()));
        for folder in folders.iter().chain([&self.root]) {
            for entry in read_folder(folder)? {
                if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
                    let path = entry.path();
                    match fs::remove_file(&path) {
                        // Who makes the repository holds no lock yet, and may just have given its file its name.
                        Err(source) if source.kind() == io::ErrorKind::NotFound => {}
                        result => result.map_err(|source| Error::from_io("remove", show(&path), source))?,
                    }
                }
            }
        }
        Ok(())
    }

    fn local_root(&self) -> Option<PathBuf> {
        Some(self.root.clone())
    }
}

/// Adds a file to those that are listed. Says whether it still stood there: one that has gone since its name was read may have
/// been replaced by another one whose name was not.
fn list_entry(entry: &fs::DirEntry, listed: &mut Vec<Listed>) -> Result<bool, Error> {
    let Ok(name) = entry.file_name().into_string() else { return Ok(true) };
    if name.starts_with('.') {
        return Ok(true);
    }
    match entry.metadata() {
        Ok(metadata) if metadata.is_file() => {
            listed.push(Listed { name, len_bytes: metadata.len() });
            Ok(true)
        }
        Ok(_) => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::from_io("look at", show(&entry.path()), source)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_private_and_sweep_removes_what_a_killed_process_left() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let root = folder.path().join("repository");
        let storage = LocalStorage::new(&root);
        let key = Key::new(Area::Index, "a");
        storage.put(&key, b"x", PutMode::SameContent).expect("put");
        let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(&root), 0o700);
        assert_eq!(mode(&root.join("index/a")), 0o600);

        let folders = ["", "index", "packs", "snapshots", "pins", "forgotten", "quarantine", "parity"]
            .map(|folder| root.join(folder));
        for folder in &folders {
            fs::create_dir_all(folder).expect("create");
            fs::write(folder.join(".tmp-1-0"), b"half").expect("write");
        }
        storage.sweep().expect("sweep");
        for folder in &folders {
            assert!(!folder.join(".tmp-1-0").exists(), "{}", folder.display());
        }
        assert_eq!(storage.list(Area::Index).expect("list").len(), 1);
    }
}
