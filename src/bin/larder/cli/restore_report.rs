//! What a restore did, for people and for programs.

use larder::model::{ComponentKind, Snapshot, SnapshotName};
use larder::pipeline::restore::{ComponentRestore, DatabaseRestore, RestoreJob};
use serde_json::{Value, json};

use super::Context;
use super::restore_plan::Plan;
use crate::console::{advice, error, line, warning};
use crate::failure::Exit;
use crate::units::{count, rows_of_tables, size};

/// Failures that are printed for each component.
const FAILURES_SHOWN: usize = 20;

/// What a restore did.
pub(super) struct Report<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) plan: &'a Plan<'a>,
    pub(super) results: &'a [ComponentRestore],
    /// The snapshot of what was replaced.
    pub(super) safety: Option<SnapshotName>,
    pub(super) dry_run: bool,
}

impl Report<'_> {
    /// Says what was done with each component, and what was not restored.
    pub(super) fn print(&self, context: &Context<'_>) {
        let Self { snapshot, plan, results, .. } = self;
        if context.output.is_json() {
            let paths = plan.parts.as_ref().map(|parts| parts.paths().map(String::from_utf8_lossy).collect::<Vec<_>>());
            context.output.json(&json!({
                "name": snapshot.name,
                "paths": paths,
                "dry_run": self.dry_run,
                "safety_snapshot": self.safety,
                "components": results.iter().map(to_json).collect::<Vec<_>>(),
                "left_out": plan.left_out,
                "skipped": with_reasons(&plan.skipped),
                "refused": with_reasons(&plan.refused),
            }));
        } else {
            for (name, why) in &plan.skipped {
                context.output.line(&format!("{name:<12} left as it is: {why}"));
            }
            for result in *results {
                context.output.line(&format!("{:<12} {}", result.name, self.describe(result)));
                result.notes.iter().for_each(|note| line(&format!("note: {}: {note}", result.name)));
            }
            context.output.line(&self.last_line());
        }
        for (name, why) in &plan.refused {
            error(&format!("{name} is not restored: {why}"));
        }
        for name in &plan.left_out {
            warning(&format!("{} has no {name}: it could not be saved then", snapshot.name));
        }
        results.iter().for_each(print_failures);
        let is_whole = !plan.jobs.iter().any(RestoreJob::is_of_tables);
        if !self.dry_run
            && is_whole
            && results.iter().any(|result| result.database.is_none() && is_database(snapshot, result))
        {
            advice(
                "add --continue to restore everything else, and have each thing named that the server refuses; or load the plain dump by hand into a \
                 database that you have made for it: `larder cat NAME:COMPONENT | psql -d DATABASE`, which runs all code in it with your rights",
            );
        }
    }

    /// How the command ends.
    pub(super) fn exit(&self) -> Exit {
        let Self { plan, results, .. } = self;
        let is_whole = plan.left_out.is_empty() && plan.refused.is_empty();
        let failed = failed(results);
        if results.iter().any(|result| result.damaged) {
            Exit::Damage
        } else if failed == 0 && is_whole {
            Exit::Done
        } else if failed == results.len() && results.iter().all(|result| result.written == 0 && result.unchanged == 0) {
            Exit::Failed
        } else {
            Exit::Partial
        }
    }

    fn describe(&self, result: &ComponentRestore) -> String {
        let would = if self.dry_run { "would be " } else { "" };
        let text = match &result.database {
            Some(database) => describe_database(database, would),
            None if result.written == 0 && result.unchanged == 0 && !result.failed.is_empty() => {
                "nothing was restored".to_owned()
            }
            None if result.written == 0 && result.removed == 0 && result.problems().next().is_none() => {
                format!("as in the snapshot already, {} looked at", count(result.unchanged, "entry", "entries"))
            }
            None => {
                let written = count(result.written, "entry", "entries");
                let bytes = size(result.bytes_written);
                format!(
                    "{written} ({bytes}) {would}written, {} left as they were, {} {would}removed",
                    result.unchanged, result.removed
                )
            }
        };
        if result.restarted.is_empty() { text } else { format!("{text}; restarted: {}", result.restarted.join(", ")) }
    }

    fn last_line(&self) -> String {
        let Self { snapshot, plan, results, .. } = self;
        let not_begun = plan.jobs.len() - results.len();
        let failed = failed(results) + plan.left_out.len() + plan.refused.len() + not_begun;
        let what = match &plan.parts {
            Some(parts) if parts.count() > 1 => {
                format!("{} of {} are", count(parts.count() as u64, "path", "paths"), snapshot.name)
            }
            Some(_) => format!("One path of {} is", snapshot.name),
            None => format!("{} is", snapshot.name),
        };
        match (self.dry_run, failed) {
            (true, _) => "Dry run: nothing was touched.".to_owned(),
            (false, 0) => format!("{what} restored."),
            (false, failed) => {
                format!("{what} NOT fully restored: {} failed.", count(failed as u64, "component", "components"))
            }
        }
    }
}

/// Whether a component that could not be restored is a database.
fn is_database(snapshot: &Snapshot, result: &ComponentRestore) -> bool {
    let is_it = snapshot.component(&result.name).is_some_and(|component| component.kind == ComponentKind::Database);
    is_it && !result.damaged && !result.failed.is_empty()
}

fn failed(results: &[ComponentRestore]) -> usize {
    results.iter().filter(|result| result.problems().next().is_some()).count()
}

fn describe_database(database: &DatabaseRestore, would: &str) -> String {
    let rows = rows_of_tables(database.tables, database.rows);
    let place = match (database.rows_replaced, database.replaced) {
        (true, _) if database.tables == database.tables_made.len() as u64 => "into the database that is there",
        (true, _) => "in the place of the rows that were there",
        (false, true) => "in the place of the old one",
        (false, false) => "as a new database",
    };
    let roles = if database.roles_created.is_empty() {
        String::new()
    } else {
        format!("; made without passwords: {}", database.roles_created.join(", "))
    };
    let made = if database.tables_made.is_empty() {
        String::new()
    } else {
        format!("; {would}made again, as they were gone: {}", database.tables_made.join(", ").escape_debug())
    };
    format!("{rows} {would}loaded {place}{made}{roles}")
}

fn print_failures(result: &ComponentRestore) {
    // Of a database each thing is named that its server refuses.
    let shown = if result.database.is_some() { usize::MAX } else { FAILURES_SHOWN };
    for (path, why) in result.problems().take(shown) {
        let place = if *path == result.name { String::new() } else { format!("{path}: ") };
        error(&format!("{}: {place}{why}", result.name));
    }
    let hidden = result.problems().count().saturating_sub(shown);
    if hidden > 0 {
        error(&format!("{}: {hidden} more", result.name));
    }
}

fn with_reasons(names: &[(String, String)]) -> Value {
    names.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect()
}

fn to_json(result: &ComponentRestore) -> Value {
    json!({
        "name": result.name,
        "destination": result.destination,
        "status": if result.problems().next().is_none() { "complete" } else if result.written + result.unchanged > 0 { "partial" } else { "failed" },
        "written": result.written,
        "bytes_written": result.bytes_written,
        "bytes_decoded": result.bytes_decoded,
        "unchanged": result.unchanged,
        "removed": result.removed,
        "failed": result.problems().map(|(path, why)| json!({ "path": path, "error": why })).collect::<Vec<_>>(),
        "tables": result.database.as_ref().map(|database| database.tables),
        "rows": result.database.as_ref().map(|database| database.rows),
        "tables_made": result.database.as_ref().map(|database| &database.tables_made),
        "roles_created": result.database.as_ref().map(|database| &database.roles_created),
        "restarted": result.restarted,
        "notes": result.notes,
    })
}
