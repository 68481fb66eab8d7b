//! Any bytes as the body of a manifest, with a checksum that fits.
#![no_main]

use larder::id::Digest;
use larder::model::decode_snapshot;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut object = b"larder/m\x02\x00".to_vec();
    object.extend_from_slice(bytes);
    let sum = Digest::of(&object);
    object.extend_from_slice(sum.as_bytes());
    let _ = decode_snapshot(&object);
});
