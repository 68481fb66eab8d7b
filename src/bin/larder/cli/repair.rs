//! `larder repair`: makes what is damaged readable again as far as that goes, and says what is lost.

use std::path::PathBuf;

use clap::Args;
use larder::pipeline::repair::{self, RepairReport};
use larder::pipeline::verify::{Damage, VerifyOptions, VerifyReport, verify};
use serde_json::json;

use super::losses::{damage_json, lost_json, print_damage, print_lost};
use super::{Context, left_held};
use crate::console::{advice, warning};
use crate::failure::{Exit, UsageError};
use crate::units::{count, size};

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
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        if let Some(path) = self.from.iter().find(|path| !path.is_file() && !path.is_dir()) {
            let message = format!("there is no file or directory {}", path.display());
            return Err(UsageError::with_advice(message, "name a file or a directory that is there").into());
        }
        context.progress.stop_cleanly()?;
        let storage = context.storage()?;
        let (repository, config_error) = repair::open(storage, !self.dry_run)?;
        let config_damage = config_error.map(|error| Damage { object: "config".to_owned(), what: error.to_string() });
        left_held::make_good(&repository, &context.settings)?;
        if self.dry_run {
            let options = VerifyOptions { read_data: true, subset_percent: None };
            let report = verify(&repository, None, options, &context.progress);
            context.progress.end();
            let mut report = report?;
            report.damage.splice(0..0, config_damage);
            return Ok(print_plan(context, &report));
        }
        let report = repair::repair(&repository, &self.from, &context.progress);
        context.progress.end();
        let mut report = report?;
        report.damage.splice(0..0, config_damage);
        let exit = print_report(context, &report);
        let is_protected = context.protect(&repository)?;
        Ok(if exit == Exit::Done && !is_protected { Exit::Partial } else { exit })
    }
}

fn print_plan(context: &Context<'_>, report: &VerifyReport) -> Exit {
    let is_sound = report.is_clean();
    if context.output.is_json() {
        context.output.json(&json!({
            "dry_run": true,
            "damage": damage_json(&report.damage),
            "snapshots": report.snapshots,
            "lost": lost_json(&report.affected),
            "lost_more": report.affected.more,
        }));
    } else {
        print_damage(context, &report.damage);
        print_lost(context, &report.affected);
        let verdict = if is_sound {
            "Dry run: nothing is damaged."
        } else {
            "Dry run: nothing was changed. A repair may find some of what is lost."
        };
        context.output.line(verdict);
    }
    if is_sound { Exit::Done } else { Exit::Damage }
}

fn print_report(context: &Context<'_>, report: &RepairReport) -> Exit {
    let exit = if report.is_whole() { Exit::Done } else { Exit::Damage };
    for file in &report.unreadable {
        warning(&format!("not looked into: {file}"));
    }
    if context.output.is_json() {
        context.output.json(&json!({
            "dry_run": false,
            "damage": damage_json(&report.damage),
            "restored": report.restored,
            "set_aside": report.set_aside,
            "index_rebuilt": report.is_rebuilt,
            "packs_unlisted": report.unlisted,
            "chunks_salvaged": report.salvaged.0,
            "bytes_salvaged": report.salvaged.1,
            "chunks_fetched": report.fetched.0,
            "bytes_fetched": report.fetched.1,
            "snapshots": report.snapshots,
            "lost_snapshots": report.lost_snapshots,
            "lost": lost_json(&report.lost),
            "lost_more": report.lost.more,
        }));
        return exit;
    }
    let output = context.output;
    print_damage(context, &report.damage);
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
    print_lost(context, &report.lost);
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
    exit
}
