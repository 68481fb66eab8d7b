//! Any bytes as the `metadata.json` of a folder that is imported.
#![no_main]

use larder::pipeline::import::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(metadata) = parse(bytes) else { return };
    for filename in metadata.components.iter().filter_map(|component| component.filename.as_ref()) {
        assert!(!filename.starts_with('/') && !filename.split('/').any(|part| part.is_empty() || part == ".."));
    }
});
