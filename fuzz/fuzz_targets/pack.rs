//! Any bytes as a pack: directory, scan, and every block that they list.
#![no_main]

use larder::id::{IdScheme, PackId};
use larder::pack::{BlockDecoder, PackReader, key};
use larder::storage::MemoryStorage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let storage = MemoryStorage::default();
    let id = PackId::of(bytes);
    storage.overwrite(&key(id), bytes.to_vec());
    let Ok(reader) = PackReader::open(&storage, id) else { return };
    let mut decoder = BlockDecoder::new().expect("a decoder");
    let _ = reader.scan(&mut decoder, IdScheme::plain());
    if let Ok(directory) = reader.directory() {
        for block in &directory.blocks {
            let _ = reader.check_block(&mut decoder, IdScheme::plain(), block);
        }
    }
});
