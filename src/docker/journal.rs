//! Which containers a process is holding, written down before it holds them, so that a later command can make good
//! what a killed one left.
//!
//! A journal is a file that its process keeps locked: the kernel lets go of it however the process ends. No process
//! number and no clock decides whether its writer still lives. It says on which host it was written, because a
//! repository may be shared and every host has an engine of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::guardian::{Guardian, Watch};
use super::owner::hostname;
use super::{Error, Leftover, Purpose};
use crate::rooted::{Status, Trust};

const SUFFIX: &str = ".json";
const JOURNAL_BYTES_MAX: u64 = 1 << 20;
/// Digits of the id of a container.
const ID_DIGITS: usize = 64;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What is in the file: a leftover, and the host that it is of.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// Its name, and what it was given when it was started: a name may change meanwhile, and a container has one of its
    /// own.
    machine: String,
    boot: String,
    left: Leftover,
}

impl Entry {
    fn of_here(left: Leftover) -> Self {
        let boot = std::fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned();
        Self { machine: hostname(), boot, left }
    }

    fn is_of(&self, here: &Self) -> bool {
        self.machine == here.machine || (!self.boot.is_empty() && self.boot == here.boot)
    }
}

/// Where the journals of one repository lie on this host: in a folder that nobody else writes to.
#[derive(Debug, Clone, Default)]
pub struct Journals {
    folder: Option<PathBuf>,
    guardian: Option<Guardian>,
    limit: Option<Duration>,
}

impl Journals {
    /// In a folder, which is made when something is held.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), guardian: None, limit: None }
    }

    /// Has containers that are held for a backup let go on by another process when this one is killed.
    #[must_use]
    pub fn guarded_by(mut self, guardian: Guardian) -> Self {
        self.guardian = Some(guardian);
        self
    }

    /// Has that process let them go on, too, when they are held for longer than this.
    #[must_use]
    pub const fn limited_to(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Writes down what is about to be held; durable when this returns.
    ///
    /// # Errors
    /// [`Error::Io`], also where there is no folder.
    pub fn write(&self, entry: &Leftover) -> Result<Journal, Error> {
        let Some(folder) = &self.folder else {
            let source = io::Error::new(io::ErrorKind::NotFound, "there is no folder for it");
            return Err(Error::Io { action: "write", path: "the journal of held containers".to_owned(), source });
        };
        let failed = |source: io::Error| Error::Io { action: "write", path: folder.display().to_string(), source };
        make_folder(folder).map_err(failed)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}-{}", std::process::id(), crate::clock::LocalTime::now().stamp());
        let path = folder.join(format!("{name}{SUFFIX}"));
        let guardian = self.guardian.as_ref().filter(|_| entry.purpose == Purpose::Backup);
        let watch = guardian.map(|guardian| guardian.watch(&path, self.limit)).transpose().map_err(failed)?;
        // Under its name only when it is locked and whole, so that nobody takes it for a dead process's.
        let temporary = folder.join(format!(".{name}"));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| failed(errno.into()))?;
        let text = serde_json::to_vec(&Entry::of_here(entry.clone())).expect("plain data has a JSON form");
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&temporary, &path).map_err(failed)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(Journal { path, _file: file, watch })
    }

    /// The journals of processes of this host that have ended, with a lock on each, so that nobody else makes them good
    /// meanwhile.
    #[must_use]
    pub fn leftovers(&self) -> Vec<(Journal, Leftover)> {
        self.paths().iter().filter_map(|path| Journal::left_at(path)).collect()
    }

    /// Ids of the containers that restores of this host keep stopped, those that still run too, but for this journal's.
    #[must_use]
    pub fn of_other_restores(&self, own: &Journal) -> Vec<String> {
        let others = self.paths().into_iter().filter(|path| *path != own.path);
        let entries = others.filter_map(|path| read(Trust::default().open_named(&path).ok()?));
        let restores = entries.filter(|left| matches!(left.purpose, Purpose::Restore { .. }));
        restores.flat_map(|left| left.containers).map(|held| held.id).collect()
    }

    fn paths(&self) -> Vec<PathBuf> {
        let Some(folder) = &self.folder else { return Vec::new() };
        if check_folder(folder).is_err() {
            return Vec::new();
        }
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let is_journal = |path: &PathBuf| {
            let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
            name.ends_with(SUFFIX) && !name.starts_with('.')
        };
        entries.flatten().map(|entry| entry.path()).filter(is_journal).collect()
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    check_folder(folder)
}

/// What a journal says is done, so nobody else may write there.
fn check_folder(folder: &Path) -> io::Result<()> {
    let trust = Trust::default();
    trust.check(folder, &Status::of(trust.open_directory(folder)?)?)?;
    Ok(())
}

/// The journal of one hold.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// Keeps the lock.
    _file: File,
    /// Waits for the end of this process. It comes after the lock, so that a journal that is left can be taken.
    watch: Option<Watch>,
}

impl Journal {
    /// The containers go on again, so there is nothing left to make good.
    pub fn clear(self) {
        // A file that stays says of containers that run that they should run.
        let _ = std::fs::remove_file(&self.path);
    }

    /// The journal at a path, if the process has ended that wrote it.
    pub(super) fn left_at(path: &Path) -> Option<(Self, Leftover)> {
        let file = Trust::default().open_named(path).ok()?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        let left = read(file.try_clone().ok()?)?;
        Some((Self { path: path.to_owned(), _file: file, watch: None }, left))
    }

    /// What the journal at a path says, whose process may live; `None` where there is none of a backup.
    pub(super) fn of_living(path: &Path) -> Option<Leftover> {
        read(Trust::default().open_named(path).ok()?).filter(|left| left.purpose == Purpose::Backup)
    }

    /// All that it names are held: their time begins.
    pub(super) fn begin_time(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.begin();
        }
    }
}

/// What a journal says; `None` when it is of another host.
fn read(file: File) -> Option<Leftover> {
    let mut text = Vec::new();
    file.take(JOURNAL_BYTES_MAX).read_to_end(&mut text).ok()?;
    let entry: Entry = serde_json::from_slice(&text).ok()?;
    // What else is there instead of an id would be a part of what the engine is asked.
    if !entry.left.containers.iter().all(|held| is_id(&held.id)) {
        return None;
    }
    let here = Entry::of_here(entry.left.clone());
    entry.is_of(&here).then_some(entry.left)
}

/// Whether it is the whole id of a container, which no name can be.
fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::{Held, HoldMethod};

    #[test]
    fn only_the_journal_of_an_ended_process_is_left_over() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let journals = Journals::new(folder.path());
        let entry = Leftover {
            host: "unix:///x".to_owned(),
            purpose: Purpose::Backup,
            method: HoldMethod::Pause,
            containers: vec![held("redis")],
        };
        let journal = journals.write(&entry).expect("written");
        assert!(journals.leftovers().is_empty(), "its process lives");
        drop(journal);
        let mut found = journals.leftovers();
        assert_eq!(found.iter().map(|(_, found)| found).collect::<Vec<_>>(), [&entry]);
        assert!(journals.leftovers().is_empty(), "somebody makes it good");
        found.pop().expect("it was found").0.clear();
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }

    fn held(name: &str) -> Held {
        Held { id: id_of(name), name: name.to_owned() }
    }

    fn id_of(name: &str) -> String {
        crate::id::Digest::of(name.as_bytes()).to_string()
    }

    /// A journal that somebody else had written had any container run that he could name, and the engine asked for what he liked.
    #[test]
    fn only_whole_ids_are_containers() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let journals = Journals::new(folder.path());
        for id in ["victim".to_owned(), "../volumes/prune?x=".to_owned(), id_of("x") + "0"] {
            let mut entry = of(Purpose::Backup, "redis");
            entry.containers[0].id = id;
            drop(journals.write(&entry).expect("written"));
        }
        assert!(journals.leftovers().is_empty());
    }

    fn of(purpose: Purpose, container: &str) -> Leftover {
        let (host, containers) = ("unix:///x".to_owned(), vec![held(container)]);
        Leftover { host, purpose, method: HoldMethod::Stop, containers }
    }

    #[test]
    fn the_journal_of_another_host_is_left_to_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let journals = Journals::new(folder.path());
        let journal = journals.write(&of(Purpose::Backup, "redis")).expect("written");
        let path = journal.path.clone();
        drop(journal);
        let mut entry: Entry = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        entry.machine.push('x');
        std::fs::write(&path, serde_json::to_vec(&entry).expect("JSON")).expect("written");
        assert_eq!(journals.leftovers().len(), 1, "a host may get another name");
        entry.boot.push('x');
        std::fs::write(&path, serde_json::to_vec(&entry).expect("JSON")).expect("written");
        assert!(journals.leftovers().is_empty());
        assert!(path.exists());
    }

    #[test]
    fn containers_of_other_restores_are_known() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let journals = Journals::new(folder.path());
        let restore = || Purpose::Restore { snapshot: "s".to_owned(), volumes: Vec::new(), safety: None };
        let _living = journals.write(&of(restore(), "web")).expect("written");
        let _backup = journals.write(&of(Purpose::Backup, "redis")).expect("written");
        let journal = journals.write(&of(restore(), "own")).expect("written");
        assert_eq!(journals.of_other_restores(&journal), [id_of("web")]);
    }
}
