//! `larder prune`: deletes old snapshots and frees the space of everything that nothing needs.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use larder::id::PackId;
use larder::model::Rule;
use larder::pack;
use larder::pipeline::prune::{self, Decision, PruneOptions, PrunePlan, PruneReport};
use larder::repo::{self, Repository};
use serde_json::{Value, json};

use super::Context;
use super::ahead::warn_of_ahead;
use super::create::repository_id;
use super::forget::confirmed;
use crate::config::{RetentionTable, parse_size, parse_span};
use crate::console::{advice, confirm, warning};
use crate::failure::{Exit, UsageError};
use crate::heads::{WAYS_OUT_OF_LOSS, lost_newest, refresh_heads};
use crate::identity::{check_repository_id, check_repository_is_known};
use crate::restoring::needed;
use crate::table::{Align, Table};
use crate::units::{count, size};

/// Delete the snapshots that no rule keeps, and free the space of everything that nothing needs.
///
/// Of the last days, weeks and months that have complete snapshots the best one of each is kept. The newest complete
/// snapshot is never deleted, nor is a pinned one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder prune --dry-run\n  larder prune --daily 14 --weekly 8 --force\n  \
    larder prune --keep-within 30d --max-size-gb 200")]
pub(super) struct PruneArguments {
    /// Keep the best snapshot of each of the last N days [default: 7].
    #[arg(long, value_name = "N")]
    daily: Option<u32>,
    /// Keep the best snapshot of each of the last N weeks [default: 4].
    #[arg(long, value_name = "N")]
    weekly: Option<u32>,
    /// Keep the best snapshot of each of the last N months [default: 3].
    #[arg(long, value_name = "N")]
    monthly: Option<u32>,
    /// Keep the last N snapshots.
    #[arg(long, value_name = "N")]
    keep_last: Option<u32>,
    /// Keep the best snapshot of each of the last N hours.
    #[arg(long, value_name = "N")]
    keep_hourly: Option<u32>,
    /// Keep the best snapshot of each of the last N years.
    #[arg(long, value_name = "N")]
    keep_yearly: Option<u32>,
    /// Keep everything that is at most this much older than the newest snapshot, like 36h, 30d, 8w, 2y.
    #[arg(long, value_name = "SPAN", value_parser = |text: &str| parse_span(text).map(|_| text.to_owned()))]
    keep_within: Option<String>,
    /// Keep everything with this tag; may be repeated.
    #[arg(long, value_name = "TAG", value_parser = NonEmptyStringValueParser::new())]
    keep_tag: Vec<String>,
    /// Delete the oldest snapshots, also those that rules keep, until the repository takes no more than this; 0 for no limit
    /// [default: 50].
    #[arg(long, value_name = "N")]
    max_size_gb: Option<f64>,
    /// Write at most so much anew to free space, like 500M or 2G.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_repack_size: Option<u64>,
    /// Prune no other repository than the one whose id begins like this; may be repeated. Schedules have it.
    #[arg(long, value_name = "ID", value_parser = repository_id)]
    repository_id: Vec<String>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    force: bool,
}

impl PruneArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        let (retention, bytes_max) = self.table().resolve(&context.settings.retention)?;
        let repository = context.repository()?;
        self.check(context, &repository)?;
        let needed = needed(&repository);
        let options = PruneOptions { retention, needed, bytes_max, rewrite_bytes_max: self.max_repack_size };
        let plan = prune::plan(&repository, &options, &context.progress);
        context.progress.end();
        let plan = plan?;
        let (decisions, fits) = (plan.decisions.clone(), plan.fits);
        let going = plan.going().count() as u64;
        let ahead = decisions.iter().filter(|decision| decision.rules.contains(&Rule::Ahead));
        warn_of_ahead(&ahead.map(|decision| decision.name.as_str()).collect::<Vec<_>>());
        if !context.output.is_json() {
            print_decisions(context, &decisions);
        }
        let beyond: Vec<&str> = beyond_rules(&decisions).map(|decision| decision.name.as_str()).collect();
        if let Some(bytes_max) = options.bytes_max.filter(|_| !beyond.is_empty()) {
            let (snapshots, names) = (
                count(beyond.len() as u64, "snapshot that rules keep goes", "snapshots that rules keep go"),
                beyond.join(", "),
            );
            warning(&format!(
                "{snapshots} all the same, because the repository may take {} at most: {names}",
                size(bytes_max)
            ));
            advice("a larger `max_size_gb` in [retention] or `--max-size-gb` keeps them; 0 is no limit");
        }
        if fits == Some(false) {
            warning("the repository stays larger than it may be: what is left is pinned, or the newest there is");
        }
        let unfit = if fits == Some(false) || !beyond.is_empty() { Exit::Partial } else { Exit::Done };
        for (pack, error) in plan.untrue() {
            warning(&format!("{} is not what the index says, and something else is used: {error}", pack::key(*pack)));
        }
        if self.dry_run {
            print_plan(context, &plan);
            return Ok(if plan.untrue().is_empty() { unfit } else { Exit::Damage });
        }
        if going > 0 && !self.force {
            context.output.flush();
            confirmed(confirm(&format!("Delete {}?", count(going, "snapshot", "snapshots"))))?;
        }
        context.progress.stop_cleanly()?;
        let report = prune::execute(&repository, plan, &context.progress);
        context.progress.end();
        let report = report?;
        refresh_heads(&context.settings, &repository, &report.deleted)?;
        print_report(context, &decisions, fits, &report);
        let is_protected = context.protect(&repository)?;
        for (pack, error) in &report.collected.damaged {
            warning(&format!("{} stays as it is, because it is damaged: {error}", pack::key(*pack)));
        }
        if report.collected.is_waiting {
            warning("others used or changed the repository meanwhile: the space is freed by the next prune");
        }
        let is_sound = report.collected.damaged.is_empty() && report.collected.untrue.is_empty();
        Ok(match (is_sound, report.collected.is_waiting || !is_protected) {
            (false, _) => Exit::Damage,
            (true, true) => Exit::Partial,
            (true, false) => unfit,
        })
    }

    /// Refuses a repository that is not the one that was used here, or that may have lost manifests: what is deleted is not brought back by
    /// mounting the right disk.
    fn check(&self, context: &Context<'_>, repository: &Repository) -> anyhow::Result<()> {
        check_repository_is_known(&context.settings, Some(repository), false)?;
        check_repository_id(&context.settings, Some(repository), &self.repository_id)?;
        if let Some(why) = lost_newest(&context.settings, repository, false)? {
            return Err(UsageError::with_advice(format!("{why}: nothing is deleted"), WAYS_OUT_OF_LOSS).into());
        }
        Ok(())
    }

    fn table(&self) -> RetentionTable {
        RetentionTable {
            last: self.keep_last,
            hourly: self.keep_hourly,
            daily: self.daily,
            weekly: self.weekly,
            monthly: self.monthly,
            yearly: self.keep_yearly,
            within: self.keep_within.clone(),
            tags: self.keep_tag.clone(),
            max_size_gb: self.max_size_gb,
        }
    }
}

/// The snapshots that go because the repository is too large, though rules keep them.
fn beyond_rules(decisions: &[Decision]) -> impl Iterator<Item = &Decision> {
    decisions.iter().filter(|decision| decision.is_too_much && !decision.rules.is_empty())
}

/// Why a snapshot stays or goes.
fn reasons(decision: &Decision) -> Vec<String> {
    if decision.is_too_much {
        let rules: Vec<String> = decision.rules.iter().map(ToString::to_string).collect();
        return vec![format!("the repository is too large, though {}", rules.join(", "))];
    }
    decision.rules.iter().map(ToString::to_string).collect()
}

fn print_decisions(context: &Context<'_>, decisions: &[Decision]) {
    if decisions.is_empty() {
        context.output.line("There are no snapshots yet.");
        return;
    }
    let columns = [("action", Align::Left), ("name", Align::Left), ("time", Align::Left), ("because", Align::Left)];
    let mut table = Table::new(&columns);
    for decision in decisions {
        let reasons = reasons(decision);
        table.row(vec![
            if decision.is_kept() { "keep" } else { "delete" }.to_owned(),
            decision.name.to_string(),
            decision.time.to_text(),
            if reasons.is_empty() { "no rule keeps it".to_owned() } else { reasons.join(", ") },
        ]);
    }
    table.lines().iter().for_each(|line| context.output.line(line));
}

fn print_plan(context: &Context<'_>, plan: &PrunePlan) {
    let sums = plan.sums();
    if context.output.is_json() {
        context.output.json(&json!({
            "dry_run": true,
            "snapshots": plan.decisions.iter().map(to_json).collect::<Vec<_>>(),
            "deleted": [],
            "bytes_before": plan.bytes_before,
            "bytes_after": plan.bytes_after,
            "bytes_later": 0,
            "packs_deleted": sums.dead.0 + sums.rewritten.0,
            "bytes_written": sums.written_bytes,
            "fits": plan.fits,
            "damaged": damaged_json(plan.untrue()),
        }));
        return;
    }
    let packs = count(sums.dead.0, "pack goes", "packs go");
    context.output.line(&format!(
        "{packs} ({}), {} of {} would be written anew as about {}.",
        size(sums.dead.1),
        count(sums.rewritten.0, "pack", "packs"),
        size(sums.rewritten.1),
        size(sums.written_bytes)
    ));
    context.output.line(&format!(
        "The repository takes {} now and about {} afterwards.",
        size(plan.bytes_before),
        size(plan.bytes_after)
    ));
    context.output.line("Dry run: nothing was deleted.");
}

fn print_report(context: &Context<'_>, decisions: &[Decision], fits: Option<bool>, report: &PruneReport) {
    let collected = &report.collected;
    if context.output.is_json() {
        let damaged = [damaged_json(&collected.untrue), damaged_json(&collected.damaged)].concat();
        context.output.json(&json!({
            "dry_run": false,
            "snapshots": decisions.iter().map(to_json).collect::<Vec<_>>(),
            "deleted": report.deleted,
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
            "bytes_later": report.later_bytes,
            "packs_deleted": collected.deleted.0,
            "bytes_written": collected.written.1,
            "fits": fits,
            "damaged": damaged,
        }));
        return;
    }
    let snapshots = count(report.deleted.len() as u64, "snapshot is", "snapshots are");
    let freed = report.bytes_before.saturating_sub(report.bytes_after);
    context.output.line(&format!(
        "{snapshots} deleted, {} freed: the repository takes {}, it took {}.",
        size(freed),
        size(report.bytes_after),
        size(report.bytes_before)
    ));
    if report.later_bytes > 0 {
        context.output.line(&format!("The next prune frees about {}.", size(report.later_bytes)));
    }
}

fn damaged_json(packs: &[(PackId, repo::Error)]) -> Vec<Value> {
    let object =
        |(id, error): &(PackId, repo::Error)| json!({ "object": pack::key(*id).path(), "what": error.to_string() });
    packs.iter().map(object).collect()
}

fn to_json(decision: &Decision) -> Value {
    json!({
        "name": decision.name,
        "time": decision.time.rfc3339(),
        "keep": decision.is_kept(),
        "because": reasons(decision),
    })
}
