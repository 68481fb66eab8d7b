//! What is root's, and was moved to where the snapshot has something of somebody else's: it is not given to him.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, mkfifoat, renameat_with};

use super::strangers::STRANGER;
use super::support::{PARTIAL, Run, System, is_root};

fn set(path: &Path, uid: u32, mode: u32) {
    chown(path, Some(uid), Some(uid)).expect("root");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("root");
}

/// A system in which the models are his, with a directory `d` of his, and a closed one `priv` of root's.
fn system(of_his: impl FnOnce(&System), of_root: impl FnOnce(&System)) -> System {
    let system = System::with_model("mine");
    for (directory, uid, mode) in
        [("models", STRANGER, 0o755), ("models/d", STRANGER, 0o755), ("models/priv", 0, 0o700)]
    {
        fs::create_dir_all(system.path(directory)).expect("ours");
        set(&system.path(directory), uid, mode);
    }
    of_his(&system);
    of_root(&system);
    system
}

/// Moves root's directory to the place of his, and restores.
fn restore_after_move(system: &System, more: &[&str]) -> Run {
    fs::rename(system.path("models/d"), system.path("models/d.old")).expect("his");
    fs::rename(system.path("models/priv"), system.path("models/d")).expect("his");
    system.run(&[&["restore", "latest", "--force"], more].concat())
}

fn assert_closed(system: &System, what: &str) {
    let metadata = fs::metadata(system.path("models/d")).expect("there");
    assert_eq!((metadata.uid(), metadata.mode() & 0o077), (0, 0), "{what}");
}

/// A directory in the place of his socket stayed, and did not count as something that the snapshot does not have.
#[test]
fn what_stands_in_the_place_of_a_socket_opens_nothing() {
    if !is_root() {
        return;
    }
    for more in [&[][..], &["--keep-extra"], &["--no-snapshot"]] {
        let system = system(
            |system| drop(UnixListener::bind(system.path("models/d/jobs")).expect("a socket")),
            |system| system.write("models/priv/jobs/secret", "of root"),
        );
        system.ok(&["create"]);
        let run = restore_after_move(&system, more);
        if more == ["--keep-extra"] {
            run.ended(PARTIAL).says("holds what the snapshot does not have");
            assert_closed(&system, "kept");
        } else {
            run.ended(0);
            assert!(!system.exists("models/d/jobs/secret"), "{more:?}: removed like everything else");
        }
    }
}

/// What backups leave out now stayed in the place of something of his, and the directory was opened to him.
#[test]
fn what_is_left_out_now_opens_nothing() {
    if !is_root() {
        return;
    }
    let toml = "[directories.models]\npath = \"models\"\nexclude = [\"sub\"]\n";
    for (his, excluded) in [("file", true), ("directory", true), ("file", false), ("link", false)] {
        let system = system(
            |system| match his {
                "file" => system.write("models/d/sub", "his"),
                "directory" => system.write("models/d/sub/secret", "his"),
                _ => symlink("/nowhere", system.path("models/d/sub")).expect("his"),
            },
            |system| system.write("models/priv/sub/secret", "of root"),
        );
        if !excluded {
            system.write("models/priv/sub/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
        }
        system.ok(&["create"]);
        if excluded {
            system.write("larder.toml", toml);
        }
        let run = restore_after_move(&system, &[]);
        run.ended(PARTIAL).says("holds what the snapshot does not have");
        assert_closed(&system, his);
        assert_eq!(system.read("models/d/sub/secret"), b"of root");
    }
}

/// A log that a program of root had open, the pipe that it read, the directory that it worked in were given to him as they were.
#[test]
fn what_programs_of_root_have_open_is_not_given_away() {
    if !is_root() {
        return;
    }
    let make = |directory: &'static str, uid: u32, mode: u32| {
        move |system: &System| {
            let [log, pipe] = ["log", "pipe"].map(|name| system.path(format!("{directory}/{name}")));
            fs::write(&log, "").expect("ours");
            mkfifoat(CWD, &pipe, Mode::RUSR).expect("ours");
            for path in [log, pipe] {
                set(&path, uid, mode);
            }
        }
    };
    let system = system(make("models/d", STRANGER, 0o644), make("models/priv", 0, 0o600));
    system.ok(&["create"]);
    let of_root =
        ["", "log", "pipe"].map(|name| fs::metadata(system.path("models/priv").join(name)).expect("there").ino());
    restore_after_move(&system, &[]).ended(0);
    for (name, inode) in ["", "log", "pipe"].iter().zip(of_root) {
        let metadata = fs::metadata(system.path("models/d").join(name)).expect("restored");
        assert_eq!(metadata.uid(), STRANGER, "{name}");
        assert_ne!(metadata.ino(), inode, "{name}");
    }
}

/// In the directory of somebody else what was restored or exported could be exchanged with another folder while it was made.
#[test]
fn root_restores_and_exports_into_nobody_elses_folder() {
    if !is_root() {
        return;
    }
    let system = System::with_model("mine");
    system.create();
    fs::create_dir_all(system.path("his/own")).expect("ours");
    symlink(system.path(""), system.path("his/link")).expect("his");
    for path in ["his", "his/own"] {
        set(&system.path(path), STRANGER, 0o755);
    }
    std::os::unix::fs::lchown(system.path("his/link"), Some(STRANGER), None).expect("root");
    for place in ["his/new", "his/own", "his/link/new"] {
        let place = system.path(place).to_string_lossy().into_owned();
        let tar = format!("{place}.tar");
        for arguments in [
            &["restore", "latest", "--target", &place][..],
            &["export", "latest", "--to", &place],
            &["export", "latest", "--tar", &tar],
        ] {
            system.run(arguments).ended(2).says("--trust-files");
        }
    }
    assert!(!system.exists("new") && !system.exists("new.tar"));
    let own = system.path("his/own/new").to_string_lossy().into_owned();
    system.ok(&["restore", "latest", "--target", &own, "--trust-files"]);
    system.ok(&["export", "latest", "--to", &own, "--trust-files"]);
}

/// Folders for temporary files lay where TMPDIR said, and whoever owned that exchanged them: he read what was restored there for a
/// test, and had other files of root written and removed.
#[test]
fn root_makes_no_temporary_folders_in_a_folder_of_somebody_else() {
    if !is_root() {
        return;
    }
    let system = System::with_model("mine");
    system.create();
    fs::create_dir_all(system.path("his/tmp")).expect("ours");
    fs::create_dir(system.path("tmp")).expect("ours");
    let tar = system.path("snapshot.tar").to_string_lossy().into_owned();
    let run = |folder: &str, arguments: &[&str]| {
        Run::of(system.command(arguments).env("TMPDIR", system.path(folder)).stdin(Stdio::null()))
    };
    let commands = [
        &["verify", "latest", "--test-restore"][..],
        &["export", "latest", "--tar", &tar, "--force"],
        &["savings", "--simulate", "1"],
    ];
    for arguments in commands {
        run("tmp", arguments).ended(0);
    }
    set(&system.path("his"), STRANGER, 0o755);
    set(&system.path("tmp"), 0, 0o777);
    for (folder, arguments) in ["his/tmp", "tmp"].iter().flat_map(|folder| commands.map(|words| (folder, words))) {
        let refused = run(folder, arguments);
        assert_ne!(refused.code, 0, "{folder}: {arguments:?}: {refused:?}");
        refused.says("unset TMPDIR");
    }
    // As /tmp is.
    set(&system.path("tmp"), 0, 0o1777);
    run("tmp", commands[1]).ended(0);
}

/// After a restore that was killed, the next one said of each directory that it holds what the snapshot does not have, for a file that the
/// first one had not finished.
#[test]
fn an_unfinished_file_keeps_no_directory_closed() {
    let system = System::with_model("mine");
    fs::set_permissions(system.path("models"), Permissions::from_mode(0o755)).expect("ours");
    system.create();
    let out = system.path("out").to_string_lossy().into_owned();
    for (mode, status) in [(0o600, 0), (0o644, PARTIAL)] {
        let _ = fs::remove_dir_all(&out);
        for directory in ["out", "out/models"] {
            fs::create_dir(system.path(directory)).expect("ours");
            fs::set_permissions(system.path(directory), Permissions::from_mode(0o700)).expect("ours");
        }
        system.write("out/models/.larder-restore-1-1", "unfinished");
        fs::set_permissions(system.path("out/models/.larder-restore-1-1"), Permissions::from_mode(mode)).expect("ours");
        system.run(&["restore", "latest", "--target", &out]).ended(if is_root() { status } else { 0 });
        assert_eq!(system.read("out/models/one"), b"mine");
    }
}

/// The leftovers of a restore that was killed are in no snapshot, and so every restore after it left them, and the directory closed. So
/// did a socket that was only narrowed.
#[test]
fn a_restore_that_was_killed_can_be_finished() {
    let system = System::with_model("mine");
    fs::set_permissions(system.path("models"), Permissions::from_mode(0o755)).expect("ours");
    drop(UnixListener::bind(system.path("models/socket")).expect("a socket"));
    let name = system.create();
    for path in ["models", "models/socket"] {
        fs::set_permissions(system.path(path), Permissions::from_mode(0o700)).expect("ours");
    }
    system.write("models/.larder-restore-1-1", "unfinished");
    fs::set_permissions(system.path("models/.larder-restore-1-1"), Permissions::from_mode(0o600)).expect("ours");
    symlink("one", system.path("models/.larder-restore-1-2")).expect("ours");
    system.run(&["restore", &name, "--force"]).ended(0);
    assert_eq!(fs::metadata(system.path("models")).expect("there").permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_dir(system.path("models")).expect("there").count(), 2, "the model and the socket");
}

/// A directory with a list of access was made anew by every restore, although it had that list already.
#[test]
fn a_directory_that_has_its_list_stays_the_one_it_is() {
    if !is_root() {
        return;
    }
    let system = System::with_model("mine");
    system.write("models/shared/file", "x");
    let shared = system.path("models/shared");
    let set = std::process::Command::new("setfacl").args(["-m", "u:61999:rx"]).arg(&shared).status();
    assert!(set.expect("setfacl").success());
    system.ok(&["create"]);
    let before = fs::metadata(&shared).expect("there").ino();
    system.run(&["restore", "latest", "--force"]).ended(0);
    assert_eq!(fs::metadata(&shared).expect("there").ino(), before);
}

/// So many entries of root's are exchanged for what a restore makes, so often.
const ENTRIES: u32 = 60;
const ROUNDS: usize = 4;

/// What stood under the name of a directory, or a pipe, that had just been made was taken for it, and given to whoever had exchanged them.
#[test]
fn what_is_new_cannot_be_exchanged_for_what_is_root_s() {
    if !is_root() {
        return;
    }
    let system = System::new();
    for number in 0..ENTRIES {
        fs::create_dir_all(system.path(format!("models/d{number}"))).expect("ours");
        mkfifoat(CWD, system.path(format!("models/p{number}")), Mode::RUSR | Mode::WUSR).expect("a pipe");
        for name in ["d", "p"] {
            chown(system.path(format!("models/{name}{number}")), Some(STRANGER), Some(STRANGER)).expect("root");
        }
    }
    chown(system.path("models"), Some(STRANGER), Some(STRANGER)).expect("root");
    system.ok(&["create"]);
    for _ in 0..ROUNDS {
        let roots = system.path("roots");
        fs::create_dir(&roots).expect("ours");
        let models = system.path("models");
        let remove = |entry: fs::DirEntry| {
            let path = entry.path();
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("ours");
        };
        fs::read_dir(&models).expect("list").flatten().for_each(remove);
        let mut held = Vec::new();
        for number in 0..ENTRIES {
            fs::create_dir(roots.join(format!("d{number}"))).expect("ours");
            fs::set_permissions(roots.join(format!("d{number}")), fs::Permissions::from_mode(0o700)).expect("ours");
            mkfifoat(CWD, roots.join(format!("p{number}")), Mode::RUSR | Mode::WUSR).expect("a pipe");
            for name in ["d", "p"] {
                let path = roots.join(format!("{name}{number}"));
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                held.push(rustix::fs::open(path, flags, Mode::empty()).expect("root's"));
            }
        }
        exchange_during_restore(&system, &roots);
        for entry in held {
            assert_eq!(rustix::fs::fstat(&entry).expect("held").st_uid, 0, "it is root's still");
        }
        fs::remove_dir_all(&roots).expect("ours");
    }
}

/// Exchanges everything that appears in the directory for something of root's.
fn exchange_during_restore(system: &System, roots: &Path) {
    let is_going = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            system.run(&["restore", "latest", "--force", "--no-snapshot"]);
            is_going.store(false, std::sync::atomic::Ordering::Relaxed);
        });
        let models = system.path("models");
        while is_going.load(std::sync::atomic::Ordering::Relaxed) {
            for entry in fs::read_dir(&models).expect("list").flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                let name = if kind.is_dir() { "d" } else { "p" };
                let Some(other) =
                    (0..ENTRIES).map(|number| roots.join(format!("{name}{number}"))).find(|path| path.exists())
                else {
                    continue;
                };
                // It may have gone.
                let _ = renameat_with(CWD, entry.path(), CWD, &other, RenameFlags::EXCHANGE);
            }
        }
    });
}
