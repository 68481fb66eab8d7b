//! What somebody has open, has put in the place of something else, or can exchange, when root restores or cleans up.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, RenameFlags, mkfifoat, renameat_with};

use super::strangers::{as_stranger, own};
use super::support::{DAMAGE, PARTIAL, Run, System, is_root, noise};

/// A user who has no name.
const STRANGER: u32 = super::strangers::STRANGER;
/// Runs in which somebody changes what is being used.
const RACES: usize = 15;

fn set(path: &Path, uid: u32, mode: u32) {
    chown(path, Some(uid), Some(uid)).expect("root");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("root");
}

/// A copy of root's program, which its maker had mapped, became root's with set-user-id: he wrote into it afterwards.
#[test]
fn what_somebody_has_open_becomes_no_file_or_pipe_of_root() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("models/program", "a program");
    mkfifoat(CWD, system.path("models/pipe"), Mode::RUSR).expect("a pipe");
    let [program, pipe] = ["models/program", "models/pipe"].map(|path| system.path(path));
    set(&program, 0, 0o4755);
    set(&pipe, 0, 0o600);
    set(&system.path("models"), STRANGER, 0o755);
    system.ok(&["create"]);
    let time = fs::metadata(&program).expect("there").modified().expect("a time");
    for path in [&program, &pipe] {
        fs::remove_file(path).expect("he may");
    }
    fs::write(&program, "a program").expect("he may");
    mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o666)).expect("he may");
    set(&program, STRANGER, 0o755);
    set(&pipe, STRANGER, 0o666);
    let held = OpenOptions::new().read(true).write(true).open(&program).expect("open");
    held.set_modified(time).expect("it is his");
    let held_pipe = OpenOptions::new().read(true).write(true).open(&pipe).expect("open");
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    for (path, held, mode) in [(&program, held, 0o4755), (&pipe, held_pipe, 0o600)] {
        let metadata = fs::metadata(path).expect("restored");
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, mode), "{}", path.display());
        assert_ne!(metadata.ino(), held.metadata().expect("open").ino(), "{}", path.display());
    }
    // What is root's and as it was stays where it is.
    let before = fs::metadata(&program).expect("there").ino();
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    assert_eq!(fs::metadata(&program).expect("there").ino(), before);
}

/// A private directory of root, renamed to that of somebody else, was given to him with all that was in it.
#[test]
fn a_directory_is_given_to_nobody_with_what_the_snapshot_does_not_have() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("models/d/file", "x");
    system.write("models/private/secret", "a secret");
    set(&system.path("models"), STRANGER, 0o755);
    set(&system.path("models/d"), STRANGER, 0o755);
    set(&system.path("models/private"), 0, 0o700);
    system.ok(&["create"]);
    fs::rename(system.path("models/d"), system.path("models/other")).expect("he may");
    fs::rename(system.path("models/private"), system.path("models/d")).expect("he may");
    for further in ["--dry-run", "--no-snapshot"] {
        let run = system.run(&["restore", "latest", "--force", "--keep-extra", further]);
        run.ended(PARTIAL).says("models/d").says("others would get at it");
    }
    let metadata = fs::metadata(system.path("models/d")).expect("there");
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o700));
    assert_eq!(system.read("models/d/secret"), b"a secret");
    // Without it, it gets the owner and mode that it had.
    system.ok(&["restore", "latest", "--dry-run"]);
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    let metadata = fs::metadata(system.path("models/d")).expect("there");
    assert_eq!((metadata.uid(), metadata.mode() & 0o777), (STRANGER, 0o755));
    assert!(!system.exists("models/d/secret") && system.exists("models/private/secret"));
}

/// The repository was known by its path: exchanged for another folder it was removed as something that no snapshot has.
#[test]
fn the_repository_is_not_removed_under_another_name() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("larder.toml", "[directories]\napp = \".\"\n");
    system.ok(&["create"]);
    own(&system, "");
    fs::create_dir(system.path("empty")).expect("ours");
    let (repository, empty) = (system.path("backups"), system.path("empty"));
    let objects =
        || fs::read_dir(&repository).map_or(0, Iterator::count) + fs::read_dir(&empty).map_or(0, Iterator::count);
    let before = objects();
    for _ in 0..RACES {
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    // One of them may be gone, as something that no snapshot has.
                    let _ = renameat_with(CWD, &repository, CWD, &empty, RenameFlags::EXCHANGE);
                    let _ = fs::create_dir(&empty);
                }
            });
            system.run(&["--trust-files", "restore", "latest", "--force", "--no-snapshot"]);
            ended.store(true, Ordering::Relaxed);
        });
        if empty.join("config").exists() {
            fs::create_dir_all(&repository).expect("ours");
            renameat_with(CWD, &repository, CWD, &empty, RenameFlags::EXCHANGE).expect("both are there");
        }
        assert!(objects() >= before, "it was removed");
    }
    system.ok(&["--trust-files", "verify", "--all", "--read-data"]);
}

/// A restore removed snapshots that were newer than it, when the repository was a component by mistake; and a folder for a
/// restore took the place of the file that makes it a repository.
#[test]
fn the_repository_is_no_component_and_no_target() {
    let system = System::with_model("mine");
    system.write("config/file", "x");
    system.ok(&["create"]);
    fs::create_dir_all(system.path("backups/inner")).expect("ours");
    fs::set_permissions(system.path("backups/inner"), Permissions::from_mode(0o700)).expect("ours");
    symlink("../backups/snapshots", system.path("config/link")).expect("link");
    for path in ["backups", "backups/snapshots", "config/link", "backups/inner"] {
        system.write("larder.toml", format!("[directories]\nmine = \"{path}\"\n"));
        system.run(&["plan"]).ended(PARTIAL).says("is the repository, or lies in it");
        system.run(&["create"]).ended(1).says("is the repository, or lies in it");
    }
    fs::remove_file(system.path("larder.toml")).expect("ours");
    let list = system.ok(&["list"]).stdout;
    for target in ["backups", "backups/new/deeper", "backups/snapshots", "backups/inner"] {
        let place = system.path(target).display().to_string();
        let run = system.run(&["restore", "latest", "--target", &place]);
        assert!(run.code > 0 && run.code != DAMAGE, "{target}: {run:?}");
        run.says("is the repository, or lies in it");
    }
    assert!(!system.exists("backups/new"));
    assert_eq!(system.ok(&["list"]).stdout, list);
    system.ok(&["verify", "--all", "--read-data"]);
}

/// One command of root's in the repository of somebody else left files that he could not read: his next backups failed.
#[test]
fn what_root_adds_to_the_repository_of_somebody_else_is_his() {
    if !is_root() {
        return;
    }
    let system = System::with_model("mine");
    for path in ["", "models"] {
        own(&system, path);
    }
    as_stranger(&system, &["create"]).ended(0);
    chown(system.path("backups/config"), Some(0), Some(0)).expect("root");
    as_stranger(&system, &["list"]).ended(1).says("Permission denied").says("give him what others have put there");
    own(&system, "backups/config");
    system.write("models/new", "x");
    own(&system, "models/new");
    let mut command = system.command(&["create"]);
    Run::of(command.env("SUDO_UID", STRANGER.to_string())).ended(0);
    as_stranger(&system, &["create"]).ended(0);
    as_stranger(&system, &["verify", "--all", "--read-data"]).ended(0);
}

/// The folders in a repository that had become root's were still those of whoever had owned it, and so was what he put there.
#[test]
fn what_others_own_in_a_repository_is_not_believed() {
    if !is_root() {
        return;
    }
    let system = System::with_model("mine");
    system.ok(&["create"]);
    for path in ["backups/snapshots", "backups/index", "backups/config"] {
        own(&system, path);
        let run = system.run(&["verify", "--all"]);
        assert_ne!(run.code, 0, "{path}");
        run.says(&format!("user {STRANGER}"));
        system.ok(&["--trust-files", "verify", "--all"]);
        chown(system.path(path), Some(0), Some(0)).expect("root");
    }
    let snapshot = fs::read_dir(system.path("backups/snapshots")).expect("list").next().expect("one").expect("read");
    chown(snapshot.path(), Some(STRANGER), None).expect("root");
    let run = system.run(&["restore", "latest", "--force"]);
    assert_ne!(run.code, 0, "{run:?}");
    run.says(&format!("user {STRANGER}"));
}

fn identity(path: &Path) -> (u64, u32, u32) {
    let metadata = fs::symlink_metadata(path).expect("it is there");
    (metadata.ino(), metadata.uid(), metadata.mode() & 0o7777)
}

/// What lies deeper in a private directory of root was shown to whoever had renamed it to one that was open.
#[test]
fn a_directory_is_opened_to_nobody_while_anything_below_is_not_of_the_snapshot() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("models/d/sub/file", "x");
    system.write("models/private/sub/secret", "a secret");
    for (path, uid, mode) in [("", STRANGER, 0o755), ("/d", STRANGER, 0o755), ("/private", 0, 0o700)] {
        set(&system.path(format!("models{path}")), uid, mode);
    }
    system.ok(&["create"]);
    fs::rename(system.path("models/d"), system.path("models/other")).expect("he may");
    fs::rename(system.path("models/private"), system.path("models/d")).expect("he may");
    for further in ["--dry-run", "--no-snapshot"] {
        let run = system.run(&["restore", "latest", "--force", "--keep-extra", further]);
        run.ended(PARTIAL).says("models/d").says("others would get at it");
    }
    let (_, uid, mode) = identity(&system.path("models/d"));
    assert_eq!((uid, mode), (0, 0o700));
    assert_eq!(system.read("models/d/sub/secret"), b"a secret");
}

/// Below a directory that was open and is closed, whoever had a directory, file or pipe open kept it.
#[test]
fn nothing_below_a_directory_that_was_open_is_kept() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("models/private/keys/key", "a secret");
    system.write("models/private/script", "a script");
    mkfifoat(CWD, system.path("models/private/pipe"), Mode::RUSR).expect("a pipe");
    let paths = ["models/private/keys", "models/private/script", "models/private/pipe"].map(|path| system.path(path));
    for (path, mode) in paths.iter().zip([0o755, 0o777, 0o666]) {
        set(path, 0, mode);
    }
    set(&system.path("models/private"), 0, 0o700);
    system.ok(&["create"]);
    set(&system.path("models/private"), 0, 0o755);
    let held: Vec<_> = paths.iter().map(|path| (path, identity(path))).collect();
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    for (path, before) in held {
        let now = identity(path);
        assert_ne!(now.0, before.0, "{}", path.display());
        assert_eq!((now.1, now.2), (before.1, before.2), "{}", path.display());
    }
    assert_eq!(system.read("models/private/keys/key"), b"a secret");
}

/// The second name of a file in root's directory was made of whatever stood under the first one by then.
#[test]
fn a_second_name_is_that_of_what_was_restored() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("models/a/first", "of root");
    system.write("models/m/many", noise(3 << 20, 5));
    fs::create_dir(system.path("models/z")).expect("ours");
    fs::hard_link(system.path("models/a/first"), system.path("models/z/second")).expect("ours");
    set(&system.path("models/a"), STRANGER, 0o755);
    system.ok(&["create"]);
    let (first, second) = (system.path("models/a/first"), system.path("models/z/second"));
    for _ in 0..RACES {
        fs::remove_file(&second).expect("ours");
        fs::remove_dir_all(system.path("models/m")).expect("ours");
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let own = system.path("models/a/own");
                while !ended.load(Ordering::Relaxed) {
                    fs::write(&own, "not of root").expect("he may");
                    set(&own, STRANGER, 0o755);
                    let _ = fs::rename(&own, &first);
                }
            });
            system.run(&["restore", "latest", "--force", "--no-snapshot", "--keep-extra"]);
            ended.store(true, Ordering::Relaxed);
        });
        if let Ok(bytes) = fs::read(&second) {
            assert_eq!((bytes, identity(&second).1), (b"of root".to_vec(), 0));
        } else {
            fs::write(&second, "of root").expect("ours");
        }
    }
}

/// A directory of root that somebody had renamed as a restore calls its own was in no backup, and removed by the next restore.
#[test]
fn a_directory_named_like_an_unfinished_one_is_saved() {
    let system = System::with_model("mine");
    system.write("models/.larder-restore-1-1/file", "x");
    system.write("models/.larder-restore-1-2", "half of a file");
    let run = system.run(&["create"]);
    run.ended(0).says("left out").says(".larder-restore-1-2");
    let list = system.json(&["ls", "--recursive", "latest"]).to_string();
    assert!(list.contains(".larder-restore-1-1/file") && !list.contains(".larder-restore-1-2"), "{list}");
}

/// What had come there since the live state was saved was removed, and nobody had it.
#[test]
fn what_came_after_it_was_saved_is_not_removed() {
    let system = System::with_model("mine");
    system.write("larder.toml", "[directories]\nmodels = { path = \"models\", exclude = [\"/kept\"] }\n");
    system.write("models/kept/state", "in no backup");
    system.write("models/extra", "x");
    let name = system.create();
    fs::remove_file(system.path("models/extra")).expect("ours");
    system.write("models/old", "x");
    let mut command = system.command(&["restore", &name, "--force"]);
    // It is renamed when the safety snapshot stands.
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut said = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("What is replaced is saved as") {
        line.clear();
        if said.read_line(&mut line).expect("it says") == 0 {
            break;
        }
    }
    let renamed = fs::rename(system.path("models/kept"), system.path("models/moved")).is_ok();
    std::io::copy(&mut said, &mut std::io::sink()).expect("it says");
    child.wait().expect("it ends");
    assert!(renamed && !system.exists("models/old"));
    let state = ["models/moved/state", "models/kept/state"].into_iter().find(|path| system.exists(path));
    assert!(state.is_some(), "it is gone");
}

/// Whoever listened where a program of root's would, was taken for it.
#[test]
fn a_socket_of_somebody_else_goes() {
    if !is_root() {
        return;
    }
    let system = System::with_model("mine");
    let path = system.path("models/socket");
    drop(UnixListener::bind(&path).expect("a socket"));
    set(&path, 0, 0o600);
    system.ok(&["create"]);
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    assert!(path.exists(), "root's own stays");
    fs::remove_file(&path).expect("he may");
    drop(UnixListener::bind(&path).expect("a socket"));
    set(&path, STRANGER, 0o777);
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    assert!(!path.exists());
}

/// A list of access stands behind the rights of the group: a file whose mode was that of the snapshot was kept by whoever it let in, and
/// so was what lies in a directory that it opened.
#[test]
fn what_an_access_control_list_opened_is_replaced() {
    if !is_root() {
        return;
    }
    let system = System::new();
    system.write("models/program", "a program");
    system.write("models/private/keys/key", "a secret");
    let [program, private, keys] =
        ["program", "private", "private/keys"].map(|path| system.path(format!("models/{path}")));
    set(&program, 0, 0o660);
    set(&private, 0, 0o750);
    system.ok(&["create"]);
    for (rights, path) in [("rw", &program), ("rx", &private)] {
        let list = format!("u:{STRANGER}:{rights}");
        let set = std::process::Command::new("setfacl").args(["-m", &list]).arg(path).status();
        assert!(set.expect("setfacl, as tests/run installs it").success());
    }
    let held = [&program, &private, &keys].map(|path| (path, identity(path)));
    system.ok(&["restore", "latest", "--force", "--no-snapshot"]);
    for (path, before) in held {
        let now = identity(path);
        assert_eq!((now.1, now.2), (before.1, before.2), "{}", path.display());
        assert!(now.0 != before.0 || path == &private, "{}", path.display());
    }
    assert_eq!(system.read("models/private/keys/key"), b"a secret");

    system.write("larder.toml", "");
    let toml = system.path("larder.toml");
    for path in [&toml, &system.path("backups")] {
        let list = format!("u:{STRANGER}:rwx");
        let set = std::process::Command::new("setfacl").args(["-m", &list]).arg(path).status();
        assert!(set.expect("setfacl").success());
        system.run(&["create"]).ended(2).says("others than its owner may write to");
        let unset = std::process::Command::new("setfacl").arg("-b").arg(path).status();
        assert!(unset.expect("setfacl").success());
        fs::set_permissions(path, Permissions::from_mode(0o700)).expect("ours");
    }
    system.ok(&["create"]);
}

/// Below a directory that is excluded now, and that the snapshot has, what was new was removed; the safety snapshot had none of it.
#[test]
fn nothing_is_removed_below_what_backups_leave_out_now() {
    for tag in [false, true] {
        let system = System::with_model("mine");
        system.write("models/my/sub/deep/file", "x");
        let name = system.create();
        if tag {
            system.write("models/my/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
        } else {
            system.write("larder.toml", "[directories]\nmodels = { path = \"models\", exclude = [\"/my\"] }\n");
        }
        system.write("models/my/sub/new", "in no backup");
        system.write("models/my/sub/deep/new", "in no backup");
        let run = system.run(&["restore", &name, "--force"]);
        run.ended(0).says("backups leave it out now");
        assert!(system.exists("models/my/sub/new") && system.exists("models/my/sub/deep/new"), "{tag}: {run:?}");
    }
}

/// Somebody's lease on a file of his kept it from being looked at, and every restore from ending well.
#[test]
fn a_file_with_a_lease_is_replaced() {
    let system = System::with_model("mine");
    let name = system.create();
    let script = "import fcntl, os, signal, sys\n\
        signal.signal(signal.SIGIO, signal.SIG_IGN)\n\
        fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)\n\
        print(flush=True)\n\
        sys.stdin.read()\n";
    let mut holder = std::process::Command::new("python3");
    holder.args(["-c", script]).arg(system.path("models/one")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().expect("python3");
    BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut String::new()).expect("it holds the lease");
    system.run(&["restore", &name, "--force", "--no-snapshot"]).ended(0);
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
    assert_eq!(system.read("models/one"), b"mine");
}

/// A restore made the one directory of two components equal to the first, and then to the second, and all was well.
#[test]
fn two_components_are_not_one_directory() {
    let system = System::with_model("mine");
    system.write("outputs/file", "x");
    let first = system.ok(&["create", "--json"]).json()["name"].clone();
    let first = first.as_str().expect("a name");
    fs::rename(system.path("outputs"), system.path("old")).expect("ours");
    symlink("models", system.path("outputs")).expect("ours");
    system.run(&["plan"]).ended(PARTIAL).says("is the directory of the component models, too");
    system.run(&["create"]).ended(PARTIAL).says("is the directory of the component outputs, too");
    let before = system.ok(&["list", "--json"]).stdout;
    for further in [&["--force"][..], &["--dry-run"], &["--force", "--components", "outputs"]] {
        system.run(&[&["restore", first], further].concat()).ended(2).says("take one of them out of [directories]");
    }
    assert_eq!(system.read("models/one"), system.read("outputs/one"));
    assert_eq!(system.ok(&["list", "--json"]).stdout, before);
    system.ok(&["restore", first, "--target", &system.path("target").display().to_string()]);
    assert_eq!(system.read("target/outputs/file"), b"x");
}
