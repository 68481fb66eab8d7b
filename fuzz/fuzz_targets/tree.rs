//! Any bytes as the content of a directory, and of the lists below it.
#![no_main]

use std::sync::Arc;

use larder::chunk::ChunkRef;
use larder::clock::LocalTime;
use larder::id::IdScheme;
use larder::index::SegmentBuilder;
use larder::model::{Content, ContentReader, NodeKind, Step, Walk};
use larder::pack::{EncodedBlock, Encoding, PackKind, PackWriter};
use larder::repo::{Config, Repository};
use larder::source::made_node;
use larder::storage::MemoryStorage;
use libfuzzer_sys::fuzz_target;

/// Entries of a tree that names itself are without end.
const ENTRIES_MAX: usize = 1000;

fuzz_target!(|input: &[u8]| {
    let Some((depth, bytes)) = input.split_first().filter(|(_, bytes)| !bytes.is_empty()) else { return };
    let storage = MemoryStorage::default();
    Config::new().expect("random bytes").write(&storage).expect("memory");
    let len_bytes = u32::try_from(bytes.len()).expect("a short input");
    let chunk = ChunkRef { id: IdScheme::plain().chunk_id(bytes), len_bytes };
    let block = EncodedBlock {
        encoding: Encoding::Raw,
        depth: 0,
        bases: Vec::new(),
        payload: bytes.to_vec(),
        raw_bytes: len_bytes,
        chunks: vec![chunk],
    };
    let mut writer = PackWriter::new(&storage, PackKind::Tree).expect("memory");
    writer.add(block).expect("memory");
    let pack = writer.finish().expect("memory");
    let mut builder = SegmentBuilder::default();
    builder.add(pack.id, pack.len_bytes, &pack.directory);
    builder.write(&storage).expect("memory");
    let repository = Repository::open(Arc::new(storage)).expect("it has a config");
    let mut reader = repository.reader().expect("memory");
    let content = Content { len_bytes: len_bytes.into(), depth: depth % 8, chunks: vec![chunk] };
    if let Ok(mut chunks) = ContentReader::new(content.clone()) {
        while let Ok(Some(_)) = chunks.next(&mut reader) {}
    }
    let root = made_node("root", NodeKind::Directory { tree: content }, LocalTime::now());
    let mut walk = Walk::new(root, b"root");
    for _ in 0..ENTRIES_MAX {
        match walk.next(&mut reader) {
            Ok(Some(Step::Entry(_) | Step::Leave)) | Err(_) => {}
            Ok(None) => return,
        }
    }
});
