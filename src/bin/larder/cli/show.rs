//! `larder show`: everything that the manifest of a snapshot says.

use clap::Args;
use larder::model::{Component, ComponentName, VolumeMethod};

use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::snapshots::show;
use crate::exit::Exit;
use crate::units::{count, size, span};
use crate::view::documents::snapshot::SnapshotDocument;

/// Show everything that is known of a snapshot.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder show latest")]
pub(super) struct ShowArguments {
    /// The snapshot: its name, the beginning of it, or `latest`.
    name: String,
    #[command(flatten)]
    select: SelectArguments,
}

impl ShowArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        let (snapshot, pins) = show(&terminal.context, &self.select.select(), &self.name)?;
        let output = terminal.output;
        if output.is_json() {
            output.document(&SnapshotDocument::new(&snapshot, &pins))?;
            return Ok(Exit::Done);
        }
        let parent = snapshot.parent.as_ref().map_or("none", |parent| parent.as_str());
        output.line(&format!("{}", snapshot.name));
        output.line(&format!("  time     {}", snapshot.time.rfc3339()));
        output.line(&format!("  status   {}", format!("{:?}", snapshot.status).to_lowercase()));
        output.line(&format!("  type     {}", format!("{:?}", snapshot.kind).to_lowercase()));
        output.line(&format!("  series   {}", snapshot.series));
        output.line(&format!("  system   {}", snapshot.system));
        output.line(&format!("  host     {}", snapshot.host));
        output.line(&format!("  program  {}", snapshot.program));
        output.line(&format!("  parent   {parent}"));
        if pins.contains(snapshot.name.as_str()) {
            output.line("  pinned   yes");
        }
        if !snapshot.tags.is_empty() {
            output.line(&format!("  tags     {}", snapshot.tags.join(", ")));
        }
        if !snapshot.dropped.is_empty() {
            let dropped: Vec<&str> = snapshot.dropped.iter().map(ComponentName::as_str).collect();
            output.line(&format!("  dropped  {}", dropped.join(", ")));
        }
        output.line(&format!("  size     {} in {}", size(snapshot.bytes()), span(snapshot.millis)));
        for component in &snapshot.components {
            print_component(terminal, component);
        }
        Ok(Exit::Done)
    }
}

fn print_component(terminal: &Terminal<'_>, component: &Component) {
    let output = terminal.output;
    output.line("");
    output.line(&format!(
        "{} ({}, {})",
        component.name,
        component.status_text(),
        format!("{:?}", component.consistency).to_lowercase()
    ));
    output.line(&format!("  from     {}", component.source));
    if component.is_accepted() {
        output.line("  accepted as it was, though it had been something else");
    }
    let files = count(component.files, "file", "files");
    output.line(&format!("  size     {} in {files}", size(component.bytes)));
    output.line(&format!("  read     {}", size(component.bytes_read)));
    output.line(&format!("  new      {}, stored in {}", size(component.bytes_new), size(component.bytes_stored)));
    output.line(&format!("  took     {}", span(component.millis)));
    if let Some(facts) = &component.database {
        output.line(&format!("  server   PostgreSQL {}, dumped by {}", facts.server_version, facts.dump_version));
        // A dump that was imported says less.
        if facts.owner.is_empty() {
            output.line(&format!("  database {}", facts.name));
            output.line(&format!("  encoding {}", facts.encoding));
        } else {
            let bytes = size(facts.size_bytes);
            output.line(&format!("  database {} of {}, {bytes} on the server", facts.name, facts.owner));
            output.line(&format!("  encoding {}, collation {}", facts.encoding, facts.collate));
            let extensions: Vec<String> =
                facts.extensions.iter().map(|(name, version)| format!("{name} {version}")).collect();
            output.line(&format!("  extensions {}", extensions.join(", ")));
        }
        for table in &facts.tables {
            output.line(&format!("  {:>12} rows  {}", table.rows, table.table));
        }
    }
    if let Some(facts) = &component.volume {
        let method = match facts.method {
            VolumeMethod::Mountpoint => "at its mount point",
            VolumeMethod::Engine => "through the engine",
            VolumeMethod::Archive => "from an archive",
        };
        output.line(&format!("  volume   {}, driver {}, read {method}", facts.name, facts.driver));
        if !facts.containers.is_empty() {
            output.line(&format!("  used by  {}", facts.containers.join(", ")));
        }
        if !facts.held.is_empty() {
            output.line(&format!("  held     {} for {}", facts.held.join(", "), span(facts.held_millis)));
        }
        if let Some(data) = &facts.server_data {
            let place = if data.is_empty() { "in its root" } else { data };
            output.line(&format!("  holds    the data directory of PostgreSQL, {place}"));
        }
    }
    for (problems, word) in [(&component.errors, "error"), (&component.notes, "note")] {
        problems.messages.iter().for_each(|message| output.line(&format!("  {word}: {message}")));
        let more = problems.count - problems.messages.len() as u64;
        if more > 0 {
            output.line(&format!("  {word}: {more} more"));
        }
    }
}
