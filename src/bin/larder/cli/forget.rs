//! `larder forget`: deletes single snapshots.

use clap::Args;
use larder::pipeline::forget;
use serde_json::json;

use super::Context;
use super::select::SelectArguments;
use crate::console::{confirm, line, warning};
use crate::failure::{Exit, UsageError};
use crate::heads::refresh_heads;
use crate::restoring::needed;
use crate::units::count;

/// Delete snapshots by name.
///
/// The space is freed by the next `larder prune`. Until then `larder undelete` brings them back.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder forget system_backup_20251010_103000")]
pub(super) struct ForgetArguments {
    /// The snapshots: names, or beginnings of them.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Do not ask, and delete also what is the newest complete of its series, or the newest copy of a component, or what a restore needs
    /// again that has not ended well.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    select: SelectArguments,
}

impl ForgetArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let repository = context.repository()?;
        let plan = forget::plan(&repository, &self.names, &self.select.selection(context, &repository))?;
        let needed = needed(&repository);
        for name in plan.names.iter().filter(|name| needed.contains(*name)) {
            let message = format!("a restore of {name} has not ended well, and needs it again");
            if !self.force {
                return Err(UsageError::with_advice(message, "`--force` deletes it all the same").into());
            }
            warning(&message);
        }
        if !self.force {
            ask(&plan)?;
        }
        let forgotten = forget::execute(&repository, plan)?;
        refresh_heads(
            &context.settings,
            &repository,
            &forgotten.iter().map(|one| one.name.clone()).collect::<Vec<_>>(),
        )?;
        for one in forgotten.iter().filter(|one| !one.can_return) {
            warning(&format!("{} cannot be brought back: the disk is full", one.name));
        }
        if context.output.is_json() {
            let forgotten = forgotten.iter().map(|one| json!({ "name": one.name, "can_return": one.can_return }));
            context.output.json(&json!({ "forgotten": forgotten.collect::<Vec<_>>() }));
            return Ok(Exit::Done);
        }
        for one in &forgotten {
            context.output.line(&format!("{} is deleted.", one.name));
        }
        context.output.line("`larder prune` frees the space; until then `larder undelete NAME` brings one back.");
        Ok(Exit::Done)
    }
}

fn ask(plan: &forget::ForgetPlan) -> anyhow::Result<()> {
    if let Some(protected) = plan.protected.first() {
        let rules: Vec<String> = protected.keep.iter().map(ToString::to_string).collect();
        let message = format!("{} is the {}", protected.name, rules.join(", the "));
        return Err(UsageError::with_advice(message, "`--force` deletes it all the same").into());
    }
    plan.names.iter().for_each(|name| line(&format!("  {name}")));
    let snapshots = count(plan.names.len() as u64, "snapshot", "snapshots");
    confirmed(confirm(&format!("Delete {snapshots}?")))
}

/// Turns the answer to whether something is to be deleted into an error unless it is yes.
pub(super) fn confirmed(answer: Option<bool>) -> anyhow::Result<()> {
    match answer {
        Some(true) => Ok(()),
        Some(false) => Err(UsageError::new("nothing was deleted").into()),
        None => Err(UsageError::with_advice(
            "nobody is there to confirm that snapshots are deleted",
            "`--force` deletes without a question",
        )
        .into()),
    }
}
