//! Objects of a repository changed at random, under their own names or under the right ones for what they are then. Whatever
//! is done with it, nothing panics, hangs or takes much memory, and what is given out is what was saved.
//!
//! `LARDER_TEST_MUTATIONS` has it go through more of them, `LARDER_TEST_MUTATIONS_FROM` begins with another one. The numbers
//! are the seeds: what one of them finds, it finds again.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use larder::cancel::Cancel;
use larder::id::Digest;
use larder::model::{Retention, Snapshot, SnapshotKind};
use larder::monitor::Monitor;
use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin};
use larder::pipeline::lookup;
use larder::pipeline::prune::{self, PruneOptions};
use larder::pipeline::repair::repair;
use larder::pipeline::restore::{self, Destination, RestoreJob, RestoreOptions, Safety};
use larder::pipeline::verify::{VerifyOptions, verify};
use larder::repo::Repository;
use larder::rooted::Trust;
use larder::source::{DirSource, Excludes};
use tempfile::TempDir;

use super::support::{Numbers, files_below, noise, scatter};

const USUAL: u64 = 300;
/// More than any job on so small a repository takes.
const JOB: Duration = Duration::from_secs(20);
/// Most memory that the process may have had at once, in KiB: of all tests that run beside this one together.
const MEMORY_KIB_MAX: u64 = 1 << 20;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A repository as it was, and what is in its snapshots.
struct Original {
    folder: TempDir,
    saved: BTreeMap<String, Files>,
}

/// What cancels a job that takes too long.
fn limit() -> Cancel {
    Cancel::new().child_until(Instant::now() + JOB)
}

fn open(folder: &Path) -> Result<Repository, larder::repo::Error> {
    let storage = larder::storage::open(&folder.join("backups").to_string_lossy(), &Trust::default());
    Repository::open_or_create(storage.expect("a folder"))
}

fn files_of(folder: &Path) -> Files {
    let name = |path: &PathBuf| path.strip_prefix(folder).expect("below it").to_owned();
    files_below(folder).into_iter().map(|path| (name(&path), fs::read(&path).expect("read"))).collect()
}

fn create(folder: &Path, repository: &Repository, monitor: &Monitor<'_>) -> Result<Snapshot, larder::pipeline::Error> {
    let origin = Origin::Directory(DirSource::new(folder.join("models"), Excludes::default()));
    let sources = [ComponentSource { name: "models".parse().expect("a name"), origin }];
    let options = BackupOptions::new(SnapshotKind::Files, "host", "a test");
    let report = backup::run(repository, backup::reserve(repository)?, &sources, &options, monitor)?;
    Ok(report.snapshot)
}

/// What comes back of a snapshot; `None` when something is told to be wrong with it.
fn restored(folder: &Path, repository: &Repository, snapshot: &Snapshot, monitor: &Monitor<'_>) -> Option<Files> {
    let out = folder.join("out");
    let _ = fs::remove_dir_all(&out);
    let component = snapshot.component("models")?;
    let jobs = [RestoreJob {
        component,
        destination: Destination::Folder { folder: out.clone(), trust: Trust::default() },
        parts: None,
    }];
    let options = RestoreOptions::default();
    let report = restore::run(repository, snapshot, &jobs, Safety::default(), options, monitor).ok()?;
    let is_whole = report.components.iter().all(|result| result.failed.is_empty()) && component.root.is_some();
    is_whole.then(|| files_of(&out.join("models")))
}

impl Original {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let models = folder.path().join("models");
        fs::create_dir_all(models.join("sub")).expect("create");
        let mut saved = BTreeMap::new();
        let repository = open(folder.path()).expect("a new repository");
        let mut bytes = noise(120_000, 1);
        for night in 0..4_u8 {
            fs::write(models.join("data"), &bytes).expect("write");
            fs::write(models.join("sub/small"), [night; 100]).expect("write");
            fs::write(models.join("text"), "a line of text\n".repeat(2_000 + usize::from(night))).expect("write");
            let snapshot = create(folder.path(), &repository, &Monitor::unheard(&Cancel::new())).expect("saved");
            saved.insert(snapshot.name.to_string(), files_of(&models));
            scatter(&mut bytes[..60_000], night.into());
        }
        drop(repository);
        Self { folder, saved }
    }

    /// A copy of it in another folder.
    fn copied(&self) -> TempDir {
        let copy = tempfile::tempdir().expect("temporary folder");
        for (path, bytes) in files_of(self.folder.path()) {
            let path = copy.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("create");
            fs::write(path, bytes).expect("write");
        }
        copy
    }
}

/// What was done to the repository.
#[derive(Debug)]
struct Mutation {
    what: String,
    /// Every true object is still there.
    is_added: bool,
    /// Snapshots whose own manifest says something else now.
    changed: Vec<String>,
}

fn mutate(folder: &Path, numbers: &mut Numbers) -> Mutation {
    let root = folder.join("backups");
    let areas = ["packs", "index", "index", "trees", "snapshots", "config"];
    let area = areas[numbers.below(areas.len())];
    let mut objects = files_below(&root);
    objects.retain(|path| path.strip_prefix(&root).is_ok_and(|path| path.starts_with(area)));
    let path = objects[numbers.below(objects.len())].clone();
    let another = fs::read(&objects[numbers.below(objects.len())]).expect("read");
    let mut bytes = fs::read(&path).expect("read");
    let how = change(&mut bytes, &another, numbers);
    let is_forged = numbers.below(2) == 0;
    let is_added = is_forged && numbers.below(2) == 0 && matches!(area, "packs" | "trees" | "index");
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let mut changed = Vec::new();
    if !is_added {
        fs::remove_file(&path).expect("it is there");
    }
    let target = if is_forged { forged(&root, area, &path, &mut bytes) } else { path };
    if area == "snapshots" {
        changed.push(name.clone());
    }
    fs::create_dir_all(target.parent().expect("a parent")).expect("create");
    fs::write(&target, &bytes).expect("write");
    Mutation { what: format!("{how}, {area}/{name}, forged {is_forged}, added {is_added}"), is_added, changed }
}

/// Changes bytes in one of several ways, and says how.
fn change(bytes: &mut Vec<u8>, another: &[u8], numbers: &mut Numbers) -> &'static str {
    let at = numbers.below(bytes.len());
    let end = (at + 1 + numbers.below(64)).min(bytes.len());
    match numbers.below(8) {
        0 => {
            bytes[at] ^= 1 << numbers.below(8);
            "flipped"
        }
        1 => {
            (0..8).for_each(|_| {
                let at = numbers.below(bytes.len());
                bytes[at] ^= 1 << numbers.below(8);
            });
            "flipped in eight places"
        }
        2 => {
            bytes.truncate(at);
            "cut"
        }
        3 => {
            bytes[at..end].fill([0, 255][numbers.below(2)]);
            "filled"
        }
        4 => {
            bytes.clear();
            bytes.extend_from_slice(another);
            "replaced"
        }
        5 => {
            let from = numbers.below(another.len());
            let len = (end - at).min(another.len() - from);
            bytes[at..at + len].copy_from_slice(&another[from..from + len]);
            "mixed"
        }
        6 => {
            let run = bytes[at..end].to_vec();
            bytes.splice(at..at, run);
            "lengthened"
        }
        _ => {
            if let Some(word) = bytes.get_mut(at..at + 4) {
                word.fill(255);
            }
            "largest number"
        }
    }
}

/// Makes the checksums right that the object has in itself, as far as they are at its end or in its header, and gives the
/// path that it has by its content.
fn forged(root: &Path, area: &str, path: &Path, bytes: &mut [u8]) -> PathBuf {
    let len = bytes.len();
    match area {
        "packs" | "trees" => {
            seal_pack(bytes);
            let name = Digest::of(bytes).to_string();
            root.join(area).join(&name[..2]).join(name)
        }
        "index" => {
            if len >= 72 {
                let sum = larder::id::checksum(&bytes[..64]);
                bytes[64..72].copy_from_slice(&sum.to_le_bytes());
            }
            root.join("index").join(Digest::of(bytes).to_string())
        }
        _ => {
            if area == "snapshots" && len >= 32 {
                let sum = Digest::of(&bytes[..len - 32]);
                bytes[len - 32..].copy_from_slice(sum.as_bytes());
            }
            path.to_owned()
        }
    }
}

/// The checksums of the blocks of a pack, as far as these follow one another, and that of its directory and footer.
fn seal_pack(bytes: &mut [u8]) {
    let len = bytes.len();
    let mut at = 64;
    while bytes.get(at..at + 4) == Some(b"lblk") && at + 32 <= len {
        let number = |from: usize, len: usize| {
            bytes[at + from..at + from + len].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let begin = at + 32 + 4 * number(16, 2) + 16 * number(18, 2);
        let end = begin + number(8, 4);
        let Some(payload) = bytes.get(begin..end) else { break };
        let sum = larder::id::checksum(payload);
        bytes[at + 24..at + 32].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
    let Some(begin) = len.checked_sub(32).and_then(|at| bytes.get(at..at + 8)) else { return };
    let begin = u64::from_le_bytes(begin.try_into().expect("eight bytes"));
    let Some(covered) = usize::try_from(begin).ok().and_then(|begin| bytes.get(begin..len - 8)) else { return };
    let sum = larder::id::checksum(covered);
    bytes[len - 8..].copy_from_slice(&sum.to_le_bytes());
}

/// A mutated repository, and what it has to give.
struct Mutated<'a> {
    folder: &'a Path,
    saved: BTreeMap<String, Files>,
    mutation: &'a Mutation,
}

impl Mutated<'_> {
    /// Runs a job, which has to end in time.
    fn job<T>(&self, what: &str, job: impl FnOnce(&Repository, &Monitor<'_>) -> T) -> Option<T> {
        let limit = limit();
        let result = open(self.folder).ok().map(|repository| job(&repository, &Monitor::unheard(&limit)));
        assert!(!limit.is_cancelled(), "{what} takes too long: {:?}", self.mutation);
        result
    }

    /// Restores everything; what comes back is what was saved. `all` of it has to come back.
    fn restore(&self, what: &str, all: bool) {
        let found = self.job("list", |repository, _| lookup::snapshots(repository));
        let Some(Ok(found)) = found else {
            assert!(!all, "{what}: nothing is found: {:?}", self.mutation);
            return;
        };
        for snapshot in &found.snapshots {
            let name = snapshot.name.to_string();
            let back = self.job("restore", |repository, monitor| restored(self.folder, repository, snapshot, monitor));
            let Some(saved) = self.saved.get(&name).filter(|_| !self.mutation.changed.contains(&name)) else {
                continue;
            };
            match back.flatten() {
                Some(back) => assert!(back == *saved, "{what}: {name} is another one: {:?}", self.mutation),
                None => assert!(!all, "{what}: {name} does not come back: {:?}", self.mutation),
            }
        }
    }

    fn verify(&self, read_data: bool) {
        let options = VerifyOptions { read_data, subset_percent: None };
        self.job("verify", |repository, monitor| drop(verify(repository, None, options, monitor)));
    }

    fn create(&mut self, seed: u64) {
        let models = self.folder.join("models");
        fs::write(models.join("data"), noise(50_000, seed)).expect("write");
        let files = files_of(&models);
        let created = self.job("create", |repository, monitor| create(self.folder, repository, monitor));
        if let Some(Ok(snapshot)) = created {
            self.saved.insert(snapshot.name.to_string(), files);
        }
    }

    fn prune(&self) {
        let options = PruneOptions { retention: Retention { last: 2, ..Retention::NONE }, ..PruneOptions::default() };
        self.job("prune", |repository, monitor| {
            if let Ok(plan) = prune::plan(repository, &options, monitor) {
                drop(prune::execute(repository, plan, monitor));
            }
        });
    }

    fn repair(&self) {
        let limit = limit();
        let storage = larder::storage::open(&self.folder.join("backups").to_string_lossy(), &Trust::default());
        if let Ok((repository, _)) = Repository::open_damaged(storage.expect("a folder"), true) {
            drop(repair(&repository, &[], &Monitor::unheard(&limit)));
        }
        assert!(!limit.is_cancelled(), "repair takes too long: {:?}", self.mutation);
    }

    fn run(&mut self, seed: u64, numbers: &mut Numbers) {
        let all = self.mutation.is_added;
        self.verify(false);
        self.verify(true);
        self.restore("at first", all);
        let mut jobs = [0, 1, 2];
        jobs.swap(0, numbers.below(3));
        jobs.swap(1, 1 + numbers.below(2));
        for job in jobs {
            let what = ["create", "prune", "repair"][job];
            match job {
                0 => self.create(seed),
                1 => self.prune(),
                _ => self.repair(),
            }
            self.restore(&format!("after {what}, in the order {jobs:?}"), all);
        }
        self.verify(true);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The most memory that this process has had, in KiB.
fn memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the status of the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the most memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn whatever_is_changed_nothing_wrong_is_given_out() {
    let original = Original::new();
    let from = number("LARDER_TEST_MUTATIONS_FROM").unwrap_or(0);
    for seed in from..from + number("LARDER_TEST_MUTATIONS").unwrap_or(USUAL) {
        let copy = original.copied();
        assert!(copy.path().join("backups/config").exists(), "the original is there for mutation {seed}");
        let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        numbers.below(1);
        let mutation = mutate(copy.path(), &mut numbers);
        let mut mutated = Mutated { folder: copy.path(), saved: original.saved.clone(), mutation: &mutation };
        let run = catch_unwind(AssertUnwindSafe(|| mutated.run(seed, &mut numbers)));
        assert!(run.is_ok(), "mutation {seed}: {}", mutation.what);
        // With others in its process it would be their memory, too.
        let is_alone = number("LARDER_TEST_MUTATIONS").is_some();
        assert!(
            !is_alone || memory_kib() < MEMORY_KIB_MAX,
            "mutation {seed} took {} KiB: {}",
            memory_kib(),
            mutation.what
        );
    }
}
