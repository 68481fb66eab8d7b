//! Parity for the objects of a repository: written for those that lack it, and used for those that are damaged.

use std::collections::{HashMap, HashSet};

use super::{Error, Repository};
use crate::events::Phase;
use crate::id::PackId;
use crate::monitor::Monitor;
use crate::pack;
use crate::parity::{self, Restored, Share};
use crate::storage::{Area, Key, Listed, Retractable, Storage};

/// The areas whose objects have parity.
const PROTECTED: [Area; 5] = [Area::Config, Area::Packs, Area::Trees, Area::Index, Area::Snapshots];

/// Parity that was written or removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Protected {
    /// Objects that it was written for.
    pub objects: u64,
    /// Length of what was written, in bytes.
    pub bytes: u64,
    /// Parity objects that were removed.
    pub removed: u64,
}

/// What parity did for damaged objects.
#[derive(Debug, Default)]
pub struct Mended {
    /// Paths of objects that are again as they were.
    pub restored: Vec<String>,
    /// Parity that is damaged itself, or has the name of no object, and was removed.
    pub damaged: Vec<(String, parity::Error)>,
}

impl Repository {
    /// Writes parity of this share for every object that has none, or another one; without a share all parity is removed.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Cancelled`], [`Error::Storage`]; what was written until then counts.
    pub fn protect(&self, share: Option<Share>, monitor: &Monitor<'_>) -> Result<Protected, Error> {
        self.config.check_writable()?;
        let storage = self.storage();
        let mut protected = Protected::default();
        let known: HashMap<String, u64> =
            storage.list(Area::Parity)?.into_iter().map(|object| (object.name, object.len_bytes)).collect();
        let Some(share) = share else {
            for name in known.into_keys() {
                storage.retract(Retractable::Parity, &name)?;
                protected.removed += 1;
            }
            return Ok(protected);
        };
        monitor.begin(Phase::WritingParity, None);
        for area in PROTECTED {
            for Listed { name, len_bytes } in storage.list(area)? {
                monitor.check()?;
                let object = Key::new(area, name);
                let expected = parity::len_bytes(&object, len_bytes, share);
                if known.get(&object.flat_name()) == Some(&expected) {
                    continue;
                }
                match parity::write(storage, &object, share, |hash| parity::is_named(&object, hash)) {
                    Ok(written) => {
                        protected.objects += u64::from(written.is_some());
                        protected.bytes += written.unwrap_or(0);
                    }
                    // Deleted since the listing, or damaged.
                    Err(error) if error.is_damage() => {}
                    Err(error) => return Err(error.into()),
                }
                // Whoever deletes it meanwhile removes parity before and after: what came between goes here.
                if storage.stat(&object).is_err_and(|error| error.is_missing()) {
                    storage.retract(Retractable::Parity, parity::key(&object).name())?;
                }
            }
        }
        Ok(protected)
    }

    /// Restores damaged and missing objects that have parity: manifests, segments, the config, and of packs those that are
    /// `broken` or missing. The packs that are as they were again are taken out of `broken`.
    ///
    /// # Errors
    /// [`Error::UnknownFeature`], [`Error::Cancelled`], [`Error::Storage`].
    pub fn mend(&self, broken: &mut HashSet<PackId>, monitor: &Monitor<'_>) -> Result<Mended, Error> {
        self.config.check_deletable()?;
        monitor.begin(Phase::RestoringWithParity, None);
        let storage = self.storage();
        let mut mended = Mended::default();
        for Listed { name, .. } in storage.list(Area::Parity)? {
            monitor.check()?;
            let parity = Key::new(Area::Parity, &name);
            if let Some(object) = Key::from_flat_name(&name) {
                mend_object(storage, &object, broken, &mut mended)?;
            }
            match parity::check(storage, &parity) {
                Err(error) if error.is_damage() => {
                    storage.retract(Retractable::Parity, &name)?;
                    mended.damaged.push((parity.path(), error));
                }
                result => result?,
            }
        }
        Ok(mended)
    }
}

fn mend_object(
    storage: &dyn Storage,
    object: &Key,
    broken: &mut HashSet<PackId>,
    mended: &mut Mended,
) -> Result<(), Error> {
    let pack = pack::id_of(object);
    let is_suspect =
        pack.is_none_or(|pack| broken.contains(&pack)) || storage.stat(object).is_err_and(|error| error.is_missing());
    let restored = if is_suspect { parity::restore(storage, object) } else { Ok(None) };
    match restored {
        Ok(Some(Restored::Again)) => {
            pack.map(|pack| broken.remove(&pack));
            mended.restored.push(object.path());
        }
        Ok(_) => {}
        Err(error) if error.is_damage() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
