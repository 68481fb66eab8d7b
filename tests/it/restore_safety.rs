//! A restore never leaves its target: not through links that stand there, and not through names in a snapshot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;

use larder::cancel::Cancel;
use larder::clock::LocalTime;
use larder::model::{
    ByteString, Component, ComponentKind, Consistency, Content, FileTime, Metadata, Node, NodeKind, Snapshot,
    SnapshotKind, TreeWriter, encode_snapshot,
};
use larder::monitor::Monitor;
use larder::pipeline::backup;
use larder::repo::{Repository, Transaction};
use rustix::process::{Pid, Signal, kill_process};

use super::support::{DAMAGE, Run, System, files_below, noise, watch};

fn outside(system: &System) {
    system.write("outside/precious", "precious");
}

fn assert_outside_is_untouched(system: &System) {
    assert_eq!(files_below(&system.path("outside")), [system.path("outside/precious")]);
    assert_eq!(system.read("outside/precious"), b"precious");
}

/// Lets nobody else into a folder: root restores into no other.
fn close(folder: &str) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).expect("mode");
}

#[test]
fn links_in_the_target_are_replaced_and_never_followed() {
    let system = System::new();
    outside(&system);
    system.write("models/sub/precious", "from the snapshot");
    system.write("models/file", "from the snapshot");
    system.create();
    let out = system.path("out").to_string_lossy().into_owned();
    for link in ["out/models", "out/models/sub", "out/models/sub/precious", "out/models/file"] {
        let _ = fs::remove_dir_all(&out);
        let target = if link.ends_with("precious") || link.ends_with("file") { "outside/precious" } else { "outside" };
        fs::create_dir_all(system.path(link).parent().expect("a parent")).expect("create");
        close(&out);
        symlink(system.path(target), system.path(link)).expect("link");
        system.run(&["restore", "latest", "--target", &out]).ended(0);
        assert_outside_is_untouched(&system);
        assert_eq!(system.read("out/models/sub/precious"), b"from the snapshot", "{link}");
        assert!(!system.path(link).is_symlink(), "{link}");
    }
}

#[test]
fn links_in_the_live_system_are_replaced_and_never_followed() {
    let system = System::new();
    outside(&system);
    system.write("models/sub/file", "from the snapshot");
    system.create();
    fs::remove_dir_all(system.path("models/sub")).expect("remove");
    symlink(system.path("outside"), system.path("models/sub")).expect("link");
    symlink(system.path("outside"), system.path("models/extra")).expect("link");
    system.ok(&["restore", "latest", "--force"]);
    assert_outside_is_untouched(&system);
    assert_eq!(system.read("models/sub/file"), b"from the snapshot");
    assert!(!system.path("models/sub").is_symlink() && !system.exists("models/extra"));
}

#[test]
fn a_folder_that_is_gone_comes_back_and_needs_no_safety_snapshot() {
    let system = System::with_model("one");
    let first = system.create();
    fs::remove_dir_all(system.path("models")).expect("remove");
    let dry = system.json(&["restore", &first, "--dry-run"]);
    assert_eq!(dry["components"][0]["written"], 1, "{dry}");
    assert!(!system.exists("models"));
    let report = system.json(&["restore", &first, "--force"]);
    assert_eq!(report["components"][0]["written"], 1, "{report}");
    assert!(report["safety_snapshot"].is_null(), "{report}");
    assert_eq!(system.read("models/one"), b"one");
}

#[test]
fn an_interrupted_restore_leaves_whole_files_only() {
    const FILES: u64 = 8;
    let system = System::new();
    let old = |number| noise(20 << 20, number);
    for number in 0..FILES {
        system.write(format!("models/{number}"), old(number));
    }
    let first = system.create();
    for number in 0..FILES {
        system.write(format!("models/{number}"), format!("new {number}"));
    }
    let is_temporary = |path: &PathBuf| path.to_string_lossy().contains(".larder-restore-");
    let temporary = || files_below(&system.path("models")).into_iter().filter(is_temporary).count();
    for signal in [Signal::TERM, Signal::KILL] {
        let arguments = ["restore", &first, "--force", "--no-snapshot"];
        let mut child = system.command(&arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start");
        watch(&mut child, "it wrote anything", || temporary() > 0);
        kill_process(Pid::from_child(&child), signal).expect("signal");
        let run = Run::from_output(&child.wait_with_output().expect("wait"));
        if signal == Signal::TERM {
            run.ended(130).says("interrupted");
            assert_eq!(temporary(), 0, "an interrupted restore tidies up");
        }
        for number in 0..FILES {
            let found = system.read(format!("models/{number}"));
            assert!(found == format!("new {number}").into_bytes() || found == old(number), "{number} is neither");
        }
    }
    system.ok(&["restore", &first, "--force", "--no-snapshot"]);
    assert_eq!(temporary(), 0);
    for number in 0..FILES {
        assert!(system.read(format!("models/{number}")) == old(number));
    }
}

#[test]
fn what_changed_its_kind_is_restored() {
    let system = System::new();
    system.write("models/a", "a file");
    system.write("models/b/inner", "in a folder");
    system.write("models/c/inner", "in a folder");
    symlink("a", system.path("models/d")).expect("link");
    let first = system.create();
    let kinds = |system: &System| {
        for name in ["models/a", "models/d"] {
            fs::remove_file(system.path(name)).expect("remove");
        }
        for name in ["models/b", "models/c"] {
            fs::remove_dir_all(system.path(name)).expect("remove");
        }
    };
    kinds(&system);
    system.write("models/a/deep/er", "in a folder now");
    system.write("models/b", "a file now");
    symlink("/nowhere", system.path("models/c")).expect("link");
    system.write("models/d/inner", "in a folder now");
    let second = system.create();
    assert_ne!(system.json(&["diff", &first, &second])["changes"].as_array().map(Vec::len), Some(0));
    for _ in 0..2 {
        system.ok(&["restore", &first, "--force", "--no-snapshot"]);
        assert_eq!(
            (system.read("models/a"), system.read("models/b/inner")),
            (b"a file".to_vec(), b"in a folder".to_vec())
        );
        assert_eq!(
            (system.read("models/c/inner"), system.read("models/d")),
            (b"in a folder".to_vec(), b"a file".to_vec())
        );
        assert!(system.path("models/d").is_symlink() && !system.path("models/c").is_symlink());
        system.ok(&["restore", &second, "--force", "--no-snapshot"]);
        assert_eq!(system.read("models/a/deep/er"), b"in a folder now");
        assert_eq!(
            (system.read("models/b"), system.read("models/d/inner")),
            (b"a file now".to_vec(), b"in a folder now".to_vec())
        );
        assert!(system.path("models/c").is_symlink());
    }
}

pub(super) fn node(name: &[u8], mode: u32, kind: NodeKind) -> Node {
    let time = FileTime { secs: 1_000_000_000, nanos: 0 };
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let metadata =
        Metadata { mode, uid, gid, mtime: time, ctime: time, inode: 1, device: 1, links: 1, ..Metadata::default() };
    Node::new(ByteString::from(name), metadata, kind)
}

fn file(name: &[u8]) -> Node {
    node(name, 0o644, NodeKind::File { content: Content::default(), holes: Vec::new() })
}

fn directory(transaction: &mut Transaction<'_>, name: &[u8], entries: &[Node]) -> Node {
    let mut writer = TreeWriter::default();
    for entry in entries {
        writer.push(transaction, entry).expect("push");
    }
    let tree = writer.finish(transaction).expect("finish");
    node(name, 0o755, NodeKind::Directory { tree })
}

/// Writes a snapshot whose component `models` has what `entries` gives.
pub(super) fn craft(system: &System, entries: impl FnOnce(&mut Transaction<'_>) -> Vec<Node>) -> String {
    craft_component(system, |_| {}, entries)
}

/// The same, with what `change` makes of the component.
pub(super) fn craft_component(
    system: &System,
    change: impl FnOnce(&mut Component),
    entries: impl FnOnce(&mut Transaction<'_>) -> Vec<Node>,
) -> String {
    let storage = larder::storage::open(&system.path("backups").to_string_lossy(), &larder::rooted::Trust::default());
    let repository = Repository::open_or_create(storage.expect("a folder")).expect("repository");
    let (reservation, time) = backup::reserve(&repository).expect("a name");
    let mut transaction = repository.begin(&Monitor::unheard(&Cancel::new())).expect("begin");
    let entries = entries(&mut transaction);
    let root = directory(&mut transaction, b"models", &entries);
    let finished = transaction.finish().expect("finish");
    let name = "models".parse().expect("a name");
    let mut component = Component::new(name, ComponentKind::Directory, "models".to_owned(), Consistency::Live);
    component.root = Some(root);
    change(&mut component);
    let snapshot = snapshot(reservation.name(), time, component);
    finished.commit(&reservation, &encode_snapshot(&snapshot)).expect("commit");
    snapshot.name.to_string()
}

fn snapshot(name: &str, time: LocalTime, component: Component) -> Snapshot {
    let empty = Snapshot::new(name.parse().expect("a name"), time, SnapshotKind::Full);
    Snapshot { components: vec![component], ..empty }
}

/// Restores a crafted snapshot in every way; all of them refuse, and nothing appears but below the targets.
fn assert_refused(system: &System, name: &str, what: &str) {
    fs::create_dir_all(system.path("box/out")).expect("create");
    let out = system.path("box/out").to_string_lossy().into_owned();
    close(&out);
    let run = system.run(&["restore", name, "--target", &out]);
    assert_eq!(run.code, DAMAGE, "{what}: {run:?}");
    system.run(&["restore", name, "--force", "--no-snapshot"]).ended(DAMAGE);
    system.run(&["verify", name]).ended(DAMAGE);
    let exported = system.run(&["export", name, "--to", &out]);
    assert_ne!(exported.code, 0, "{what}: {exported:?}");
    let stray = |path: &std::path::Path| path.file_name().is_some_and(|name| name == "escaped");
    let found: Vec<_> = files_below(&system.path("")).into_iter().filter(|path| stray(path)).collect();
    assert!(found.is_empty(), "{what}: {found:?}");
    assert_eq!(system.read("models/mine"), b"mine", "{what}: a tree that cannot be right deletes nothing");
}

#[test]
fn crafted_names_are_refused() {
    for name in [&b".."[..], b".", b"../escaped", b"a/escaped", b"/tmp/escaped", b"a\0b"] {
        let system = System::new();
        system.write("models/mine", "mine");
        let snapshot = craft(&system, |_| vec![file(name)]);
        assert_refused(&system, &snapshot, &String::from_utf8_lossy(name));
    }
}

#[test]
fn crafted_folders_are_refused() {
    for name in [&b".."[..], b".", b"../..", b"a/.."] {
        let system = System::new();
        system.write("models/mine", "mine");
        let snapshot = craft(&system, |transaction| {
            let folder = directory(transaction, name, &[file(b"escaped")]);
            vec![folder]
        });
        assert_refused(&system, &snapshot, &String::from_utf8_lossy(name));
    }
}

#[test]
fn a_crafted_link_is_not_gone_through() {
    let system = System::new();
    outside(&system);
    system.write("models/mine", "mine");
    let target = system.path("outside").to_string_lossy().into_owned();
    // A link, and below a folder of nearly its name a file: the names differ, so both are honest entries.
    let link = NodeKind::Symlink { target: ByteString::from(target.as_bytes()) };
    let honest = craft(&system, |transaction| {
        let folder = directory(transaction, b"b", &[file(b"new")]);
        vec![node(b"a", 0o777, link.clone()), folder]
    });
    system.ok(&["restore", &honest, "--target", &system.path("out").to_string_lossy()]);
    assert!(system.path("out/models/a").is_symlink() && system.exists("out/models/b/new"));
    assert_outside_is_untouched(&system);
    // The next snapshot has a folder where the link stands now.
    let folder = craft(&system, |transaction| {
        let folder = directory(transaction, b"a", &[file(b"precious")]);
        vec![folder]
    });
    system.ok(&["restore", &folder, "--target", &system.path("out").to_string_lossy()]);
    assert_outside_is_untouched(&system);
    assert_eq!(system.read("out/models/a/precious"), b"");
}

/// What a restore had left half-written was saved as complete, and `prune` preferred it to the last one that was whole.
#[test]
fn what_is_half_restored_is_not_saved_as_complete() {
    let system = System::new();
    for number in 0..200 {
        system.write(format!("models/{number:03}"), noise(200_000, number));
    }
    system.write("config/one", "x");
    let state = system.path("state");
    let run = |arguments: &[&str]| Run::of(system.command(arguments).env("STATE_DIRECTORY", &state));
    let name = system.create();
    for signal in [Signal::KILL, Signal::INT] {
        for number in 0..200 {
            system.write(format!("models/{number:03}"), noise(200_000, number + 1_000));
        }
        let mut restore = system.command(&["restore", &name, "--force", "--no-snapshot"]);
        let mut child = restore.env("STATE_DIRECTORY", &state).stderr(Stdio::null()).spawn().expect("it starts");
        let first = noise(200_000, 0);
        watch(&mut child, "something is restored", || system.read("models/000") == first);
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, signal).expect("signal");
        child.wait().expect("it ends");
        let half = run(&["create", "--json"]);
        let saved = half.ended(3).json();
        let status = |name: &str| {
            let components = saved["components"].as_array().expect("a list");
            components.iter().find(|component| component["name"] == name).map(|component| component["status"].clone())
        };
        assert_eq!(status("models"), Some("partial".into()), "{saved}");
        // A killed one cannot say how far it came.
        let others = if signal == Signal::KILL { "partial" } else { "complete" };
        assert_eq!(status("config"), Some(others.into()), "{saved}");
        half.says("has not ended well");
        run(&["plan"]).ended(3).says("has not ended well");
        run(&["restore", &name, "--force", "--no-snapshot"]).ended(0);
        run(&["create"]).ended(0);
        let notes = files_below(&state).into_iter().filter(|path| path.to_string_lossy().contains("restoring"));
        assert_eq!(notes.count(), 0, "nothing of it is remembered");
    }
}

/// A restore that could write only a part of it took the note away, also that of the one before, and from another repository nobody
/// saw it.
#[test]
fn what_could_not_be_restored_whole_is_not_saved_as_complete() {
    let system = System::with_model("mine");
    system.write("models/two", "x");
    let name = system.create();
    let state = system.path("state");
    let run = |arguments: &[&str]| Run::of(system.command(arguments).env("STATE_DIRECTORY", &state));
    system.write("models/one", "new");
    system.write("models/.larder-restore-1-1/new/precious", "left by one that was killed");
    fs::set_permissions(system.path("models/.larder-restore-1-1"), fs::Permissions::from_mode(0o700)).expect("ours");
    let restore = ["restore", &name, "--force", "--components", "models"];
    run(&restore).ended(3).says("a restore that was killed has left in it");
    assert!(system.read("models/one") == b"mine" && system.exists("models/.larder-restore-1-1/new/precious"));
    run(&["create"]).ended(3).says("has not ended well");
    let other = system.path("other").to_string_lossy().into_owned();
    run(&["--backup-dir", &other, "create"]).ended(3).says("has not ended well");
    fs::rename(system.path("models/.larder-restore-1-1/new/precious"), system.path("precious")).expect("ours");
    fs::remove_dir(system.path("models/.larder-restore-1-1/new")).expect("ours");
    run(&restore).ended(0);
    assert!(!system.exists("models/.larder-restore-1-1"), "an empty one goes");
    run(&["create"]).ended(0);
}
