//! Trees, lists and records that somebody has forged under their right ids: they cost no more than an honest one, and what
//! cannot be right is named as damage.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use larder::chunk::ChunkRef;
use larder::id::IdScheme;
use larder::model::{
    ByteString, ComponentKind, Content, DatabaseFacts, FileTime, Metadata, Node, NodeKind, TreeWriter, Xattr,
};
use larder::pack::PackKind;
use larder::repo::{Transaction, Unlike};

use super::restore_safety::{craft, craft_component, node};
use super::support::{DAMAGE, Run, System};

/// Much longer than any of these commands takes.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

fn stored(transaction: &mut Transaction<'_>, kind: PackKind, bytes: &[u8]) -> ChunkRef {
    let id = IdScheme::plain().chunk_id(bytes);
    transaction.store(kind, id, bytes, &mut Unlike).expect("stored");
    ChunkRef { id, len_bytes: u32::try_from(bytes.len()).expect("a chunk") }
}

/// The node with other metadata.
fn with(mut node: Node, change: impl FnOnce(&mut Metadata)) -> Node {
    change(&mut node.metadata);
    node
}

fn file_of(name: &[u8], content: Content) -> Node {
    let size_bytes = content.len_bytes;
    let kind = NodeKind::File { content, holes: Vec::new() };
    with(node(name, 0o644, kind), |metadata| metadata.size_bytes = size_bytes)
}

fn file(transaction: &mut Transaction<'_>, name: &[u8], bytes: &[u8]) -> Node {
    let chunk = stored(transaction, PackKind::Data, bytes);
    file_of(name, Content { len_bytes: bytes.len() as u64, depth: 0, chunks: vec![chunk] })
}

/// A run that has to end soon.
fn run_soon(system: &System, arguments: &[&str]) -> Run {
    let mut command = system.command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("wait").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("kill");
            panic!("{arguments:?} does not end");
        }
        thread::sleep(PAUSE);
    }
    Run::from_output(&child.wait_with_output().expect("it has ended"))
}

/// Lists of a few KiB that name each other again and again were followed for years.
#[test]
fn lists_that_repeat_themselves_end_where_the_file_does() {
    let system = System::with_model("mine");
    system.create();
    let name = craft(&system, |transaction| {
        let mut chunk = stored(transaction, PackKind::Data, b"a chunk");
        for _ in 0..6 {
            let entry: Vec<u8> = [&chunk.id.as_bytes()[..], &chunk.len_bytes.to_le_bytes()].concat();
            chunk = stored(transaction, PackKind::Tree, &entry.repeat(200));
        }
        vec![file_of(b"endless", Content { len_bytes: 700, depth: 6, chunks: vec![chunk; 200] })]
    });
    let out = system.path("out").to_string_lossy().into_owned();
    for arguments in [
        &["verify", &name][..],
        &["verify", "--all", "--read-data"],
        &["restore", &name, "--target", &out],
        &["cat", &format!("{name}:models/endless")],
        &["prune", "--force"],
        &["create"],
        &["repair"],
    ] {
        let run = run_soon(&system, arguments);
        let is_fine = arguments[0] == "create";
        assert_eq!(run.code, if is_fine { 0 } else { DAMAGE }, "{arguments:?}: {run:?}");
    }
}

/// A list that repeats itself in a file that is said to have 10^18 bytes was followed for days by what looks at all snapshots.
#[test]
fn a_list_that_repeats_itself_is_gone_through_once() {
    let system = System::with_model("mine");
    system.create();
    craft(&system, |transaction| {
        // Each list has many times what the one in it has, and all have as many bytes as they say.
        let mut chunk = stored(transaction, PackKind::Data, &vec![b'a'; 100_000]);
        let mut len_bytes = 100_000_u64;
        for _ in 0..4 {
            let entry: Vec<u8> = [&chunk.id.as_bytes()[..], &chunk.len_bytes.to_le_bytes()].concat();
            chunk = stored(transaction, PackKind::Tree, &entry.repeat(1_000));
            len_bytes *= 1_000;
        }
        vec![file_of(b"huge", Content { len_bytes: len_bytes * 10, depth: 4, chunks: vec![chunk; 10] })]
    });
    for arguments in [
        &["verify", "--all"][..],
        &["verify", "--read-data"],
        &["prune", "--force"],
        &["create"],
        &["repair"],
        &["stats", "latest"],
        &["savings"],
    ] {
        let run = run_soon(&system, arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
    }
}

/// Where every directory is there twice and the innermost lacks a file, there are more paths that lack it than can be told.
#[test]
fn a_directory_that_lacks_something_is_looked_into_once() {
    let system = System::with_model("mine");
    let forged = craft(&system, |transaction| {
        let missing = ChunkRef { id: IdScheme::plain().chunk_id(b"nowhere"), len_bytes: 7 };
        let mut entries = vec![file_of(b"lost", Content { len_bytes: 7, depth: 0, chunks: vec![missing] })];
        for _ in 0..50 {
            let mut tree = TreeWriter::default();
            for entry in &entries {
                tree.push(transaction, entry).expect("stored");
            }
            let tree = tree.finish(transaction).expect("stored");
            let directory = |name: &[u8]| node(name, 0o755, NodeKind::Directory { tree: tree.clone() });
            entries = vec![directory(b"a"), directory(b"b")];
        }
        entries
    });
    let run = run_soon(&system, &["verify", &forged]);
    assert_eq!(run.code, DAMAGE, "{run:?}");
    assert!(run.stdout.contains("/lost"), "{run:?}");
    assert!(run.stdout.contains("the same one stands elsewhere"), "{run:?}");
    for arguments in [&["verify", "--all", "--read-data"][..], &["repair"]] {
        let run = run_soon(&system, arguments);
        assert_eq!(run.code, DAMAGE, "{arguments:?}: {run:?}");
    }
}

/// Two names of one file with different contents: the first one was given for both, without a word.
#[test]
fn names_of_one_file_that_differ_are_damage_and_those_that_were_written_to_are_two_files() {
    let system = System::new();
    let linked = |transaction: &mut Transaction<'_>, name: &[u8], bytes: &[u8]| {
        with(file(transaction, name, bytes), |metadata| (metadata.inode, metadata.links) = (7, 2))
    };
    let forged =
        craft(&system, |transaction| vec![linked(transaction, b"a", b"this"), linked(transaction, b"b", b"that")]);
    let out = system.path("out").to_string_lossy().into_owned();
    system.run(&["verify", &forged]).ended(DAMAGE).shows("models/b").shows("other content");
    system.run(&["restore", &forged, "--target", &out]).ended(DAMAGE).says("models/b");
    assert_eq!(system.read("out/models/a"), b"this");
    assert!(!system.exists("out/models/b"));

    let changed = craft(&system, |transaction| {
        let later = FileTime { secs: 1_000_000_001, nanos: 0 };
        vec![
            linked(transaction, b"a", b"this"),
            with(linked(transaction, b"b", b"that"), |metadata| metadata.ctime = later),
        ]
    });
    system.ok(&["verify", &changed]);
    let run = system.run(&["restore", &changed, "--target", &out]);
    run.ended(0).says("no more the same file");
    assert_eq!((system.read("out/models/a"), system.read("out/models/b")), (b"this".to_vec(), b"that".to_vec()));
}

/// What a restore of a database called damaged, a check of all data did not look at.
#[test]
fn records_of_a_database_are_checked_as_a_restore_reads_them() {
    for (name, bytes) in [("tables.json", "{\"version\": 1}"), ("roles.json", "{}")] {
        let system = System::new();
        let as_database = |component: &mut larder::model::Component| {
            component.kind = ComponentKind::Database;
            component.database = Some(DatabaseFacts::default());
        };
        let snapshot = craft_component(&system, as_database, |transaction| {
            let mut entries = vec![file(transaction, name.as_bytes(), bytes.as_bytes())];
            if name == "roles.json" {
                entries.insert(0, file(transaction, b"database.sql", b"SELECT 1;"));
            }
            entries
        });
        system.run(&["verify", &snapshot, "--read-data"]).ended(DAMAGE).shows("LOST");
        system.run(&["verify", "--all", "--read-data"]).ended(DAMAGE).shows("LOST");
    }
}

/// What no file system can be given was good for `verify`, and failed in the restore.
#[test]
fn values_that_no_file_system_knows_are_damage() {
    let link = |target: &[u8]| NodeKind::Symlink { target: target.into() };
    let late = FileTime { secs: 1, nanos: 1_000_000_000 };
    let unnamed = vec![Xattr { name: ByteString::default(), value: ByteString::default() }];
    for node in [
        node(b"one", 0o777, link(b"")),
        node(b"two", 0o777, link(b"some\0where")),
        with(node(b"three", 0o600, NodeKind::Fifo), |metadata| metadata.mtime = late),
        with(node(b"four", 0o600, NodeKind::Fifo), |metadata| metadata.xattrs = unnamed),
    ] {
        let system = System::with_model("mine");
        system.create();
        let what = node.name.to_text();
        let name = craft(&system, |_| vec![node]);
        let run = system.run(&["verify", &name]);
        assert_eq!(run.code, DAMAGE, "{what}: {run:?}");
        run.shows("that no file system knows");
        system.run(&["restore", &name, "--force"]).ended(DAMAGE);
    }
}
