//! `larder verify`: proof that snapshots can be restored.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use larder::model::{Component, Snapshot};
use larder::pipeline::lookup;
use larder::pipeline::verify::{
    ComponentTest, Damage, Servers, TestPlaces, VerifyOptions, VerifyReport, test_restore, verify,
};
use larder::repo::Repository;
use larder::temporary::TemporaryFolder;
use serde_json::{Value, json};

use super::earlier::{Doubts, find_snapshot};
use super::losses::{damage_json, lost_json, print_damage, print_lost};
use super::select::SelectArguments;
use super::{Context, place};
use crate::console::{advice, line, warning};
use crate::failure::{Exit, UsageError};
use crate::heads::{WAYS_OUT_OF_LOSS, lost_newest};
use crate::system::System;
use crate::units::{count, rows_of_tables, seconds, size, span};

/// How long a recovery of the whole system may take.
const DRILL_TARGET: Duration = Duration::from_mins(30);
/// What makes a test possible that was not done.
const WAYS_OUT: &str = "install what is lacking, or test on the live server with --on-live-server";
const WAYS_OUT_OF_VOLUMES: &str = "install what is lacking, and run as root";

/// Prove that a snapshot, or the whole repository, can be restored.
///
/// Without options the structure is proven: index, manifests, trees, and that every chunk is where it should be.
/// Damage makes the exit status 4.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(
    after_help = "Examples:\n  larder verify latest\n  larder verify --all --read-data\n  larder verify --all --read-data --subset 10%\n  \
    larder verify latest --test-restore\n  larder verify latest --test-restore --on-live-server\n  larder verify latest --drill"
)]
pub(super) struct VerifyArguments {
    /// The snapshot, or the path of a folder or dump; without a name, everything.
    #[arg(conflicts_with = "all")]
    name: Option<String>,
    /// Everything in the repository.
    #[arg(long)]
    all: bool,
    /// Read every byte, and decode every block.
    #[arg(long)]
    read_data: bool,
    /// Read only this share of the packs, chosen anew each time.
    #[arg(long, value_name = "N%", requires = "read_data", value_parser = percent)]
    subset: Option<f64>,
    /// Restore into throwaway places and compare: files into a temporary folder, databases into servers that are started for
    /// that, of the version that they are of. Needs root, and that version of PostgreSQL installed here or in the image of
    /// their container.
    #[arg(long)]
    test_restore: bool,
    /// Restore everything into throwaway places as --test-restore does, volumes into temporary volumes, start PostgreSQL on
    /// its restored data, and compare the time with the half hour that a recovery may take.
    #[arg(long)]
    drill: bool,
    /// Load databases into scratch databases on the live servers instead. What their tables call is run there, with the rights
    /// of the owners of the tables.
    #[arg(long)]
    on_live_server: bool,
    #[command(flatten)]
    select: SelectArguments,
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse::<f64>().map_err(|_| "not a percentage".to_owned())?;
    if number > 0.0 && number <= 100.0 { Ok(number) } else { Err("not between 0 and 100 %".to_owned()) }
}

impl VerifyArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        context.progress.stop_cleanly()?;
        if self.on_live_server && !self.test_restore && !self.drill {
            let advice = "name --test-restore or --drill, too";
            return Err(UsageError::with_advice("--on-live-server says where a test restore goes", advice).into());
        }
        let found =
            match self.name.as_ref().map(|name| find_snapshot(context, name, &self.select, false)).transpose()? {
                Some(Ok(found)) => Some(found),
                Some(Err(doubts)) => return Ok(print_doubts(context, &doubts)),
                None => None,
            };
        let (repository, snapshot) = match &found {
            Some(found) => (&found.repository, Some(found.snapshot.clone())),
            None => (&context.repository()?, None),
        };
        let is_everything = snapshot.is_none();
        let options = VerifyOptions { read_data: self.read_data, subset_percent: self.subset };
        let report = verify(repository, snapshot.as_ref(), options, &context.progress)?;
        // A folder may lack what it says it has, and then it is sound as far as it goes.
        let lacking: Vec<String> =
            found.iter().filter(|found| found.is_folder()).flat_map(|found| found.snapshot.errors()).collect();
        let started = Instant::now();
        let tests =
            if self.test_restore || self.drill { self.test(context, repository, snapshot)? } else { Vec::new() };
        let drill = self.drill.then(|| started.elapsed());
        context.progress.end();
        if context.output.is_json() {
            context.output.json(&to_json(&report, &lacking, &tests, drill));
        } else {
            print_report(context, &report);
            for error in &lacking {
                context.output.line(&format!("LACKING {error}"));
            }
            for test in &tests {
                print_test(context, test);
            }
            if let Some(took) = drill {
                print_drill(context, &tests, took);
            }
        }
        let snapshots = if is_everything { lookup::snapshots(repository)?.snapshots } else { Vec::new() };
        let no_manifests = if is_everything { lookup::lost_manifests(repository, &snapshots)? } else { None };
        let lost = if is_everything { lost_newest(&context.settings, repository, false)? } else { None };
        for why in no_manifests.iter().copied().chain(lost.as_deref()) {
            warning(why);
        }
        if lost.is_some() {
            advice(WAYS_OUT_OF_LOSS);
        }
        let is_missed = no_manifests.is_some() || lost.is_some();
        Ok(if !report.is_clean() || tests.iter().any(|test| test.damaged) {
            Exit::Damage
        } else if tests.iter().any(|test| !test.errors.is_empty()) {
            Exit::Failed
        } else if lacking.is_empty() && !is_missed && tests.iter().all(|test| test.not_done.is_none()) {
            Exit::Done
        } else {
            Exit::Partial
        })
    }

    fn test(
        &self,
        context: &Context<'_>,
        repository: &Repository,
        snapshot: Option<Snapshot>,
    ) -> anyhow::Result<Vec<ComponentTest>> {
        place::check_temporary(&context.settings)?;
        let snapshot = match snapshot {
            Some(snapshot) => snapshot,
            None if self.all => {
                return Err(
                    UsageError::with_advice("--test-restore restores one snapshot", "name it, or `latest`").into()
                );
            }
            None => self.select.snapshot(context, repository, "latest")?,
        };
        let folder = TemporaryFolder::new("larder-test-restore-").context("cannot create a temporary folder")?;
        let system = context.system()?;
        let servers = self.servers(&system, &snapshot)?;
        let engine = system.engine().ok();
        let (with_volumes, jobs) = (self.drill, context.settings.jobs);
        let image = |component: &Component| Some((component.name.to_string(), system.image(component)?));
        let images = snapshot.components.iter().filter_map(image).collect();
        let places = TestPlaces { folder: folder.path(), servers, images, engine, with_volumes, jobs };
        let tests = test_restore(repository, &snapshot, &places, &context.progress)?;
        let left = folder.path().display().to_string();
        folder.close().with_context(|| format!("cannot remove {left}"))?;
        Ok(tests)
    }

    fn servers(&self, system: &System<'_>, snapshot: &Snapshot) -> anyhow::Result<Servers> {
        let name = |component: &Component| component.name.to_string();
        if self.on_live_server {
            let saved = snapshot.components.iter().filter(|component| component.root.is_some());
            let databases = saved.filter(|component| component.database.is_some());
            let live = databases.map(|component| Ok((name(component), system.connection(component)?)));
            return Ok(Servers::Live(live.collect::<anyhow::Result<_>>()?));
        }
        Ok(Servers::Throwaway)
    }
}

/// What to do about a test that was not done.
fn ways_out(test: &ComponentTest) -> Option<String> {
    let why = test.not_done.as_ref()?;
    let ways = if test.files == 0 { WAYS_OUT } else { WAYS_OUT_OF_VOLUMES };
    Some(format!("{why}: {ways}"))
}

/// Says what is wrong with a folder.
fn print_doubts(context: &Context<'_>, doubts: &Doubts) -> Exit {
    let Doubts { path, why } = doubts;
    let damage = why.iter().map(|what| Damage { object: path.clone(), what: what.clone() }).collect();
    let report = VerifyReport { damage, ..VerifyReport::default() };
    if context.output.is_json() {
        context.output.json(&to_json(&report, &[], &[], None));
    } else {
        print_damage(context, &report.damage);
        context.output.line(&format!("DAMAGED: {path}"));
    }
    Exit::Damage
}

fn print_report(context: &Context<'_>, report: &VerifyReport) {
    let output = context.output;
    print_damage(context, &report.damage);
    print_lost(context, &report.affected);
    report.notes.iter().for_each(|note| line(&format!("note: {note}")));
    let snapshots = match report.snapshots.as_slice() {
        [only] => only.clone(),
        several => count(several.len() as u64, "snapshot", "snapshots"),
    };
    let entries = count(report.entries, "entry", "entries");
    let read = if report.packs_read > 0 {
        format!("; {} of {} packs read, {}", report.packs_read, report.packs, size(report.bytes_read))
    } else {
        String::new()
    };
    let verdict = if report.is_clean() { "OK" } else { "DAMAGED" };
    output.line(&format!("{verdict}: {snapshots}, {entries} looked at{read}."));
}

fn print_test(context: &Context<'_>, test: &ComponentTest) {
    let what = match &test.database {
        Some(database) => {
            format!("{} loaded and counted", rows_of_tables(database.tables, database.rows))
        }
        None => format!("{} ({}) restored and compared", count(test.files, "file", "files"), size(test.bytes)),
    };
    let server = if test.server_started == Some(true) { ", PostgreSQL started on it" } else { "" };
    let done = format!("test restore of {}: {what}{server} in {}.", test.name, span(test.millis));
    let text = match ways_out(test) {
        _ if !test.errors.is_empty() => format!("FAILED: {done}"),
        Some(why) if test.files > 0 => format!("NOT DONE: {done} {why}"),
        Some(why) => format!("NOT DONE: test restore of {}: {why}", test.name),
        None => format!("OK: {done}"),
    };
    context.output.line(&text);
    test.notes.iter().for_each(|note| line(&format!("note: {}: {note}", test.name)));
    for error in &test.errors {
        context.output.line(&format!("  {error}"));
    }
}

fn print_drill(context: &Context<'_>, tests: &[ComponentTest], took: Duration) {
    let failed = tests.iter().filter(|test| !test.errors.is_empty()).count() as u64;
    let not_done = tests.iter().filter(|test| test.not_done.is_some()).count() as u64;
    let verdict = match (failed, not_done, took <= DRILL_TARGET) {
        (0, 0, true) => "OK: drill",
        (0, 0, false) => "TOO SLOW: drill",
        (0, ..) => "NOT DONE: drill",
        _ => "FAILED: drill",
    };
    let components = count(tests.len() as u64, "component", "components");
    let took = span(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let minutes = DRILL_TARGET.as_secs() / 60;
    let left = if not_done > 0 { format!(", {not_done} not done") } else { String::new() };
    context
        .output
        .line(&format!("{verdict}: {components} in {took}, {failed} failed{left}; a recovery may take {minutes} min."));
}

fn drill_json(tests: &[ComponentTest], took: Duration) -> Value {
    json!({
        "ok": tests.iter().all(|test| test.errors.is_empty() && test.not_done.is_none()),
        "seconds": took.as_secs_f64(),
        "target_seconds": DRILL_TARGET.as_secs(),
        "within_target": took <= DRILL_TARGET,
    })
}

fn to_json(report: &VerifyReport, lacking: &[String], tests: &[ComponentTest], drill: Option<Duration>) -> Value {
    let drill = drill.map(|took| drill_json(tests, took));
    let tests = tests.iter().map(|test| {
        json!({
            "name": test.name, "files": test.files, "bytes": test.bytes, "errors": test.errors,
            "tables": test.database.as_ref().map(|database| database.tables),
            "rows": test.database.as_ref().map(|database| database.rows),
            "server_started": test.server_started,
            "not_done": ways_out(test),
            "notes": test.notes,
            "seconds": seconds(test.millis),
        })
    });
    json!({
        "ok": report.is_clean() && lacking.is_empty(),
        "snapshots": report.snapshots,
        "entries": report.entries,
        "packs": report.packs,
        "packs_read": report.packs_read,
        "bytes_read": report.bytes_read,
        "damage": damage_json(&report.damage),
        "lost": lost_json(&report.affected),
        "lost_more": report.affected.more,
        "lacking": lacking,
        "notes": report.notes,
        "test_restore": tests.collect::<Vec<_>>(),
        "drill": drill,
    })
}
