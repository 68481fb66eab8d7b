//! The place of a tree while it is restored: its directory, which nothing leaves, what in it is protected, and the report of what was done
//! there.
//!
//! It does not know what the snapshot has.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::place::Place;
use super::protected::{ProtectedPaths, has_unfinished};
use crate::limits::RESTORE_CACHE_BYTES;
use crate::model::{Node, show_path};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::restore::report::ComponentRestore;
use crate::repo::{ChunkReader, Repository};
use crate::rooted::Status;
use crate::sink::{self, Attributes, DirTarget, Existing};

/// The place that a tree is restored into.
pub(super) struct Target<'a> {
    /// `None` when the root is missing and nothing may be made.
    beneath: Option<DirTarget>,
    /// Whether there was nothing in the place of the root.
    is_new: bool,
    /// Whether nothing is touched.
    is_dry_run: bool,
    protected: ProtectedPaths,
    reader: ChunkReader,
    attributes: Attributes,
    /// Paths of what could not be restored, and of directories with something that the snapshot does not have there.
    left: Vec<Vec<u8>>,
    /// What stands under the first name of each file with several, once it is as it should be.
    first_files: HashMap<Vec<u8>, Existing>,
    result: &'a mut ComponentRestore,
    monitor: &'a Monitor<'a>,
}

impl<'a> Target<'a> {
    /// Opens the place, and makes it where something may be touched.
    pub(super) fn open(
        repository: &Repository,
        place: Place<'_>,
        is_dry_run: bool,
        result: &'a mut ComponentRestore,
        monitor: &'a Monitor<'a>,
    ) -> Result<Self, Error> {
        let is_new = !place.root.exists();
        let beneath = if is_dry_run && is_new {
            None
        } else {
            let guarded = repository.guarded()?;
            if !is_dry_run {
                place.make(&guarded)?;
            }
            let mut beneath = DirTarget::open(place.root, place.trust)?;
            beneath.guard(guarded)?;
            Some(beneath)
        };
        let reader = repository.reader_with_cache(&Arc::new(repository.index()?), RESTORE_CACHE_BYTES)?;
        Ok(Self {
            beneath,
            is_new,
            is_dry_run,
            protected: place.protected,
            reader,
            attributes: Attributes::default(),
            left: Vec::new(),
            first_files: HashMap::new(),
            result,
            monitor,
        })
    }

    /// A reader of the repository, which shares its cache with all others of this restore.
    pub(super) fn sibling_reader(&self) -> Result<ChunkReader, Error> {
        Ok(self.reader.sibling()?)
    }

    /// Whether there was nothing in the place of the root.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether there is a root by now.
    pub(super) const fn stands(&self) -> bool {
        self.beneath.is_some()
    }

    /// Whether nothing is touched.
    pub(super) const fn is_dry_run(&self) -> bool {
        self.is_dry_run
    }

    pub(super) const fn monitor(&self) -> &'a Monitor<'a> {
        self.monitor
    }

    /// What was done so far.
    pub(super) const fn result(&mut self) -> &mut ComponentRestore {
        self.result
    }

    /// The directory.
    pub(super) fn beneath(&mut self) -> Result<&mut DirTarget, Error> {
        self.beneath.as_mut().ok_or_else(missing_target)
    }

    /// What sets attributes.
    pub(super) const fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// What stands at a path.
    pub(super) fn look(&mut self, path: &[u8]) -> Result<Option<Existing>, Error> {
        match &mut self.beneath {
            Some(beneath) => Ok(beneath.look(path)?),
            None => Ok(None),
        }
    }

    /// Whether something is mounted here.
    pub(super) fn is_mount(&self, existing: &Existing) -> bool {
        self.beneath.as_ref().is_some_and(|beneath| beneath.is_mount(existing))
    }

    /// A path as text, for messages.
    pub(super) fn show(&self, path: &[u8]) -> String {
        self.beneath.as_ref().map_or_else(|| show_path(path), |beneath| beneath.show(path))
    }

    /// Whether backups leave out what stands here.
    pub(super) fn is_left_out(&mut self, path: &[u8], existing: Option<&Existing>) -> bool {
        let protected = &self.protected;
        self.beneath.as_mut().is_some_and(|beneath| protected.covers(beneath, path, existing))
    }

    /// Whether another entry may take the place of this one, which is no directory; see [`ProtectedPaths::may_replace`].
    pub(super) fn may_replace(
        &mut self,
        path: &[u8],
        around: impl Iterator<Item = Option<Status>>,
        existing: &Existing,
    ) -> Result<bool, Error> {
        self.protected.may_replace(&mut self.reader, (path, around), existing)
    }

    /// Removes an entry with everything in it that is not protected. Says whether all of it is gone.
    pub(super) fn remove_others(&mut self, path: &[u8]) -> Result<bool, Error> {
        let beneath = self.beneath.as_mut().ok_or_else(missing_target)?;
        self.protected.remove_others(beneath, &mut self.reader, path)
    }

    /// Takes away the directory that stands where something else is to be, unless no snapshot has some of it.
    pub(super) fn clear(&mut self, path: &[u8]) -> Result<(), Error> {
        let beneath = self.beneath.as_mut().ok_or_else(missing_target)?;
        let (protected, reader) = (&mut self.protected, &mut self.reader);
        if protected.keeps_any(beneath, reader, path)? || !protected.remove_others(beneath, reader, path)? {
            let shown = beneath.show(path);
            let why = "is in the way and holds something that no snapshot has, so it stays";
            return Err(Error::Refused(format!("{shown} {why}")));
        }
        Ok(())
    }

    /// Notes that something was not restored, or stays although the snapshot does not have it there.
    pub(super) fn add_left(&mut self, path: Vec<u8>) {
        self.left.push(path);
    }

    /// Something in a directory, or below it, that the snapshot does not have there.
    pub(super) fn left_below(&self, path: &[u8]) -> Option<&[u8]> {
        let is_below = |left: &&Vec<u8>| {
            path.is_empty() || left.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.left.iter().find(is_below).map(Vec::as_slice)
    }

    /// Remembers what has the first of several names.
    pub(super) fn note_first(&mut self, path: &[u8], node: &Node, file: impl AsFd) -> Result<(), Error> {
        if node.metadata.links > 1 {
            let status = Status::of(file).map_err(|errno| sink::Error::io("look at", show_path(path), errno))?;
            self.first_files.insert(path.to_vec(), status.into());
        }
        Ok(())
    }

    /// What has the first of several names, once it is as it should be.
    pub(super) fn first_file(&self, path: &[u8]) -> Option<&Existing> {
        self.first_files.get(path)
    }

    /// Names directories in the root in which a restore that was killed has left what it was moving: it may be what no snapshot has.
    pub(super) fn tell_unfinished(&mut self) {
        let Some(beneath) = &mut self.beneath else { return };
        for name in beneath.names(b"").unwrap_or_default() {
            let status = beneath.look(&name).ok().flatten().map(|existing| *existing.status());
            if status.is_some_and(|status| has_unfinished(beneath, &name, &status)) {
                let why = "a restore that was killed has left in it what it was moving to a new directory: move that to where it belongs, \
                           and remove it";
                self.result.fail(&name, why);
            }
        }
    }

    /// What to say of what stayed because no snapshot has it.
    pub(super) fn note_protected(&mut self) {
        self.result.note_all(self.protected.note());
    }

    /// Makes what was done durable.
    pub(super) fn end(self) -> Result<(), Error> {
        self.result.bytes_decoded += self.reader.decoded_bytes();
        match &self.beneath {
            Some(beneath) if !self.is_dry_run => Ok(beneath.sync()?),
            _ => Ok(()),
        }
    }
}

pub(super) fn missing_target() -> Error {
    Error::Refused("the target is missing".to_owned())
}
