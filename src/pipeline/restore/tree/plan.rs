//! What is planned of a tree: the directories that are open beside those of the target, and the group of files that is being collected.

use std::fs::File;
use std::sync::Arc;

use super::compare::same_content;
use super::group::{Collecting, Group, Waiting};
use super::open_directory::OpenDirectories;
use super::target::Target;
use super::writer::Filling;
use crate::id::IdScheme;
use crate::model::{Content, Node};
use crate::pipeline::Error;
use crate::pipeline::restore::options::TreeOptions;
use crate::repo::ChunkReader;
use crate::sink::{Existing, FileTarget};

/// A plan, as far as the walk has come.
pub(super) struct Plan<'a> {
    target: Target<'a>,
    reader: ChunkReader,
    ids: IdScheme,
    options: TreeOptions,
    around: OpenDirectories,
    group: Collecting,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        target: Target<'a>,
        group: Collecting,
        ids: IdScheme,
        options: TreeOptions,
    ) -> Result<Self, Error> {
        Ok(Self { reader: target.sibling_reader()?, target, ids, options, around: OpenDirectories::default(), group })
    }

    pub(super) const fn options(&self) -> TreeOptions {
        self.options
    }

    /// Where it is carried out.
    pub(super) const fn target(&mut self) -> &mut Target<'a> {
        &mut self.target
    }

    /// The target, when all is done.
    pub(super) fn into_target(self) -> Target<'a> {
        self.target
    }

    pub(super) const fn reader(&mut self) -> &mut ChunkReader {
        &mut self.reader
    }

    /// The current directory, and those around it.
    pub(super) const fn around(&mut self) -> &mut OpenDirectories {
        &mut self.around
    }

    /// An entry with this path comes.
    pub(super) const fn add_path(&mut self, path: &[u8]) {
        self.group.add_path(path);
    }

    /// A file stays open until the group has been finished.
    pub(super) const fn add_open_file(&mut self) {
        self.group.add_open_file();
    }

    /// Something waits until the group has been written.
    pub(super) fn add(&mut self, waiting: Waiting) {
        self.group.add(waiting);
    }

    /// Plans all chunks of a file.
    pub(super) fn fill(&mut self, file: FileTarget, content: &Content) -> Result<Arc<Filling>, Error> {
        self.group.fill(file, content, &mut self.reader, self.target.monitor())
    }

    pub(super) fn is_group_full(&self) -> bool {
        self.group.is_full()
    }

    /// Hands the group over to be filled. What comes now belongs to the next one.
    pub(super) fn end_group(&mut self) -> Group {
        self.group.end()
    }

    /// Whether the data of `file` is that of the node. Its length is known to be right.
    pub(super) fn has_content(&mut self, file: &File, node: &Node) -> Result<bool, Error> {
        Ok(same_content(&mut self.reader, self.ids, file, node)?)
    }

    /// What stands at a path of the current directory; nothing where that would be made.
    pub(super) fn look(&mut self, path: &[u8]) -> Result<Option<Existing>, Error> {
        if self.options.dry_run && self.around.is_made() { Ok(None) } else { self.target.look(path) }
    }

    /// Whether backups leave out what stands here. Below such a directory they leave out everything.
    pub(super) fn is_left_out(&mut self, path: &[u8], existing: Option<&Existing>) -> bool {
        self.around.is_left_out() || self.target.is_left_out(path, existing)
    }

    /// Notes something that stays and is not what the snapshot has there, where somebody else would get at it.
    pub(super) fn note_left(&mut self, path: &[u8]) {
        if self.around.is_exposed() {
            self.target.add_left(path.to_vec());
        }
    }

    /// Refuses to put something in the place of an entry that no snapshot has.
    pub(super) fn check_replace(&mut self, path: &[u8], existing: Option<&Existing>) -> Result<(), Error> {
        let Some(existing) = existing.filter(|existing| !existing.is_directory()) else { return Ok(()) };
        if self.target.may_replace(path, self.around.found(), existing)? {
            return Ok(());
        }
        let why = "what stands there was moved while it was saved, so that the safety snapshot does not have it";
        Err(Error::Refused(format!("{why}: it stays; restore again")))
    }

    /// Refuses to take away a directory with something in it where what the snapshot does not have stays, and counts one that goes.
    pub(super) fn check_clear(&mut self, path: &[u8]) -> Result<(), Error> {
        let is_empty = self.target.beneath()?.names(path)?.is_empty();
        if !is_empty && !self.options.make_equal {
            let why = "a directory with something in it stands in the place of it, and stays";
            return Err(Error::Refused(why.to_owned()));
        }
        self.target.result().removed += u64::from(!is_empty);
        Ok(())
    }
}
