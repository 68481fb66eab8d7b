//! `larder prune`: deletes old snapshots and frees the space of everything that nothing needs.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use larder::pack;
use larder::pipeline::prune::{Decision, PrunePlan};

use super::confirm::confirm_deletion;
use super::terminal::Terminal;
use super::values::repository_id;
use crate::app::prune::{PlannedPrune, PruneOutcome, PruneRequest};
use crate::config::{RetentionTable, parse_size, parse_span};
use crate::exit::Exit;
use crate::term::console::warning;
use crate::term::table::{Align, Table};
use crate::units::{count, size};
use crate::view::documents::prune::{PruneDocument, reasons};

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
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        let context = &terminal.context;
        let planned = terminal.ended(PlannedPrune::find(context, self.request()))?;
        let plan = planned.plan();
        if !terminal.output.is_json() {
            print_decisions(terminal, &plan.decisions);
        }
        planned.warn(context);
        if self.dry_run {
            print_plan(terminal, plan)?;
            return Ok(planned.exit());
        }
        let going = plan.going().count() as u64;
        if going > 0 && !self.force {
            terminal.output.flush();
            confirm_deletion(terminal, &format!("Delete {}?", count(going, "snapshot", "snapshots")))?;
        }
        terminal.console.stop_cleanly()?;
        let outcome = terminal.ended(planned.execute(context))?;
        print_report(terminal, &outcome)?;
        Ok(outcome.exit)
    }

    fn request(&self) -> PruneRequest {
        PruneRequest {
            retention: self.table(),
            rewrite_bytes_max: self.max_repack_size,
            repository_ids: self.repository_id.clone(),
        }
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

fn print_decisions(terminal: &Terminal<'_>, decisions: &[Decision]) {
    if decisions.is_empty() {
        terminal.output.line("There are no snapshots yet.");
        return;
    }
    let columns = [("action", Align::Left), ("name", Align::Left), ("time", Align::Left), ("because", Align::Left)];
    let mut table = Table::new(&columns).leaving_out(&["time"]);
    for decision in decisions {
        let reasons = reasons(decision);
        table.row(vec![
            if decision.is_kept() { "keep" } else { "delete" }.to_owned(),
            decision.name.to_string(),
            decision.time.to_text(),
            if reasons.is_empty() { "no rule keeps it".to_owned() } else { reasons.join(", ") },
        ]);
    }
    terminal.output.table(&table);
}

fn print_plan(terminal: &Terminal<'_>, plan: &PrunePlan) -> anyhow::Result<()> {
    let sums = plan.sums();
    if terminal.output.is_json() {
        return terminal.output.document(&PruneDocument::of_plan(plan));
    }
    let packs = count(sums.dead.0, "pack goes", "packs go");
    terminal.output.line(&format!(
        "{packs} ({}), {} of {} would be written anew as about {}.",
        size(sums.dead.1),
        count(sums.rewritten.0, "pack", "packs"),
        size(sums.rewritten.1),
        size(sums.written_bytes)
    ));
    terminal.output.line(&format!(
        "The repository takes {} now and about {} afterwards.",
        size(plan.bytes_before),
        size(plan.bytes_after)
    ));
    terminal.output.line("Dry run: nothing was deleted.");
    Ok(())
}

fn print_report(terminal: &Terminal<'_>, outcome: &PruneOutcome) -> anyhow::Result<()> {
    let report = &outcome.report;
    if terminal.output.is_json() {
        terminal.output.document(&PruneDocument::of_outcome(outcome))?;
    } else {
        let snapshots = count(report.deleted.len() as u64, "snapshot is", "snapshots are");
        let freed = report.bytes_before.saturating_sub(report.bytes_after);
        terminal.output.line(&format!(
            "{snapshots} deleted, {} freed: the repository takes {}, it took {}.",
            size(freed),
            size(report.bytes_after),
            size(report.bytes_before)
        ));
        if report.later_bytes > 0 {
            terminal.output.line(&format!("The next prune frees about {}.", size(report.later_bytes)));
        }
    }
    for (pack, error) in &report.collected.damaged {
        warning(&format!("{} stays as it is, because it is damaged: {error}", pack::key(*pack)));
    }
    if report.collected.is_waiting {
        warning("others used or changed the repository meanwhile: the space is freed by the next prune");
    }
    Ok(())
}
