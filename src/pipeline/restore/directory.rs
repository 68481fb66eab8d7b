//! Directories of a tree that is restored: made or taken over before anything is put into them, and finished last.
//!
//! Whoever owns a directory around one may exchange it meanwhile, and may have put one of his own, or one of root's, in its
//! place before. Which one it was when it was entered is remembered, and none is given to somebody together with what is
//! not his.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::geteuid;

use super::finish::Waiting;
use super::left_out::is_unfinished;
use super::report::ComponentRestore;
use super::tree::{TreeRestore, fail, missing_target, note_not_set};
use crate::model::{Metadata, Node, show_path};
use crate::pipeline::Error;
use crate::rooted::{Held, Identity, Status, join, names_in};
use crate::sink::Existing;

/// Rights of the group and of others to write.
const OF_OTHERS_WRITE: u32 = 0o022;

/// Whether somebody will get at what is left in a directory who did not before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exposure {
    No,
    /// Because a directory around it is opened to him.
    Within,
    /// Because it is.
    Opened,
}

/// Whether a directory becomes that of the snapshot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Restored,
    /// It was not there, and is made.
    Made,
    /// It stands around parts that are, and stays as it is.
    Passed,
}

/// A directory that is being restored.
pub(super) struct OpenDirectory {
    node: Node,
    role: Role,
    /// Names that stand there and that the snapshot has not shown yet.
    pub(super) extra: BTreeSet<Vec<u8>>,
    /// Whether these are removed.
    removes: bool,
    /// Whether backups leave out it, or a directory around it.
    is_left_out: bool,
    exposure: Exposure,
    /// Whether somebody may have had it open who has no right to it, or a directory around it: nothing that stands in it is kept as it
    /// is, because he may have that open too.
    pub(super) is_fresh: bool,
    /// What stood there before; `None` where nothing did, or nothing is changed.
    pub(super) found: Option<Status>,
    /// Which it is; `None` where nothing is changed.
    identity: Option<Identity>,
    /// Keeps another one from being gone into under its path, as long as something is done in it.
    pub(super) held: Option<Held>,
    number: Number,
}

/// What keeps the number of a directory from being given to another one: whoever owns the directory around it may remove it as long as
/// it is empty.
enum Number {
    Free,
    /// Something of root stands in it by now, in a directory that is root's alone.
    Filled,
    /// It is open.
    Held {
        _directory: Arc<OwnedFd>,
    },
}

impl OpenDirectory {
    /// Whether somebody will get at what is left in it who did not before.
    pub(super) fn is_exposed(&self) -> bool {
        self.exposure != Exposure::No
    }
}

/// Who is not root gives nothing away.
fn is_root() -> bool {
    geteuid().is_root()
}

fn exposed(shown: &str, left: &[u8], Metadata { uid, gid, mode, .. }: &Metadata) -> String {
    let left = show_path(left);
    format!(
        "{shown} holds what the snapshot does not have there ({left}), and others would get at it: it does not get its owner {uid}:{gid} \
         and its mode {mode:o}, which `chown` and `chmod` give it if they may"
    )
}

impl TreeRestore<'_> {
    /// Whether backups leave out everything in the current directory.
    pub(super) fn is_below_left_out(&self) -> bool {
        self.open.last().is_some_and(|open| open.is_left_out)
    }

    /// Whether the current directory is one that would be made.
    pub(super) fn is_only_planned(&self) -> bool {
        self.options.dry_run && self.open.last().is_some_and(|open| open.role == Role::Made)
    }

    /// Whether nothing that stands in the current directory is kept as it is.
    pub(super) fn is_fresh(&self) -> bool {
        self.open.last().is_some_and(|open| open.is_fresh)
    }

    /// Of something in the current directory.
    fn exposure_within(&self) -> Exposure {
        match self.open.last().map_or(Exposure::No, |open| open.exposure) {
            Exposure::No => Exposure::No,
            Exposure::Within | Exposure::Opened => Exposure::Within,
        }
    }

    pub(super) fn enter(
        &mut self,
        path: &[u8],
        node: Node,
        existing: Option<&Existing>,
        result: &mut ComponentRestore,
    ) -> Result<(), Error> {
        let at_root = path.is_empty();
        let stands = if at_root { self.beneath.is_some() } else { existing.is_some_and(Existing::is_directory) };
        let removes_around = self.open.last().is_none_or(|open| open.removes || open.role == Role::Passed);
        let is_left_out = !at_root && self.is_left_out(path, existing);
        let removes = stands && self.options.make_equal && removes_around && !is_left_out;
        if stands && is_left_out && !self.is_below_left_out() {
            let shown = show_path(path);
            result.notes.push(format!("{shown}: backups leave it out now, so what stands there stays as it is"));
        }
        let (mut extra, mut identity, mut before, mut held) = (BTreeSet::new(), None, None, None);
        let mut is_fresh = self.is_fresh();
        let mut exposure = self.exposure_within();
        if !stands {
            self.check_replace(path, existing)?;
            result.written += u64::from(!at_root);
        }
        if self.options.dry_run {
            let found = match &mut self.beneath {
                Some(beneath) if at_root => beneath.look(path)?,
                _ => existing.cloned(),
            };
            if is_root() && stands && found.is_some_and(|found| found.would_open_to(&node)) {
                exposure = Exposure::Opened;
            }
        } else {
            result.touched = true;
            let beneath = self.beneath()?;
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
            extra.extend(self.beneath()?.names(path)?);
        }
        self.open.push(OpenDirectory {
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
    pub(super) fn pass(
        &mut self,
        path: &[u8],
        node: Node,
        existing: Option<&Existing>,
        result: &mut ComponentRestore,
    ) -> Result<(), Error> {
        let stands = if path.is_empty() { !self.is_new_root } else { existing.is_some_and(Existing::is_directory) };
        if !stands && existing.is_some() {
            let why = "something else stands in the place of this directory, and is not replaced for a part of it: restore all of it, \
                       or use --target";
            return Err(Error::Refused(why.to_owned()));
        }
        if !stands {
            return self.enter(path, node, existing, result);
        }
        let is_left_out = !path.is_empty() && self.is_left_out(path, existing);
        let is_fresh = self.is_fresh();
        let beneath = self.beneath()?;
        let directory = beneath.pass(path, &node)?;
        let (held, found) = (beneath.hold(path, &directory)?, *directory.status());
        self.open.push(OpenDirectory {
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

    pub(super) fn leave(&mut self, walk_path: &[u8], name: &[u8], result: &mut ComponentRestore) {
        let Some(open) = self.open.pop() else { return };
        let path = self.target_path(walk_path, name);
        if self.options.dry_run {
            self.leave_unchanged(&path, open, result);
        } else {
            self.waiting_bytes += path.len();
            let number = self.hold(&path, open.number);
            self.waiting.push(Waiting::Directory { path, open: Box::new(OpenDirectory { number, ..open }) });
        }
    }

    /// Something stands in the directory that is being restored.
    pub(super) fn note_filled(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.number = Number::Filled;
        }
    }

    /// Keeps a directory open that somebody may remove: one that has nothing in it yet, or that others own, or may write to the directory
    /// around.
    fn hold(&mut self, path: &[u8], number: Number) -> Number {
        let is_shared = |open: &OpenDirectory| {
            let Metadata { uid, mode, .. } = open.node.metadata;
            let is_open = |uid: u32, mode: u32| uid != 0 || mode & OF_OTHERS_WRITE != 0;
            is_open(uid, mode) || open.found.is_some_and(|found| is_open(found.uid(), found.mode()))
        };
        let may_be_emptied = self.open.last().is_none_or(is_shared);
        let (true, Some(beneath)) =
            (is_root() && (may_be_emptied || matches!(number, Number::Free)), &mut self.beneath)
        else {
            return number;
        };
        match beneath.directory(path) {
            Ok(directory) if may_be_emptied || names_in(&directory).is_ok_and(|names| names.is_empty()) => {
                self.open_files += 1;
                Number::Held { _directory: directory }
            }
            _ => number,
        }
    }

    /// Says what would be removed, and whether the directory could get its owner and mode.
    fn leave_unchanged(&mut self, path: &[u8], open: OpenDirectory, result: &mut ComponentRestore) {
        for name in open.extra {
            let path = join(path, &name);
            let existing = self.look(&path).ok().flatten();
            let is_removed = open.removes && !self.is_left_out(&path, existing.as_ref());
            result.removed += u64::from(is_removed);
            if !is_removed && !existing.is_some_and(|left| is_unfinished(&path, left.status())) {
                self.left.push(path);
            }
        }
        if open.exposure == Exposure::Opened
            && let (Some(left), Some(beneath)) = (self.left_below(path), &self.beneath)
        {
            fail(result, path, &exposed(&beneath.show(path), left, &open.node.metadata));
        }
    }

    /// Something in a directory, or below it, that the snapshot does not have there.
    fn left_below(&self, path: &[u8]) -> Option<&[u8]> {
        let is_below = |left: &&Vec<u8>| {
            path.is_empty() || left.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.left.iter().find(is_below).map(Vec::as_slice)
    }

    pub(super) fn finish_directory(
        &mut self,
        path: &[u8],
        open: OpenDirectory,
        result: &mut ComponentRestore,
    ) -> Result<(), Error> {
        let OpenDirectory { node, role, extra, removes, exposure, identity, number, .. } = open;
        let attributes = self.attributes;
        let beneath = self.beneath.as_mut().ok_or_else(missing_target)?;
        let directory = beneath.directory_as(path, identity.ok_or_else(missing_target)?)?;
        beneath.end_staging(&directory);
        if role == Role::Passed {
            return Ok(());
        }
        result.touched = true;
        let mut left = None;
        for name in extra {
            // Where something could not be restored, nothing is taken away either.
            let is_removed = removes
                && result.failed.is_empty()
                && self.left_out.remove_others(beneath, &mut self.reader, &join(path, &name))?;
            result.removed += u64::from(is_removed);
            let name = join(path, &name);
            if !is_removed && !beneath.look(&name)?.is_some_and(|left| is_unfinished(&name, left.status())) {
                left.get_or_insert(name);
            }
        }
        self.left.extend(left);
        if exposure == Exposure::Opened
            && let (Some(left), Some(beneath)) = (self.left_below(path), &self.beneath)
        {
            return Err(Error::Refused(exposed(&beneath.show(path), left, &node.metadata)));
        }
        let failures = attributes.apply(&directory, &node);
        note_not_set(result, path, failures);
        drop(number);
        Ok(())
    }
}
