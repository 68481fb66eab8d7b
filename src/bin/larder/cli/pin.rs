//! `larder pin` and `larder unpin`: which snapshots no retention deletes.

use clap::Args;
use larder::pipeline::forget;
use serde_json::json;

use super::Context;
use super::select::SelectArguments;
use crate::failure::Exit;

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
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let repository = context.repository()?;
        let name = forget::pin(&repository, &self.name, &self.select.selection(context, &repository))?;
        say(context, &name, true);
        Ok(Exit::Done)
    }
}

impl UnpinArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let repository = context.repository()?;
        let name = forget::unpin(&repository, &self.name, &self.select.selection(context, &repository))?;
        say(context, &name, false);
        Ok(Exit::Done)
    }
}

fn say(context: &Context<'_>, name: &str, pinned: bool) {
    if context.output.is_json() {
        context.output.json(&json!({ "name": name, "pinned": pinned }));
    } else {
        context.output.line(&format!("{name} is {}.", if pinned { "pinned" } else { "not pinned" }));
    }
}
