//! `larder stats`: what the repository, or one snapshot of it, takes.

use clap::Args;

use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::selection::Select;
use crate::app::snapshots::{Taken, taken, taken_by};
use crate::exit::Exit;
use crate::term::table::{Align, Table};
use crate::units::size;
use crate::view::documents::stats::{RepositoryDocument, SnapshotStatsDocument, ratio};

const MEBIBYTE: f64 = 1_048_576.0;
const GIBIBYTE: f64 = 1_073_741_824.0;
/// Snapshots that are listed one by one.
const RECENT_SHOWN: usize = 10;

/// Show what the repository takes and what it holds.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder stats\n  larder stats latest")]
pub(super) struct StatsArguments {
    /// A snapshot, to show what it refers to.
    name: Option<String>,
    #[command(flatten)]
    select: SelectArguments,
}

impl StatsArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        match &self.name {
            Some(name) => snapshot(terminal, name, &self.select.select()),
            None => repository(terminal),
        }
    }
}

fn repository(terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
    let taken = taken(&terminal.context)?;
    let Taken { snapshots, stats, exit, .. } = &taken;
    let (stored, ratio) = (stats.stored_bytes(), ratio(stats));
    if terminal.output.is_json() {
        terminal.output.document(&RepositoryDocument::new(&taken))?;
        return Ok(*exit);
    }
    let mut table = Table::new(&[("stored", Align::Left), ("objects", Align::Right), ("size", Align::Right)]);
    let rows = [
        ("data packs", stats.data_packs),
        ("tree packs", stats.tree_packs),
        ("index segments", stats.segments),
        ("manifests", (stats.snapshots, stats.manifest_bytes)),
    ];
    let others = [("parity", stats.parity), ("quarantine", stats.quarantine)];
    for (name, (objects, bytes)) in rows.into_iter().chain(others.into_iter().filter(|(_, (objects, _))| *objects > 0))
    {
        table.row(vec![name.to_owned(), objects.to_string(), size(bytes)]);
    }
    table.row(vec!["together".to_owned(), String::new(), size(stored)]);
    terminal.output.table(&table);
    terminal.output.line("");
    terminal.output.line(&format!("Total backups: {}", stats.snapshots));
    terminal.output.line(&format!("Total size: {} ({:.2} GB)", mebibytes(stored), stored as f64 / GIBIBYTE));
    let limit = taken.bytes_max.map_or("none".to_owned(), size);
    terminal.output.line(&format!("Limit of `prune`: {limit} (max_size_gb)"));
    terminal
        .output
        .line(&format!("As full copies they would take {}: {ratio:.1} times as much.", size(stats.bytes_in_snapshots)));
    if !snapshots.is_empty() {
        terminal.output.line("");
        terminal.output.line("Recent Backups:");
    }
    for (number, snapshot) in (1..).zip(snapshots.iter().take(RECENT_SHOWN)) {
        let stored = snapshot.components.iter().map(|component| component.bytes_stored).sum();
        terminal.output.line(&format!("{number:>2}. {}", snapshot.name));
        terminal.output.line(&format!("    {} stored, {}", mebibytes(stored), size(snapshot.bytes())));
    }
    Ok(*exit)
}

/// As programs read it that parse what the old tool printed.
fn mebibytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / MEBIBYTE)
}

fn snapshot(terminal: &Terminal<'_>, name: &str, select: &Select) -> anyhow::Result<Exit> {
    let (snapshot, stats) = taken_by(&terminal.context, select, name)?;
    if terminal.output.is_json() {
        terminal.output.document(&SnapshotStatsDocument::new(&snapshot, &stats))?;
        return Ok(Exit::Done);
    }
    terminal.output.line(&format!("{}: {} entries, {}", snapshot.name, stats.entries, size(snapshot.bytes())));
    terminal.output.line(&format!("  {} different chunks of {} together", stats.chunks, size(stats.chunk_bytes)));
    Ok(Exit::Done)
}
