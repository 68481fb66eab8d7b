//! The stages of a backup, each alone, and a whole backup: `cargo bench --bench engine`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use larder::cancel::Cancel;
use larder::chunk::{ChunkRef, ChunkSizes, Chunker, Gear};
use larder::id::{ChunkId, Digest, IdScheme, PackId, expand_key};
use larder::index::{Index, SegmentBuilder};
use larder::model::{ComponentName, SnapshotKind};
use larder::monitor::Monitor;
use larder::pack::{BlockEncoder, BlockEntry, Directory, Encoding, PackKind, RawBlock};
use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin};
use larder::repo::Repository;
use larder::source::{DirSource, Excludes};
use larder::storage::{LocalStorage, MemoryStorage};

const MEBIBYTE: usize = 1 << 20;

/// Text that compresses about as well as a dump.
fn text(len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 100);
    let mut number = 1_u64;
    while bytes.len() < len {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(
            format!("{}\thttps://example.org/{:x}\tA title\t{}\n", number >> 40, number, number >> 50).as_bytes(),
        );
    }
    bytes.truncate(len);
    bytes
}

fn cut_and_hash(criterion: &mut Criterion) {
    let data = text(16 * MEBIBYTE);
    let chunker = Chunker::new(ChunkSizes::DEFAULT, Gear::public());
    let mut group = criterion.benchmark_group("cut and hash");
    group.throughput(Throughput::Bytes(data.len() as u64));
    let cut = |hash: bool| {
        let (mut rest, mut sum) = (data.as_slice(), 0_u64);
        while let Some(len) = chunker.cut(rest, true) {
            let (chunk, after) = rest.split_at(len);
            sum += if hash { u64::from(IdScheme::plain().chunk_id(chunk).as_bytes()[0]) } else { len as u64 };
            rest = after;
        }
        sum
    };
    group.bench_function("cut", |bencher| bencher.iter(|| black_box(cut(false))));
    group.bench_function("cut and hash", |bencher| bencher.iter(|| black_box(cut(true))));
    group.finish();
}

fn look_up(criterion: &mut Criterion) {
    let storage = MemoryStorage::default();
    let ids: Vec<ChunkId> = (0..200_000_u32).map(|number| IdScheme::plain().chunk_id(&number.to_le_bytes())).collect();
    let mut builder = SegmentBuilder::default();
    for (number, ids) in ids.chunks(1000).enumerate() {
        let mut offset = 40;
        let blocks = ids.chunks(20).map(|ids| {
            let chunks: Vec<ChunkRef> = ids.iter().map(|id| ChunkRef { id: *id, len_bytes: 16_384 }).collect();
            let raw_bytes = 16_384 * u32::try_from(chunks.len()).expect("few chunks");
            let block = BlockEntry {
                offset,
                stored_bytes: 100,
                raw_bytes,
                encoding: Encoding::Zstd,
                depth: 0,
                chunks,
                bases: Vec::new(),
            };
            offset = u32::try_from(block.end()).expect("a small pack");
            block
        });
        let directory = Directory { kind: PackKind::Data, blocks: blocks.collect() };
        builder.add(PackId::new(PackKind::Data, Digest::of(&number.to_le_bytes())), 1 << 20, &directory);
    }
    let mut index = Index::default();
    index.add(builder.write(&storage).expect("write a segment"));
    let mut group = criterion.benchmark_group("index look-up");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("present", |bencher| {
        bencher.iter(|| ids.iter().step_by(200).filter(|id| index.lookup(id).is_some()).count());
    });
    let absent: Vec<ChunkId> =
        (0..1000_u32).map(|number| IdScheme::plain().chunk_id(&(!number).to_le_bytes())).collect();
    group.bench_function("absent", |bencher| {
        bencher.iter(|| absent.iter().filter(|id| index.lookup(id).is_some()).count());
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let compressible = text(MEBIBYTE / 2);
    let mut noise = vec![0; MEBIBYTE / 2];
    expand_key(&[5; 32], &mut noise);
    let mut encoder = BlockEncoder::new(larder::pack::LEVEL).expect("an encoder");
    let mut group = criterion.benchmark_group("block encoding");
    for (name, data) in [("text", &compressible), ("incompressible", &noise)] {
        group.throughput(Throughput::Bytes(data.len() as u64));
        let block = || {
            let mut block = RawBlock::default();
            data.chunks(16 << 10).for_each(|chunk| block.push((ChunkId::from_bytes([0; 32]), chunk), 512 << 10));
            block
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(block, |block| encoder.encode(block).expect("encode"), BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn whole_backup(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let source = folder.path().join("source");
    std::fs::create_dir(&source).expect("create");
    std::fs::write(source.join("dump.sql"), text(64 * MEBIBYTE)).expect("write");
    for number in 0..1000 {
        std::fs::write(source.join(format!("file-{number}")), text(2000 + number)).expect("write");
    }
    let back_up = |repository: &Repository| {
        let origin = Origin::Directory(DirSource::new(&source, Excludes::default()));
        let sources = [ComponentSource { name: "files".parse::<ComponentName>().expect("a name"), origin }];
        let options = BackupOptions::new(SnapshotKind::Files, "", "");
        let name = backup::reserve(repository).expect("a name");
        backup::run(repository, name, &sources, &options, &Monitor::unheard(&Cancel::new())).expect("a backup")
    };
    let open =
        |path: &std::path::Path| Repository::open_or_create(Arc::new(LocalStorage::new(path))).expect("a repository");
    let mut group = criterion.benchmark_group("whole backup");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(65 * MEBIBYTE as u64));
    group.bench_function("first, 65 MiB and 1,000 files", |bencher| {
        let fresh = || tempfile::tempdir_in(folder.path()).expect("a temporary folder");
        bencher.iter_batched(fresh, |place| back_up(&open(place.path())), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, cut_and_hash, look_up, encode, whole_backup);
criterion_main!(benches);
