//! What `create` says.

use larder::model::{ComponentKind, ComponentName, SnapshotKind, SnapshotName, Status};
use larder::pipeline::backup::{BackupReport, ComponentPlan};
use serde::Serialize;

use super::snapshot::ComponentDocument;
use crate::units::seconds;

/// What was saved.
#[derive(Debug, Serialize)]
pub(crate) struct CreateDocument<'a> {
    name: &'a SnapshotName,
    /// By RFC 3339.
    time: String,
    system: &'a str,
    r#type: SnapshotKind,
    series: &'a str,
    status: Status,
    parent: Option<&'a SnapshotName>,
    tags: &'a [String],
    dropped: &'a [ComponentName],
    seconds: f64,
    bytes: u64,
    /// Bytes that the repository takes more.
    bytes_added: u64,
    /// Bytes that were taken over from an interrupted run.
    adopted_bytes: u64,
    notes: &'a [String],
    components: Vec<ComponentDocument<'a>>,
}

/// What would be saved.
#[derive(Debug, Serialize)]
pub(crate) struct CreatePlanDocument<'a> {
    dry_run: bool,
    components: Vec<PlannedComponent<'a>>,
}

#[derive(Debug, Serialize)]
struct PlannedComponent<'a> {
    name: &'a str,
    kind: ComponentKind,
    source: &'a str,
    files: u64,
    bytes: u64,
    bytes_to_read: u64,
    errors: &'a [String],
    notes: &'a [String],
}

impl<'a> CreateDocument<'a> {
    pub(crate) fn new(report: &'a BackupReport) -> Self {
        let snapshot = &report.snapshot;
        Self {
            name: &snapshot.name,
            time: snapshot.time.rfc3339(),
            system: &snapshot.system,
            r#type: snapshot.kind,
            series: &snapshot.series,
            status: snapshot.status,
            parent: snapshot.parent.as_ref(),
            tags: &snapshot.tags,
            dropped: &snapshot.dropped,
            seconds: seconds(snapshot.millis),
            bytes: snapshot.bytes(),
            bytes_added: report.stored.total_bytes,
            adopted_bytes: report.adopted.bytes,
            notes: &report.notes,
            components: snapshot.components.iter().map(ComponentDocument::new).collect(),
        }
    }
}

impl<'a> CreatePlanDocument<'a> {
    pub(crate) fn new(plans: &'a [ComponentPlan]) -> Self {
        let component = |plan: &'a ComponentPlan| PlannedComponent {
            name: &plan.name,
            kind: plan.kind,
            source: &plan.source,
            files: plan.files,
            bytes: plan.bytes,
            bytes_to_read: plan.bytes_to_read,
            errors: &plan.errors.messages,
            notes: &plan.notes.messages,
        };
        Self { dry_run: true, components: plans.iter().map(component).collect() }
    }
}
