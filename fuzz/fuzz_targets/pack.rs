//! Any bytes as a pack: its directory, its blocks without it, and every block that they list.
#![no_main]

use larder::id::{Digest, IdScheme, PackId, PackKind};
use larder::pack::{BlockDecoder, BlockPlace, BlockScan, PackReader, Scanned, check_block, key, read_block};
use larder::storage::MemoryStorage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let storage = MemoryStorage::default();
    // It lies where its header says.
    let kind = bytes.get(10).and_then(|kind| PackKind::from_number(*kind)).unwrap_or(PackKind::Data);
    let id = PackId::new(kind, Digest::of(bytes));
    storage.overwrite(&key(id), bytes.to_vec());
    let Ok(reader) = PackReader::open(&storage, id) else { return };
    let mut decoder = BlockDecoder::new().expect("a decoder");
    let mut scan = BlockScan::new(&reader);
    loop {
        match scan.step() {
            Ok(Scanned::Block(block)) => drop(block.chunks(&mut decoder, IdScheme::plain(), b"bases")),
            Ok(Scanned::Nothing | Scanned::GivenUp(_)) => {}
            Ok(Scanned::End) | Err(_) => break,
        }
    }
    let mut plaintext = Vec::new();
    if let Ok(directory) = reader.directory() {
        for block in &directory.blocks {
            let place = BlockPlace::of(id, block);
            if read_block(&storage, &mut decoder, &place, b"bases", &mut plaintext).is_ok() {
                let _ = check_block(IdScheme::plain(), &place, block, &plaintext);
            }
        }
    }
});
