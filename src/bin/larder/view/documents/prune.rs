//! What `prune` says.

use larder::id::PackId;
use larder::model::SnapshotName;
use larder::pack;
use larder::pipeline::prune::{Decision, PrunePlan};
use larder::repo;
use serde::Serialize;

use crate::app::prune::PruneOutcome;

/// What was deleted and freed, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct PruneDocument<'a> {
    dry_run: bool,
    snapshots: Vec<DecisionDocument<'a>>,
    deleted: &'a [String],
    bytes_before: u64,
    bytes_after: u64,
    /// Bytes that the next prune frees.
    bytes_later: u64,
    packs_deleted: u64,
    bytes_written: u64,
    /// Whether what is left is within the limit; none without one.
    fits: Option<bool>,
    damaged: Vec<DamagedPack>,
}

#[derive(Debug, Serialize)]
struct DecisionDocument<'a> {
    name: &'a SnapshotName,
    /// By RFC 3339.
    time: String,
    keep: bool,
    because: Vec<String>,
}

#[derive(Debug, Serialize)]
struct DamagedPack {
    object: String,
    what: String,
}

impl<'a> PruneDocument<'a> {
    /// What would be done.
    pub(crate) fn of_plan(plan: &'a PrunePlan) -> Self {
        let sums = plan.sums();
        Self {
            dry_run: true,
            snapshots: decisions(&plan.decisions),
            deleted: &[],
            bytes_before: plan.bytes_before,
            bytes_after: plan.bytes_after,
            bytes_later: 0,
            packs_deleted: sums.dead.0 + sums.rewritten.0,
            bytes_written: sums.written_bytes,
            fits: plan.fits,
            damaged: damaged(plan.untrue()).collect(),
        }
    }

    /// What was done.
    pub(crate) fn of_outcome(outcome: &'a PruneOutcome) -> Self {
        let (report, collected) = (&outcome.report, &outcome.report.collected);
        Self {
            dry_run: false,
            snapshots: decisions(&outcome.decisions),
            deleted: &report.deleted,
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
            bytes_later: report.later_bytes,
            packs_deleted: collected.deleted.0,
            bytes_written: collected.written.1,
            fits: outcome.fits,
            damaged: damaged(&collected.untrue).chain(damaged(&collected.damaged)).collect(),
        }
    }
}

impl<'a> DecisionDocument<'a> {
    fn new(decision: &'a Decision) -> Self {
        let Decision { name, time, .. } = decision;
        Self { name, time: time.rfc3339(), keep: decision.is_kept(), because: reasons(decision) }
    }
}

/// Why a snapshot stays or goes.
pub(crate) fn reasons(decision: &Decision) -> Vec<String> {
    if decision.is_too_much {
        let rules: Vec<String> = decision.rules.iter().map(ToString::to_string).collect();
        return vec![format!("the repository is too large, though {}", rules.join(", "))];
    }
    decision.rules.iter().map(ToString::to_string).collect()
}

fn decisions(decisions: &[Decision]) -> Vec<DecisionDocument<'_>> {
    decisions.iter().map(DecisionDocument::new).collect()
}

fn damaged(packs: &[(PackId, repo::Error)]) -> impl Iterator<Item = DamagedPack> {
    packs.iter().map(|(id, error)| DamagedPack { object: pack::key(*id).path(), what: error.to_string() })
}
