//! Any bytes as the parity of any object.
#![no_main]

use larder::parity::{check, key, restore};
use larder::storage::{Area, Key, MemoryStorage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((len, rest)) = input.split_first_chunk() else { return };
    let (object_bytes, parity_bytes) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
    let (storage, object) = (MemoryStorage::default(), Key::new(Area::Packs, "ab".repeat(32)));
    storage.overwrite(&object, object_bytes.to_vec());
    storage.overwrite(&key(&object), parity_bytes.to_vec());
    let _ = check(&storage, &key(&object));
    let _ = restore(&storage, &object);
});
