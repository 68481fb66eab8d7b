//! Reading an object shard by shard, and the header and the further shards of its parity, whatever is damaged of them.

use super::Error;
use super::error::damage;
use super::layout::{FIXED_BYTES, HEADER_BYTES_MAX, Header, TRAILER_BYTES};
use crate::storage::{self, Key, Storage};

/// The header, from the beginning of the parity or from its end.
pub(super) fn read_header(storage: &dyn Storage, parity: &Key) -> Result<Header, Error> {
    let parity_bytes = storage.stat(parity)?;
    let mut begin = [0; FIXED_BYTES];
    if read(storage, parity, 0, &mut begin)?
        && let Some(header) = Header::bytes_of(&begin).and_then(|len| header_at(storage, parity, 0, len).transpose())
    {
        return header;
    }
    let mut end = [0; TRAILER_BYTES];
    let end_offset = parity_bytes.saturating_sub(TRAILER_BYTES as u64);
    if read(storage, parity, end_offset, &mut end)? {
        let len = usize::from_le_bytes(end).min(HEADER_BYTES_MAX);
        let offset = end_offset.saturating_sub(len as u64);
        if let Some(header) = header_at(storage, parity, offset, len).transpose() {
            return header;
        }
    }
    Err(damage(parity, "both of its headers are damaged"))
}

/// The header at this place, if there is one.
fn header_at(storage: &dyn Storage, parity: &Key, offset: u64, len: usize) -> Result<Option<Header>, Error> {
    let mut bytes = vec![0; len];
    Ok(if read(storage, parity, offset, &mut bytes)? { Header::decode(&bytes) } else { None })
}

/// A shard of an object, filled up with zeroes.
pub(super) fn read_shard(
    storage: &dyn Storage,
    object: &Key,
    header: &Header,
    number: usize,
) -> Result<Vec<u8>, storage::Error> {
    let mut shard = vec![0; header.shard_bytes];
    if let Some(used) = shard.get_mut(..header.used_bytes(number)) {
        storage.get_range(object, (number * header.shard_bytes) as u64, used)?;
    }
    Ok(shard)
}

/// A further shard, or `None` when it is damaged.
pub(super) fn read_recovery(
    storage: &dyn Storage,
    parity: &Key,
    header: &Header,
    number: usize,
) -> Result<Option<Vec<u8>>, Error> {
    let mut shard = vec![0; header.shard_bytes];
    let is_there = read(storage, parity, header.recovery_offset(number), &mut shard)?;
    Ok((is_there && header.matches(header.data_shards + number, &shard)).then_some(shard))
}

/// Reads from an object that may be too short; says whether it was not.
fn read(storage: &dyn Storage, object: &Key, offset: u64, target: &mut [u8]) -> Result<bool, Error> {
    match storage.get_range(object, offset, target) {
        Ok(()) => Ok(true),
        // One that has just been deleted is not too short.
        Err(error) if error.is_damage() && !error.is_missing() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
