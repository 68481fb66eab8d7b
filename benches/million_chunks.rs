//! Opening and listing a repository of a million chunks: `cargo bench --bench million_chunks`.
//!
//! Makes a repository whose index lists a million made-up chunks, then runs `larder -v list` and `larder -v ls
//! latest`, which opens the index, and prints the wall time and what they say of their peak memory.

use std::io::{Write, stdout};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use larder::chunk::ChunkRef;
use larder::id::{ChunkId, PackId};
use larder::index::SegmentBuilder;
use larder::model::SnapshotKind;
use larder::pack::{BlockEntry, Directory, Encoding, PackKind};
use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin};
use larder::progress::Silent;
use larder::repo::Repository;
use larder::source::{DirSource, Excludes};
use larder::storage::LocalStorage;

const CHUNKS: u32 = 1_000_000;
const CHUNKS_PER_BLOCK: u32 = 32;
const BLOCKS_PER_PACK: u32 = 64;
const RUNS: u32 = 5;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("backups");
    let repository = Repository::open_or_create(Arc::new(LocalStorage::new(&path))).expect("a repository");
    write_index(&repository);
    std::fs::create_dir(folder.path().join("models")).expect("create");
    std::fs::write(folder.path().join("models/model"), b"weights").expect("write");
    let origin = || Origin::Directory(DirSource::new(folder.path().join("models"), Excludes::default()));
    let options = BackupOptions {
        kind: SnapshotKind::Full,
        host: String::new(),
        program: String::new(),
        tags: Vec::new(),
        read_back: false,
        deltas: true,
        keep_held: false,
    };
    let name = backup::reserve(&repository).expect("a name");
    let sources = [ComponentSource { name: "models".parse().expect("a name"), origin: origin() }];
    backup::run(&repository, name, &sources, &options, &Silent).expect("a backup");
    drop(repository);
    for command in [&["list"][..], &["ls", "latest"]] {
        for _ in 0..RUNS {
            time(folder.path(), command);
        }
    }
}

fn write_index(repository: &Repository) {
    let mut number = 0_u32;
    let mut builder = SegmentBuilder::default();
    while number < CHUNKS {
        let mut offset = 40;
        let mut blocks = Vec::new();
        for _ in 0..BLOCKS_PER_PACK {
            let ids = number..number + CHUNKS_PER_BLOCK;
            let chunks: Vec<ChunkRef> =
                ids.map(|id| ChunkRef { id: ChunkId::of(&id.to_le_bytes()), len_bytes: 16_384 }).collect();
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
        builder.add(PackId::of(&number.to_le_bytes()), 1 << 20, &Directory { kind: PackKind::Data, blocks });
    }
    builder.write(repository.storage()).expect("write a segment");
}

fn time(system: &Path, command: &[&str]) {
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_larder")).arg("-C").arg(system).arg("-v").args(command).output();
    let output = output.expect("larder runs");
    let millis = started.elapsed().as_secs_f64() * 1000.0;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    writeln!(stdout(), "{}: {millis:.1} ms; {}", command.join(" "), said.trim()).expect("standard output");
}
