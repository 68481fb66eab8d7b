//! What chunk and block sizes cost: `cargo bench --bench chunk_sizes -- NIGHT1 NIGHT2 …`.
//!
//! Each pair of arguments is a file or folder and how it is on the next night. For every combination of sizes it prints
//! the bytes that both nights take in packs and index, for the first night and for the second.

use std::collections::HashSet;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use larder::chunk::{ChunkSizes, Chunker, Gear};
use larder::id::{ChunkId, IdScheme};

/// Bytes of a chunk in the directory of its pack, in its block and in the index.
const CHUNK_OVERHEAD_BYTES: usize = 36 + 4 + 44;
/// Bytes of a block in the directory of its pack, in front of it and in the index.
const BLOCK_OVERHEAD_BYTES: usize = 20 + 32 + 24;

fn main() {
    let paths: Vec<PathBuf> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").map(PathBuf::from).collect();
    let mut out = stdout();
    if paths.len() < 2 {
        writeln!(out, "usage: cargo bench --bench chunk_sizes -- NIGHT1 NIGHT2 …").expect("standard output");
        return;
    }
    for pair in paths.chunks_exact(2) {
        let [first, second] = pair else { continue };
        let (first_files, second_files) = (files(first), files(second));
        writeln!(out, "{} and {}", first.display(), second.display()).expect("standard output");
        writeln!(out, "chunk KiB  block KiB    chunks  night 1 MiB  night 2 MiB  seconds").expect("standard output");
        for chunk in [16 << 10, 32 << 10, 64 << 10_u32] {
            for block in [128, 256, 512, 1024_usize] {
                let started = Instant::now();
                let mut store = Store::new(chunk, block << 10);
                let night_one = store.add(&first_files);
                let night_two = store.add(&second_files);
                let mebibytes = |bytes: usize| bytes as f64 / 1_048_576.0;
                let (one, two) = (mebibytes(night_one), mebibytes(night_two));
                let (chunks, seconds) = (store.known.len(), started.elapsed().as_secs_f64());
                writeln!(out, "{:9}  {block:9}  {chunks:8}  {one:11.2}  {two:11.2}  {seconds:7.1}", chunk >> 10)
                    .expect("standard output");
            }
        }
    }
}

struct Store {
    chunker: Chunker,
    block_bytes: usize,
    known: HashSet<ChunkId>,
    block: Vec<u8>,
}

impl Store {
    fn new(chunk: u32, block_bytes: usize) -> Self {
        let sizes = ChunkSizes::new(chunk / 4, chunk, chunk * 4).expect("valid sizes");
        Self { chunker: Chunker::new(sizes, Gear::public()), block_bytes, known: HashSet::new(), block: Vec::new() }
    }

    /// Bytes that a night adds.
    fn add(&mut self, files: &[PathBuf]) -> usize {
        let mut stored = 0;
        for file in files {
            let data = fs::read(file).expect("a readable file");
            let mut rest = data.as_slice();
            while let Some(len) = self.chunker.cut(rest, true) {
                let (chunk, after) = rest.split_at(len);
                rest = after;
                if self.known.insert(IdScheme::plain().chunk_id(chunk)) {
                    stored += CHUNK_OVERHEAD_BYTES;
                    if self.block.len() + len > self.block_bytes {
                        stored += self.encode();
                    }
                    self.block.extend_from_slice(chunk);
                }
            }
        }
        stored + self.encode()
    }

    fn encode(&mut self) -> usize {
        if self.block.is_empty() {
            return 0;
        }
        let compressed = zstd::bulk::compress(&self.block, 3).expect("compress").len();
        let stored = compressed.min(self.block.len());
        self.block.clear();
        stored + BLOCK_OVERHEAD_BYTES
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().flatten();
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}
