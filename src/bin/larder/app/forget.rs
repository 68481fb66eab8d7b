//! Deleting single snapshots: what is meant, what speaks against it, and the deletion.

use larder::pipeline::forget::{self, ForgetPlan, Forgotten};
use larder::repo::Repository;

use super::context::Context;
use super::known_newest::refresh_newest;
use super::restoring::needed;
use super::selection::Select;
use crate::error::UsageError;

/// What would be deleted, and the repository that has it.
pub(crate) struct PlannedForget {
    repository: Repository,
    plan: ForgetPlan,
}

impl PlannedForget {
    /// Finds the snapshots that are meant. Without `force` those are refused that rules protect, or that a restore needs again.
    pub(crate) fn find(
        context: &Context<'_>,
        select: &Select,
        (names, force): (&[String], bool),
    ) -> anyhow::Result<Self> {
        let repository = context.repository()?;
        let plan = forget::plan(&repository, names, &select.selection(context, &repository))?;
        let needed = needed(&repository);
        for name in plan.names.iter().filter(|name| needed.contains(*name)) {
            let message = format!("a restore of {name} has not ended well, and needs it again");
            if !force {
                return Err(UsageError::with_advice(message, "`--force` deletes it all the same").into());
            }
            context.events.warn(&message);
        }
        if let Some(protected) = plan.protected.first().filter(|_| !force) {
            let rules: Vec<String> = protected.keep.iter().map(ToString::to_string).collect();
            let message = format!("{} is the {}", protected.name, rules.join(", the "));
            return Err(UsageError::with_advice(message, "`--force` deletes it all the same").into());
        }
        Ok(Self { repository, plan })
    }

    /// The names of the snapshots.
    pub(crate) fn names(&self) -> &[String] {
        &self.plan.names
    }

    /// Deletes them.
    pub(crate) fn execute(self, context: &Context<'_>) -> anyhow::Result<Vec<Forgotten>> {
        let forgotten = forget::execute(&self.repository, self.plan)?;
        let names: Vec<String> = forgotten.iter().map(|one| one.name.clone()).collect();
        refresh_newest(context, &self.repository, &names)?;
        for one in forgotten.iter().filter(|one| !one.can_return) {
            context.events.warn(&format!("{} cannot be brought back: the disk is full", one.name));
        }
        Ok(forgotten)
    }
}
