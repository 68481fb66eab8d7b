//! `larder undelete`: brings back a snapshot that was deleted and not collected yet.

use clap::Args;
use larder::pipeline::{Error, forget};
use serde_json::json;

use super::Context;
use crate::console::line;
use crate::failure::Exit;
use crate::heads::refresh_heads;

/// Bring back a deleted snapshot, as long as its space has not been freed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder undelete system_backup_20251010_103000")]
pub(super) struct UndeleteArguments {
    /// The snapshot: its name, or the beginning of it.
    name: String,
}

impl UndeleteArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let repository = context.repository()?;
        let name = match forget::undelete(&repository, &self.name) {
            Err(error @ Error::NoSuchSnapshot { .. }) => {
                let names = repository.forgotten_names()?;
                let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                line(&format!("note: deleted and not collected: {there}"));
                return Err(error.into());
            }
            result => result?,
        };
        refresh_heads(&context.settings, &repository, &[])?;
        if context.output.is_json() {
            context.output.json(&json!({ "name": name }));
        } else {
            context.output.line(&format!("{name} is back."));
        }
        Ok(Exit::Done)
    }
}
