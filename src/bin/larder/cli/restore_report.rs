//! What a restore did, for people.

use larder::model::{ComponentKind, Snapshot};
use larder::pipeline::restore::{ComponentRestore, DatabaseRestore, RestoreJob};

use super::terminal::Terminal;
use crate::app::restore::{RestoreOutcome, failed};
use crate::term::console::{advice, error, line, warning};
use crate::units::{count, rows_of_tables, size};
use crate::view::documents::restore::RestoreDocument;

/// Failures that are printed for each component.
const FAILURES_SHOWN: usize = 20;

/// Says what was done with each component, and what was not restored.
pub(super) fn print(terminal: &Terminal<'_>, outcome: &RestoreOutcome<'_>) -> anyhow::Result<()> {
    let RestoreOutcome { snapshot, plan, results, .. } = outcome;
    if terminal.output.is_json() {
        terminal.output.document(&RestoreDocument::new(outcome))?;
    } else {
        for (name, why) in &plan.skipped {
            terminal.output.line(&format!("{name:<12} left as it is: {why}"));
        }
        for result in results {
            terminal.output.line(&format!("{:<12} {}", result.name, describe(outcome, result)));
            print_notes(result);
        }
        terminal.output.line(&last_line(outcome));
    }
    for (name, why) in &plan.refused {
        error(&format!("{name} is not restored: {why}"));
    }
    for name in &plan.left_out {
        warning(&format!("{} has no {name}: it could not be saved then", snapshot.name));
    }
    results.iter().for_each(print_failures);
    let is_whole = !plan.jobs.iter().any(RestoreJob::is_of_tables);
    if !outcome.dry_run
        && is_whole
        && results.iter().any(|result| result.database.is_none() && is_database(snapshot, result))
    {
        advice(
            "add --continue to restore everything else, and have each thing named that the server refuses; or load the plain dump by hand into a \
                 database that you have made for it: `larder cat NAME:COMPONENT | psql -d DATABASE`, which runs all code in it with your rights",
        );
    }
    Ok(())
}

fn describe(outcome: &RestoreOutcome<'_>, result: &ComponentRestore) -> String {
    let would = if outcome.dry_run { "would be " } else { "" };
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

fn last_line(outcome: &RestoreOutcome<'_>) -> String {
    let RestoreOutcome { snapshot, plan, results, .. } = outcome;
    let not_begun = plan.jobs.len() - results.len();
    let failed = failed(results) + plan.left_out.len() + plan.refused.len() + not_begun;
    let what = match &plan.parts {
        Some(parts) if parts.count() > 1 => {
            format!("{} of {} are", count(parts.count() as u64, "path", "paths"), snapshot.name)
        }
        Some(_) => format!("One path of {} is", snapshot.name),
        None => format!("{} is", snapshot.name),
    };
    match (outcome.dry_run, failed) {
        (true, _) => "Dry run: nothing was touched.".to_owned(),
        (false, 0) => format!("{what} restored."),
        (false, failed) => {
            format!("{what} NOT fully restored: {} failed.", count(failed as u64, "component", "components"))
        }
    }
}

/// Whether a component that could not be restored is a database.
fn is_database(snapshot: &Snapshot, result: &ComponentRestore) -> bool {
    let is_it = snapshot.component(&result.name).is_some_and(|component| component.kind == ComponentKind::Database);
    is_it && !result.damaged && !result.failed.is_empty()
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

fn print_notes(result: &ComponentRestore) {
    let notes = &result.notes;
    notes.messages.iter().for_each(|note| line(&format!("note: {}: {note}", result.name)));
    let hidden = notes.count.saturating_sub(notes.messages.len() as u64);
    if hidden > 0 {
        line(&format!("note: {}: {hidden} more", result.name));
    }
}

fn print_failures(result: &ComponentRestore) {
    // Of a database each thing is named that its server refuses.
    let shown = if result.database.is_some() { usize::MAX } else { FAILURES_SHOWN };
    for (path, why) in result.problems().take(shown) {
        let place = if *path == result.name { String::new() } else { format!("{path}: ") };
        error(&format!("{}: {place}{why}", result.name));
    }
    let hidden = result.problems().skip(shown).count() as u64 + result.more_problems();
    if hidden > 0 {
        error(&format!("{}: {hidden} more", result.name));
    }
}
