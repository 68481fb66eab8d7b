//! `larder create`: a backup.

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use larder::model::{Consistency, Snapshot, Status};
use larder::pipeline::backup::{BackupReport, ComponentPlan};

use super::terminal::Terminal;
use super::values::{name_list, repository_id};
use crate::app::create::{self, CreateRequest, Extent, Stream};
use crate::app::names::split_names;
use crate::exit::Exit;
use crate::term::console::{line, warning};
use crate::term::table::{Align, Table};
use crate::units::{count, size, span};
use crate::view::documents::create::{CreateDocument, CreatePlanDocument};

/// Problems that are printed for each component; the manifest has more.
const PROBLEMS_SHOWN: usize = 10;
/// Longest tag, in characters.
const TAG_CHARS_MAX: usize = 100;

/// Back up the system as a new snapshot.
///
/// Takes the databases (from DATABASE_URL, POSTGRES_DB and its companions, larder.toml, or the containers of the compose
/// project), the directories, and the volumes of the project. One that fails makes the snapshot partial and the exit
/// status 3; the others are saved. `larder plan` says what there is.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larder create\n  larder create --components database,models --tag before-upgrade\n  \
    larder create --command crm -- mysqldump --single-transaction crm"
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct CreateArguments {
    /// What to back up: everything, the database alone, or the directories alone.
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = Type::Full)]
    what: Type,
    /// Only these components, separated by commas.
    #[arg(long, value_name = "A,B", value_parser = name_list, conflicts_with = "what")]
    components: Vec<String>,
    /// A word to find the snapshot by; may be repeated.
    #[arg(long = "tag", value_name = "TAG", value_parser = tag)]
    tags: Vec<String>,
    /// Accepted for the scripts of other tools; data is always compressed where that helps.
    #[arg(long, hide = true)]
    no_compress: bool,
    /// Leave these out from now on, which the last backup had and which are gone.
    #[arg(long, value_name = "A,B", value_parser = name_list, conflicts_with_all = ["components", "stdin", "command"])]
    drop: Vec<String>,
    /// Take these as they are, though they have next to nothing of what they had, or are another database.
    #[arg(long, value_name = "A,B", value_parser = name_list)]
    accept: Vec<String>,
    /// Make a new repository where one was before and is gone, or use another one in its place.
    #[arg(long)]
    new_repository: bool,
    /// Use no other repository than the one whose id begins like this; may be repeated. Schedules have it.
    #[arg(long, value_name = "ID", value_parser = repository_id)]
    repository_id: Vec<String>,
    /// Do not read back what was written.
    #[arg(long)]
    no_verify: bool,
    /// Compress everything by itself, not against what the last snapshot has in its place.
    #[arg(long)]
    no_delta: bool,
    /// Say what would be backed up, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Save standard input as the component NAME.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["what", "components", "command"])]
    stdin: Option<String>,
    /// Save the output of a command as the component NAME; the command follows `--`.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["what", "components"], requires = "words")]
    command: Option<String>,
    /// The command and its arguments.
    #[arg(last = true, value_name = "CMD", requires = "command")]
    words: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Type {
    Full,
    Database,
    Files,
}

/// A word that a terminal and a table can show.
fn tag(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it has no letter".to_owned());
    }
    if text.contains(char::is_control) || text.chars().count() > TAG_CHARS_MAX {
        return Err(format!("a tag has at most {TAG_CHARS_MAX} characters, and none that controls a terminal"));
    }
    Ok(text.to_owned())
}

impl CreateArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        terminal.console.stop_cleanly()?;
        let request = self.request();
        if self.dry_run {
            let plan = terminal.ended(create::plan(&terminal.context, &request))?;
            print_plan(terminal, &plan.components)?;
            return Ok(plan.exit);
        }
        let outcome = terminal.ended(create::run(&terminal.context, &request))?;
        print_problems(&outcome.report.snapshot);
        if terminal.output.is_json() {
            terminal.output.document(&CreateDocument::new(&outcome.report))?;
        } else {
            print_summary(terminal, &outcome.report);
        }
        Ok(outcome.exit)
    }

    fn request(&self) -> CreateRequest {
        let components = split_names(&self.components);
        let extent = match (&self.stdin, &self.command) {
            (Some(name), _) => Extent::Stream(name.clone(), Stream::Stdin),
            (None, Some(name)) => Extent::Stream(name.clone(), Stream::Command(self.words.clone())),
            (None, None) if !components.is_empty() => Extent::Components(components),
            (None, None) => match self.what {
                Type::Full => Extent::Full,
                Type::Database => Extent::Database,
                Type::Files => Extent::Files,
            },
        };
        CreateRequest {
            extent,
            tags: self.tags.clone(),
            drop: split_names(&self.drop),
            accept: split_names(&self.accept),
            new_repository: self.new_repository,
            repository_ids: self.repository_id.clone(),
            read_back: !self.no_verify,
            deltas: !self.no_delta,
        }
    }
}

fn print_plan(terminal: &Terminal<'_>, plans: &[ComponentPlan]) -> anyhow::Result<()> {
    if terminal.output.is_json() {
        terminal.output.document(&CreatePlanDocument::new(plans))?;
    } else {
        let columns = [
            ("component", Align::Left),
            ("files", Align::Right),
            ("size", Align::Right),
            ("to read", Align::Right),
            ("from", Align::Left),
        ];
        let mut table = Table::new(&columns).leaving_out(&["files"]);
        for plan in plans {
            let sizes = [plan.files.to_string(), size(plan.bytes), size(plan.bytes_to_read)];
            table.row([vec![plan.name.clone()], sizes.to_vec(), vec![plan.source.clone()]].concat());
        }
        terminal.output.table(&table);
        terminal.output.line("Dry run: nothing was written.");
    }
    for plan in plans {
        for message in plan.notes.messages.iter().take(PROBLEMS_SHOWN) {
            line(&format!("note: {}: {message}", plan.name));
        }
        let more = plan.notes.count.saturating_sub(PROBLEMS_SHOWN as u64);
        if more > 0 {
            line(&format!("note: {}: {more} more", plan.name));
        }
    }
    let problems = plans.iter().flat_map(|plan| plan.errors.messages.iter().map(move |message| (&plan.name, message)));
    for (name, message) in problems {
        warning(&format!("{name}: {message}"));
    }
    Ok(())
}

fn print_problems(snapshot: &Snapshot) {
    for component in &snapshot.components {
        for (problems, word) in [(&component.errors, "error"), (&component.notes, "note")] {
            for message in problems.messages.iter().take(PROBLEMS_SHOWN) {
                line(&format!("{word}: {}: {message}", component.name));
            }
            let more = problems.count.saturating_sub(PROBLEMS_SHOWN as u64);
            if more > 0 {
                line(&format!("{word}: {}: {more} more, see `larder show {}`", component.name, snapshot.name));
            }
        }
    }
}

fn print_summary(terminal: &Terminal<'_>, report: &BackupReport) {
    let snapshot = &report.snapshot;
    let columns = [
        ("component", Align::Left),
        ("status", Align::Left),
        ("files", Align::Right),
        ("size", Align::Right),
        ("read", Align::Right),
        ("new", Align::Right),
        ("stored", Align::Right),
        ("time", Align::Right),
        ("from", Align::Left),
    ];
    let mut table = Table::new(&columns).leaving_out(&["read", "time", "files", "new"]);
    for component in &snapshot.components {
        table.row(vec![
            component.name.to_string(),
            component.status_text().to_owned(),
            component.files.to_string(),
            size(component.bytes),
            size(component.bytes_read),
            size(component.bytes_new),
            size(component.bytes_stored),
            span(component.millis),
            component.source.clone(),
        ]);
    }
    terminal.output.table(&table);
    if report.adopted.packs > 0 {
        let packs = count(report.adopted.packs, "pack", "packs");
        terminal.output.line(&format!("Taken over from an interrupted run: {packs}, {}.", size(report.adopted.bytes)));
    }
    let rows: u64 = databases(snapshot).flat_map(|facts| &facts.tables).map(|table| table.rows).sum();
    if let Some(tables) = databases(snapshot).map(|facts| facts.tables.len() as u64).reduce(|a, b| a + b) {
        terminal.output.line(&format!(
            "Counted {} in {}.",
            count(rows, "row", "rows"),
            count(tables, "table", "tables")
        ));
    }
    for (component, facts) in snapshot.components.iter().filter_map(|part| Some((part, part.volume.as_ref()?))) {
        if !facts.held.is_empty() {
            let how = if component.consistency == Consistency::Stopped { "stopped" } else { "paused" };
            let names = facts.held.join(", ");
            terminal.output.line(&format!("{}: {names} {how} for {}.", component.name, span(facts.held_millis)));
        }
    }
    let word = if snapshot.status == Status::Complete { "complete" } else { "PARTIAL" };
    terminal.output.line(&format!(
        "Snapshot {} is {word}: {} in {}, {} added to the repository.",
        snapshot.name,
        size(snapshot.bytes()),
        span(snapshot.millis),
        size(report.stored.total_bytes)
    ));
}

fn databases(snapshot: &Snapshot) -> impl Iterator<Item = &larder::model::DatabaseFacts> {
    snapshot.components.iter().filter_map(|component| component.database.as_ref())
}
