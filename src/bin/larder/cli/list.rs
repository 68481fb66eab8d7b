//! `larder list`: the snapshots, newest first.

use std::collections::BTreeSet;

use clap::Args;
use larder::model::{Snapshot, Status};

use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::snapshots::{Listing, list};
use crate::exit::Exit;
use crate::term::console::line;
use crate::term::table::{Align, Table};
use crate::units::{count, size, span};
use crate::view::documents::snapshot::SnapshotDocument;

/// List the snapshots, newest first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder list\n  larder list --show-details")]
pub(super) struct ListArguments {
    /// Show the components of each snapshot too.
    #[arg(long)]
    show_details: bool,
    #[command(flatten)]
    select: SelectArguments,
}

impl ListArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        let listing = list(&terminal.context, &self.select.select())?;
        let Listing { snapshots, pins, exit, .. } = &listing;
        if terminal.output.is_json() {
            let documents: Vec<_> = snapshots.iter().map(|one| SnapshotDocument::new(one, pins)).collect();
            terminal.output.document(&documents)?;
            return Ok(*exit);
        }
        if snapshots.is_empty() {
            let none = if listing.is_empty { "There are no snapshots yet." } else { "There are no such snapshots." };
            terminal.output.line(none);
        } else {
            self.print(terminal, &listing);
        }
        tell_of_forgotten(listing.forgotten);
        Ok(*exit)
    }

    fn print(&self, terminal: &Terminal<'_>, listing: &Listing) {
        let Listing { snapshots, pins, has_systems, .. } = listing;
        // Scripts take the name from the second column, so no column before it may be empty or have spaces.
        let mut columns = vec![
            ("status", Align::Left),
            ("name", Align::Left),
            ("time", Align::Left),
            ("type", Align::Left),
            ("size", Align::Right),
            ("new", Align::Right),
            ("stored", Align::Right),
            ("took", Align::Right),
            ("tags", Align::Left),
        ];
        if *has_systems {
            columns.push(("system", Align::Left));
        }
        // The name has the time.
        let mut table = Table::new(&columns).leaving_out(&["took", "time", "new", "stored", "type"]);
        for snapshot in snapshots {
            let system = has_systems.then(|| snapshot.system.clone());
            table.row(row(snapshot, pins).into_iter().chain(system).collect());
        }
        let mut rows = table.rows(terminal.output.width()).into_iter();
        let heading = rows.next().unwrap_or_default();
        terminal.output.lines(&heading);
        for (lines, snapshot) in rows.zip(snapshots) {
            terminal.output.lines(&lines);
            if self.show_details {
                print_components(terminal, snapshot);
            }
        }
    }
}

/// Says on standard error that there are snapshots which can be brought back.
fn tell_of_forgotten(names: usize) {
    if names > 0 {
        let snapshots = count(names as u64, "deleted snapshot", "deleted snapshots");
        line(&format!("note: {snapshots} can still be brought back with `larder undelete`"));
    }
}

fn row(snapshot: &Snapshot, pins: &BTreeSet<String>) -> Vec<String> {
    let sum = |value: fn(&larder::model::Component) -> u64| size(snapshot.components.iter().map(value).sum());
    let pinned = pins.contains(snapshot.name.as_str()).then_some("(pinned)");
    let tags: Vec<&str> = pinned.into_iter().chain(snapshot.tags.iter().map(String::as_str)).collect();
    vec![
        if snapshot.status == Status::Complete { "complete" } else { "partial" }.to_owned(),
        snapshot.name.to_string(),
        snapshot.time.to_text(),
        format!("{:?}", snapshot.kind).to_lowercase(),
        size(snapshot.bytes()),
        sum(|component| component.bytes_new),
        sum(|component| component.bytes_stored),
        span(snapshot.millis),
        tags.join(","),
    ]
}

fn print_components(terminal: &Terminal<'_>, snapshot: &Snapshot) {
    for component in &snapshot.components {
        let (name, status) = (component.name.as_str(), component.status_text());
        let sizes = format!(
            "{:>10}  new {:>10}  stored {:>10}",
            size(component.bytes),
            size(component.bytes_new),
            size(component.bytes_stored)
        );
        terminal.output.line(&format!("    {name:<24} {status:<9} {:>7} files {sizes}", component.files));
    }
}
