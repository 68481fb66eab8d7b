//! Directories of a tree that is restored: made or taken over before anything is put into them, and finished last.
//!
//! None is given to somebody together with what is not his.

use std::collections::BTreeSet;

use rustix::process::geteuid;

use super::group::Waiting;
use super::open_directory::{Exposure, Number, OpenDirectory, Role};
use super::plan::Plan;
use super::protected::is_unfinished;
use crate::model::{Node, show_path};
use crate::pipeline::Error;
use crate::rooted::{join, names_in};
use crate::sink::Existing;

/// Who is not root gives nothing away.
fn is_root() -> bool {
    geteuid().is_root()
}

impl Plan<'_> {
    /// Goes into a directory that is restored: takes over the one that stands there, or makes one.
    pub(super) fn enter(&mut self, path: &[u8], node: Node, existing: Option<&Existing>) -> Result<(), Error> {
        let at_root = path.is_empty();
        let stands = if at_root { self.target().stands() } else { existing.is_some_and(Existing::is_directory) };
        let removes_around = self.around().removes_within();
        let is_left_out = !at_root && self.is_left_out(path, existing);
        let removes = stands && self.options().make_equal && removes_around && !is_left_out;
        if stands && is_left_out && !self.around().is_left_out() {
            let shown = show_path(path);
            let note = format!("{shown}: backups leave it out now, so what stands there stays as it is");
            self.target().result().notes.push(note);
        }
        let (mut extra, mut identity, mut before, mut held) = (BTreeSet::new(), None, None, None);
        let mut is_fresh = self.around().is_fresh();
        let mut exposure = self.around().exposure_within();
        if !stands {
            self.check_replace(path, existing)?;
            self.target().result().written += u64::from(!at_root);
        }
        if self.target().is_dry_run() {
            let found = if at_root { self.target().look(path)? } else { existing.cloned() };
            if is_root() && stands && found.is_some_and(|found| found.would_open_to(&node)) {
                exposure = Exposure::Opened;
            }
        } else {
            self.target().result().touched = true;
            let beneath = self.target().beneath()?;
            let directory = if stands {
                let (directory, found) = beneath.take_over(path, &node, is_fresh)?;
                if is_root() && found.would_open_to(&node) {
                    exposure = Exposure::Opened;
                }
                is_fresh |= is_root() && found.was_open_to_others(&node);
                before = Some(*found.status());
                directory
            } else {
                if existing.is_some() {
                    beneath.remove_file(path)?;
                }
                beneath.make_directory(path)?
            };
            held = beneath.hold(path, &directory)?;
            identity = Some(directory.status().whole_identity());
        }
        if stands && (removes || exposure != Exposure::No) {
            extra.extend(self.target().beneath()?.names(path)?);
        }
        self.around().push(OpenDirectory {
            node,
            role: if stands { Role::Restored } else { Role::Made },
            extra,
            removes,
            is_left_out,
            exposure,
            is_fresh,
            found: before,
            identity,
            held,
            number: Number::Free,
        });
        Ok(())
    }

    /// Goes into a directory around parts that are restored. One that stands stays as it is; one that is missing is made.
    pub(super) fn pass(&mut self, path: &[u8], node: Node, existing: Option<&Existing>) -> Result<(), Error> {
        let stands =
            if path.is_empty() { !self.target().is_new() } else { existing.is_some_and(Existing::is_directory) };
        if !stands && existing.is_some() {
            let why = "something else stands in the place of this directory, and is not replaced for a part of it: restore all of it, \
                       or use --target";
            return Err(Error::Refused(why.to_owned()));
        }
        if !stands {
            return self.enter(path, node, existing);
        }
        let is_left_out = !path.is_empty() && self.is_left_out(path, existing);
        let is_fresh = self.around().is_fresh();
        let beneath = self.target().beneath()?;
        let directory = beneath.pass(path, &node)?;
        let (held, found) = (beneath.hold(path, &directory)?, *directory.status());
        self.around().push(OpenDirectory {
            node,
            role: Role::Passed,
            extra: BTreeSet::new(),
            removes: false,
            is_left_out,
            exposure: Exposure::No,
            is_fresh,
            found: Some(found),
            identity: Some(found.whole_identity()),
            held,
            number: Number::Filled,
        });
        Ok(())
    }

    /// Goes back to the directory around the current one, whose path below the root this is.
    pub(super) fn leave(&mut self, path: Vec<u8>) {
        let Some(open) = self.around().pop() else { return };
        if self.target().is_dry_run() {
            self.leave_unchanged(&path, &open);
        } else {
            self.add_path(&path);
            let number = self.hold(&path, open.number);
            self.add(Waiting::Directory { path, open: Box::new(OpenDirectory { number, ..open }) });
        }
    }

    /// Keeps a directory open that somebody may remove: one that has nothing in it yet, or that others own, or may write to the directory
    /// around.
    fn hold(&mut self, path: &[u8], number: Number) -> Number {
        let may_be_emptied = self.around().may_be_emptied();
        let (true, Ok(beneath)) =
            (is_root() && (may_be_emptied || matches!(number, Number::Free)), self.target().beneath())
        else {
            return number;
        };
        match beneath.directory(path) {
            Ok(directory) if may_be_emptied || names_in(&directory).is_ok_and(|names| names.is_empty()) => {
                self.add_open_file();
                Number::Held { _directory: directory }
            }
            _ => number,
        }
    }

    /// Says what would be removed, and whether the directory could get its owner and mode.
    fn leave_unchanged(&mut self, path: &[u8], open: &OpenDirectory) {
        for name in &open.extra {
            let path = join(path, name);
            let existing = self.look(&path).ok().flatten();
            let is_removed = open.removes && !self.is_left_out(&path, existing.as_ref());
            self.target().result().removed += u64::from(is_removed);
            if !is_removed && !existing.is_some_and(|left| is_unfinished(&path, left.status())) {
                self.target().add_left(path);
            }
        }
        let target = self.target();
        if open.exposure == Exposure::Opened
            && target.stands()
            && let Some(left) = target.left_below(path)
        {
            let why = open.exposed(&target.show(path), left);
            target.result().fail(path, &why);
        }
    }
}
