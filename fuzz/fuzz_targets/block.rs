//! Any bytes as the payload of a block, of any encoding, with and without a prefix.
#![no_main]

use larder::id::{Digest, PackId, PackKind};
use larder::pack::{BlockDecoder, BlockPlace, key, read_block};
use larder::storage::MemoryStorage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(([encoding, raw_bytes @ .., prefix_bytes], rest)) = input.split_first_chunk::<6>() else { return };
    let raw_bytes = u32::from_le_bytes(*raw_bytes) % (1 << 23);
    let (prefix, payload) = rest.split_at(usize::from(*prefix_bytes).min(rest.len()));
    let (storage, pack) = (MemoryStorage::default(), PackId::new(PackKind::Data, Digest::of(b"a pack")));
    let stored_bytes = u32::try_from(payload.len()).expect("a short input");
    storage.overwrite(&key(pack), payload.to_vec());
    let place = BlockPlace { pack, payload_offset: 0, stored_bytes, raw_bytes, encoding: encoding % 4, depth: 0 };
    let mut decoder = BlockDecoder::new().expect("a decoder");
    let mut plaintext = Vec::new();
    if read_block(&storage, &mut decoder, &place, prefix, &mut plaintext).is_ok() {
        assert_eq!(plaintext.len(), raw_bytes as usize);
    }
});
