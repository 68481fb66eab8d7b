//! Deleting old snapshots and freeing what nothing needs: what would go, what speaks against it, and the deletion.

use larder::model::Rule;
use larder::pack;
use larder::pipeline::prune::{self, Decision, PruneOptions, PrunePlan, PruneReport};
use larder::repo::Repository;

use super::clock::warn_of_ahead;
use super::context::Context;
use super::identity::{check_repository_id, check_repository_is_known};
use super::known_newest::{WAYS_OUT_OF_LOSS, lost_newest, refresh_newest};
use super::restoring::needed;
use crate::config::RetentionTable;
use crate::error::UsageError;
use crate::exit::Exit;
use crate::units::{count, size};

/// A prune as somebody wants it.
#[derive(Debug, Clone)]
pub(crate) struct PruneRequest {
    /// What is said for this run, over the configuration.
    pub(crate) retention: RetentionTable,
    /// Bytes that may be written anew to free space.
    pub(crate) rewrite_bytes_max: Option<u64>,
    /// Beginnings of the ids of the repositories that may be pruned; none for any.
    pub(crate) repository_ids: Vec<String>,
}

/// What would be deleted, and the repository that has it.
pub(crate) struct PlannedPrune {
    repository: Repository,
    plan: PrunePlan,
    bytes_max: Option<u64>,
}

/// What was deleted.
pub(crate) struct PruneOutcome {
    pub(crate) decisions: Vec<Decision>,
    /// Whether what is left fits; `None` without a limit.
    pub(crate) fits: Option<bool>,
    pub(crate) report: PruneReport,
    pub(crate) exit: Exit,
}

impl PlannedPrune {
    /// Decides about each snapshot. Nothing is changed.
    pub(crate) fn find(context: &Context<'_>, request: PruneRequest) -> anyhow::Result<Self> {
        let (retention, bytes_max) = request.retention.resolve(&context.settings.retention)?;
        let repository = context.repository()?;
        check(context, &repository, &request.repository_ids)?;
        let rewrite_bytes_max = request.rewrite_bytes_max;
        let options = PruneOptions { retention, needed: needed(&repository), bytes_max, rewrite_bytes_max };
        let plan = prune::plan(&repository, &options, &context.monitor)?;
        let ahead = plan.decisions.iter().filter(|decision| decision.rules.contains(&Rule::Ahead));
        warn_of_ahead(context.events, &ahead.map(|decision| decision.name.as_str()).collect::<Vec<_>>());
        Ok(Self { repository, plan, bytes_max })
    }

    /// What was decided.
    pub(crate) const fn plan(&self) -> &PrunePlan {
        &self.plan
    }

    /// Warns of what the reader of the decisions should know.
    pub(crate) fn warn(&self, context: &Context<'_>) {
        let beyond: Vec<&str> = self.beyond_rules().map(|decision| decision.name.as_str()).collect();
        if let Some(bytes_max) = self.bytes_max.filter(|_| !beyond.is_empty()) {
            let snapshots = count(beyond.len() as u64, "snapshot that rules keep goes", "snapshots that rules keep go");
            let (names, most) = (beyond.join(", "), size(bytes_max));
            context.events.warn_with(
                &format!("{snapshots} all the same, because the repository may take {most} at most: {names}"),
                "a larger `max_size_gb` in [retention] or `--max-size-gb` keeps them; 0 is no limit",
            );
        }
        if self.plan.fits == Some(false) {
            context
                .events
                .warn("the repository stays larger than it may be: what is left is pinned, or the newest there is");
        }
        for (pack, error) in self.plan.untrue() {
            let pack = pack::key(*pack);
            context.events.warn(&format!("{pack} is not what the index says, and something else is used: {error}"));
        }
    }

    /// The status of a plan that is not executed.
    pub(crate) fn exit(&self) -> Exit {
        if self.plan.untrue().is_empty() { self.unfit() } else { Exit::Damage }
    }

    /// Deletes, and frees the space.
    pub(crate) fn execute(self, context: &Context<'_>) -> anyhow::Result<PruneOutcome> {
        let (unfit, decisions, fits) = (self.unfit(), self.plan.decisions.clone(), self.plan.fits);
        let report = prune::execute(&self.repository, self.plan, &context.monitor)?;
        refresh_newest(context, &self.repository, &report.deleted)?;
        let is_protected = context.protect(&self.repository)?;
        let is_sound = report.collected.damaged.is_empty() && report.collected.untrue.is_empty();
        let exit = match (is_sound, report.collected.is_waiting || !is_protected) {
            (false, _) => Exit::Damage,
            (true, true) => Exit::Partial,
            (true, false) => unfit,
        };
        Ok(PruneOutcome { decisions, fits, report, exit })
    }

    /// The status that the size of the repository gives.
    fn unfit(&self) -> Exit {
        let is_fit = self.plan.fits != Some(false) && self.beyond_rules().next().is_none();
        if is_fit { Exit::Done } else { Exit::Partial }
    }

    /// The snapshots that go because the repository is too large, though rules keep them.
    fn beyond_rules(&self) -> impl Iterator<Item = &Decision> {
        self.plan.decisions.iter().filter(|decision| decision.is_too_much && !decision.rules.is_empty())
    }
}

/// Refuses a repository that is not the one that was used here, or that may have lost manifests: what is deleted is not brought back by
/// mounting the right disk.
fn check(context: &Context<'_>, repository: &Repository, ids: &[String]) -> anyhow::Result<()> {
    check_repository_is_known(context, Some(repository), false)?;
    check_repository_id(context, Some(repository), ids)?;
    if let Some(why) = lost_newest(context, repository, false)? {
        return Err(UsageError::with_advice(format!("{why}: nothing is deleted"), WAYS_OUT_OF_LOSS).into());
    }
    Ok(())
}
