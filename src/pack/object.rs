//! Packs as objects of a storage: each kind has a folder of its own, so that rights and cheaper disks can be given to one of them.

use crate::id::{PackId, PackKind};
use crate::storage::{Area, Error, Key, Storage};

use super::layout::{VERSION_END, decode_version};

/// A pack as the storage lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedPack {
    /// Its name.
    pub id: PackId,
    /// Length of the file in bytes.
    pub len_bytes: u64,
}

/// Where packs of a kind lie.
#[must_use]
pub const fn area(kind: PackKind) -> Area {
    match kind {
        PackKind::Data => Area::Packs,
        PackKind::Tree => Area::Trees,
    }
}

/// The storage key of a pack.
#[must_use]
pub fn key(id: PackId) -> Key {
    Key::new(area(id.kind()), id.to_string())
}

/// The pack that an object is by its name; `None` when it is no pack.
#[must_use]
pub fn id_of(object: &Key) -> Option<PackId> {
    let kind = PackKind::ALL.into_iter().find(|kind| area(*kind) == object.area())?;
    Some(PackId::new(kind, object.name().parse().ok()?))
}

/// The version of the format that a pack says it has; `None` when it is too short, or does not begin like a pack.
///
/// # Errors
/// Those of [`Storage::get_range`].
pub fn version(storage: &dyn Storage, id: PackId) -> Result<Option<u16>, Error> {
    let mut bytes = [0; VERSION_END];
    match storage.get_range(&key(id), 0, &mut bytes) {
        Ok(()) => Ok(decode_version(&bytes)),
        Err(error) if error.is_damage() => Ok(None),
        Err(error) => Err(error),
    }
}

/// All packs of both kinds, in no order. What lies beside them under another name is left out.
///
/// # Errors
/// Those of [`Storage::list`].
pub fn list(storage: &dyn Storage) -> Result<Vec<ListedPack>, Error> {
    let mut packs = Vec::new();
    for kind in PackKind::ALL {
        for object in storage.list(area(kind))? {
            if let Ok(digest) = object.name.parse() {
                packs.push(ListedPack { id: PackId::new(kind, digest), len_bytes: object.len_bytes });
            }
        }
    }
    Ok(packs)
}
