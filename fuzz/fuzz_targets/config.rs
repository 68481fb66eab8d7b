//! Any bytes as the config of a repository.
#![no_main]

use larder::repo::Config;
use larder::storage::{Key, MemoryStorage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let storage = MemoryStorage::default();
    storage.overwrite(&Key::config(), bytes.to_vec());
    let _ = Config::read(&storage);
});
