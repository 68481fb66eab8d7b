//! What `verify` says.

use std::time::Duration;

use larder::pipeline::verify::ComponentTest;
use serde::Serialize;

use super::damage::{DamageDocument, LostDocument, damage, lost};
use crate::app::verify::{DRILL_TARGET, VerifyOutcome, ways_out};
use crate::units::seconds;

/// What was looked at, and what is wrong with it.
#[derive(Debug, Serialize)]
pub(crate) struct VerifyDocument<'a> {
    ok: bool,
    snapshots: &'a [String],
    entries: u64,
    packs: u64,
    packs_read: u64,
    bytes_read: u64,
    damage: Vec<DamageDocument<'a>>,
    lost: Vec<LostDocument<'a>>,
    /// Lost files that are not listed.
    lost_more: u64,
    /// What a folder lacks that it says it has.
    lacking: &'a [String],
    notes: &'a [String],
    test_restore: Vec<TestDocument<'a>>,
    drill: Option<DrillDocument>,
}

#[derive(Debug, Serialize)]
struct TestDocument<'a> {
    name: &'a str,
    files: u64,
    bytes: u64,
    errors: &'a [String],
    tables: Option<u64>,
    rows: Option<u64>,
    server_started: Option<bool>,
    not_done: Option<String>,
    notes: &'a [String],
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct DrillDocument {
    ok: bool,
    seconds: f64,
    target_seconds: u64,
    within_target: bool,
}

impl<'a> VerifyDocument<'a> {
    pub(crate) fn new(outcome: &'a VerifyOutcome) -> Self {
        let VerifyOutcome { report, lacking, tests, drill, .. } = outcome;
        Self {
            ok: report.is_clean() && lacking.is_empty(),
            snapshots: &report.snapshots,
            entries: report.entries,
            packs: report.packs,
            packs_read: report.packs_read,
            bytes_read: report.bytes_read,
            damage: damage(&report.damage),
            lost: lost(&report.affected),
            lost_more: report.affected.more,
            lacking,
            notes: &report.notes,
            test_restore: tests.iter().map(TestDocument::new).collect(),
            drill: drill.map(|took| DrillDocument::new(tests, took)),
        }
    }
}

impl<'a> TestDocument<'a> {
    fn new(test: &'a ComponentTest) -> Self {
        Self {
            name: &test.name,
            files: test.files,
            bytes: test.bytes,
            errors: &test.errors,
            tables: test.database.as_ref().map(|database| database.tables),
            rows: test.database.as_ref().map(|database| database.rows),
            server_started: test.server_started,
            not_done: ways_out(test),
            notes: &test.notes,
            seconds: seconds(test.millis),
        }
    }
}

impl DrillDocument {
    fn new(tests: &[ComponentTest], took: Duration) -> Self {
        Self {
            ok: tests.iter().all(|test| test.errors.is_empty() && test.not_done.is_none()),
            seconds: took.as_secs_f64(),
            target_seconds: DRILL_TARGET.as_secs(),
            within_target: took <= DRILL_TARGET,
        }
    }
}
