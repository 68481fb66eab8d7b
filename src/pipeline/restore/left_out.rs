//! What a live restore never removes, because a backup leaves it out and so no snapshot has it.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::pipeline::Error;
use crate::rooted::{Instant, Step};
use crate::sink::{Beneath, Existing};
use crate::source::{Excludes, is_tagged_cache};

const MICROS: i64 = 1_000_000;

/// Excluded paths, mounts, the repository, and what lies in tagged caches.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    excludes: Excludes,
    /// Whether backups save tagged caches.
    with_caches: bool,
    /// When it began to be saved what is removed: what changed later stays.
    saved_at: Option<Instant>,
    /// Entries that stay because of that.
    newer: u64,
}

impl LeftOut {
    /// With these excludes; the repository is guarded by [`Beneath`].
    pub(super) const fn new(excludes: Excludes) -> Self {
        Self { excludes, with_caches: false, saved_at: None, newer: 0 }
    }

    /// Of something whose backups have what is in tagged caches.
    pub(super) const fn with_caches(mut self) -> Self {
        self.with_caches = true;
        self
    }

    /// Of something that began to be saved at this time, in microseconds since 1970: nobody has what came there later.
    pub(super) fn saved_at(mut self, micros: Option<i64>) -> Self {
        let nanos = |micros: i64| u32::try_from(micros.rem_euclid(MICROS) * 1_000).unwrap_or(0);
        self.saved_at = micros.map(|micros| (micros.div_euclid(MICROS), nanos(micros)));
        self
    }

    /// What to say of what stayed because it came later.
    pub(super) fn note(&self) -> Option<String> {
        let Self { newer, .. } = self;
        (*newer > 0).then(|| format!("what came or changed after it was saved stays, entries: {newer}"))
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

    /// Removes an entry with everything in it that is not left out, and that was there when it was saved. Says whether all of it is
    /// gone.
    pub(super) fn remove_others(&mut self, beneath: &mut Beneath, path: &[u8]) -> Result<bool, Error> {
        let Some(mut descent) = beneath.descend(path)? else { return Ok(true) };
        // For each open directory, whether something in it stays; the last one that is left is the entry itself.
        let mut stays = vec![false];
        while let Some(step) = beneath.next_step(&mut descent)? {
            let stays_here = match step {
                Step::Entry(status) if self.saved_at.is_some_and(|time| status.ctime() >= time) => {
                    descent.skip();
                    self.newer += 1;
                    true
                }
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
