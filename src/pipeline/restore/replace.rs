//! What becomes of something that stands where an entry of the snapshot is to be.

use super::directory::OpenDirectory;
use super::report::ComponentRestore;
use super::tree::{TreeRestore, missing_target};
use crate::pipeline::Error;
use crate::sink::Existing;

impl TreeRestore<'_> {
    /// Whether backups leave out what stands here. Below such a directory they leave out everything.
    pub(super) fn is_left_out(&mut self, path: &[u8], existing: Option<&Existing>) -> bool {
        self.is_below_left_out()
            || self.beneath.as_mut().is_some_and(|beneath| self.left_out.covers(beneath, path, existing))
    }

    /// Notes something that stays and is not what the snapshot has there, where somebody else would get at it.
    pub(super) fn note_left(&mut self, path: &[u8]) {
        if self.open.last().is_some_and(OpenDirectory::is_exposed) {
            self.left.push(path.to_vec());
        }
    }

    /// Refuses to put something in the place of an entry that no snapshot has.
    pub(super) fn check_replace(&mut self, path: &[u8], existing: Option<&Existing>) -> Result<(), Error> {
        let Some(existing) = existing.filter(|existing| !existing.is_directory()) else { return Ok(()) };
        let around = self.open.iter().map(|open| open.found);
        if self.left_out.may_replace(&mut self.reader, (path, around), existing)? {
            return Ok(());
        }
        let why = "what stands there was moved while it was saved, so that the safety snapshot does not have it";
        Err(Error::Refused(format!("{why}: it stays; restore again")))
    }

    /// Refuses to take away a directory with something in it where what the snapshot does not have stays, and counts one that goes.
    pub(super) fn check_clear(&mut self, path: &[u8], result: &mut ComponentRestore) -> Result<(), Error> {
        let beneath = self.beneath.as_mut().ok_or_else(missing_target)?;
        let is_empty = beneath.names(path)?.is_empty();
        if !is_empty && !self.options.make_equal {
            let why = "a directory with something in it stands in the place of it, and stays";
            return Err(Error::Refused(why.to_owned()));
        }
        result.removed += u64::from(!is_empty);
        Ok(())
    }

    /// Takes away the directory that stands where something else is to be, unless no snapshot has some of it.
    pub(super) fn clear(&mut self, path: &[u8]) -> Result<(), Error> {
        let beneath = self.beneath.as_mut().ok_or_else(missing_target)?;
        let reader = &mut self.reader;
        if self.left_out.keeps_any(beneath, reader, path)? || !self.left_out.remove_others(beneath, reader, path)? {
            let shown = beneath.show(path);
            let why = "is in the way and holds something that no snapshot has, so it stays";
            return Err(Error::Refused(format!("{shown} {why}")));
        }
        Ok(())
    }
}
