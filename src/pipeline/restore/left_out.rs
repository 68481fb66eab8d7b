//! What a live restore never removes, because a backup leaves it out and so no snapshot has it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::pipeline::Error;
use crate::sink::{self, Beneath, Existing};
use crate::source::{CACHE_TAG_NAME, Excludes, is_cache_tag};

/// Excluded paths, other file systems, the repository, and what lies in tagged caches.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    excludes: Excludes,
    /// Whether backups save tagged caches.
    with_caches: bool,
}

impl LeftOut {
    /// With these excludes; the repository is guarded by [`Beneath`].
    pub(super) const fn new(excludes: Excludes) -> Self {
        Self { excludes, with_caches: false }
    }

    /// Of something whose backups have what is in tagged caches.
    pub(super) const fn with_caches(mut self) -> Self {
        self.with_caches = true;
        self
    }

    /// Whether a backup leaves out what stands here.
    pub(super) fn covers(&self, beneath: &mut Beneath, path: &[u8], existing: Option<&Existing>) -> bool {
        if self.excludes.matches(Path::new(OsStr::from_bytes(path))) {
            return true;
        }
        let Some(existing) = existing.filter(|existing| existing.is_directory()) else { return false };
        if self.with_caches {
            return beneath.is_guarded(existing);
        }
        let tag = sink::join(path, CACHE_TAG_NAME.as_bytes());
        beneath.is_guarded(existing) || beneath.open_file(&tag).is_ok_and(is_cache_tag)
    }

    /// Whether a backup leaves out what stands here, or anything below it.
    pub(super) fn covers_any(&self, beneath: &mut Beneath, path: &[u8]) -> Result<bool, Error> {
        let Some(existing) = beneath.look(path)? else { return Ok(false) };
        if self.covers(beneath, path, Some(&existing)) {
            return Ok(true);
        }
        if existing.is_directory() {
            for name in beneath.names(path)? {
                if self.covers_any(beneath, &sink::join(path, &name))? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Removes an entry with everything in it that is not left out. Says whether all of it is gone.
    pub(super) fn remove_others(&self, beneath: &mut Beneath, path: &[u8]) -> Result<bool, Error> {
        let Some(existing) = beneath.look(path)? else { return Ok(true) };
        if self.covers(beneath, path, Some(&existing)) {
            return Ok(false);
        }
        if existing.is_directory() {
            let mut emptied = true;
            for name in beneath.names(path)? {
                emptied &= self.remove_others(beneath, &sink::join(path, &name))?;
            }
            if !emptied {
                return Ok(false);
            }
        }
        beneath.remove(path)?;
        Ok(true)
    }
}
