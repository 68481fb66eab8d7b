//! `larder pin` and `larder unpin`: which snapshots no retention deletes.

use clap::Args;

use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::snapshots::pin;
use crate::exit::Exit;
use crate::view::documents::snapshot::PinDocument;

/// Keep a snapshot whatever the retention says.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder pin system_backup_20251010_103000")]
pub(super) struct PinArguments {
    /// The snapshot: its name, the beginning of it, or `latest`.
    name: String,
    #[command(flatten)]
    select: SelectArguments,
}

/// Let the retention decide about a snapshot again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder unpin system_backup_20251010_103000")]
pub(super) struct UnpinArguments {
    /// The snapshot: its name, the beginning of it, or `latest`.
    name: String,
    #[command(flatten)]
    select: SelectArguments,
}

impl PinArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        change(terminal, &self.select, (&self.name, true))
    }
}

impl UnpinArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        change(terminal, &self.select, (&self.name, false))
    }
}

fn change(terminal: &Terminal<'_>, select: &SelectArguments, (name, pinned): (&str, bool)) -> anyhow::Result<Exit> {
    let (name, was_pinned) = pin(&terminal.context, &select.select(), (name, pinned))?;
    if terminal.output.is_json() {
        terminal.output.document(&PinDocument { name: &name, pinned })?;
    } else {
        let text = match (was_pinned, pinned) {
            (false, true) => "is pinned",
            (true, true) => "was pinned already",
            (true, false) => "is not pinned any more",
            (false, false) => "was not pinned",
        };
        terminal.output.line(&format!("{name} {text}."));
    }
    Ok(Exit::Done)
}
