//! What a live restore never removes, because no snapshot has it: backups leave it out, or it came after the safety snapshot.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::FileType;
use rustix::process::geteuid;

use crate::pipeline::Error;
use crate::pipeline::restore::saved::Saved;
use crate::repo::ChunkReader;
use crate::rooted::{Status, Step, split};
use crate::sink::{DirTarget, Existing};
use crate::source::{Excludes, UNFINISHED_PREFIX, is_tagged_cache};

/// How many bits of a mode are the rights of the group and of others.
const OF_OTHERS_BITS: u32 = 6;

/// Excluded paths, mounts, the repository, and what lies in tagged caches.
#[derive(Debug, Default)]
pub(in crate::pipeline::restore) struct ProtectedPaths {
    excludes: Excludes,
    /// Whether backups save tagged caches.
    with_caches: bool,
    /// What was saved just before; `None` where everything may go.
    saved: Option<Saved>,
    /// Entries that stay because it has not got them.
    newer: u64,
}

/// Whether it is an entry that a restore was killed over: no backup saves it. It belongs to whoever restores and is closed by itself,
/// so that nobody gets at it who gets into the directory.
pub(super) fn is_unfinished(path: &[u8], status: &Status) -> bool {
    let is_closed = match status.file_type() {
        FileType::Directory => false,
        FileType::Symlink => true,
        _ => status.mode().trailing_zeros() >= OF_OTHERS_BITS,
    };
    is_closed && status.uid() == geteuid().as_raw() && split(path).1.starts_with(UNFINISHED_PREFIX)
}

/// Whether it is a directory in which a restore that was killed has left what it was moving. Nobody else gets into it.
pub(super) fn has_unfinished(beneath: &mut DirTarget, path: &[u8], status: &Status) -> bool {
    let is_ours = status.is_directory()
        && status.uid() == geteuid().as_raw()
        && status.mode().trailing_zeros() >= OF_OTHERS_BITS
        && split(path).1.starts_with(UNFINISHED_PREFIX);
    is_ours && beneath.names(path).is_ok_and(|names| !names.is_empty())
}

impl ProtectedPaths {
    /// With these excludes; the repository is guarded by [`DirTarget`].
    pub(in crate::pipeline::restore) const fn new(excludes: Excludes) -> Self {
        Self { excludes, with_caches: false, saved: None, newer: 0 }
    }

    /// Of something whose backups have what is in tagged caches.
    pub(in crate::pipeline::restore) const fn with_caches(mut self) -> Self {
        self.with_caches = true;
        self
    }

    /// Of something that was saved just before: nobody has anything else that stands there.
    pub(in crate::pipeline::restore) fn but(mut self, saved: Option<Saved>) -> Self {
        self.saved = saved;
        self
    }

    /// What to say of what stayed because no snapshot has it.
    pub(super) fn note(&self) -> Option<String> {
        let Self { newer, .. } = self;
        (*newer > 0).then(|| format!("what came, was changed or was moved after it was saved stays, entries: {newer}"))
    }

    /// Whether a backup leaves out what stands here.
    pub(super) fn covers(&self, beneath: &mut DirTarget, path: &[u8], existing: Option<&Existing>) -> bool {
        if self.excludes.matches(Path::new(OsStr::from_bytes(path))) {
            return true;
        }
        let Some(existing) = existing else { return false };
        if has_unfinished(beneath, path, existing.status()) {
            return true;
        }
        if beneath.is_guarded(existing) || self.with_caches || !existing.is_directory() {
            return beneath.is_guarded(existing);
        }
        beneath.directory(path).is_ok_and(|directory| is_tagged_cache(directory.as_fd()))
    }

    /// Whether a snapshot has this, or none has to.
    fn is_saved(&mut self, reader: &mut ChunkReader, path: &[u8], status: &Status) -> Result<bool, Error> {
        if is_unfinished(path, status) {
            return Ok(true);
        }
        self.saved.as_mut().map_or(Ok(true), |saved| Ok(saved.has(reader, path, status)?))
    }

    /// Whether another entry may take the place of this one, which is no directory: it is saved, be it that it was changed since, or it was
    /// made since in directories that are those that are saved. These are what stood around it, from the root on. What was moved there,
    /// or came with a directory, is neither.
    pub(super) fn may_replace(
        &mut self,
        reader: &mut ChunkReader,
        (path, around): (&[u8], impl Iterator<Item = Option<Status>>),
        existing: &Existing,
    ) -> Result<bool, Error> {
        let Some(saved) = &mut self.saved else { return Ok(true) };
        if saved.has_inode(reader, path, existing.status())? {
            return Ok(true);
        }
        if !saved.was_made_since(existing.status()) {
            return Ok(false);
        }
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        for (end, directory) in std::iter::once(0).chain(ends).zip(around) {
            let directory_path = path.get(..end).unwrap_or_default();
            let Some(directory) = directory else { return Ok(false) };
            if !saved.has(reader, directory_path, &directory)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether something of what stands here, or below, is to stay as it is.
    pub(super) fn keeps_any(
        &mut self,
        beneath: &mut DirTarget,
        reader: &mut ChunkReader,
        path: &[u8],
    ) -> Result<bool, Error> {
        let Some(mut descent) = beneath.descend(path)? else { return Ok(false) };
        while let Some(step) = beneath.next_step(&mut descent)? {
            if let Step::Entry(status) = step {
                let path = descent.path();
                if self.covers(beneath, path, Some(&status.into())) || !self.is_saved(reader, path, &status)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Removes an entry with everything in it that is not to stay. Says whether all of it is gone.
    pub(super) fn remove_others(
        &mut self,
        beneath: &mut DirTarget,
        reader: &mut ChunkReader,
        path: &[u8],
    ) -> Result<bool, Error> {
        let Some(mut descent) = beneath.descend(path)? else { return Ok(true) };
        // For each open directory, whether something in it stays; the last one that is left is the entry itself.
        let mut stays = vec![false];
        while let Some(step) = beneath.next_step(&mut descent)? {
            let stays_here = match step {
                Step::Entry(status) if self.covers(beneath, descent.path(), Some(&status.into())) => {
                    descent.skip();
                    true
                }
                Step::Entry(status) if !self.is_saved(reader, descent.path(), &status)? => {
                    descent.skip();
                    self.newer += 1;
                    true
                }
                Step::Entry(status) if status.is_directory() => {
                    stays.push(false);
                    continue;
                }
                Step::Entry(_) => {
                    beneath.remove_file(descent.path())?;
                    false
                }
                Step::Leave => stays.pop().unwrap_or_default() || !beneath.remove_directory(descent.path())?,
            };
            if stays_here {
                stays.last_mut().into_iter().for_each(|around| *around = true);
            }
        }
        Ok(!stays.contains(&true))
    }
}
