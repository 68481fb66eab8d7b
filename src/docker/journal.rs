//! Which containers a process is holding, written down before it holds them, so that a later command can make good
//! what a killed one left.
//!
//! A journal is a file that its process keeps locked: the kernel lets go of it however the process ends. No process
//! number and no clock decides whether its writer still lives.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{Error, HoldMethod};

const SUFFIX: &str = ".json";
const JOURNAL_BYTES_MAX: u64 = 1 << 20;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Why containers are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// Volumes are read: the containers may go on at any time.
    Backup,
    /// Volumes are written: the containers may go on only when the volumes are whole again.
    Restore {
        /// What they are restored from.
        snapshot: String,
        /// The components.
        components: Vec<String>,
        /// What they were before.
        safety: Option<String>,
    },
}

/// What a journal says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Address of the engine.
    pub host: String,
    /// Why the containers were held.
    pub purpose: Purpose,
    /// How they were held.
    pub method: HoldMethod,
    /// Names of the containers, in the order in which they are to go on.
    pub containers: Vec<String>,
}

/// The journal of one hold.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Keeps the lock.
    _file: File,
}

impl Journal {
    /// Writes down what is about to be held; durable when this returns.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(folder: &Path, entry: &Leftover) -> Result<Self, Error> {
        let failed = |source: std::io::Error| Error::Io { action: "write", path: folder.display().to_string(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}-{}", std::process::id(), crate::clock::LocalTime::now().stamp());
        let path = folder.join(format!("{name}{SUFFIX}"));
        // Under its name only when it is locked and whole, so that nobody takes it for a dead process's.
        let temporary = folder.join(format!(".{name}"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| failed(errno.into()))?;
        let text = serde_json::to_vec(entry).expect("plain data has a JSON form");
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&temporary, &path).map_err(failed)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(Self { path, _file: file })
    }

    /// The containers go on again, so there is nothing left to make good.
    pub fn clear(self) {
        // A file that stays says of containers that run that they should run.
        let _ = std::fs::remove_file(&self.path);
    }

    /// The journals of processes that have ended, with a lock on each, so that nobody else makes them good meanwhile.
    #[must_use]
    pub fn leftovers(folder: &Path) -> Vec<(Self, Leftover)> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let is_journal = |path: &PathBuf| {
            let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
            name.ends_with(SUFFIX) && !name.starts_with('.')
        };
        entries.flatten().map(|entry| entry.path()).filter(is_journal).filter_map(open_leftover).collect()
    }
}

fn open_leftover(path: PathBuf) -> Option<(Journal, Leftover)> {
    let mut file = File::open(&path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    let mut text = Vec::new();
    Read::by_ref(&mut file).take(JOURNAL_BYTES_MAX).read_to_end(&mut text).ok()?;
    let entry = serde_json::from_slice(&text).ok()?;
    Some((Journal { path, _file: file }, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_journal_of_an_ended_process_is_left_over() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let entry = Leftover {
            host: "unix:///x".to_owned(),
            purpose: Purpose::Backup,
            method: HoldMethod::Pause,
            containers: vec!["redis".to_owned()],
        };
        let journal = Journal::write(folder.path(), &entry).expect("written");
        assert!(Journal::leftovers(folder.path()).is_empty(), "its process lives");
        drop(journal);
        let mut found = Journal::leftovers(folder.path());
        assert_eq!(found.iter().map(|(_, found)| found).collect::<Vec<_>>(), [&entry]);
        assert!(Journal::leftovers(folder.path()).is_empty(), "somebody makes it good");
        found.pop().expect("it was found").0.clear();
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }
}
