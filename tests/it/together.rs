//! Writers, readers, prunes, repairs and checks at once, as processes, of which any is killed, stopped or lives in another
//! time at any moment: what was reported is there, and whole.
//!
//! `LARDER_TEST_TOGETHER_SECS` has it go on for longer. `LARDER_TEST_FAKETIME` is the path of libfaketime, without which all
//! live in the same time.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::support::{Numbers, System, noise, scatter};
use larder::cancel::Cancel;
use larder::monitor::Monitor;

const WRITERS: usize = 3;
const USUAL: Duration = Duration::from_secs(20);
/// Longer than a command waits for another one.
const LONG_STOP: Duration = Duration::from_secs(33);
/// How long it takes at most until all have ended that were stopped or wait.
const PATIENCE: Duration = Duration::from_mins(2);
const PRUNE: &[&str] =
    &["prune", "--force", "--daily", "0", "--weekly", "0", "--monthly", "0", "--keep-last", "4", "--keep-tag", "kept"];

/// What all threads share.
struct Together {
    system: System,
    until: Instant,
    /// Processes that may be killed or stopped.
    running: Mutex<Vec<u32>>,
    /// Snapshots that were reported and are to be kept: the component of each, and what it has.
    reported: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    /// The one that is or was stopped for long; 0 before that.
    stopped_long: AtomicU32,
    counts: [AtomicUsize; 4],
    faketime: Option<PathBuf>,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
enum Count {
    Backups,
    Others,
    Kills,
    Stops,
}

impl Together {
    fn count(&self, count: Count) {
        self.counts[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn counted(&self, count: Count) -> usize {
        self.counts[count as usize].load(Ordering::Relaxed)
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// A command in some other time.
    fn command(&self, arguments: &[&str], numbers: &mut Numbers) -> Command {
        let mut command = self.system.command(arguments);
        command.env("TZ", ["UTC", "Etc/GMT+12", "Etc/GMT-14", "Europe/Berlin"][numbers.below(4)]);
        if let Some(library) = &self.faketime {
            let shift = ["+0", "-400d", "-2h", "+40s", "+3d", "+900d"][numbers.below(6)];
            command.env("LD_PRELOAD", library).env("FAKETIME", shift).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        command
    }

    /// Runs a command to whatever end; `None` when it was killed.
    fn run(&self, arguments: &[&str], numbers: &mut Numbers) -> Option<Output> {
        // Files, because nobody reads from a pipe before the process has ended.
        let mut said = [tempfile::tempfile().expect("a file"), tempfile::tempfile().expect("a file")];
        let [stdout, stderr] = said.each_ref().map(|file| file.try_clone().expect("a file"));
        let child = self.command(arguments, numbers).stdout(stdout).stderr(stderr).spawn().expect("start");
        self.running.lock().expect("no panic").push(child.id());
        let pid = child.id();
        let status = self.wait(child);
        // What libfaketime leaves of a process that was killed.
        for name in ["faketime_shm_", "sem.faketime_sem_"] {
            let _ = std::fs::remove_file(format!("/dev/shm/{name}{pid}"));
        }
        let [stdout, stderr] = said.each_mut().map(|file| {
            let mut bytes = Vec::new();
            file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a file");
            bytes
        });
        let output = Output { status, stdout, stderr };
        let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        let lines = said.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with("keep "));
        let said: Vec<&str> = lines.collect();
        assert!(output.status.code() != Some(4), "{arguments:?} found damage: {said:#?}");
        (output.status.signal() != Some(9)).then_some(output)
    }

    /// Nobody sends a signal to a process that has been waited for: its number may be that of another one then.
    fn wait(&self, mut child: Child) -> ExitStatus {
        let pid = child.id();
        let process = Pid::from_raw(i32::try_from(pid).expect("a process")).expect("a process");
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(process), options).expect("it is ours");
        self.running.lock().expect("no panic").retain(|other| *other != pid);
        child.wait().expect("it has ended")
    }

    /// Backs one component up, over and over, every other time as a snapshot that is to be kept.
    fn write(&self, writer: usize) {
        let mut numbers = Numbers(writer as u64 + 77);
        let component = format!("part{writer}");
        let mut data = noise(400_000, writer as u64);
        for round in 0.. {
            if !self.goes_on() {
                return;
            }
            scatter(&mut data, numbers.below(1 << 30) as u64);
            self.system.write(format!("{component}/data"), &data);
            let mut arguments = vec!["create", "--json", "--components", &component];
            if round % 2 == 0 {
                arguments.extend(["--tag", "kept"]);
            }
            let Some(output) = self.run(&arguments, &mut numbers) else { continue };
            match output.status.code() {
                Some(0) => self.count(Count::Backups),
                Some(5) => continue,
                // More than one a second for minutes: there are no more names, and nothing was begun.
                Some(1) if String::from_utf8_lossy(&output.stderr).contains("are all taken") => continue,
                _ => panic!("a backup: {output:?}"),
            }
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
            let name = report["name"].as_str().expect("a name").to_owned();
            if round % 2 == 0 {
                self.reported.lock().expect("no panic").insert(name, (component.clone(), data.clone()));
            }
        }
    }

    /// Runs other commands, over and over.
    fn do_others(&self, seed: u64) {
        let mut numbers = Numbers(seed);
        let out = self.system.path(format!("out{seed}")).to_string_lossy().into_owned();
        while self.goes_on() {
            let (arguments, allowed): (&[&str], &[i32]) = match numbers.below(6) {
                0 | 1 => (PRUNE, &[0, 3, 5]),
                2 => (&["verify", "--all"], &[0, 5]),
                3 => (&["verify", "--all", "--read-data"], &[0, 5]),
                // The name may be gone as soon as it was found.
                4 => (&["restore", "latest", "--target", &out, "--force"], &[0, 5, 6]),
                _ => (&["repair"], &[0, 1, 5]),
            };
            let Some(output) = self.run(arguments, &mut numbers) else { continue };
            let code = output.status.code().expect("it was not killed");
            assert!(allowed.contains(&code), "{arguments:?}: {output:?}");
            self.count(Count::Others);
        }
    }

    /// Kills some, and stops others for a while, one of them for long, meanwhile others too.
    fn disturb<'a>(&'a self, scope: &'a thread::Scope<'a, '_>) {
        let mut numbers = Numbers(3);
        while self.goes_on() {
            thread::sleep(Duration::from_millis(numbers.below(60) as u64));
            let kills = numbers.below(3) == 0;
            let Some(process) = self.signal_one(if kills { Signal::KILL } else { Signal::STOP }, &mut numbers) else {
                continue;
            };
            if kills {
                self.count(Count::Kills);
                continue;
            }
            self.count(Count::Stops);
            if self.counted(Count::Stops) > 20 && self.stopped_long.load(Ordering::Relaxed) == 0 {
                self.stopped_long.store(process, Ordering::Relaxed);
                scope.spawn(move || self.stop_long(process));
                continue;
            }
            thread::sleep(Duration::from_millis(numbers.below(300) as u64));
            self.signal(process, Signal::CONT);
        }
    }

    /// Lets a process that is stopped go on when others have waited for it in vain. Nothing else is sent to it until then.
    fn stop_long(&self, process: u32) {
        thread::sleep(LONG_STOP);
        self.signal(process, Signal::CONT);
    }

    fn signal_one(&self, signal: Signal, numbers: &mut Numbers) -> Option<u32> {
        let running = self.running.lock().expect("no panic");
        let long = self.stopped_long.load(Ordering::Relaxed);
        let others: Vec<u32> = running.iter().copied().filter(|process| *process != long).collect();
        let process = *others.get(numbers.below(others.len()))?;
        send(process, signal);
        Some(process)
    }

    fn signal(&self, process: u32, signal: Signal) {
        if self.running.lock().expect("no panic").contains(&process) {
            send(process, signal);
        }
    }

    /// Everything that was reported is there and has what was saved.
    fn assert_whole(&self) {
        self.system.ok(&["verify", "--all", "--read-data"]);
        self.system.ok(PRUNE);
        self.system.ok(&["verify", "--all", "--read-data"]);
        self.system.run(&["repair"]).ended(0).shows("OK: nothing to repair");
        let reported = self.reported.lock().expect("no panic");
        for (name, (component, data)) in reported.iter() {
            let found = self.system.command(&["cat", &format!("{name}:{component}/data")]).output().expect("it runs");
            assert!(found.stdout == *data, "{name} has what was backed up: {}", String::from_utf8_lossy(&found.stderr));
        }
    }
}

fn send(process: u32, signal: Signal) {
    let process = Pid::from_raw(i32::try_from(process).expect("a process")).expect("a process");
    kill_process(process, signal).expect("it has not been waited for");
}

#[test]
fn many_at_once_that_are_killed_and_stopped_lose_nothing_that_was_reported() {
    let seconds = std::env::var("LARDER_TEST_TOGETHER_SECS").ok().and_then(|text| text.parse().ok());
    let duration = seconds.map_or(USUAL, Duration::from_secs);
    let system = System::new();
    let parts: String =
        (0..WRITERS).map(|writer| format!("part{writer} = \"part{writer}\"\n")).collect::<Vec<_>>().concat();
    system.write("larder.toml", format!("parity = \"5%\"\n[docker]\nenabled = false\n[directories]\n{parts}"));
    (0..WRITERS).for_each(|writer| system.write(format!("part{writer}/data"), b"to begin with"));
    system.create();
    let together = Together {
        system,
        until: Instant::now() + duration,
        running: Mutex::default(),
        reported: Mutex::default(),
        stopped_long: AtomicU32::new(0),
        counts: Default::default(),
        faketime: std::env::var_os("LARDER_TEST_FAKETIME").map(PathBuf::from),
    };
    thread::scope(|scope| {
        let together = &together;
        (0..WRITERS).for_each(|writer| drop(scope.spawn(move || together.write(writer))));
        (0..2).for_each(|number| drop(scope.spawn(move || together.do_others(number))));
        scope.spawn(|| together.disturb(scope));
    });
    assert!(together.until.elapsed() < PATIENCE, "everything came to its end");
    let counted = [Count::Backups, Count::Others, Count::Kills, Count::Stops].map(|count| together.counted(count));
    assert!(counted.iter().all(|count| *count > 10), "{counted:?}");
    assert!(together.stopped_long.load(Ordering::Relaxed) != 0, "one was stopped for long");
    together.assert_whole();
}

/// Whoever removed the file of a lock that was held, as something left behind, let a prune delete beside a backup, which was complete then.
#[test]
fn a_backup_whose_lock_was_removed_has_no_snapshot() {
    let system = System::with_model("one");
    system.create();
    for removed in ["backups/locks/repository", "backups/locks"] {
        let storage =
            larder::storage::open(&system.path("backups").to_string_lossy(), &larder::rooted::Trust::default());
        let repository = larder::repo::Repository::open(storage.expect("a folder")).expect("a repository");
        let (reservation, _) = larder::pipeline::backup::reserve(&repository).expect("a name");
        let transaction = repository.begin(&Monitor::unheard(&Cancel::new())).expect("begin");
        let finished = transaction.finish().expect("finish");
        let path = system.path(removed);
        let gone = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        gone.expect("ours");
        system.ok(&["prune", "--keep-last", "1", "--force"]);
        let error = finished.commit(&reservation, b"a manifest").expect_err("others could delete").to_string();
        assert!(error.contains("was removed or exchanged"), "{error}");
        assert!(!system.exists(format!("backups/snapshots/{}", reservation.name())));
    }
}
