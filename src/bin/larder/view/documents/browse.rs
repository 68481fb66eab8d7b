//! What `ls`, `find` and `diff` say.

use larder::model::{Change, Difference, Node, NodeKind, Snapshot, SnapshotName, show_path};
use larder::pipeline::RowChanges;
use serde::Serialize;

use crate::app::browse::{Comparison, TableCount};
use crate::units::file_time;

/// An entry of a snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct EntryDocument {
    path: String,
    r#type: &'static str,
    /// In octal digits.
    mode: String,
    uid: u32,
    gid: u32,
    user: String,
    group: String,
    size: u64,
    /// By RFC 3339, with the offset of the snapshot.
    mtime: String,
    /// Of a symbolic link.
    target: Option<String>,
}

/// An entry that was found, and the snapshot that has it.
#[derive(Debug, Serialize)]
pub(crate) struct FoundDocument {
    snapshot: SnapshotName,
    entry: EntryDocument,
}

/// What changed between two snapshots.
#[derive(Debug, Serialize)]
pub(crate) struct DiffDocument<'a> {
    old: &'a SnapshotName,
    new: &'a SnapshotName,
    changes: Vec<ChangeDocument>,
    tables: Vec<TableDocument<'a>>,
    rows: Vec<RowsDocument<'a>>,
    #[serde(flatten)]
    totals: Totals,
}

/// A difference between two entries.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeDocument {
    path: String,
    change: &'static str,
    old_size: Option<u64>,
    new_size: Option<u64>,
}

/// How many entries changed.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Totals {
    pub(crate) added: u64,
    pub(crate) removed: u64,
    pub(crate) content: u64,
    pub(crate) metadata: u64,
}

#[derive(Debug, Serialize)]
struct TableDocument<'a> {
    table: &'a str,
    old_rows: Option<u64>,
    new_rows: Option<u64>,
}

#[derive(Debug, Serialize)]
struct RowsDocument<'a> {
    component: &'a str,
    table: &'a str,
    added: u64,
    removed: u64,
    changed: u64,
}

impl EntryDocument {
    pub(crate) fn new(path: &[u8], node: &Node, snapshot: &Snapshot) -> Self {
        let target = match &node.kind {
            NodeKind::Symlink { target } => Some(show_path(target)),
            _ => None,
        };
        let metadata = &node.metadata;
        Self {
            path: show_path(path),
            r#type: kind_name(node),
            mode: format!("{:04o}", metadata.mode),
            uid: metadata.uid,
            gid: metadata.gid,
            user: metadata.user.clone(),
            group: metadata.group.clone(),
            size: metadata.size_bytes,
            mtime: file_time(metadata.mtime, snapshot.time).rfc3339(),
            target,
        }
    }
}

impl FoundDocument {
    pub(crate) fn new(path: &[u8], node: &Node, snapshot: &Snapshot) -> Self {
        Self { snapshot: snapshot.name.clone(), entry: EntryDocument::new(path, node, snapshot) }
    }
}

impl<'a> DiffDocument<'a> {
    pub(crate) fn new(comparison: &'a Comparison, changes: Vec<ChangeDocument>, totals: Totals) -> Self {
        let table = |count: &'a TableCount| TableDocument {
            table: &count.table,
            old_rows: count.old_rows,
            new_rows: count.new_rows,
        };
        let rows = |rows: &'a RowChanges| RowsDocument {
            component: &rows.component,
            table: &rows.table,
            added: rows.added,
            removed: rows.removed,
            changed: rows.changed,
        };
        Self {
            old: &comparison.old.name,
            new: &comparison.new.name,
            changes,
            tables: comparison.tables.iter().map(table).collect(),
            rows: comparison.rows.iter().map(rows).collect(),
            totals,
        }
    }
}

impl ChangeDocument {
    pub(crate) fn new(difference: &Difference<'_>) -> Self {
        Self {
            path: show_path(difference.path),
            change: match difference.change {
                Change::Added => "added",
                Change::Removed => "removed",
                Change::Content => "content",
                Change::Metadata => "metadata",
            },
            old_size: difference.old.map(|node| node.metadata.size_bytes),
            new_size: difference.new.map(|node| node.metadata.size_bytes),
        }
    }
}

impl Totals {
    pub(crate) const fn add(&mut self, change: Change) {
        let counter = match change {
            Change::Added => &mut self.added,
            Change::Removed => &mut self.removed,
            Change::Content => &mut self.content,
            Change::Metadata => &mut self.metadata,
        };
        *counter += 1;
    }
}

const fn kind_name(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::File { .. } => "file",
        NodeKind::Directory { .. } => "directory",
        NodeKind::Symlink { .. } => "symlink",
        NodeKind::Fifo => "fifo",
        NodeKind::Socket => "socket",
        NodeKind::CharDevice { .. } => "char_device",
        NodeKind::BlockDevice { .. } => "block_device",
    }
}
