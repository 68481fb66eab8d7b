//! Restoring one tree below a root that nothing can leave.
//!
//! Entries are visited in order; files are collected into groups, filled together while the next groups are collected, and
//! then put in place one by one, with the directories around them finished last.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use rustix::process::{Resource, getrlimit};

use super::directory::OpenDirectory;
use super::finish::{Group, Waiting};
use super::left_out::LeftOut;
use super::options::TreeOptions;
use super::report::ComponentRestore;
use super::target::Target;
use super::writer::{ChunkWriter, Worker};
use crate::limits::{
    OTHER_FILES_MAX, RESTORE_CACHE_BYTES, RESTORE_CHUNKS_MAX, RESTORE_FILES_MAX, RESTORE_GROUPS_MAX,
    RESTORE_PATHS_BYTES_MAX,
};
use crate::model::{Component, FirstNames, Name, Node, NodeKind, Parts, Step, Walk, is_empty_tree, show_path};
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::pipeline::presence::LostPath;
use crate::progress::{self, Progress};
use crate::repo::{ChunkReader, Repository};
use crate::sink::{self, Attributes, DirTarget, Existing};

/// Most entries that wait for their group.
const WAITING_MAX: usize = 8 * RESTORE_FILES_MAX;

/// Whether the walk goes on into a directory.
enum Entered {
    Yes,
    No,
}

pub(super) struct TreeRestore<'a> {
    pub(super) repository: &'a Repository,
    pub(super) reader: ChunkReader,
    pub(super) writer: ChunkWriter,
    workers: Vec<Worker>,
    /// `None` when the root is missing and nothing may be made.
    pub(super) beneath: Option<DirTarget>,
    /// What stands before every path below the root: nothing, or the component's name in a folder.
    pub(super) base: Option<Vec<u8>>,
    pub(super) options: TreeOptions,
    lost: HashSet<Vec<u8>>,
    /// What is restored; `None` for everything.
    parts: Option<Arc<Parts>>,
    /// Whether there was nothing in the place of the root.
    pub(super) is_new_root: bool,
    pub(super) attributes: Attributes,
    pub(super) open: Vec<OpenDirectory>,
    /// What waits for the group that is being collected, and how many files there are among it.
    pub(super) waiting: Vec<Waiting>,
    /// Length of their paths.
    pub(super) waiting_bytes: usize,
    pub(super) open_files: usize,
    /// How many files there may be among it.
    files_max: usize,
    /// The groups before it, whose files are being filled.
    pub(super) filling: VecDeque<Group>,
    /// What a backup leaves out is never removed.
    pub(super) left_out: LeftOut,
    /// Paths of what could not be restored, and of directories with something that the snapshot does not have there.
    pub(super) left: Vec<Vec<u8>>,
    /// What stands under the first name of each file with several, once it is as it should be.
    pub(super) first_files: HashMap<Vec<u8>, Existing>,
    /// Where the first name of each file with several names was restored.
    names: FirstNames,
}

impl<'a> TreeRestore<'a> {
    /// Into the directory itself, which becomes the root of the component.
    pub(super) fn live(
        repository: &'a Repository,
        target: Target<'_>,
        options: TreeOptions,
        lost: &[LostPath],
    ) -> Result<Self, Error> {
        Self::new(repository, target, None, options, lost)
    }

    /// Into an entry of the component's name in the folder.
    pub(super) fn into_folder(
        repository: &'a Repository,
        target: Target<'_>,
        options: TreeOptions,
        lost: &[LostPath],
    ) -> Result<Self, Error> {
        Self::new(repository, target, Some(Vec::new()), options, lost)
    }

    fn new(
        repository: &'a Repository,
        target: Target<'_>,
        base: Option<Vec<u8>>,
        options: TreeOptions,
        lost: &[LostPath],
    ) -> Result<Self, Error> {
        let is_new_root = !target.root.exists();
        let beneath = if options.dry_run && is_new_root {
            None
        } else {
            let guarded = repository.guarded()?;
            if !options.dry_run {
                target.make(&guarded)?;
            }
            let mut beneath = DirTarget::open(target.root, target.trust)?;
            beneath.guard(guarded)?;
            Some(beneath)
        };
        let reader = repository.reader_with_cache(&Arc::new(repository.index()?), RESTORE_CACHE_BYTES)?;
        let (writer, workers) = ChunkWriter::new(reader.sibling()?)?;
        let lost = lost.iter().map(|lost| lost.path.clone()).collect();
        Ok(Self {
            repository,
            reader,
            writer,
            workers,
            beneath,
            base,
            options,
            lost,
            parts: None,
            is_new_root,
            attributes: Attributes::default(),
            open: Vec::new(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            open_files: 0,
            files_max: files_max(),
            filling: VecDeque::new(),
            left_out: target.left_out,
            left: Vec::new(),
            first_files: HashMap::new(),
            names: FirstNames::default(),
        })
    }

    /// Only these parts, and the directories around them that are missing.
    pub(super) fn only(mut self, parts: Option<Arc<Parts>>) -> Self {
        self.parts = parts;
        self
    }

    /// Restores everything below `root`. What fails is told in `result`, and the rest goes on.
    pub(super) fn run(
        mut self,
        component: &Component,
        root: &Node,
        result: &mut ComponentRestore,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        std::thread::scope(|scope| {
            for worker in self.workers.drain(..) {
                scope.spawn(move || worker.work(progress));
            }
            // The workers end when the writer does.
            self.visit(component, root, result, progress)
        })
    }

    fn visit(
        mut self,
        component: &Component,
        root: &Node,
        result: &mut ComponentRestore,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let name = component.name.as_str().as_bytes();
        if self.options.room_first {
            self.make_room(root, result)?;
        }
        self.tell_unfinished(result);
        let mut walk = Walk::new(root.clone(), name).only(self.parts.clone());
        loop {
            if progress.cancelled() {
                break;
            }
            match walk.next(&mut self.reader) {
                Ok(None) => break,
                Ok(Some(Step::Leave)) => self.leave(walk.path(), name, result),
                Ok(Some(Step::Entry(node))) => {
                    if self.lost.contains(walk.path()) {
                        result.damaged = true;
                        let path = self.target_path(walk.path(), name);
                        self.give_up((walk.path(), path), "its data is lost: `larder verify` says more", result);
                        if node.is_directory() {
                            walk.skip();
                        }
                        continue;
                    }
                    let is_directory = node.is_directory();
                    let path = self.target_path(walk.path(), name);
                    self.waiting_bytes += path.len();
                    let entered = self.entry_or_failure(path, walk.path(), *node, result, progress);
                    if is_directory && !matches!(entered, Entered::Yes) {
                        walk.skip();
                    }
                }
                Err(error) => {
                    result.damaged |= error.is_damage();
                    fail(result, walk.path(), &with_causes(&error));
                    self.left.push(self.target_path(walk.path(), name));
                    // What the walk has left because it cannot be read is left as it is.
                    self.open.truncate(walk.depth());
                }
            }
            if self.is_group_full() {
                self.end_group(result, progress);
            }
        }
        self.end_group(result, progress);
        while !self.filling.is_empty() {
            self.finish_group(result, progress);
        }
        result.notes.extend(self.left_out.note());
        result.notes.extend(self.note_of_names());
        progress::check(progress)?;
        result.bytes_decoded += self.reader.decoded_bytes();
        match &self.beneath {
            Some(beneath) if !self.options.dry_run => Ok(beneath.sync()?),
            _ => Ok(()),
        }
    }

    fn is_group_full(&self) -> bool {
        self.open_files >= self.files_max
            || self.writer.planned() >= RESTORE_CHUNKS_MAX
            || self.waiting.len() >= WAITING_MAX
            || self.waiting_bytes >= RESTORE_PATHS_BYTES_MAX
    }

    /// Hands the group over to be filled, and finishes the oldest one when there are enough of them.
    fn end_group(&mut self, result: &mut ComponentRestore, progress: &dyn Progress) {
        let written = self.writer.end_group();
        if self.filling.len() >= RESTORE_GROUPS_MAX {
            self.finish_group(result, progress);
        }
        (self.open_files, self.waiting_bytes) = (0, 0);
        self.filling.push_back(Group { waiting: std::mem::take(&mut self.waiting), written });
    }

    /// Finishes the oldest group that is being filled.
    fn finish_group(&mut self, result: &mut ComponentRestore, progress: &dyn Progress) {
        if let Some(group) = self.filling.pop_front() {
            self.finish(group, result, progress);
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
    pub(super) fn target_path(&self, walk_path: &[u8], name: &[u8]) -> Vec<u8> {
        match self.base {
            Some(_) => walk_path.to_vec(),
            None => walk_path.get(name.len() + 1..).unwrap_or_default().to_vec(),
        }
    }

    /// Says why an entry, by its path in the walk and below the root, is not restored.
    fn give_up(&mut self, (walk_path, path): (&[u8], Vec<u8>), why: &str, result: &mut ComponentRestore) {
        fail(result, walk_path, why);
        self.keep(walk_path);
        self.left.push(path);
    }

    /// An entry of the snapshot that cannot be restored is no reason to remove what stands in its place.
    fn keep(&mut self, path: &[u8]) {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        if let Some(open) = self.open.last_mut() {
            open.extra.remove(name);
        }
    }

    pub(super) fn look(&mut self, path: &[u8]) -> Result<Option<Existing>, Error> {
        if self.is_only_planned() {
            return Ok(None);
        }
        match &mut self.beneath {
            Some(beneath) => Ok(beneath.look(path)?),
            None => Ok(None),
        }
    }

    pub(super) fn beneath(&mut self) -> Result<&mut DirTarget, Error> {
        self.beneath.as_mut().ok_or_else(missing_target)
    }

    /// Restores an entry. One that fails is not counted as written.
    fn entry_or_failure(
        &mut self,
        path: Vec<u8>,
        walk_path: &[u8],
        node: Node,
        result: &mut ComponentRestore,
        progress: &dyn Progress,
    ) -> Entered {
        let (written, bytes_written) = (result.written, result.bytes_written);
        match self.entry(&path, walk_path, node, result, progress) {
            Ok(entered) => entered,
            Err(Error::Cancelled(_)) => Entered::No,
            Err(error) => {
                result.damaged |= error.is_damage();
                (result.written, result.bytes_written) = (written, bytes_written);
                self.give_up((walk_path, path), &with_causes(&error), result);
                Entered::No
            }
        }
    }

    /// Whether what stands in the place of an entry stays as it is, be it something mounted where an empty directory was, or what backups
    /// leave out.
    fn stays(&mut self, path: &[u8], node: &Node, existing: &Existing) -> Result<bool, Error> {
        if self.beneath.as_ref().is_some_and(|beneath| beneath.is_mount(existing)) {
            self.note_left(path);
            return match &node.kind {
                NodeKind::Directory { tree } if is_empty_tree(tree) => Ok(true),
                _ => Err(Error::Refused("something is mounted there now, and is left as it is".to_owned())),
            };
        }
        if (node.is_directory() && existing.is_directory()) || !self.is_left_out(path, Some(existing)) {
            return Ok(false);
        }
        self.note_left(path);
        if self.parts.is_some() {
            let why = "backups leave it out now, so it stays as it is: restore it into a folder with --target";
            return Err(Error::Refused(why.to_owned()));
        }
        Ok(true)
    }

    fn entry(
        &mut self,
        path: &[u8],
        walk_path: &[u8],
        node: Node,
        result: &mut ComponentRestore,
        progress: &dyn Progress,
    ) -> Result<Entered, Error> {
        let existing = if path.is_empty() { None } else { self.look(path)? };
        // Nothing is made in the place of a socket, so what else stands there is what the snapshot does not have.
        if !matches!(node.kind, NodeKind::Socket) || existing.as_ref().is_some_and(Existing::is_socket) {
            self.keep(walk_path);
        }
        if let Some(existing) = &existing
            && self.stays(path, &node, existing)?
        {
            if !(node.is_directory() || self.is_below_left_out()) {
                result.notes.push(format!("{}: backups leave it out now, so it stays as it is", show_path(walk_path)));
            }
            return Ok(Entered::No);
        }
        if node.is_directory() {
            self.note_filled();
            let is_around_parts = self.parts.as_ref().is_some_and(|parts| !parts.covers(walk_path));
            return if is_around_parts {
                self.pass(path, node, existing.as_ref(), result).map(|()| Entered::Yes)
            } else {
                self.enter(path, node, existing.as_ref(), result).map(|()| Entered::Yes)
            };
        }
        let name = self.names.name(path, &node)?;
        match &name {
            Name::First => {}
            Name::Again(first) => return self.link(first.clone(), path, result).map(|()| Entered::No),
            Name::Changed(first) => {
                let (path, first) = (show_path(walk_path), show_path(first));
                result.notes.push(format!(
                    "{path}: it was written to while it was saved, and is no more the same file as {first}"
                ));
            }
        }
        match node.kind {
            NodeKind::File { .. } => {
                let restored = self.file(path, &node, existing.as_ref(), result, progress);
                if restored.is_err() && name == Name::First {
                    self.names.forget(&node);
                }
                restored?;
                self.note_filled();
            }
            NodeKind::Socket => {
                self.clear_socket(path, &node, existing.as_ref(), result)?;
                result
                    .notes
                    .push(format!("{}: a socket is made by the program that listens on it", show_path(walk_path)));
            }
            _ => self.special(path, &node, existing.as_ref(), result)?,
        }
        Ok(Entered::No)
    }
}

/// How many files a group may hold open: each of those that are filled, and of the one that is collected, has its share of what the
/// process may have open.
fn files_max() -> usize {
    let may_be_open = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let share = may_be_open.saturating_sub(OTHER_FILES_MAX) / (RESTORE_GROUPS_MAX as u64 + 1);
    usize::try_from(share).unwrap_or(usize::MAX).clamp(1, RESTORE_FILES_MAX)
}

pub(super) fn missing_target() -> Error {
    Error::Refused("the target is missing".to_owned())
}

/// Notes what of its metadata an entry did not get. Its content is right all the same.
pub(super) fn note_not_set(result: &mut ComponentRestore, path: &[u8], failures: sink::NotApplied) {
    let shown = shown(result, path);
    result.not_set.extend(failures.into_iter().map(|failure| (shown.clone(), failure)));
}

pub(super) fn fail(result: &mut ComponentRestore, path: &[u8], why: &str) {
    let shown = shown(result, path);
    result.failed.push((shown, why.to_owned()));
}

fn shown(result: &ComponentRestore, path: &[u8]) -> String {
    if path.is_empty() { result.name.clone() } else { show_path(path) }
}
