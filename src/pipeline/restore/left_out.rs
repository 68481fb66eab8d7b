//! What a live restore never removes, because a backup leaves it out and so no snapshot has it.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::pipeline::Error;
use crate::rooted::Step;
use crate::sink::{Beneath, Existing};
use crate::source::{Excludes, is_tagged_cache};

/// Excluded paths, mounts, the repository, and what lies in tagged caches.
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
        let Some(existing) = existing else { return false };
        if beneath.is_guarded(existing) || self.with_caches || !existing.is_directory() {
            return beneath.is_guarded(existing);
        }
        beneath.directory(path).is_ok_and(|directory| is_tagged_cache(directory.as_fd()))
    }

    /// Whether a backup leaves out what stands here, or anything below it.
    pub(super) fn covers_any(&self, beneath: &mut Beneath, path: &[u8]) -> Result<bool, Error> {
        let Some(mut descent) = beneath.descend(path)? else { return Ok(false) };
        while let Some(step) = beneath.next_step(&mut descent)? {
            if let Step::Entry(status) = step
                && self.covers(beneath, descent.path(), Some(&status.into()))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes an entry with everything in it that is not left out. Says whether all of it is gone.
    pub(super) fn remove_others(&self, beneath: &mut Beneath, path: &[u8]) -> Result<bool, Error> {
        let Some(mut descent) = beneath.descend(path)? else { return Ok(true) };
        // For each open directory, whether something in it stays; the last one that is left is the entry itself.
        let mut stays = vec![false];
        while let Some(step) = beneath.next_step(&mut descent)? {
            let stays_here = match step {
                Step::Entry(status) if self.covers(beneath, descent.path(), Some(&status.into())) => {
                    descent.skip();
                    true
                }
                Step::Entry(status) if status.is_directory() => {
                    stays.push(false);
                    continue;
                }
                Step::Entry(_) => false,
                Step::Leave => stays.pop().unwrap_or_default(),
            };
            if stays_here {
                stays.last_mut().into_iter().for_each(|around| *around = true);
            } else {
                beneath.remove(descent.path())?;
            }
        }
        Ok(!stays.contains(&true))
    }
}
