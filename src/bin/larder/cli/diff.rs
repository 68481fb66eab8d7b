//! `larder diff`: what changed between two snapshots.

use clap::Args;
use larder::model::{Change, Difference, Snapshot, show_path};
use larder::pipeline::find::compare;
use larder::pipeline::{RowChanges, compare_rows};
use serde_json::{Value, json};

use super::Context;
use super::select::SelectArguments;
use crate::failure::Exit;
use crate::units::size;

/// Show what changed between two snapshots.
///
/// `+` was added, `-` removed, `M` has other content, `U` has another owner, mode, time or attribute, `R` tells of the rows
/// of a table.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder diff system_backup_20251010 latest")]
pub(super) struct DiffArguments {
    /// The older snapshot.
    old: String,
    /// The newer snapshot.
    new: String,
    #[command(flatten)]
    select: SelectArguments,
}

#[derive(Default)]
struct Totals {
    added: u64,
    removed: u64,
    content: u64,
    metadata: u64,
}

impl DiffArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let repository = context.repository()?;
        let old = self.select.snapshot(context, &repository, &self.old)?;
        let new = self.select.snapshot(context, &repository, &self.new)?;
        let output = context.output;
        let mut totals = Totals::default();
        let mut changes = Vec::new();
        compare(&mut repository.reader()?, &old, &new, &mut |difference| {
            totals.add(difference.change);
            if output.is_json() {
                changes.push(to_json(&difference));
            } else {
                output.line(&line(&difference));
            }
            Ok(())
        })?;
        let tables = tables(&old, &new);
        let rows = compare_rows(&repository, &old, &new, &context.progress);
        context.progress.end();
        let rows = rows?;
        let Totals { added, removed, content, metadata } = totals;
        if output.is_json() {
            output.json(&json!({
                "old": old.name, "new": new.name, "changes": changes, "tables": tables_json(&tables),
                "rows": rows.iter().map(rows_json).collect::<Vec<_>>(),
                "added": added, "removed": removed, "content": content, "metadata": metadata,
            }));
            return Ok(Exit::Done);
        }
        for (table, old_rows, new_rows) in &tables {
            let text = |rows: &Option<u64>| rows.map_or("none".to_owned(), |rows| rows.to_string());
            output.line(&format!("R database table {table}: {} -> {} rows", text(old_rows), text(new_rows)));
        }
        for RowChanges { component, table, added, removed, changed } in &rows {
            output.line(&format!("R {component} rows of {table}: {added} added, {removed} removed, {changed} changed"));
        }
        output.line(&format!(
            "{added} added, {removed} removed, {content} with other content, {metadata} with other metadata"
        ));
        Ok(Exit::Done)
    }
}

impl Totals {
    fn add(&mut self, change: Change) {
        let counter = match change {
            Change::Added => &mut self.added,
            Change::Removed => &mut self.removed,
            Change::Content => &mut self.content,
            Change::Metadata => &mut self.metadata,
        };
        *counter += 1;
    }
}

fn line(difference: &Difference<'_>) -> String {
    let path = show_path(difference.path);
    let bytes = |node: Option<&larder::model::Node>| node.map_or(0, |node| node.metadata.size_bytes);
    let (old, new) = (bytes(difference.old), bytes(difference.new));
    match difference.change {
        Change::Added => format!("+ {path} ({})", size(new)),
        Change::Removed => format!("- {path} ({})", size(old)),
        Change::Content => format!("M {path} ({} -> {})", size(old), size(new)),
        Change::Metadata => format!("U {path}"),
    }
}

fn to_json(difference: &Difference<'_>) -> Value {
    let change = match difference.change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Content => "content",
        Change::Metadata => "metadata",
    };
    json!({
        "path": show_path(difference.path),
        "change": change,
        "old_size": difference.old.map(|node| node.metadata.size_bytes),
        "new_size": difference.new.map(|node| node.metadata.size_bytes),
    })
}

fn rows_json(rows: &RowChanges) -> Value {
    let RowChanges { component, table, added, removed, changed } = rows;
    json!({ "component": component, "table": table, "added": added, "removed": removed, "changed": changed })
}

/// Tables whose number of rows differs: name, rows before and after.
fn tables(old: &Snapshot, new: &Snapshot) -> Vec<(String, Option<u64>, Option<u64>)> {
    let rows = |snapshot: &Snapshot| {
        let facts = snapshot.components.iter().filter_map(|component| component.database.as_ref());
        let tables = facts.flat_map(|facts| &facts.tables).map(|table| (table.table.clone(), table.rows));
        tables.collect::<std::collections::BTreeMap<_, _>>()
    };
    let (old, new) = (rows(old), rows(new));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let row = |name: &&String| ((*name).clone(), old.get(*name).copied(), new.get(*name).copied());
    names.iter().map(row).filter(|(_, old, new)| old != new).collect()
}

fn tables_json(tables: &[(String, Option<u64>, Option<u64>)]) -> Vec<Value> {
    tables.iter().map(|(table, old, new)| json!({ "table": table, "old_rows": old, "new_rows": new })).collect()
}
