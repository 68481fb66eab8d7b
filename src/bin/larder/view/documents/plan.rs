//! What `plan` says.

use std::path::PathBuf;

use serde::Serialize;

use crate::app::plan::{Part, PlanOutcome};
use crate::app::refusals::Refused;

/// What would be saved.
#[derive(Debug, Serialize)]
pub(crate) struct PlanDocument<'a> {
    /// The compose project.
    project: Option<&'a str>,
    components: Vec<PartDocument<'a>>,
    /// What containers write to of the host and no component has.
    uncovered: &'a [PathBuf],
    refused: Vec<RefusedDocument<'a>>,
}

/// A plan of a configuration that is not believed, so that nothing else is known.
#[derive(Debug, Serialize)]
pub(crate) struct UnbelievedPlanDocument<'a> {
    project: Option<&'a str>,
    components: [PartDocument<'a>; 0],
    refused: Vec<RefusedDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct PartDocument<'a> {
    name: &'a str,
    kind: &'a str,
    source: &'a str,
    method: Option<&'a str>,
    quiesce: Option<&'a str>,
    containers: &'a [String],
    held: &'a [String],
    unordered_tables: Option<Vec<UnorderedTable<'a>>>,
    problem: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct UnorderedTable<'a> {
    table: &'a str,
    why: &'a str,
}

#[derive(Debug, Serialize)]
struct RefusedDocument<'a> {
    what: &'a str,
    why: String,
    /// The command that mends it.
    mend: Option<String>,
    only_scheduled: bool,
}

impl<'a> PlanDocument<'a> {
    pub(crate) fn new(outcome: &'a PlanOutcome, refused: &'a [Refused]) -> Self {
        Self {
            project: outcome.project.as_deref(),
            components: outcome.parts.iter().map(PartDocument::new).collect(),
            uncovered: &outcome.uncovered,
            refused: refused.iter().map(RefusedDocument::new).collect(),
        }
    }
}

impl<'a> UnbelievedPlanDocument<'a> {
    pub(crate) fn new(refused: &'a [Refused]) -> Self {
        Self { project: None, components: [], refused: refused.iter().map(RefusedDocument::new).collect() }
    }
}

impl<'a> PartDocument<'a> {
    fn new(part: &'a Part) -> Self {
        let table = |(table, why): &'a (String, String)| UnorderedTable { table, why };
        Self {
            name: &part.name,
            kind: part.kind,
            source: &part.source,
            method: part.method,
            quiesce: part.quiesce,
            containers: &part.containers,
            held: &part.held,
            unordered_tables: part.unordered.as_ref().map(|tables| tables.iter().map(table).collect()),
            problem: part.problem.as_deref(),
        }
    }
}

impl<'a> RefusedDocument<'a> {
    fn new(refused: &'a Refused) -> Self {
        Self {
            what: refused.what.name(),
            why: refused.refusal.to_string(),
            mend: refused.refusal.mend(),
            only_scheduled: refused.only_scheduled,
        }
    }
}
