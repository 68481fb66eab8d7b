//! Bounds: a full disk, very many entries, memory, and several processes at once.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::strangers::as_stranger;
use super::support::{Run, System, assert_same_content, is_root, noise};

/// A small file system that is unmounted in the end.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// `None` where mounting is not permitted.
    fn mount(folder: PathBuf) -> Option<Self> {
        if !is_root() {
            return None;
        }
        fs::create_dir_all(&folder).expect("create");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m,mode=0700", "larder-test"]).arg(&folder).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then_some(Self { folder })
    }

    /// Takes every byte that is free; gives the file that has them.
    fn fill(&self) -> PathBuf {
        let path = self.folder.join("filler");
        let mut file = fs::File::create(&path).expect("create");
        let page = [1; 4096];
        while file.write_all(&page).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.folder).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the small disk is taken away again");
    }
}

#[test]
fn a_full_disk_is_told_and_costs_nothing_that_stood() {
    let system = System::with_model("small");
    let Some(_disk) = SmallDisk::mount(system.path("backups")) else { return };
    let first = system.create();
    system.write("models/big", noise(20 << 20, 3));
    let run = system.run(&["create"]);
    run.ended(1).says("no space left").says("bytes").says("make room");
    system.ok(&["verify", "--all", "--read-data"]);
    system.ok(&["restore", &first, "--target", &system.path("out").to_string_lossy()]);
    assert_eq!(system.read("out/models/one"), b"small");
    fs::remove_file(system.path("models/big")).expect("remove");
    system.write("models/two", "fits");
    system.create();
    system.ok(&["verify", "--all", "--read-data"]);
    assert_eq!(system.json(&["list"]).as_array().map(Vec::len), Some(2));
}

#[test]
fn a_disk_without_a_free_byte_is_pruned() {
    let system = System::with_model("small");
    let Some(disk) = SmallDisk::mount(system.path("backups")) else { return };
    for night in 0..4 {
        system.write("models/fresh", noise(1 << 20, 10 + night));
        system.create();
    }
    let filler = disk.fill();
    let prune = ["prune", "--force", "--keep-last", "1", "--daily", "0", "--weekly", "0", "--monthly", "0"];
    // The pack of the first night has something that stays, for which there is no room elsewhere yet.
    system.ok(&prune);
    assert!(system.packs_bytes() < 5 << 19, "the space of two nights is free: {}", system.packs_bytes());
    system.ok(&prune);
    assert!(system.packs_bytes() < 3 << 19, "the space of the first night is free: {}", system.packs_bytes());
    fs::remove_file(filler).expect("remove");
    assert_eq!(system.json(&["list"]).as_array().map(Vec::len), Some(1));
    system.ok(&["verify", "--all", "--read-data"]);
    system.ok(&["restore", "latest", "--target", &system.path("out").to_string_lossy()]);
    assert_same_content(&system.path("models"), &system.path("out/models"));
}

/// The most memory that a process has had, looked at every few milliseconds until it ends.
fn peak_kilobytes(child: &Child) -> u64 {
    let pid = Pid::from_child(child);
    let ended = pidfd_open(pid, PidfdFlags::empty()).expect("a process");
    let pause = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
    let mut peak = 0;
    while poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&pause)) != Ok(1) {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        peak = number.unwrap_or(0).max(peak);
    }
    peak
}

#[test]
fn a_folder_of_200_000_entries_in_bounded_memory() {
    const ENTRIES: usize = 200_000;
    const FILES: usize = 2_000;
    let system = System::new();
    for number in 0..FILES {
        system.write(format!("models/many/{number}"), number.to_string());
    }
    // Another name costs less than another file, and is an entry all the same.
    let many = system.path("models/many");
    for number in FILES..ENTRIES {
        fs::hard_link(many.join((number % FILES).to_string()), many.join(number.to_string())).expect("link");
    }
    let mut child = system.command(&["create", "-q"]).stdout(Stdio::null()).spawn().expect("start");
    let peak = peak_kilobytes(&child);
    assert!(child.wait().expect("wait").success());
    assert!((1_000..100_000).contains(&peak), "{peak} kB");
    let list = system.ok(&["ls", "latest:models/many"]);
    assert_eq!(list.stdout.lines().count(), ENTRIES);
    assert_eq!(system.ok(&["cat", "latest:models/many/199999"]).stdout, "1999");
}

#[test]
fn two_backups_at_once() {
    let system = System::new();
    for number in 0..4 {
        system.write(format!("models/{number}"), noise(2 << 20, number));
    }
    // The first one may have to make the repository, and so may the second.
    let start = || {
        let mut command = system.command(&["create", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start")
    };
    let children = [start(), start(), start()];
    let mut names: Vec<String> = Vec::new();
    for child in children {
        let run = Run::from_output(&child.wait_with_output().expect("wait"));
        names.push(run.ended(0).json()["name"].as_str().expect("a name").to_owned());
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "each has a name of its own");
    system.ok(&["verify", "--all", "--read-data"]);
    for name in &names {
        let out = system.path(format!("out-{name}"));
        system.ok(&["restore", name, "--target", &out.to_string_lossy()]);
        assert_same_content(&system.path("models"), &out.join("models"));
    }
}

/// One of them tidies up what killed processes left, and must not take what another one is just making.
#[test]
fn several_first_backups_at_once_make_one_repository() {
    for _ in 0..12 {
        let system = System::with_model("one");
        let start = |_| {
            let mut command = system.command(&["create", "-q"]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start")
        };
        let children: Vec<Child> = (0..4).map(start).collect();
        for child in children {
            Run::from_output(&child.wait_with_output().expect("wait")).ended(0);
        }
        assert_eq!(system.json(&["list"]).as_array().map(Vec::len), Some(4));
    }
}

#[test]
fn a_backup_and_verifications_at_once() {
    let system = System::with_model("one");
    system.create();
    for number in 0..4 {
        system.write(format!("models/{number}"), noise(8 << 20, number));
    }
    let mut create = system.command(&["create"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start");
    let mut verifications = 0;
    while create.try_wait().expect("wait").is_none() || verifications == 0 {
        system.run(&["verify", "--all", "--read-data"]).ended(0);
        verifications += 1;
    }
    Run::from_output(&create.wait_with_output().expect("wait")).ended(0);
    system.ok(&["verify", "--all", "--read-data"]);
}

/// A run of the program in a shell that has set a bound for it.
fn bounded(system: &System, bound: &str, arguments: &[&str]) -> Run {
    let program = system.command(arguments);
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("{bound}; exec \"$@\""), "bash"]).arg(program.get_program()).args(program.get_args());
    Run::of(shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))))
}

/// A restore of some hundred files ended with "Too many open files" where few may be open.
#[test]
fn few_open_files_are_enough() {
    let system = System::new();
    for number in 0..600 {
        system.write(format!("models/{number}"), number.to_string());
    }
    bounded(&system, "ulimit -n 180", &["create"]).ended(0);
    fs::remove_dir_all(system.path("models")).expect("ours");
    bounded(&system, "ulimit -n 180", &["restore", "latest", "--force"]).ended(0);
    assert_eq!(fs::read_dir(system.path("models")).expect("restored").count(), 600);
    bounded(&system, "ulimit -n 180", &["verify", "latest", "--test-restore"]).ended(0);
    // A soft bound is lifted.
    bounded(&system, "ulimit -Sn 64", &["verify", "latest", "--test-restore"]).ended(0);
}

/// A file that may not become longer ended the program without a word.
#[test]
fn a_file_that_may_not_become_longer_is_an_error() {
    let system = System::with_model("one");
    system.create();
    system.write("models/two", noise(3 << 20, 1));
    bounded(&system, "ulimit -f 200", &["create"]).ended(1).says("File too large");
    system.create();
    system.ok(&["verify", "--all", "--read-data"]);
}

/// Folders of others than root that have no right to write, as caches of modules have, could not be restored into.
#[test]
fn an_own_directory_that_is_read_only_is_restored() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("config/ro/file", "x");
    let set = |mode: &str| {
        let script = format!("chown -R 61999:61999 \"$1\" && chmod 755 \"$1\" && chmod {mode} \"$1/config/ro\"");
        let status = Command::new("sh").args(["-c", &script, "sh"]).arg(system.path("")).status();
        assert!(status.is_ok_and(|status| status.success()));
    };
    set("555");
    as_stranger(&system, &["create"]).ended(0);
    fs::remove_file(system.path("config/ro/file")).expect("root");
    as_stranger(&system, &["restore", "latest", "--force", "--no-snapshot"]).ended(0);
    assert!(system.exists("config/ro/file"));
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(system.path("config/ro")).expect("there"));
    assert_eq!(mode & 0o777, 0o555);
}
