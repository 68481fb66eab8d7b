//! Any bytes as an index segment: open, list, look up, merge.
#![no_main]

use std::sync::Arc;

use larder::id::{ChunkId, Digest, SegmentId};
use larder::index::{Index, Segment, key, merge_full_tiers};
use larder::storage::{MemoryStorage, Storage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let storage = MemoryStorage::default();
    let id = SegmentId::from(Digest::of(bytes));
    storage.overwrite(&key(id), bytes.to_vec());
    let Ok(segment) = Segment::open(&storage, id) else { return };
    let _ = segment.packs().count();
    let segment = Arc::new(segment);
    let lease = storage.lease(&|| {}).expect("memory can be shared");
    let _ = lease.when_alone(|alone| merge_full_tiers(&storage, &vec![segment; 5], alone));
    let index = Index::open(&storage).expect("memory can be listed");
    for window in bytes.chunks_exact(32).take(64) {
        let id = ChunkId::from_bytes(window.try_into().expect("32 bytes"));
        if let Some(location) = index.lookup(&id) {
            let _ = index.place(location.block_key());
        }
    }
});
