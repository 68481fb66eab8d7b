//! `larder verify`: proof that snapshots can be restored.

use clap::Args;
use larder::model::Snapshot;
use larder::pipeline::lookup;
use larder::pipeline::verify::{ComponentTest, TestDatabase, VerifyOptions, VerifyReport, test_restore, verify};
use larder::repo::Repository;
use serde_json::{Value, json};

use super::Context;
use crate::console::line;
use crate::failure::{Exit, UsageError};
use crate::units::{count, seconds, size, span};

/// Damaged files that are printed.
const AFFECTED_SHOWN: usize = 50;

/// Prove that a snapshot, or the whole repository, can be restored.
///
/// Without options the structure is proven: index, manifests, trees, and that every chunk is where it should be.
/// Damage makes the exit status 4.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larder verify latest\n  larder verify --all --read-data\n  larder verify --all --read-data --subset 10%\n  \
    larder verify latest --test-restore"
)]
pub(super) struct VerifyArguments {
    /// The snapshot; without a name, everything.
    #[arg(conflicts_with = "all")]
    name: Option<String>,
    /// Everything in the repository.
    #[arg(long)]
    all: bool,
    /// Read every byte, and decode every block.
    #[arg(long)]
    read_data: bool,
    /// Read only this share of the packs, chosen anew each time.
    #[arg(long, value_name = "N%", requires = "read_data", value_parser = percent)]
    subset: Option<f64>,
    /// Restore into throwaway places and compare: files into a temporary folder, the database into a scratch database.
    #[arg(long)]
    test_restore: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse::<f64>().map_err(|_| "not a percentage".to_owned())?;
    if number > 0.0 && number <= 100.0 { Ok(number) } else { Err("not between 0 and 100 %".to_owned()) }
}

impl VerifyArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        context.progress.stop_cleanly()?;
        let repository = context.repository()?;
        let snapshot = self.name.as_ref().map(|name| lookup::snapshot(&repository, name)).transpose()?;
        let options = VerifyOptions { read_data: self.read_data, subset_percent: self.subset };
        let report = verify(&repository, snapshot.as_ref(), options, &context.progress)?;
        let tests = if self.test_restore { self.test(context, &repository, snapshot)? } else { Vec::new() };
        context.progress.end();
        if context.output.is_json() {
            context.output.json(&to_json(&report, &tests));
        } else {
            print_report(context, &report);
            for test in &tests {
                print_test(context, test);
            }
        }
        Ok(if !report.is_clean() || tests.iter().any(|test| test.damaged) {
            Exit::Damage
        } else if tests.iter().any(|test| !test.errors.is_empty()) {
            Exit::Failed
        } else {
            Exit::Done
        })
    }

    fn test(
        &self,
        context: &Context<'_>,
        repository: &Repository,
        snapshot: Option<Snapshot>,
    ) -> anyhow::Result<Vec<ComponentTest>> {
        let snapshot = match snapshot {
            Some(snapshot) => snapshot,
            None if self.all => {
                return Err(
                    UsageError::with_advice("--test-restore restores one snapshot", "name it, or `latest`").into()
                );
            }
            None => lookup::snapshot(repository, "latest")?,
        };
        let folder = tempfile::Builder::new().prefix("larder-test-restore-").tempdir()?;
        let system = context.system()?;
        let main = system.databases.iter().find_map(|database| database.connection.as_ref().ok());
        let database = main.cloned().map_or(TestDatabase::OwnServer, TestDatabase::Server);
        Ok(test_restore(repository, &snapshot, folder.path(), &database, &context.progress)?)
    }
}

fn print_report(context: &Context<'_>, report: &VerifyReport) {
    let output = context.output;
    for damage in &report.damage {
        output.line(&format!("DAMAGED {}: {}", damage.object, damage.what));
    }
    for (snapshot, damage) in report.affected.iter().take(AFFECTED_SHOWN) {
        output.line(&format!("LOST {snapshot}:{}: {}", damage.object, damage.what));
    }
    let hidden = report.affected.len().saturating_sub(AFFECTED_SHOWN) as u64 + report.affected_more;
    if hidden > 0 {
        output.line(&format!("LOST {hidden} more"));
    }
    report.notes.iter().for_each(|note| line(&format!("note: {note}")));
    let snapshots = match report.snapshots.as_slice() {
        [only] => only.clone(),
        several => count(several.len() as u64, "snapshot", "snapshots"),
    };
    let entries = count(report.entries, "entry", "entries");
    let read = if report.packs_read > 0 {
        format!("; {} of {} packs read, {}", report.packs_read, report.packs, size(report.bytes_read))
    } else {
        String::new()
    };
    let verdict = if report.is_clean() { "OK" } else { "DAMAGED" };
    output.line(&format!("{verdict}: {snapshots}, {entries} looked at{read}."));
}

fn print_test(context: &Context<'_>, test: &ComponentTest) {
    let what = match &test.database {
        Some(database) => {
            let tables = count(database.tables, "table", "tables");
            format!("{tables} with {} loaded and counted", count(database.rows, "row", "rows"))
        }
        None => format!("{} ({}) restored and compared", count(test.files, "file", "files"), size(test.bytes)),
    };
    let verdict = if test.errors.is_empty() { "OK" } else { "FAILED" };
    context.output.line(&format!("{verdict}: test restore of {}: {what} in {}.", test.name, span(test.millis)));
    for error in &test.errors {
        context.output.line(&format!("  {error}"));
    }
}

fn to_json(report: &VerifyReport, tests: &[ComponentTest]) -> Value {
    let tests = tests.iter().map(|test| {
        json!({
            "name": test.name, "files": test.files, "bytes": test.bytes, "errors": test.errors,
            "tables": test.database.as_ref().map(|database| database.tables),
            "rows": test.database.as_ref().map(|database| database.rows),
            "seconds": seconds(test.millis),
        })
    });
    let affected = report
        .affected
        .iter()
        .map(|(snapshot, damage)| json!({ "snapshot": snapshot, "path": damage.object, "what": damage.what }));
    json!({
        "ok": report.is_clean(),
        "snapshots": report.snapshots,
        "entries": report.entries,
        "packs": report.packs,
        "packs_read": report.packs_read,
        "bytes_read": report.bytes_read,
        "damage": report.damage.iter().map(|damage| json!({ "object": damage.object, "what": damage.what })).collect::<Vec<_>>(),
        "lost": affected.collect::<Vec<_>>(),
        "lost_more": report.affected_more,
        "notes": report.notes,
        "test_restore": tests.collect::<Vec<_>>(),
    })
}
