//! `larder stats`: what the repository, or one snapshot of it, takes.

use clap::Args;
use larder::pipeline::{lookup, stats};
use serde_json::json;

use super::select::SelectArguments;
use super::{Context, warn_unreadable};
use crate::config::RetentionTable;
use crate::failure::Exit;
use crate::table::{Align, Table};
use crate::units::size;

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
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        match &self.name {
            Some(name) => snapshot(context, name, &self.select),
            None => repository(context),
        }
    }
}

fn repository(context: &Context<'_>) -> anyhow::Result<Exit> {
    let repository = context.repository()?;
    let found = lookup::snapshots(&repository)?;
    let exit = if warn_unreadable(&found) { Exit::Damage } else { Exit::Done };
    let stats = stats::repository(&repository, &found.snapshots)?;
    let stored = stats.stored_bytes();
    let ratio = if stored == 0 { 0.0 } else { stats.bytes_in_snapshots as f64 / stored as f64 };
    let bytes_max = RetentionTable::default().resolve(&context.settings.retention)?.1;
    if context.output.is_json() {
        context.output.json(&json!({
            "bytes_max": bytes_max,
            "snapshots": stats.snapshots,
            "bytes_in_snapshots": stats.bytes_in_snapshots,
            "stored_bytes": stored,
            "ratio": ratio,
            "data_packs": stats.data_packs.0, "data_pack_bytes": stats.data_packs.1,
            "tree_packs": stats.tree_packs.0, "tree_pack_bytes": stats.tree_packs.1,
            "segments": stats.segments.0, "segment_bytes": stats.segments.1,
            "manifest_bytes": stats.manifest_bytes,
            "parity_objects": stats.parity.0, "parity_bytes": stats.parity.1,
            "quarantine_objects": stats.quarantine.0, "quarantine_bytes": stats.quarantine.1,
            "chunks": stats.chunks,
        }));
        return Ok(exit);
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
    table.lines().iter().for_each(|line| context.output.line(line));
    context.output.line("");
    context.output.line(&format!("Total backups: {}", stats.snapshots));
    context.output.line(&format!("Total size: {} ({:.2} GB)", mebibytes(stored), stored as f64 / GIBIBYTE));
    let limit = bytes_max.map_or("none".to_owned(), size);
    context.output.line(&format!("Limit of `prune`: {limit} (max_size_gb)"));
    context
        .output
        .line(&format!("As full copies they would take {}: {ratio:.1} times as much.", size(stats.bytes_in_snapshots)));
    if !found.snapshots.is_empty() {
        context.output.line("");
        context.output.line("Recent Backups:");
    }
    for (number, snapshot) in (1..).zip(found.snapshots.iter().take(RECENT_SHOWN)) {
        let stored = snapshot.components.iter().map(|component| component.bytes_stored).sum();
        context.output.line(&format!("{number:>2}. {}", snapshot.name));
        context.output.line(&format!("    {} stored, {}", mebibytes(stored), size(snapshot.bytes())));
    }
    Ok(exit)
}

/// As programs read it that parse what the old tool printed.
fn mebibytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / MEBIBYTE)
}

fn snapshot(context: &Context<'_>, name: &str, select: &SelectArguments) -> anyhow::Result<Exit> {
    let repository = context.repository()?;
    let snapshot = select.snapshot(context, &repository, name)?;
    let stats = stats::snapshot(&repository, &snapshot, &context.progress)?;
    if context.output.is_json() {
        context.output.json(&json!({
            "name": snapshot.name, "bytes": snapshot.bytes(), "entries": stats.entries, "chunks": stats.chunks,
            "chunk_bytes": stats.chunk_bytes,
        }));
        return Ok(Exit::Done);
    }
    context.output.line(&format!("{}: {} entries, {}", snapshot.name, stats.entries, size(snapshot.bytes())));
    context.output.line(&format!("  {} different chunks of {} together", stats.chunks, size(stats.chunk_bytes)));
    Ok(Exit::Done)
}
