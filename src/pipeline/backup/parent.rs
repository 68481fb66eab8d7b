//! What the parent snapshots have, walked in step with the sources, so that unchanged files are not opened.

use std::collections::HashMap;

use super::origin::ComponentSource;
use crate::clock::LocalTime;
use crate::model::{Component, ComponentName, ContentReader, Node, NodeKind, Snapshot, SnapshotName, TreeReader};
use crate::pipeline::Error;
use crate::pipeline::lookup::{self, Snapshots};
use crate::repo::{ChunkReader, Repository};

/// The saved root of each component that the run is compared with.
#[derive(Debug, Default)]
pub(super) struct Parents {
    reader: Option<ChunkReader>,
    roots: HashMap<String, (Node, u64)>,
    newest: Option<SnapshotName>,
    /// Which snapshots could not be read, and why.
    unreadable: Vec<String>,
    levels: Vec<Level>,
}

/// One open directory of the parent: its nodes, and the next one that has not been passed.
#[derive(Debug)]
struct Level {
    nodes: Option<TreeReader>,
    next: Option<Node>,
}

impl Parents {
    /// The parents of the sources as they are now, for a run that stores nothing.
    pub(super) fn find_for_plan(repository: &Repository, sources: &[ComponentSource]) -> Result<Self, Error> {
        Ok(Self::find(&lookup::snapshots(repository)?, repository.reader()?, sources, None))
    }

    /// Looks for the parents of the sources among the snapshots, near that time where there is one.
    pub(super) fn find(
        snapshots: &Snapshots,
        reader: ChunkReader,
        sources: &[ComponentSource],
        near: Option<LocalTime>,
    ) -> Self {
        let mut parents = Self { reader: Some(reader), ..Self::default() };
        let unreadable = snapshots.unreadable.iter();
        parents.unreadable =
            unreadable.map(|(name, error)| format!("the snapshot {name} cannot be read: {error}")).collect();
        let mut times = Vec::new();
        for source in sources {
            let Some((snapshot, component)) = nearest_with(snapshots, &source.name, near) else { continue };
            if let Some(root) = &component.root {
                parents.roots.insert(source.name.to_string(), (root.clone(), component.bytes));
                times.push((snapshot.time, snapshot.name.clone()));
            }
        }
        parents.newest = times.into_iter().max().map(|(_, name)| name);
        parents
    }

    /// These roots, and no snapshot.
    pub(super) fn of_roots(reader: ChunkReader, roots: HashMap<String, (Node, u64)>) -> Self {
        Self { reader: Some(reader), roots, ..Self::default() }
    }

    /// Which snapshots could not be read, and why.
    pub(super) fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// The newest snapshot that is a parent of anything.
    pub(super) const fn newest(&self) -> Option<&SnapshotName> {
        self.newest.as_ref()
    }

    /// Length of a component's files in its parent.
    pub(super) fn bytes_of(&self, component: &str) -> Option<u64> {
        self.roots.get(component).map(|(_, bytes)| *bytes)
    }

    /// The roots of these components.
    pub(super) fn roots_of<'n>(&self, names: impl Iterator<Item = &'n str>) -> HashMap<String, (Node, u64)> {
        names
            .filter_map(|name| self.roots.get_key_value(name))
            .map(|(name, root)| (name.clone(), root.clone()))
            .collect()
    }

    /// Goes to the root of a component, forgetting where the last one was left. Returns the root.
    pub(super) fn begin(&mut self, component: &str) -> Option<Node> {
        self.levels.clear();
        let root = self.roots.get(component).map(|(root, _)| root.clone());
        self.enter(root.as_ref());
        root
    }

    /// Goes into a directory of the current one, which the parent may not have.
    pub(super) fn enter(&mut self, directory: Option<&Node>) {
        let nodes = match directory.map(|node| &node.kind) {
            Some(NodeKind::Directory { tree }) => TreeReader::new(tree.clone()).ok(),
            _ => None,
        };
        let mut level = Level { nodes, next: None };
        level.advance(self.reader.as_mut());
        self.levels.push(level);
    }

    /// Goes back to the directory around the current one.
    pub(super) fn leave(&mut self) {
        self.levels.pop();
    }

    /// Whether everything of a file is in the repository. It is, unless packs or segments may be lost; then a file that
    /// has lost something counts as changed, so that it is read and stored again.
    pub(super) fn is_whole(&mut self, node: &Node) -> bool {
        let (Some(reader), NodeKind::File { content, .. }) = (&mut self.reader, &node.kind) else { return false };
        if !reader.index().is_degraded() {
            return true;
        }
        let Ok(mut chunks) = ContentReader::new(content.clone()) else { return false };
        loop {
            match chunks.next(reader) {
                Ok(Some(chunk)) if reader.index().lookup(&chunk.id).is_some() => {}
                Ok(None) => return true,
                Ok(Some(_)) | Err(_) => return false,
            }
        }
    }

    /// The node of this name in the current directory. Names are asked for in ascending order.
    pub(super) fn find_node(&mut self, name: &[u8]) -> Option<Node> {
        let level = self.levels.last_mut()?;
        while level.next.as_ref().is_some_and(|node| *node.name < *name) {
            level.advance(self.reader.as_mut());
        }
        let found = level.next.take_if(|node| *node.name == *name)?;
        level.advance(self.reader.as_mut());
        Some(found)
    }
}

impl Level {
    /// A parent that cannot be read any further has nothing more: its files count as new and are read.
    fn advance(&mut self, reader: Option<&mut ChunkReader>) {
        self.next = match (&mut self.nodes, reader) {
            (Some(nodes), Some(reader)) => nodes.next(reader).ok().flatten(),
            _ => None,
        };
        if self.next.is_none() {
            self.nodes = None;
        }
    }
}

/// The newest snapshot that has a component; with a time, the one nearest before it, else nearest after it.
fn nearest_with<'a>(
    snapshots: &'a Snapshots,
    name: &ComponentName,
    time: Option<LocalTime>,
) -> Option<(&'a Snapshot, &'a Component)> {
    let with_it = |snapshot: &'a Snapshot| {
        let component = snapshot.component(name.as_str()).filter(|component| component.root.is_some())?;
        Some((snapshot, component))
    };
    let newest_first = snapshots.snapshots.iter();
    let earlier =
        newest_first.clone().filter(|snapshot| time.is_none_or(|time| snapshot.time <= time)).find_map(with_it);
    earlier.or_else(|| newest_first.rev().find_map(with_it))
}
