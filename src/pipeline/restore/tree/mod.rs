//! Restoring one tree below a root that nothing can leave.
//!
//! Entries are visited in order; files are collected into groups, filled together while the next groups are collected, and
//! then put in place one by one, with the directories around them finished last.

mod compare;
mod directory;
mod file;
mod finisher;
mod free_space;
mod group;
mod open_directory;
mod place;
mod plan;
mod planner;
mod protected;
mod special;
mod target;
mod writer;

use std::sync::Arc;

pub use compare::same_content;
pub(super) use place::Place;
pub(super) use protected::ProtectedPaths;

use group::Collecting;
use plan::Plan;
use planner::Planner;
use target::Target;
use writer::ChunkWriter;

use super::options::TreeOptions;
use super::report::ComponentRestore;
use crate::model::{Component, Node, Parts};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::presence::LostPath;
use crate::repo::Repository;

/// A tree that is to be restored.
pub(super) struct TreeRestore<'a> {
    repository: &'a Repository,
    place: Place<'a>,
    /// Whether it becomes an entry of the component's name in the root, and not the root itself.
    is_entry: bool,
    options: TreeOptions,
    lost: &'a [LostPath],
    parts: Option<Arc<Parts>>,
}

impl<'a> TreeRestore<'a> {
    /// Into the directory itself, which becomes the root of the component.
    pub(super) const fn live(
        repository: &'a Repository,
        place: Place<'a>,
        options: TreeOptions,
        lost: &'a [LostPath],
    ) -> Self {
        Self { repository, place, is_entry: false, options, lost, parts: None }
    }

    /// Into an entry of the component's name in the folder.
    pub(super) const fn into_folder(
        repository: &'a Repository,
        place: Place<'a>,
        options: TreeOptions,
        lost: &'a [LostPath],
    ) -> Self {
        Self { repository, place, is_entry: true, options, lost, parts: None }
    }

    /// Only these parts, and the directories around them that are missing.
    pub(super) fn only(mut self, parts: Option<Arc<Parts>>) -> Self {
        self.parts = parts;
        self
    }

    /// Restores everything below `root`. What fails is told in `result`, and the rest goes on.
    pub(super) fn run(
        self,
        component: &Component,
        root: &Node,
        result: &mut ComponentRestore,
        monitor: &Monitor<'_>,
    ) -> Result<(), Error> {
        let Self { repository, place, is_entry, options, lost, parts } = self;
        let target = Target::open(repository, place, options.dry_run, result, monitor)?;
        let (writer, workers) = ChunkWriter::new(target.sibling_reader()?)?;
        let plan = Plan::new(target, Collecting::new(writer), repository.ids(), options)?;
        let planner = Planner::new(plan, lost, parts, component.name.as_str().as_bytes(), is_entry);
        std::thread::scope(|scope| {
            for worker in workers {
                scope.spawn(move || worker.work(monitor));
            }
            // The workers end when the writer does.
            planner.run(root)
        })
    }
}
