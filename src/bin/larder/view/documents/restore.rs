//! What `restore` says.

use larder::model::SnapshotName;
use larder::pipeline::restore::ComponentRestore;
use serde::Serialize;

use crate::app::restore::RestoreOutcome;

/// What a restore did, or would do.
#[derive(Debug, Serialize)]
pub(crate) struct RestoreDocument<'a> {
    name: &'a SnapshotName,
    /// The paths that were restored; none for all of it.
    paths: Option<Vec<String>>,
    dry_run: bool,
    safety_snapshot: Option<&'a SnapshotName>,
    components: Vec<RestoredComponent<'a>>,
    /// Components that the snapshot does not have.
    left_out: &'a [String],
    skipped: Vec<Reason<'a>>,
    refused: Vec<Reason<'a>>,
}

#[derive(Debug, Serialize)]
struct Reason<'a> {
    name: &'a str,
    why: &'a str,
}

#[derive(Debug, Serialize)]
struct RestoredComponent<'a> {
    name: &'a str,
    destination: &'a str,
    status: &'static str,
    written: u64,
    bytes_written: u64,
    bytes_decoded: u64,
    unchanged: u64,
    removed: u64,
    failed: Vec<Failed<'a>>,
    /// Failures beyond those that are listed.
    failed_more: u64,
    tables: Option<u64>,
    rows: Option<u64>,
    tables_made: Option<&'a [String]>,
    roles_created: Option<&'a [String]>,
    restarted: &'a [String],
    notes: &'a [String],
    /// Notes beyond those that are listed.
    notes_more: u64,
}

#[derive(Debug, Serialize)]
struct Failed<'a> {
    path: &'a str,
    error: &'a str,
}

impl<'a> RestoreDocument<'a> {
    pub(crate) fn new(outcome: &'a RestoreOutcome<'_>) -> Self {
        let plan = &outcome.plan;
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        Self {
            name: &outcome.snapshot.name,
            paths: plan.parts.as_ref().map(|parts| parts.paths().map(text).collect()),
            dry_run: outcome.dry_run,
            safety_snapshot: outcome.safety.as_ref(),
            components: outcome.results.iter().map(RestoredComponent::new).collect(),
            left_out: &plan.left_out,
            skipped: reasons(&plan.skipped),
            refused: reasons(&plan.refused),
        }
    }
}

impl<'a> RestoredComponent<'a> {
    fn new(result: &'a ComponentRestore) -> Self {
        let database = result.database.as_ref();
        Self {
            name: &result.name,
            destination: &result.destination,
            status: match (result.problems().next(), result.written + result.unchanged) {
                (None, _) => "complete",
                (Some(_), 1..) => "partial",
                (Some(_), 0) => "failed",
            },
            written: result.written,
            bytes_written: result.bytes_written,
            bytes_decoded: result.bytes_decoded,
            unchanged: result.unchanged,
            removed: result.removed,
            failed: result.problems().map(|(path, why)| Failed { path, error: why }).collect(),
            failed_more: result.more_problems(),
            tables: database.map(|database| database.tables),
            rows: database.map(|database| database.rows),
            tables_made: database.map(|database| database.tables_made.as_slice()),
            roles_created: database.map(|database| database.roles_created.as_slice()),
            restarted: &result.restarted,
            notes: &result.notes.messages,
            notes_more: result.notes.count.saturating_sub(result.notes.messages.len() as u64),
        }
    }
}

fn reasons(names: &[(String, String)]) -> Vec<Reason<'_>> {
    names.iter().map(|(name, why)| Reason { name, why }).collect()
}
