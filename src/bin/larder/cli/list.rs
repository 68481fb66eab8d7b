//! `larder list`: the snapshots, newest first.

use std::collections::BTreeSet;

use clap::Args;
use larder::model::{Snapshot, Status};
use larder::pipeline::lookup;
use serde_json::{Value, json};

use super::ahead::warn_of_clock;
use super::create::component_json;
use super::select::SelectArguments;
use super::{Context, warn_unreadable};
use crate::console::{line, warning};
use crate::failure::Exit;
use crate::table::{Align, Table};
use crate::units::{count, seconds, size, span};

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
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let repository = context.repository()?;
        let mut found = lookup::snapshots(&repository)?;
        warn_of_clock(&found.snapshots);
        let has_systems = lookup::systems(&found.snapshots).len() > 1;
        let selection = self.select.selection(context, &repository);
        selection.check(&found.snapshots)?;
        let before = found.snapshots.len();
        found.snapshots.retain(|snapshot| selection.has(snapshot));
        let pins = repository.pins()?;
        let exit = if warn_unreadable(&found) { Exit::Damage } else { Exit::Done };
        if context.output.is_json() {
            context.output.json(&found.snapshots.iter().map(|snapshot| snapshot_json(snapshot, &pins)).collect());
            return Ok(exit);
        }
        if before == 0
            && let Some(why) = lookup::lost_manifests(&repository, &found.snapshots)?
        {
            warning(why);
        }
        if found.snapshots.is_empty() {
            let none = if before == 0 { "There are no snapshots yet." } else { "There are no such snapshots." };
            context.output.line(none);
            tell_of_forgotten(repository.forgotten_names()?.len());
            return Ok(exit);
        }
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
        if has_systems {
            columns.push(("system", Align::Left));
        }
        let mut table = Table::new(&columns);
        for snapshot in &found.snapshots {
            let system = has_systems.then(|| snapshot.system.clone());
            table.row(row(snapshot, &pins).into_iter().chain(system).collect());
        }
        let lines = table.lines();
        let (heading, rows) = lines.split_first().map_or((None, &[][..]), |(heading, rows)| (Some(heading), rows));
        if let Some(heading) = heading {
            context.output.line(heading);
        }
        for (text, snapshot) in rows.iter().zip(&found.snapshots) {
            context.output.line(text);
            if self.show_details {
                print_components(context, snapshot);
            }
        }
        tell_of_forgotten(repository.forgotten_names()?.len());
        Ok(exit)
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

fn print_components(context: &Context<'_>, snapshot: &Snapshot) {
    for component in &snapshot.components {
        let (name, status) = (component.name.as_str(), component.status_text());
        let sizes = format!(
            "{:>10}  new {:>10}  stored {:>10}",
            size(component.bytes),
            size(component.bytes_new),
            size(component.bytes_stored)
        );
        context.output.line(&format!("    {name:<24} {status:<9} {:>7} files {sizes}", component.files));
    }
}

/// A snapshot as every command shows it in JSON.
pub(super) fn snapshot_json(snapshot: &Snapshot, pins: &BTreeSet<String>) -> Value {
    json!({
        "name": snapshot.name,
        "time": snapshot.time.rfc3339(),
        "system": snapshot.system,
        "host": snapshot.host,
        "program": snapshot.program,
        "type": snapshot.kind,
        "series": snapshot.series,
        "status": snapshot.status,
        "parent": snapshot.parent,
        "tags": snapshot.tags,
        "dropped": snapshot.dropped,
        "pinned": pins.contains(snapshot.name.as_str()),
        "seconds": seconds(snapshot.millis),
        "bytes": snapshot.bytes(),
        "components": snapshot.components.iter().map(component_json).collect::<Vec<_>>(),
    })
}
