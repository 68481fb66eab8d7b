//! What `repair` says.

use larder::pipeline::repair::RepairReport;
use larder::pipeline::verify::VerifyReport;
use serde::Serialize;

use super::damage::{DamageDocument, LostDocument, damage, lost};

/// What is damaged.
#[derive(Debug, Serialize)]
pub(crate) struct RepairPlanDocument<'a> {
    dry_run: bool,
    damage: Vec<DamageDocument<'a>>,
    snapshots: &'a [String],
    lost: Vec<LostDocument<'a>>,
    /// Lost files that are not listed.
    lost_more: u64,
}

/// What was repaired, and what is lost.
#[derive(Debug, Serialize)]
pub(crate) struct RepairDocument<'a> {
    dry_run: bool,
    damage: Vec<DamageDocument<'a>>,
    /// Objects that are whole again by their parity.
    restored: &'a [String],
    set_aside: &'a [String],
    index_rebuilt: bool,
    packs_unlisted: u64,
    chunks_salvaged: u64,
    bytes_salvaged: u64,
    chunks_fetched: u64,
    bytes_fetched: u64,
    snapshots: &'a [String],
    lost_snapshots: &'a [String],
    lost: Vec<LostDocument<'a>>,
    /// Lost files that are not listed.
    lost_more: u64,
}

impl<'a> RepairPlanDocument<'a> {
    pub(crate) fn new(report: &'a VerifyReport) -> Self {
        Self {
            dry_run: true,
            damage: damage(&report.damage),
            snapshots: &report.snapshots,
            lost: lost(&report.affected),
            lost_more: report.affected.more,
        }
    }
}

impl<'a> RepairDocument<'a> {
    pub(crate) fn new(report: &'a RepairReport) -> Self {
        let (chunks_salvaged, bytes_salvaged) = report.salvaged;
        let (chunks_fetched, bytes_fetched) = report.fetched;
        Self {
            dry_run: false,
            damage: damage(&report.damage),
            restored: &report.restored,
            set_aside: &report.set_aside,
            index_rebuilt: report.is_rebuilt,
            packs_unlisted: report.unlisted,
            chunks_salvaged,
            bytes_salvaged,
            chunks_fetched,
            bytes_fetched,
            snapshots: &report.snapshots,
            lost_snapshots: &report.lost_snapshots,
            lost: lost(&report.lost),
            lost_more: report.lost.more,
        }
    }
}
