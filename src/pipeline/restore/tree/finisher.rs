//! Finishing a group of files that has been filled: all that waited for it gets its place, its names and its attributes, in order, one
//! entry at a time, and what the snapshot does not have is removed.

use rustix::fs::{Mode, fchmod};
use rustix::process::geteuid;

use super::group::{Group, Waiting};
use super::open_directory::{Exposure, OpenDirectory, Role};
use super::protected::is_unfinished;
use super::target::{Target, missing_target};
use super::writer::Filling;
use crate::model::{Node, show_path};
use crate::pipeline::Error;
use crate::rooted::join;
use crate::sink::Existing;

/// What finishes groups in their target.
pub(super) struct Finisher<'t, 'a> {
    target: &'t mut Target<'a>,
}

impl<'t, 'a> Finisher<'t, 'a> {
    pub(super) const fn new(target: &'t mut Target<'a>) -> Self {
        Self { target }
    }

    /// Waits for the files of the group, and finishes everything that waited for them, in order.
    pub(super) fn finish(&mut self, group: Group) {
        group.written.wait();
        let is_interrupted = self.target.monitor().is_cancelled();
        for waiting in group.waiting {
            let (path, finished) = match waiting {
                Waiting::File { temporary, .. } if is_interrupted => {
                    self.drop_temporary(&temporary);
                    continue;
                }
                Waiting::File { path, temporary, node, file, in_the_way } => {
                    let cleared = if in_the_way { self.target.clear(&path) } else { Ok(()) };
                    let finished = cleared.and_then(|()| self.file(&path, &temporary, &node, &file));
                    if finished.is_err() {
                        self.drop_temporary(&temporary);
                        let result = self.target.result();
                        result.written -= 1;
                        result.bytes_written -= node.metadata.size_bytes;
                    }
                    (path, finished)
                }
                _ if is_interrupted => continue,
                Waiting::Link { first, path } => {
                    self.target.result().touched = true;
                    let linked = self.link(&first, &path);
                    self.target.result().written -= u64::from(linked.is_err());
                    (path, linked)
                }
                Waiting::Directory { path, mut open } => {
                    let held = open.held.take();
                    let finished = self.directory(&path, &open);
                    drop(open);
                    if let (Some(held), Ok(beneath)) = (held, self.target.beneath()) {
                        beneath.release(&held);
                    }
                    (path, finished)
                }
            };
            if let Err(error) = finished {
                self.target.result().fail_with(&path, &error);
                self.target.add_left(path);
            }
        }
    }

    /// Takes a temporary file away. The error that led here is the one to tell.
    fn drop_temporary(&mut self, temporary: &[u8]) {
        if let Ok(beneath) = self.target.beneath() {
            drop(beneath.remove_file(temporary));
        }
    }

    fn file(&mut self, path: &[u8], temporary: &[u8], node: &Node, file: &Filling) -> Result<(), Error> {
        file.check()?;
        let is_staged = geteuid().is_root() && node.runs_as_others();
        if is_staged {
            self.target.beneath()?.stage_file(temporary, file.target.file())?;
        }
        let failures = self.target.attributes().apply(file.target.file(), node);
        self.target.result().note_not_set(path, failures);
        let beneath = self.target.beneath()?;
        let placed = if is_staged { beneath.place_special(path) } else { beneath.put_in_place(temporary, path) };
        if placed.is_err() {
            // It has its mode by now, and somebody may have taken it along.
            let _ = fchmod(file.target.file(), Mode::empty());
        }
        placed?;
        self.target.note_first(path, node, file.target.file())
    }

    fn link(&mut self, first: &[u8], path: &[u8]) -> Result<(), Error> {
        let failed = || Error::Refused(format!("the file that it is linked to failed: {}", show_path(first)));
        let file = self.target.first_file(first).cloned().ok_or_else(failed)?;
        if self.target.look(path)?.as_ref().is_some_and(Existing::is_directory) {
            self.target.clear(path)?;
        }
        Ok(self.target.beneath()?.make_hard_link(first, path, &file)?)
    }

    fn directory(&mut self, path: &[u8], open: &OpenDirectory) -> Result<(), Error> {
        let beneath = self.target.beneath()?;
        let directory = beneath.directory_as(path, open.identity.ok_or_else(missing_target)?)?;
        beneath.end_staging(&directory);
        if open.role == Role::Passed {
            return Ok(());
        }
        self.target.result().touched = true;
        let mut left = None;
        for name in &open.extra {
            let name = join(path, name);
            // Where something could not be restored, nothing is taken away either.
            let is_removed =
                open.removes && self.target.result().failed.is_empty() && self.target.remove_others(&name)?;
            self.target.result().removed += u64::from(is_removed);
            if !is_removed && !self.target.look(&name)?.is_some_and(|left| is_unfinished(&name, left.status())) {
                left.get_or_insert(name);
            }
        }
        if let Some(left) = left {
            self.target.add_left(left);
        }
        if open.exposure == Exposure::Opened
            && let Some(left) = self.target.left_below(path)
        {
            return Err(Error::Refused(open.exposed(&self.target.show(path), left)));
        }
        let failures = self.target.attributes().apply(&directory, &open.node);
        self.target.result().note_not_set(path, failures);
        Ok(())
    }
}
