//! Reed-Solomon code over the shards of an object, in strips, so that memory is bounded whatever the object's length.
//!
//! The code knows neither damage nor checksums: it is told which shards are sound.

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::Error;
use super::error::damage;
use super::layout::Header;
use super::read::read_recovery;
use crate::limits::PARITY_STRIP_BYTES;
use crate::storage::{Key, Storage};

/// Bytes of each shard that are taken at once, one strip after the other.
fn strips(header: &Header) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let (shard_bytes, unit) = (header.shard_bytes, 64);
    let width = (PARITY_STRIP_BYTES / header.data_shards / unit * unit).clamp(unit, shard_bytes);
    (0..shard_bytes).step_by(width).map(move |start| start..(start + width).min(shard_bytes))
}

/// A strip of a shard of the object, filled up with zeroes.
fn read_strip(
    storage: &dyn Storage,
    object: &Key,
    header: &Header,
    (number, strip): (usize, &std::ops::Range<usize>),
) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; strip.len()];
    let used = header.used_bytes(number).clamp(strip.start, strip.end) - strip.start;
    if let Some(target) = bytes.get_mut(..used).filter(|target| !target.is_empty()) {
        storage.get_range(object, (number * header.shard_bytes + strip.start) as u64, target)?;
    }
    Ok(bytes)
}

/// The further shards of an object, one after the other.
pub(super) fn encode(storage: &dyn Storage, object: &Key, header: &Header) -> Result<Vec<u8>, Error> {
    let mut recovery = vec![0; header.recovery_shards * header.shard_bytes];
    for strip in strips(header) {
        let mut encoder = ReedSolomonEncoder::new(header.data_shards, header.recovery_shards, strip.len())
            .expect("the numbers of shards are within the code's bounds");
        for number in 0..header.data_shards {
            let bytes = read_strip(storage, object, header, (number, &strip))?;
            encoder.add_original_shard(bytes).expect("it has the length of the strip");
        }
        let encoded = encoder.encode().expect("all shards were added");
        for (shard, bytes) in recovery.chunks_mut(header.shard_bytes).zip(encoded.recovery_iter()) {
            if let Some(target) = shard.get_mut(strip.clone()) {
                target.copy_from_slice(bytes);
            }
        }
    }
    Ok(recovery)
}

/// The damaged shards of an object as they were, one after the other.
///
/// # Errors
/// [`Error::TooMuch`], [`Error::Storage`].
pub(super) fn restore(
    storage: &dyn Storage,
    (object, parity): (&Key, &Key),
    header: &Header,
    damaged: &[usize],
) -> Result<Vec<u8>, Error> {
    let mut sound = Vec::new();
    for number in 0..header.recovery_shards {
        if sound.len() < damaged.len() && read_recovery(storage, parity, header, number)?.is_some() {
            sound.push(number);
        }
    }
    if sound.len() < damaged.len() {
        let (object, all) = (object.path(), header.data_shards);
        return Err(Error::TooMuch { object, damaged: damaged.len(), all, restorable: sound.len() });
    }
    let mut restored = vec![0; damaged.len() * header.shard_bytes];
    if damaged.is_empty() {
        return Ok(restored);
    }
    for strip in strips(header) {
        let mut decoder = ReedSolomonDecoder::new(header.data_shards, header.recovery_shards, strip.len())
            .expect("the numbers of shards are within the code's bounds");
        for number in (0..header.data_shards).filter(|number| !damaged.contains(number)) {
            let bytes = read_strip(storage, object, header, (number, &strip))?;
            decoder.add_original_shard(number, bytes).expect("it has the length of the strip");
        }
        for number in &sound {
            let mut bytes = vec![0; strip.len()];
            storage.get_range(parity, header.recovery_offset(*number) + strip.start as u64, &mut bytes)?;
            decoder.add_recovery_shard(*number, bytes).expect("it has the length of the strip");
        }
        let decoded = decoder.decode().map_err(|_| damage(parity, "its shards are too few"))?;
        for (shard, number) in restored.chunks_mut(header.shard_bytes).zip(damaged) {
            if let (Some(target), Some(bytes)) = (shard.get_mut(strip.clone()), decoded.restored_original(*number)) {
                target.copy_from_slice(bytes);
            }
        }
    }
    Ok(restored)
}
