//! `larder undelete`: brings back a snapshot that was deleted and not collected yet.

use clap::Args;

use super::terminal::Terminal;
use crate::app::snapshots::undelete;
use crate::exit::Exit;
use crate::view::documents::snapshot::NameDocument;

/// Bring back a deleted snapshot, as long as its space has not been freed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder undelete system_backup_20251010_103000")]
pub(super) struct UndeleteArguments {
    /// The snapshot: its name, or the beginning of it.
    name: String,
}

impl UndeleteArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        let name = undelete(&terminal.context, &self.name)?;
        if terminal.output.is_json() {
            terminal.output.document(&NameDocument { name: &name })?;
        } else {
            terminal.output.line(&format!("{name} is back."));
        }
        Ok(Exit::Done)
    }
}
