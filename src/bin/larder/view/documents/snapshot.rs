//! Snapshots and their components, as every command shows them.

use std::collections::BTreeSet;

use larder::model::{
    Component, ComponentKind, ComponentName, Consistency, DatabaseFacts, Snapshot, SnapshotKind, SnapshotName, Status,
    VolumeFacts,
};
use serde::Serialize;

use crate::units::seconds;

/// A snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotDocument<'a> {
    name: &'a SnapshotName,
    /// By RFC 3339, with the offset of the host that made it.
    time: String,
    system: &'a str,
    host: &'a str,
    program: &'a str,
    r#type: SnapshotKind,
    series: &'a str,
    status: Status,
    parent: Option<&'a SnapshotName>,
    tags: &'a [String],
    dropped: &'a [ComponentName],
    pinned: bool,
    seconds: f64,
    bytes: u64,
    components: Vec<ComponentDocument<'a>>,
}

/// A component of a snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct ComponentDocument<'a> {
    name: &'a ComponentName,
    kind: ComponentKind,
    source: &'a str,
    status: &'static str,
    consistency: Consistency,
    files: u64,
    bytes: u64,
    bytes_read: u64,
    bytes_new: u64,
    bytes_stored: u64,
    seconds: f64,
    /// The first ones; `errors_count` counts all.
    errors: &'a [String],
    errors_count: u64,
    notes: &'a [String],
    database: Option<&'a DatabaseFacts>,
    volume: Option<&'a VolumeFacts>,
}

/// Whether a snapshot is pinned.
#[derive(Debug, Serialize)]
pub(crate) struct PinDocument<'a> {
    pub(crate) name: &'a str,
    pub(crate) pinned: bool,
}

/// The name of a snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct NameDocument<'a> {
    pub(crate) name: &'a str,
}

impl<'a> SnapshotDocument<'a> {
    /// The document of a snapshot; `pins` are the names of those that are pinned.
    pub(crate) fn new(snapshot: &'a Snapshot, pins: &BTreeSet<String>) -> Self {
        Self {
            name: &snapshot.name,
            time: snapshot.time.rfc3339(),
            system: &snapshot.system,
            host: &snapshot.host,
            program: &snapshot.program,
            r#type: snapshot.kind,
            series: &snapshot.series,
            status: snapshot.status,
            parent: snapshot.parent.as_ref(),
            tags: &snapshot.tags,
            dropped: &snapshot.dropped,
            pinned: pins.contains(snapshot.name.as_str()),
            seconds: seconds(snapshot.millis),
            bytes: snapshot.bytes(),
            components: snapshot.components.iter().map(ComponentDocument::new).collect(),
        }
    }
}

impl<'a> ComponentDocument<'a> {
    /// The document of a component.
    pub(crate) fn new(component: &'a Component) -> Self {
        Self {
            name: &component.name,
            kind: component.kind,
            source: &component.source,
            status: component.status_text(),
            consistency: component.consistency,
            files: component.files,
            bytes: component.bytes,
            bytes_read: component.bytes_read,
            bytes_new: component.bytes_new,
            bytes_stored: component.bytes_stored,
            seconds: seconds(component.millis),
            errors: &component.errors.messages,
            errors_count: component.errors.count,
            notes: &component.notes.messages,
            database: component.database.as_ref(),
            volume: component.volume.as_ref(),
        }
    }
}
