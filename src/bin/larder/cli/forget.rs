//! `larder forget`: deletes single snapshots.

use clap::Args;

use super::confirm::confirm_deletion;
use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::forget::PlannedForget;
use crate::exit::Exit;
use crate::term::console::line;
use crate::units::count;
use crate::view::documents::forget::ForgetDocument;

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
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        let plan = PlannedForget::find(&terminal.context, &self.select.select(), (&self.names, self.force))?;
        if !self.force {
            plan.names().iter().for_each(|name| line(&format!("  {name}")));
            let snapshots = count(plan.names().len() as u64, "snapshot", "snapshots");
            confirm_deletion(terminal, &format!("Delete {snapshots}?"))?;
        }
        let forgotten = plan.execute(&terminal.context)?;
        if terminal.output.is_json() {
            terminal.output.document(&ForgetDocument::new(&forgotten))?;
            return Ok(Exit::Done);
        }
        for one in &forgotten {
            terminal.output.line(&format!("{} is deleted.", one.name));
        }
        terminal.output.line("`larder prune` frees the space; until then `larder undelete NAME` brings one back.");
        Ok(Exit::Done)
    }
}
