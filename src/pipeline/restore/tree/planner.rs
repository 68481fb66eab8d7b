//! The walk over a tree beside its target: each entry is compared with what stands there, what must be written is planned, and groups are
//! filled while the next ones are planned.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::finisher::Finisher;
use super::free_space::delete_before_write;
use super::group::Group;
use super::plan::Plan;
use super::target::Target;
use crate::limits::RESTORE_GROUPS_MAX;
use crate::model::{FirstNames, Name, Node, NodeKind, Parts, Step, Walk, is_empty_tree, show_path};
use crate::pipeline::Error;
use crate::pipeline::presence::LostPath;
use crate::sink::Existing;

/// Whether the walk goes on into a directory.
enum Entered {
    Yes,
    No,
}

/// What plans the entries of a tree, in order.
pub(super) struct Planner<'a> {
    plan: Plan<'a>,
    /// The groups whose files are being filled, the oldest first.
    filling: VecDeque<Group>,
    /// Paths of the walk whose data is lost.
    lost: HashSet<Vec<u8>>,
    /// What is restored; `None` for everything.
    parts: Option<Arc<Parts>>,
    /// The first name of each file with several names.
    names: FirstNames,
    /// What every path of the walk begins with.
    name: &'a [u8],
    /// Whether paths below the root of the target begin with it too: it is an entry there.
    is_entry: bool,
}

impl<'a> Planner<'a> {
    /// Of these parts of a component of this name, or of all of it, which becomes the root of the target or an entry there.
    pub(super) fn new(
        plan: Plan<'a>,
        lost: &[LostPath],
        parts: Option<Arc<Parts>>,
        name: &'a [u8],
        is_entry: bool,
    ) -> Self {
        let lost = lost.iter().map(|lost| lost.path.clone()).collect();
        Self { plan, filling: VecDeque::new(), lost, parts, names: FirstNames::default(), name, is_entry }
    }

    /// Restores everything below `root`. What fails is told in the result, and the rest goes on.
    pub(super) fn run(mut self, root: &Node) -> Result<(), Error> {
        if self.plan.options().delete_before_write {
            let mut reader = self.target().sibling_reader()?;
            delete_before_write(self.target(), root, &mut reader)?;
        }
        if !self.is_entry {
            self.target().tell_unfinished();
        }
        let monitor = self.target().monitor();
        let mut walk = Walk::new(root.clone(), self.name).only(self.parts.clone());
        while !monitor.is_cancelled() {
            match walk.next(self.plan.reader()) {
                Ok(None) => break,
                Ok(Some(Step::Leave)) => {
                    let path = self.target_path(walk.path());
                    self.plan.leave(path);
                }
                Ok(Some(Step::Entry(node))) => {
                    let is_directory = node.is_directory();
                    if !matches!(self.planned(walk.path(), *node), Entered::Yes) && is_directory {
                        walk.skip();
                    }
                }
                Err(error) => {
                    self.target().result().fail_with(walk.path(), &error.into());
                    let path = self.target_path(walk.path());
                    self.target().add_left(path);
                    // What the walk has left because it cannot be read is left as it is.
                    self.plan.around().truncate(walk.depth());
                }
            }
            if self.plan.is_group_full() {
                self.end_group();
            }
        }
        self.end_group();
        while !self.filling.is_empty() {
            self.finish_group();
        }
        self.target().note_protected();
        let note = self.note_of_names();
        self.target().result().note_all(note);
        monitor.check()?;
        self.plan.into_target().end()
    }

    fn target(&mut self) -> &mut Target<'a> {
        self.plan.target()
    }

    /// Hands the group over to be filled, and finishes the oldest one when there are enough of them.
    fn end_group(&mut self) {
        let group = self.plan.end_group();
        if self.filling.len() >= RESTORE_GROUPS_MAX {
            self.finish_group();
        }
        self.filling.push_back(group);
    }

    /// Finishes the oldest group that is being filled.
    fn finish_group(&mut self) {
        if let Some(group) = self.filling.pop_front() {
            Finisher::new(self.target()).finish(group);
        }
    }

    /// What to say of files of which not every name is restored.
    fn note_of_names(&self) -> Option<String> {
        let files = self.names.incomplete();
        (self.parts.is_some() && files > 0).then(|| {
            format!(
                "files with further names that are not restored with them: {files}; where one was written, those names keep \
                 what they had"
            )
        })
    }

    /// The path below the root for a path of the walk, which begins with the component's name.
    fn target_path(&self, walk_path: &[u8]) -> Vec<u8> {
        let prefix_len = if self.is_entry { 0 } else { self.name.len() + 1 };
        walk_path.get(prefix_len..).unwrap_or_default().to_vec()
    }

    /// Plans an entry, unless its data is lost. One that fails is not counted as written.
    fn planned(&mut self, walk_path: &[u8], node: Node) -> Entered {
        let path = self.target_path(walk_path);
        if self.lost.contains(walk_path) {
            self.target().result().damaged = true;
            self.give_up(walk_path, path, "its data is lost: `larder verify` says more");
            return Entered::No;
        }
        self.plan.add_path(&path);
        let result = self.target().result();
        let (written, bytes_written) = (result.written, result.bytes_written);
        match self.entry(&path, walk_path, node) {
            Ok(entered) => entered,
            Err(Error::Cancelled(_)) => Entered::No,
            Err(error) => {
                let result = self.target().result();
                (result.written, result.bytes_written) = (written, bytes_written);
                result.fail_with(walk_path, &error);
                self.keep(walk_path);
                self.target().add_left(path);
                Entered::No
            }
        }
    }

    /// Says why an entry, by its path in the walk and below the root, is not restored.
    fn give_up(&mut self, walk_path: &[u8], path: Vec<u8>, why: &str) {
        self.target().result().fail(walk_path, why);
        self.keep(walk_path);
        self.target().add_left(path);
    }

    /// An entry of the snapshot that cannot be restored is no reason to remove what stands in its place.
    fn keep(&mut self, path: &[u8]) {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        self.plan.around().keep(name);
    }

    /// Whether what stands in the place of an entry stays as it is, be it something mounted where an empty directory was, or what backups
    /// leave out.
    fn stays(&mut self, path: &[u8], node: &Node, existing: &Existing) -> Result<bool, Error> {
        if self.target().is_mount(existing) {
            self.plan.note_left(path);
            return match &node.kind {
                NodeKind::Directory { tree } if is_empty_tree(tree) => Ok(true),
                _ => Err(Error::Refused("something is mounted there now, and is left as it is".to_owned())),
            };
        }
        if (node.is_directory() && existing.is_directory()) || !self.plan.is_left_out(path, Some(existing)) {
            return Ok(false);
        }
        self.plan.note_left(path);
        if self.parts.is_some() {
            let why = "backups leave it out now, so it stays as it is: restore it into a folder with --target";
            return Err(Error::Refused(why.to_owned()));
        }
        Ok(true)
    }

    /// Plans an entry.
    fn entry(&mut self, path: &[u8], walk_path: &[u8], node: Node) -> Result<Entered, Error> {
        let existing = if path.is_empty() { None } else { self.plan.look(path)? };
        // Nothing is made in the place of a socket, so what else stands there is what the snapshot does not have.
        if !matches!(node.kind, NodeKind::Socket) || existing.as_ref().is_some_and(Existing::is_socket) {
            self.keep(walk_path);
        }
        if let Some(existing) = &existing
            && self.stays(path, &node, existing)?
        {
            if !(node.is_directory() || self.plan.around().is_left_out()) {
                self.note(format!("{}: backups leave it out now, so it stays as it is", show_path(walk_path)));
            }
            return Ok(Entered::No);
        }
        if node.is_directory() {
            self.plan.around().note_filled();
            let is_around_parts = self.parts.as_ref().is_some_and(|parts| !parts.covers(walk_path));
            if is_around_parts {
                self.plan.pass(path, node, existing.as_ref())?;
            } else {
                self.plan.enter(path, node, existing.as_ref())?;
            }
            return Ok(Entered::Yes);
        }
        let name = self.names.name(path, &node)?;
        match &name {
            Name::First => {}
            Name::Again(first) => return self.plan.link(first.clone(), path).map(|()| Entered::No),
            Name::Changed(first) => {
                let (path, first) = (show_path(walk_path), show_path(first));
                self.note(format!(
                    "{path}: it was written to while it was saved, and is no more the same file as {first}"
                ));
            }
        }
        match node.kind {
            NodeKind::File { .. } => {
                let restored = self.plan.file(path, &node, existing.as_ref());
                if restored.is_err() && name == Name::First {
                    self.names.forget(&node);
                }
                restored?;
                self.plan.around().note_filled();
            }
            NodeKind::Socket => {
                self.plan.clear_socket(path, &node, existing.as_ref())?;
                self.note(format!("{}: a socket is made by the program that listens on it", show_path(walk_path)));
            }
            _ => self.plan.special(path, &node, existing.as_ref())?,
        }
        Ok(Entered::No)
    }

    fn note(&mut self, note: String) {
        self.target().result().notes.push(note);
    }
}
