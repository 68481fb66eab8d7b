//! `larder repair`: makes what is damaged readable again as far as that goes, and says what is lost.

use std::path::PathBuf;

use clap::Args;
use larder::pipeline::repair::RepairReport;
use larder::pipeline::verify::VerifyReport;

use super::losses::{print_damage, print_lost};
use super::terminal::Terminal;
use crate::app::repair;
use crate::exit::Exit;
use crate::term::console::{advice, warning};
use crate::units::{count, size};
use crate::view::documents::repair::{RepairDocument, RepairPlanDocument};

/// Mend a damaged repository, and say exactly what is lost.
///
/// Every byte is read. Where the index or a pack is damaged, the index is written anew from the packs, and what is whole
/// in a damaged pack is copied out of it. Damaged objects go to `quarantine/`. With --from, lost data is looked for in
/// files that still have it. Nobody else may use the repository meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder repair --dry-run\n  larder repair\n  \
    larder repair --from /srv/app/models --from /srv/app/outputs")]
pub(super) struct RepairArguments {
    /// Look for lost data in this file, or in all files below this directory; may be repeated.
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// Say what is damaged, and change nothing.
    #[arg(long, conflicts_with = "from")]
    dry_run: bool,
}

impl RepairArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        terminal.console.stop_cleanly()?;
        if self.dry_run {
            let plan = terminal.ended(repair::plan(&terminal.context))?;
            print_plan(terminal, &plan.report)?;
            return Ok(plan.exit);
        }
        let repaired = terminal.ended(repair::run(&terminal.context, &self.from))?;
        print_report(terminal, &repaired.report)?;
        terminal.ended(repaired.protect(&terminal.context))
    }
}

fn print_plan(terminal: &Terminal<'_>, report: &VerifyReport) -> anyhow::Result<()> {
    if terminal.output.is_json() {
        return terminal.output.document(&RepairPlanDocument::new(report));
    }
    print_damage(terminal, &report.damage);
    print_lost(terminal, &report.affected);
    let verdict = if report.is_clean() {
        "Dry run: nothing is damaged."
    } else {
        "Dry run: nothing was changed. A repair may find some of what is lost."
    };
    terminal.output.line(verdict);
    Ok(())
}

fn print_report(terminal: &Terminal<'_>, report: &RepairReport) -> anyhow::Result<()> {
    for file in &report.unreadable {
        warning(&format!("not looked into: {file}"));
    }
    if terminal.output.is_json() {
        return terminal.output.document(&RepairDocument::new(report));
    }
    let output = terminal.output;
    print_damage(terminal, &report.damage);
    report.restored.iter().for_each(|path| output.line(&format!("restored {path} by its parity")));
    report.set_aside.iter().for_each(|path| output.line(&format!("put aside as {path}")));
    if report.is_rebuilt {
        let unlisted = match report.unlisted {
            0 => String::new(),
            packs => format!(" with {} that it did not list", count(packs, "pack", "packs")),
        };
        output.line(&format!("The index was written anew{unlisted}."));
    }
    for ((chunks, bytes), place) in [(report.salvaged, "damaged packs"), (report.fetched, "live files")] {
        if chunks > 0 {
            output.line(&format!("{} ({}) came from {place}.", count(chunks, "chunk", "chunks"), size(bytes)));
        }
    }
    report.lost_snapshots.iter().for_each(|name| output.line(&format!("LOST {name}: its manifest is damaged")));
    print_lost(terminal, &report.lost);
    let looked = format!(
        "{}, {} looked at",
        count(report.snapshots.len() as u64, "snapshot", "snapshots"),
        count(report.entries, "entry", "entries")
    );
    match (report.is_nothing(), report.is_whole()) {
        (true, _) => output.line(&format!("OK: nothing to repair; {looked}.")),
        (false, true) => output.line(&format!("REPAIRED: nothing is lost; {looked}.")),
        (false, false) => output.line(&format!("LOST: what is named above; {looked}.")),
    }
    if !report.lost.is_empty() {
        output.flush();
        advice(
            "`larder repair --from PATH` looks for it in live files; a new `larder create` stores what is there now",
        );
        advice("`larder forget NAME` gives such a snapshot up: as long as it is kept, `larder prune` deletes nothing");
    }
    Ok(())
}
