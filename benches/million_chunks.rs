//! Opening, listing and pruning a repository of a million chunks: `cargo bench --bench million_chunks`. Of CHUNKS chunks,
//! where the environment says so.
//!
//! Makes a repository whose index lists made-up chunks, a snapshot of one file, and one of a file that has all of the
//! chunks; then runs `larder list`, `ls`, which opens the index, and `prune --dry-run`, which marks every chunk. Prints the wall
//! time, and the most memory that is not the mapped index (`RssAnon`), looked at all the time.

use std::io::{Write, stdout};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use larder::cancel::Cancel;
use larder::chunk::ChunkRef;
use larder::id::{Digest, IdScheme, PackId};
use larder::index::SegmentBuilder;
use larder::model::{ChunkList, ComponentKind, NodeKind, SnapshotKind, decode_snapshot, encode_snapshot};
use larder::monitor::Monitor;
use larder::pack::{BlockEntry, Directory, Encoding, PackKind};
use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin};
use larder::repo::Repository;
use larder::source::{DirSource, Excludes};
use larder::storage::LocalStorage;

const CHUNKS_PER_BLOCK: u32 = 32;
const BLOCKS_PER_PACK: u32 = 64;
const PACK_BYTES: u64 = 1 << 20;
const RUNS: u32 = 5;

fn main() {
    let chunks = std::env::var("CHUNKS").map_or(1_000_000, |text| text.parse().expect("CHUNKS is a number"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("backups");
    let repository = Repository::open_or_create(Arc::new(LocalStorage::new(&path))).expect("a repository");
    write_index(&repository, chunks);
    std::fs::create_dir(folder.path().join("models")).expect("create");
    std::fs::write(folder.path().join("models/model"), b"weights").expect("write");
    let origin = || Origin::Directory(DirSource::new(folder.path().join("models"), Excludes::default()));
    let options = BackupOptions { read_back: false, ..BackupOptions::new(SnapshotKind::Full, "", "") };
    let name = backup::reserve(&repository).expect("a name");
    let sources = [ComponentSource { name: "models".parse().expect("a name"), origin: origin() }];
    backup::run(&repository, name, &sources, &options, &Monitor::unheard(&Cancel::new())).expect("a backup");
    write_file_of_all(&repository, chunks);
    drop(repository);
    for command in [&["list"][..], &["ls", "latest"], &["prune", "--dry-run", "--keep-last", "2"]] {
        for _ in 0..RUNS {
            time(folder.path(), command);
        }
    }
}

/// Ids of made-up chunks.
fn chunk(number: u32) -> ChunkRef {
    ChunkRef { id: IdScheme::plain().chunk_id(&number.to_le_bytes()), len_bytes: 16_384 }
}

/// A second snapshot, in which the file has all of the chunks.
fn write_file_of_all(repository: &Repository, chunks: u32) {
    let first = repository.manifest_names().expect("a list").pop().expect("a snapshot");
    let mut snapshot = decode_snapshot(&repository.read_manifest(&first).expect("its manifest")).expect("a snapshot");
    let mut transaction = repository.begin(&Monitor::unheard(&Cancel::new())).expect("a transaction");
    let mut list = ChunkList::default();
    for number in 0..chunks {
        list.push(&mut transaction, chunk(number)).expect("a list");
    }
    let content = list.finish(&mut transaction).expect("a content");
    let finished = transaction.finish().expect("what is stored");
    let component = &mut snapshot.components[0];
    component.kind = ComponentKind::Stream;
    let root = component.root.as_mut().expect("a root");
    root.metadata.size_bytes = content.len_bytes;
    root.kind = NodeKind::File { content, holes: Vec::new() };
    let (reservation, _) = backup::reserve(repository).expect("a name");
    snapshot.name = reservation.name().parse().expect("a name");
    finished.commit(&reservation, &encode_snapshot(&snapshot)).expect("a second snapshot");
}

fn write_index(repository: &Repository, count: u32) {
    let mut number = 0_u32;
    let mut builder = SegmentBuilder::default();
    while number < count {
        let mut offset = 40;
        let mut blocks = Vec::new();
        for _ in 0..BLOCKS_PER_PACK {
            let ids = number..number + CHUNKS_PER_BLOCK;
            let chunks: Vec<ChunkRef> = ids.map(chunk).collect();
            number += CHUNKS_PER_BLOCK;
            let raw_bytes = 16_384 * CHUNKS_PER_BLOCK;
            let block = BlockEntry {
                offset,
                stored_bytes: 1000,
                raw_bytes,
                encoding: Encoding::Zstd,
                depth: 0,
                chunks,
                bases: Vec::new(),
            };
            offset = u32::try_from(block.end()).expect("a small pack");
            blocks.push(block);
        }
        let pack = PackId::new(PackKind::Data, Digest::of(&number.to_le_bytes()));
        write_hole(repository, pack);
        builder.add(pack, PACK_BYTES, &Directory { kind: PackKind::Data, blocks });
    }
    builder.write(repository.storage()).expect("write a segment");
}

/// A pack of the right length with nothing in it.
fn write_hole(repository: &Repository, pack: PackId) {
    let name = pack.to_string();
    let folder = Path::new(&repository.storage().describe()).join("packs").join(&name[..2]);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::File::create(folder.join(name)).and_then(|file| file.set_len(PACK_BYTES)).expect("a file");
}

fn time(system: &Path, command: &[&str]) {
    let started = Instant::now();
    let mut larder = Command::new(env!("CARGO_BIN_EXE_larder"));
    larder.arg("-C").arg(system).args(command).stdout(Stdio::null()).stderr(Stdio::null());
    let mut larder = larder.spawn().expect("larder runs");
    let mut peak = 0;
    let status = loop {
        if let Some(status) = larder.try_wait().expect("its status") {
            break status;
        }
        peak = peak.max(anonymous_kib(larder.id()));
    };
    let millis = started.elapsed().as_secs_f64() * 1000.0;
    assert!(status.success(), "{command:?}: {status}");
    writeln!(stdout(), "{}: {millis:.1} ms, {:.1} MiB", command.join(" "), f64::from(peak) / 1024.0)
        .expect("standard output");
}

/// Memory that a process has of its own now.
fn anonymous_kib(process: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
