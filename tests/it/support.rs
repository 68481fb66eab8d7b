//! What the tests share: a system in a temporary folder, runs of the binary on it, and pictures of folders to compare.
//!
//! Nothing here asserts what a single test is about; it only refuses runs that could not be judged.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::common::data::{Numbers, noise, scatter};
use crate::common::program::larder;
pub(crate) use crate::common::program::{copy_binary, is_root};
pub(crate) use crate::common::run::{DAMAGE, PARTIAL, Run};

/// Far more than any command of these tests takes.
const SECONDS: &str = "300";
/// How long what is waited for is left alone before it is looked at again: much less than a pack takes.
const PAUSE: Duration = Duration::from_millis(1);

/// A system that is backed up: a folder with components, and the repository in `backups`.
pub(crate) struct System {
    folder: TempDir,
    /// What this host remembers of it.
    state: TempDir,
}

impl System {
    pub(crate) fn new() -> Self {
        let folder = || tempfile::tempdir().expect("temporary folder");
        Self { folder: folder(), state: folder() }
    }

    /// A system with a file `models/one`.
    pub(crate) fn with_model(bytes: impl AsRef<[u8]>) -> Self {
        let system = Self::new();
        system.write("models/one", bytes);
        system
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file and the folders around it.
    pub(crate) fn write(&self, relative: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a path below the system")).expect("create folders");
        fs::write(path, bytes).expect("write");
    }

    pub(crate) fn read(&self, relative: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(relative);
        fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    }

    pub(crate) fn exists(&self, relative: impl AsRef<Path>) -> bool {
        self.path(relative).symlink_metadata().is_ok()
    }

    /// The binary with arguments, without the database of whoever runs the tests.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = larder();
        command.arg("-C").arg(self.folder.path()).args(arguments);
        command.env("STATE_DIRECTORY", self.state.path());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// A run that has to succeed.
    pub(crate) fn ok<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{run:?}");
        run
    }

    /// A run with `--json` that has to succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.ok(&[arguments, &["--json"]].concat()).json()
    }

    /// A complete backup; gives the name of the snapshot.
    pub(crate) fn create(&self) -> String {
        let report = self.json(&["create"]);
        assert_eq!(report["status"], "complete", "{report}");
        report["name"].as_str().expect("a name").to_owned()
    }

    /// The files of the repository whose path in it begins like this, temporary ones too, in order.
    pub(crate) fn objects(&self, prefix: &str) -> Vec<PathBuf> {
        let root = self.path("backups");
        let mut found = files_below(&root);
        found.retain(|path| path.strip_prefix(&root).is_ok_and(|path| path.to_string_lossy().starts_with(prefix)));
        found
    }

    /// Length of all packs, in bytes.
    pub(crate) fn packs_bytes(&self) -> u64 {
        self.packs().iter().map(|pack| pack.metadata().expect("a pack").len()).sum()
    }

    /// The finished packs, those of data first.
    pub(crate) fn packs(&self) -> Vec<PathBuf> {
        let mut packs = [self.objects("packs/"), self.objects("trees/")].concat();
        packs.retain(|path| !is_temporary(path));
        packs
    }
}

/// Runs the binary, and ends it when it hangs; its status is 124 then.
pub(crate) fn within_limit(system: &System, arguments: &[&str]) -> Run {
    let larder = system.command(arguments);
    let mut command = Command::new("timeout");
    command.envs(larder.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args(["--signal=KILL", SECONDS]).arg(larder.get_program()).args(larder.get_args()).stdin(Stdio::null());
    Run::of(&mut command)
}

/// Looks at what a running command does, again and again, until `reached` is true.
pub(crate) fn watch(child: &mut Child, what: &str, reached: impl Fn() -> bool) {
    while !reached() {
        assert!(child.try_wait().expect("wait").is_none(), "the command ended before {what}");
        thread::sleep(PAUSE);
    }
}

pub(crate) fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp-"))
}

/// All files below a folder, in order; what vanishes meanwhile is left out.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            Ok(_) => found.push(entry.path()),
            Err(_) => {}
        }
    }
    found.sort();
    found
}

/// What is known of one entry beside its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, i64),
    pub(crate) size: u64,
    pub(crate) device: u64,
    pub(crate) links: u64,
    pub(crate) target: Option<PathBuf>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Entry {
    pub(crate) fn of(path: &Path) -> Self {
        let metadata = path.symlink_metadata().expect("metadata");
        let is_file = metadata.is_file();
        Self {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            size: if is_file { metadata.len() } else { 0 },
            device: metadata.rdev(),
            links: if is_file { metadata.nlink() } else { 0 },
            target: fs::read_link(path).ok(),
            xattrs: xattrs(path),
        }
    }
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 4096];
    let len = rustix::fs::llistxattr(path, &mut names).expect("attributes");
    let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 65_536];
        let len = rustix::fs::lgetxattr(path, name, &mut value).expect("attribute");
        value.truncate(len);
        value
    };
    names.filter(|name| !name.starts_with(b"security.")).map(|name| (name.to_vec(), value(name))).collect()
}

/// Everything below a folder and the folder itself (as an empty path), without contents.
pub(crate) fn picture(folder: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::from([(PathBuf::new(), Entry::of(folder))]);
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        for entry in fs::read_dir(folder.join(&relative)).expect("list") {
            let entry = entry.expect("entry");
            let path = relative.join(entry.file_name());
            if entry.file_type().expect("type").is_dir() {
                open.push(path.clone());
            }
            found.insert(path, Entry::of(&entry.path()));
        }
    }
    found
}

/// Asserts that two folders have the same entries with the same metadata.
pub(crate) fn assert_same_metadata(expected: &Path, found: &Path) {
    let (expected, found) = (picture(expected), picture(found));
    for (path, entry) in &expected {
        assert_eq!(Some(entry), found.get(path), "{}", path.display());
    }
    assert_eq!(expected.len(), found.len(), "there is more than expected");
}

/// Asserts that `diff -r` finds no difference.
pub(crate) fn assert_same_content(expected: &Path, found: &Path) {
    let run = Run::of(Command::new("diff").args(["-r", "--no-dereference"]).arg(expected).arg(found));
    assert_eq!(run.code, 0, "{run:?}");
}
