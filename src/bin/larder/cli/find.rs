//! `larder find`: which snapshots have an entry.

use clap::Args;
use larder::pipeline::find::find;
use larder::pipeline::lookup;
use serde_json::{Value, json};

use super::ls::{line, node_json};
use super::select::SelectArguments;
use super::{Context, warn_unreadable};
use crate::failure::Exit;

/// Find entries by name or path in all snapshots.
///
/// `*` and `?` stop at slashes, `**` does not. A pattern without a slash matches names; one with a slash whole paths,
/// which begin with the component.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder find '*.pkl'\n  larder find 'config/**/*.yaml' --snapshot latest")]
pub(super) struct FindArguments {
    /// What to look for.
    pattern: String,
    /// Only in this snapshot.
    #[arg(long, value_name = "NAME")]
    snapshot: Option<String>,
    #[command(flatten)]
    select: SelectArguments,
}

impl FindArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let repository = context.repository()?;
        let (snapshots, exit) = if let Some(name) = &self.snapshot {
            (vec![self.select.snapshot(context, &repository, name)?], Exit::Done)
        } else {
            let found = lookup::snapshots(&repository)?;
            let exit = if warn_unreadable(&found) { Exit::Damage } else { Exit::Done };
            let selection = self.select.selection(context, &repository);
            (found.snapshots.into_iter().filter(|snapshot| selection.has(snapshot)).collect(), exit)
        };
        let mut entries = Vec::new();
        find(&repository, &snapshots, &self.pattern, &context.progress, &mut |snapshot, path, node| {
            if context.output.is_json() {
                entries.push(json!({ "snapshot": snapshot.name, "entry": node_json(path, node, snapshot) }));
            } else {
                context.output.line(&format!("{}  {}", snapshot.name, line(path, node, snapshot)));
            }
            Ok(())
        })?;
        if context.output.is_json() {
            context.output.json(&Value::Array(entries));
        }
        Ok(exit)
    }
}
