//! `larder verify`: proof that snapshots can be restored.

use std::time::Duration;

use clap::Args;
use larder::pipeline::verify::{ComponentTest, VerifyOptions, VerifyReport};

use super::losses::{print_damage, print_lost};
use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::known_newest::WAYS_OUT_OF_LOSS;
use crate::app::verify::{self, DRILL_TARGET, TestRequest, VerifyOutcome, VerifyRequest, ways_out};
use crate::error::UsageError;
use crate::exit::Exit;
use crate::term::console::{advice, line, warning};
use crate::units::{count, rows_of_tables, size, span};
use crate::view::documents::verify::VerifyDocument;

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
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        terminal.console.stop_cleanly()?;
        let request = self.request()?;
        let outcome = terminal.ended(verify::run(&terminal.context, &request))?;
        if terminal.output.is_json() {
            terminal.output.document(&VerifyDocument::new(&outcome))?;
        } else {
            print(terminal, &outcome);
        }
        for why in outcome.no_manifests.into_iter().chain(outcome.lost.as_deref()) {
            warning(why);
        }
        if outcome.lost.is_some() {
            advice(WAYS_OUT_OF_LOSS);
        }
        if !outcome.report.is_clean() && outcome.doubted.is_none() {
            terminal.output.flush();
            advice("`larder repair --dry-run` says more, `larder repair` mends what can be mended");
        }
        Ok(outcome.exit)
    }

    fn request(&self) -> Result<VerifyRequest, UsageError> {
        let is_test = self.test_restore || self.drill;
        if self.on_live_server && !is_test {
            let advice = "name --test-restore or --drill, too";
            return Err(UsageError::with_advice("--on-live-server says where a test restore goes", advice));
        }
        let test = TestRequest { is_drill: self.drill, on_live_server: self.on_live_server, takes_latest: !self.all };
        Ok(VerifyRequest {
            name: self.name.clone(),
            select: self.select.select(),
            options: VerifyOptions { read_data: self.read_data, subset_percent: self.subset },
            test: is_test.then_some(test),
        })
    }
}

fn print(terminal: &Terminal<'_>, outcome: &VerifyOutcome) {
    let VerifyOutcome { report, doubted, lacking, tests, drill, .. } = outcome;
    if let Some(path) = doubted {
        print_damage(terminal, &report.damage);
        terminal.output.line(&format!("DAMAGED: {path}"));
        return;
    }
    print_report(terminal, report);
    for error in lacking {
        terminal.output.line(&format!("LACKING {error}"));
    }
    for test in tests {
        print_test(terminal, test);
    }
    if let Some(took) = drill {
        print_drill(terminal, tests, *took);
    }
}

fn print_report(terminal: &Terminal<'_>, report: &VerifyReport) {
    let output = terminal.output;
    print_damage(terminal, &report.damage);
    print_lost(terminal, &report.affected);
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

fn print_test(terminal: &Terminal<'_>, test: &ComponentTest) {
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
    terminal.output.line(&text);
    test.notes.iter().for_each(|note| line(&format!("note: {}: {note}", test.name)));
    for error in &test.errors {
        terminal.output.line(&format!("  {error}"));
    }
}

fn print_drill(terminal: &Terminal<'_>, tests: &[ComponentTest], took: Duration) {
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
    terminal
        .output
        .line(&format!("{verdict}: {components} in {took}, {failed} failed{left}; a recovery may take {minutes} min."));
}
