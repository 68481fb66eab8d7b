//! Objects of every version of the format that was ever written, which are read for ever. They lie in `tests/it/golden/` and are never
//! made anew: a version that comes later gets objects of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use larder::chunk::ChunkRef;
use larder::clock::{LocalTime, Timing};
use larder::id::IdScheme;
use larder::model::{
    ByteString, Component, ComponentKind, Consistency, Content, DatabaseFacts, DatabaseProperties, DatabaseSetting,
    ExtraFields, FileTime, Hole, Metadata, Node, NodeKind, Privilege, Problems, Setting, Snapshot, SnapshotKind,
    Status, StepTiming, TableRows, VolumeFacts, VolumeMethod, Xattr, decode_snapshot, encode_snapshot,
};

use super::support::{System, files_below};

const MANIFEST_2: &[u8] = include_bytes!("golden/manifest-2");
const FOLDER_2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden/format-2");
const NAMES_2: [&str; 2] = ["system_backup_20261129_120000", "system_backup_20261129_120001"];

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn problems(message: &str) -> Problems {
    Problems { messages: vec![message.to_owned()], count: 1_001 }
}

fn node(name: &str, kind: NodeKind) -> Node {
    let xattr = Xattr { name: ByteString(b"user.a".to_vec()), value: ByteString(vec![0, 255]) };
    let metadata = Metadata {
        mode: 0o2750,
        uid: 1_000,
        gid: 70_000,
        user: "u".to_owned(),
        group: "g".to_owned(),
        mtime: FileTime { secs: -2, nanos: 999_999_999 },
        ctime: FileTime { secs: 1_764_417_600, nanos: 1 },
        size_bytes: if matches!(kind, NodeKind::File { .. }) { 1 << 33 } else { 0 },
        inode: 1 << 40,
        device: 2_049,
        links: 2,
        xattrs: vec![xattr],
        changed: true,
    };
    let extra = ExtraFields::new(vec![(300, ByteString(b"later".to_vec()))]);
    Node { extra, ..Node::new(ByteString(name.as_bytes().to_vec()), metadata, kind) }
}

fn content(len_bytes: u64, depth: u8) -> Content {
    let chunk = |text: &[u8]| ChunkRef { id: IdScheme::plain().chunk_id(text), len_bytes: 36_000 };
    Content { len_bytes, depth, chunks: vec![chunk(b"one"), chunk(b"two")] }
}

fn component(name: &str, kind: ComponentKind, consistency: Consistency) -> Component {
    let mut component = Component::new(name.parse().expect("a name"), kind, "from there".to_owned(), consistency);
    (component.files, component.bytes, component.bytes_read) = (3, 1 << 35, 250);
    (component.bytes_new, component.bytes_stored, component.millis) = (251, 65_536, 61_000);
    component
}

fn database() -> DatabaseFacts {
    let setting = Setting { name: "search_path".to_owned(), value: "\"a\", b".to_owned() };
    let privilege = Privilege { grantee: None, privilege: "CONNECT".to_owned(), grantable: true };
    DatabaseFacts {
        name: "app".to_owned(),
        server_version: "16.1".to_owned(),
        dump_version: "17.0".to_owned(),
        size_bytes: 1 << 32,
        encoding: "UTF8".to_owned(),
        dump_encoding: "LATIN1".to_owned(),
        collate: "C".to_owned(),
        ctype: "C.UTF-8".to_owned(),
        owner: "owner".to_owned(),
        tablespace: Some("fast".to_owned()),
        extensions: texts(&[("hstore", "1.8")]),
        tables: vec![TableRows { table: "public.\"Ä\"".to_owned(), rows: 300 }],
        properties: DatabaseProperties {
            settings: vec![DatabaseSetting { role: Some("r".to_owned()), setting }],
            connection_limit: Some(20),
            comment: Some("a comment".to_owned()),
            privileges: Some(vec![privilege]),
        },
        container: Some("app-db-1".to_owned()),
        foreign_code: vec!["public.a".to_owned()],
    }
}

fn volume() -> VolumeFacts {
    VolumeFacts {
        name: "app_data".to_owned(),
        driver: "local".to_owned(),
        options: texts(&[("type", "nfs")]),
        labels: texts(&[("com.docker.compose.volume", "data")]),
        containers: vec!["app-web-1".to_owned()],
        method: VolumeMethod::Engine,
        held: vec!["app-web-1".to_owned()],
        held_millis: 1_500,
        server_data: Some(String::new()),
    }
}

/// A snapshot in which every field has a value that tells it from others.
fn snapshot() -> Snapshot {
    let time = |unix_micros| LocalTime { unix_micros, offset_secs: -3_600 };
    let kinds = [
        NodeKind::Symlink { target: ByteString(b"to".to_vec()) },
        NodeKind::Fifo,
        NodeKind::Socket,
        NodeKind::CharDevice { number: 259 },
        NodeKind::BlockDevice { number: 1 << 40 },
    ];
    let mut directory = component("models", ComponentKind::Directory, Consistency::Live);
    directory.root = Some(node("models", NodeKind::Directory { tree: content(72, 0) }));
    directory.errors = problems("one is missing");
    directory.extra = ExtraFields::new(vec![(2, ByteString::default())]);
    let mut dump = component("database", ComponentKind::Database, Consistency::Dumped);
    dump.database = Some(database());
    let mut data = component("docker_volume_data", ComponentKind::Volume, Consistency::Paused);
    (data.volume, data.notes) = (Some(volume()), problems("worth knowing"));
    let mut stream = component("crm", ComponentKind::Stream, Consistency::Stopped);
    let holes = vec![Hole { offset: 0, len_bytes: (1 << 33) - 72_000 }];
    stream.root = Some(node("crm", NodeKind::File { content: content(72_000, 2), holes }));
    let others = kinds.into_iter().enumerate().map(|(number, kind)| {
        let mut other = component(&format!("other{number}"), ComponentKind::Directory, Consistency::Live);
        other.root = Some(node("other", kind));
        other
    });
    let timing = Timing { begin_micros: 1_764_417_600_000_000, end_micros: 1_764_417_600_250_000, millis: 250 };
    let read = StepTiming { component: Some("models".parse().expect("a name")), step: "read".to_owned(), timing };
    Snapshot {
        system: "app".to_owned(),
        host: "host".to_owned(),
        series: "stream crm".to_owned(),
        program: "larder 0.1.0".to_owned(),
        end: time(1_764_417_661_000_000),
        millis: 61_000,
        steps: vec![read, StepTiming { component: None, step: "write".to_owned(), timing: Timing::default() }],
        parent: Some("system_backup_20251128_120000".parse().expect("a name")),
        tags: vec!["before".to_owned(), String::new()],
        status: Status::Partial,
        imported: Some("ab".repeat(32)),
        dropped: vec!["logs".parse().expect("a name")],
        components: [directory, dump, data, stream].into_iter().chain(others).collect(),
        extra: ExtraFields::new(vec![(4, ByteString(vec![1, 2])), (65_534, ByteString::default())]),
        ..Snapshot::new(NAMES_2[0].parse().expect("a name"), time(1_764_417_600_123_456), SnapshotKind::Stream)
    }
}

#[test]
fn a_manifest_of_version_2_is_read_as_it_was_meant() {
    assert_eq!(decode_snapshot(MANIFEST_2).expect("it is read for ever"), snapshot());
    assert!(encode_snapshot(&snapshot()) == MANIFEST_2, "what is written has the same bytes");
}

/// A repository with deltas, holes, links and parity.
#[test]
fn a_repository_of_format_2_is_read_and_written_to() {
    let system = System::new();
    for path in files_below(Path::new(FOLDER_2)) {
        let relative = path.strip_prefix(FOLDER_2).expect("below it");
        system.write(Path::new("backups").join(relative), fs::read(&path).expect("ours"));
    }
    system.ok(&["verify", "--all", "--read-data"]).shows("OK");
    let out = system.path("out").to_string_lossy().into_owned();
    for (night, name) in NAMES_2.iter().enumerate() {
        system.ok(&["restore", name, "--target", &out]);
        let text = system.read("out/models/numbers");
        let expected: String = (0..4_000).map(|number| line(number, night)).collect();
        assert!(text == expected.as_bytes(), "{name}");
        assert_eq!(fs::read_link(system.path("out/models/link")).expect("a link"), Path::new("numbers"));
        let sparse = system.path("out/models/sparse");
        let metadata = fs::metadata(&sparse).expect("it is there");
        assert!(metadata.len() == 1 << 20 && metadata.blocks() < 64, "it has a hole");
        assert!(fs::read(&sparse).expect("ours").ends_with(b"end"));
        assert_eq!(fs::metadata(system.path("out/models/twin")).expect("it is there").nlink(), 2);
    }
    // What is new is written beside it, and what is old goes.
    fs::rename(system.path("out/models"), system.path("models")).expect("ours");
    system.ok(&["create", "--accept", "models"]);
    system.ok(&["forget", NAMES_2[0], "--force"]);
    system.ok(&["prune", "--keep-last", "5", "--force"]);
    system.ok(&["verify", "--all", "--read-data"]).shows("OK");
}

/// A line of the file that both nights have.
fn line(number: u32, night: usize) -> String {
    let word = if night == 1 && number % 50 == 7 { "changed" } else { "kept" };
    format!("{number} {word} {}\n", u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20)
}
