//! `larder diff`: what changed between two snapshots.

use clap::Args;
use larder::model::{Change, Difference, show_path};
use larder::pipeline::RowChanges;

use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::browse::{self, TableCount};
use crate::exit::Exit;
use crate::units::size;
use crate::view::documents::browse::{ChangeDocument, DiffDocument, Totals};

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

impl DiffArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        let output = terminal.output;
        let (mut totals, mut changes) = (Totals::default(), Vec::new());
        let names = [self.old.as_str(), self.new.as_str()];
        let comparison = browse::diff(&terminal.context, &self.select.select(), names, &mut |difference| {
            totals.add(difference.change);
            if output.is_json() {
                changes.push(ChangeDocument::new(&difference));
            } else {
                output.line(&line(&difference));
            }
            Ok(())
        });
        let comparison = terminal.ended(comparison)?;
        if output.is_json() {
            output.document(&DiffDocument::new(&comparison, changes, totals))?;
            return Ok(Exit::Done);
        }
        for TableCount { table, old_rows, new_rows } in &comparison.tables {
            let text = |rows: &Option<u64>| rows.map_or("none".to_owned(), |rows| rows.to_string());
            output.line(&format!("R database table {table}: {} -> {} rows", text(old_rows), text(new_rows)));
        }
        for RowChanges { component, table, added, removed, changed } in &comparison.rows {
            output.line(&format!("R {component} rows of {table}: {added} added, {removed} removed, {changed} changed"));
        }
        let Totals { added, removed, content, metadata } = totals;
        output.line(&format!(
            "{added} added, {removed} removed, {content} with other content, {metadata} with other metadata"
        ));
        Ok(Exit::Done)
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
