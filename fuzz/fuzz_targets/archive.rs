//! Any bytes as the archive of a volume, in parts of any length.
#![no_main]

use std::io::Read;
use std::sync::OnceLock;

use bytes::Bytes;
use larder::cancel::Cancel;
use larder::docker::Archive;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::channel;

/// More parts than the channel holds would have to be sent by another thread.
const PARTS_MAX: usize = 64;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime"))
}

fuzz_target!(|input: &[u8]| {
    let Some((part_bytes, bytes)) = input.split_first_chunk() else { return };
    let part_bytes = usize::from(u16::from_le_bytes(*part_bytes)).max(bytes.len().div_ceil(PARTS_MAX)).max(1);
    let (sender, parts) = channel(PARTS_MAX);
    for part in bytes.chunks(part_bytes) {
        sender.try_send(Ok(Bytes::copy_from_slice(part))).expect("there is room");
    }
    drop(sender);
    let mut archive = Archive::new(runtime().handle().clone(), parts, "fuzz", &Cancel::new());
    while let Ok(Some(_)) = archive.next_entry() {
        let mut data = Vec::new();
        let _ = archive.by_ref().take(1 << 20).read_to_end(&mut data);
    }
});
