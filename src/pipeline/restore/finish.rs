//! What waits until a group of files has been filled, and how it is finished: in order, one entry at a time.

use std::sync::Arc;

use rustix::fs::{Mode, fchmod};
use rustix::process::geteuid;

use super::directory::OpenDirectory;
use super::left_out::has_unfinished;
use super::report::ComponentRestore;
use super::tree::{TreeRestore, fail, note_not_set};
use super::writer::{Filling, Written};
use crate::model::{Node, show_path};
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::progress::Progress;
use crate::sink::Existing;

/// What is to be done with an entry when its group has been written.
pub(super) enum Waiting {
    File { path: Vec<u8>, temporary: Vec<u8>, node: Box<Node>, file: Arc<Filling>, in_the_way: bool },
    Link { first: Vec<u8>, path: Vec<u8> },
    Directory { path: Vec<u8>, open: Box<OpenDirectory> },
}

/// A group of files that is being filled, and all that waits for it.
pub(super) struct Group {
    pub(super) waiting: Vec<Waiting>,
    pub(super) written: Written,
}

impl TreeRestore<'_> {
    /// Names directories in the root in which a restore that was killed has left what it was moving: it may be what no snapshot has.
    pub(super) fn tell_unfinished(&mut self, result: &mut ComponentRestore) {
        let (None, Some(beneath)) = (&self.base, &mut self.beneath) else { return };
        for name in beneath.names(b"").unwrap_or_default() {
            let status = beneath.look(&name).ok().flatten().map(|existing| *existing.status());
            if status.is_some_and(|status| has_unfinished(beneath, &name, &status)) {
                let why = "a restore that was killed has left in it what it was moving to a new directory: move that to where it belongs, \
                           and remove it";
                fail(result, &name, why);
            }
        }
    }

    /// Waits for the files of the group, and finishes everything that waited for them, in order.
    pub(super) fn finish(&mut self, group: Group, result: &mut ComponentRestore, progress: &dyn Progress) {
        group.written.wait();
        let is_interrupted = progress.cancelled();
        for waiting in group.waiting {
            let (path, finished) = match waiting {
                Waiting::File { temporary, .. } if is_interrupted => {
                    self.drop_temporary(&temporary);
                    continue;
                }
                Waiting::File { path, temporary, node, file, in_the_way } => {
                    let cleared = if in_the_way { self.clear(&path) } else { Ok(()) };
                    let finished = cleared.and_then(|()| self.finish_file(&path, &temporary, &node, &file, result));
                    if finished.is_err() {
                        self.drop_temporary(&temporary);
                        result.written -= 1;
                        result.bytes_written -= node.metadata.size_bytes;
                    }
                    (path, finished)
                }
                _ if is_interrupted => continue,
                Waiting::Link { first, path } => {
                    result.touched = true;
                    let linked = self.make_link(&first, &path);
                    result.written -= u64::from(linked.is_err());
                    (path, linked)
                }
                Waiting::Directory { path, mut open } => {
                    let held = open.held.take();
                    let finished = self.finish_directory(&path, *open, result);
                    if let (Some(held), Some(beneath)) = (held, &mut self.beneath) {
                        beneath.release(&held);
                    }
                    (path, finished)
                }
            };
            if let Err(error) = finished {
                result.damaged |= error.is_damage();
                fail(result, &path, &with_causes(&error));
                self.left.push(path);
            }
        }
    }

    /// Takes a temporary file away. The error that led here is the one to tell.
    fn drop_temporary(&mut self, temporary: &[u8]) {
        if let Some(beneath) = &mut self.beneath {
            drop(beneath.remove_file(temporary));
        }
    }

    fn finish_file(
        &mut self,
        path: &[u8],
        temporary: &[u8],
        node: &Node,
        file: &Filling,
        result: &mut ComponentRestore,
    ) -> Result<(), Error> {
        file.check()?;
        let is_staged = geteuid().is_root() && node.runs_as_others();
        if is_staged {
            self.beneath()?.stage_file(temporary, file.target.file())?;
        }
        let failures = self.attributes.apply(file.target.file(), node);
        note_not_set(result, path, failures);
        let beneath = self.beneath()?;
        let placed = if is_staged { beneath.place_special(path) } else { beneath.put_in_place(temporary, path) };
        if placed.is_err() {
            // It has its mode by now, and somebody may have taken it along.
            let _ = fchmod(file.target.file(), Mode::empty());
        }
        placed?;
        self.note_first(path, node, file.target.file())
    }

    fn make_link(&mut self, first: &[u8], path: &[u8]) -> Result<(), Error> {
        let failed = || Error::Refused(format!("the file that it is linked to failed: {}", show_path(first)));
        let file = self.first_files.get(first).cloned().ok_or_else(failed)?;
        if self.look(path)?.as_ref().is_some_and(Existing::is_directory) {
            self.clear(path)?;
        }
        Ok(self.beneath()?.make_hard_link(first, path, &file)?)
    }
}
