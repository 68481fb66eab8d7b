//! Power failures: what was not synced is lost, in any combination, at any moment of a backup or a prune.
//!
//! The program runs under strace, whose record says which changes of which folders were synced when. Deletions are held
//! back for a moment, in which another name is given to what goes, so that everything that ever was is at hand. From that
//! each state that a disk may be in after a failure is made, and looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::support::{Numbers, PARTIAL, Run, System, files_below, noise, scatter};

/// What is done to something below the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Wrote(PathBuf),
    Synced(PathBuf),
    Named(PathBuf, PathBuf),
    Made(PathBuf),
    Deleted(PathBuf),
}

/// The text between the first of each pair of these, from `text` on.
fn between(text: &str, begin: char, end: char) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end)
}

/// The paths of a call: each name in quotes, below the open directory that comes before it.
fn paths_of(arguments: &str) -> Vec<PathBuf> {
    let mut parts = arguments.split('"');
    let mut paths = Vec::new();
    while let (Some(before), Some(name)) = (parts.next(), parts.next()) {
        let directory = between(before, '<', '>').map(|(directory, _)| Path::new(directory));
        paths.push(directory.map_or_else(|| PathBuf::from(name), |directory| directory.join(name)));
    }
    paths
}

/// A line of strace: when it was done, and what; `None` when it changed nothing.
fn change(line: &str) -> Option<(f64, Change)> {
    let (start, rest) = line.split_once(' ')?;
    let (call, arguments) = rest.split_once('(')?;
    let (result, took) = rest.rsplit_once(" = ")?.1.rsplit_once(" <")?;
    if result.starts_with('-') {
        return None;
    }
    let done = start.parse::<f64>().ok()? + took.trim_end_matches('>').parse::<f64>().ok()?;
    let mut paths = paths_of(arguments).into_iter();
    let opened = || between(arguments, '<', '>').map(|(path, _)| PathBuf::from(path));
    let change = match call {
        "write" | "pwrite64" => Change::Wrote(opened()?),
        "fsync" | "fdatasync" => Change::Synced(opened()?),
        "rename" | "renameat" | "renameat2" | "link" | "linkat" => Change::Named(paths.next()?, paths.next()?),
        "mkdir" | "mkdirat" => Change::Made(paths.next()?),
        "unlink" | "unlinkat" => Change::Deleted(paths.next()?),
        _ => return None,
    };
    Some((done, change))
}

/// Gives everything in the repository another name, below `kept`.
fn keep(system: &System) {
    let (from, to) = (system.path("backups"), system.path("kept"));
    for path in files_below(&from) {
        let target = to.join(path.strip_prefix(&from).expect("below it"));
        if target.exists() {
            continue;
        }
        fs::create_dir_all(target.parent().expect("a folder")).expect("create");
        match fs::hard_link(&path, target) {
            // Renamed since the listing.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result.expect("link"),
        }
    }
}

/// Runs the program, and records what it does to its repository.
fn recorded(system: &System, arguments: &[&str]) -> Vec<Change> {
    let traces = tempfile::tempdir().expect("temporary folder");
    let program = system.command(arguments);
    let mut strace = Command::new("strace");
    strace.args(["-ff", "-ttt", "-T", "-y", "-qq", "-s", "600", "-o"]).arg(traces.path().join("trace"));
    strace.args(["-e", "trace=/^(p?write(64)?|f(data)?sync|rename.*|link(at)?|mkdir(at)?|unlink(at)?)$"]);
    strace.args(["-e", "inject=unlink,unlinkat:delay_enter=50ms"]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace.stdin(Stdio::null()).stdout(Stdio::null());
    let mut running = strace.spawn().expect("needs strace, as tests/run installs it");
    let status = loop {
        keep(system);
        match running.try_wait().expect("it is ours") {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    keep(system);
    assert!(status.success(), "{arguments:?}: {status}");
    let root = system.path("backups");
    let mut changes = Vec::new();
    for trace in files_below(traces.path()) {
        let text = fs::read(trace).expect("a trace");
        changes.extend(String::from_utf8_lossy(&text).lines().filter_map(change));
    }
    changes.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let is_ours = |change: &Change| match change {
        Change::Wrote(path) | Change::Synced(path) | Change::Made(path) | Change::Deleted(path) => {
            path.starts_with(&root)
        }
        Change::Named(_, path) => path.starts_with(&root),
    };
    changes.into_iter().map(|(_, change)| change).filter(is_ours).collect()
}

/// What is on the disk, and what may be.
#[derive(Debug, Default, Clone)]
struct Disk {
    /// Entries that are there for sure.
    sure: BTreeSet<PathBuf>,
    /// Changes of entries that no sync of their folder has followed: whether each is there then, in order.
    open: BTreeMap<PathBuf, Vec<bool>>,
    /// Files with content that no sync has followed.
    unsynced: BTreeSet<PathBuf>,
}

impl Disk {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Wrote(path) => drop(self.unsynced.insert(path.clone())),
            Change::Synced(path) => {
                self.unsynced.remove(path);
                let settled: Vec<PathBuf> =
                    self.open.keys().filter(|entry| entry.parent() == Some(path)).cloned().collect();
                for entry in settled {
                    match self.open.remove(&entry).and_then(|states| states.last().copied()) {
                        Some(true) => drop(self.sure.insert(entry)),
                        _ => drop(self.sure.remove(&entry)),
                    }
                }
            }
            Change::Named(from, to) => {
                assert!(!self.unsynced.contains(from), "{} gets its name before it is synced", from.display());
                self.open.entry(to.clone()).or_default().push(true);
            }
            Change::Made(path) => self.open.entry(path.clone()).or_default().push(true),
            Change::Deleted(path) => self.open.entry(path.clone()).or_default().push(false),
        }
    }

    /// One of the states that the disk may be in; `choose` is told how many states an entry may have.
    fn state(&self, mut choose: impl FnMut(usize) -> usize) -> BTreeSet<PathBuf> {
        let mut there = self.sure.clone();
        for (entry, states) in &self.open {
            let is_there = match choose(states.len() + 1) {
                0 => self.sure.contains(entry),
                number => states[number - 1],
            };
            if is_there {
                there.insert(entry.clone());
            } else {
                there.remove(entry);
            }
        }
        let has_folders = |entry: &&PathBuf| {
            let folders = entry.ancestors().skip(1).take_while(|folder| folder.file_name().is_some());
            folders.filter(|folder| self.open.contains_key(*folder)).all(|folder| there.contains(folder))
        };
        there.iter().filter(has_folders).cloned().collect()
    }
}

/// A system whose repository is as some power failure left it, below `failed`.
struct Failing {
    system: System,
    numbers: Numbers,
    states: usize,
}

impl Failing {
    /// Records a command, and looks at what each failure of it leaves; `stay` are the snapshots that none may take away.
    fn fail(&mut self, arguments: &[&str], stay: &[String]) {
        let is_object = |path: &PathBuf| !path.components().any(|part| part.as_os_str() == "locks");
        let mut disk = Disk {
            sure: files_below(&self.system.path("backups")).into_iter().filter(is_object).collect(),
            ..Disk::default()
        };
        let changes = recorded(&self.system, arguments);
        assert!(changes.len() > 20, "{changes:?}");
        let mut seen = BTreeSet::new();
        for (number, change) in changes.iter().enumerate() {
            disk.apply(change);
            if matches!(change, Change::Wrote(_)) {
                continue;
            }
            let numbers = &mut self.numbers;
            let mut states = vec![disk.state(|_| 0), disk.state(|all| all - 1)];
            states.extend((0..3).map(|_| disk.state(|all| numbers.below(all))));
            for state in states {
                if seen.insert(state.clone()) {
                    self.look(&state, stay, &format!("{arguments:?}, failure after {number}: {change:?}"));
                }
            }
        }
    }

    /// Makes the state, and looks whether everything is whole that has to be there, and the next backup succeeds.
    fn look(&mut self, state: &BTreeSet<PathBuf>, stay: &[String], what: &str) {
        self.states += 1;
        let to = self.system.path("failed");
        make(&self.system, state, &to);
        let failed = to.to_string_lossy().into_owned();
        // What the host remembers is what had been reported.
        let state_folder = self.system.path("state of failed");
        let _ = fs::remove_dir_all(&state_folder);
        let run = |arguments: &[&str]| {
            let mut command = self.system.command(&[&["--backup-dir", &failed], arguments].concat());
            Run::of(command.env("STATE_DIRECTORY", &state_folder))
        };
        if !to.join("config").exists() {
            assert!(stay.is_empty(), "{what}: the config is gone");
            return;
        }
        let list = run(&["list", "--json"]);
        assert_eq!(list.code, 0, "{what}: {list:?}");
        let list = list.json();
        let names: Vec<&str> = list.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
        assert!(stay.iter().all(|name| names.contains(&name.as_str())), "{what}: of {stay:?} there are {names:?}");
        let verified = run(&["verify", "--all", "--read-data"]);
        // What a first backup has left that did not come to its end could be that of lost manifests.
        let is_well = verified.code == 0 || (names.is_empty() && verified.code == PARTIAL);
        assert!(is_well, "{what}: {verified:?}");
        if self.states.is_multiple_of(5) {
            let next = run(&["create"]);
            assert_eq!(next.code, 0, "{what}, the next backup: {next:?}");
            let verified = run(&["verify", "--all", "--read-data"]);
            assert_eq!(verified.code, 0, "{what}, after the next backup: {verified:?}");
        }
    }
}

/// Makes a folder of these files; none of them is ever changed, so links will do.
fn make(system: &System, state: &BTreeSet<PathBuf>, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).expect("create");
    for path in state {
        let relative = path.strip_prefix(system.path("backups")).expect("below the repository");
        let (kept, target) = (system.path("kept").join(relative), to.join(relative));
        if kept.is_file() {
            fs::create_dir_all(target.parent().expect("a folder")).expect("create");
            fs::hard_link(kept, target).expect("link");
        }
    }
}

#[test]
fn a_power_failure_that_loses_what_was_not_synced_takes_no_snapshot_away() {
    let system = System::new();
    let mut failing = Failing { system, numbers: Numbers(9), states: 0 };
    let mut data = noise(500_000, 1);
    let mut stay: Vec<String> = Vec::new();
    // The last ones merge segments.
    for night in 0..7 {
        failing.system.write("models/data", &data);
        failing.system.write("models/fresh", noise(50_000, night));
        failing.fail(&["create"], &stay);
        let names = failing.system.json(&["list"]);
        stay = names
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["name"].as_str().expect("a name").to_owned())
            .collect();
        scatter(&mut data, night);
    }
    assert_eq!(stay.len(), 7);
    let kept = &stay[..2].to_vec();
    failing.fail(&["prune", "--force", "--daily", "0", "--weekly", "0", "--monthly", "0", "--keep-last", "2"], kept);
    failing.system.ok(&["verify", "--all", "--read-data"]);
    let names = failing.system.json(&["list"]);
    assert_eq!(names.as_array().expect("a list").len(), 2, "{names}");
    assert!(failing.states > 50, "{} states", failing.states);
}
