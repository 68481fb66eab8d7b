//! `larder create`: one night's backup.

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use larder::docker::Journals;
use larder::model::{Component, ComponentName, Consistency, Snapshot, SnapshotKind, Status};
use larder::pipeline::backup::{self, BackupOptions, BackupReport, ComponentPlan, ComponentSource, Origin};
use larder::pipeline::lookup;
use larder::repo::Repository;
use larder::source::CommandSource;
use serde_json::{Value, json};

use super::ahead::warn_of_clock;
use super::expected::{Gaps, tell_of_no_database, uncovered};
use super::{Context, check_names, name_list, split_names};
use crate::config::{DATABASE, VOLUME_PREFIX};
use crate::console::{advice, line, warning};
use crate::failure::{Exit, UsageError};
use crate::heads::{WAYS_OUT_OF_LOSS, lost_newest};
use crate::identity::{
    check_repository_id, host_name, machine, remember_use, system_name, warn_of_new_system, warn_of_other_host,
};
use crate::restoring::{half_restored, why_not_whole};
use crate::state::journals;
use crate::system::System;
use crate::table::{Align, Table};
use crate::units::{count, seconds, size, span};

/// Problems that are printed for each component; the manifest has more.
const PROBLEMS_SHOWN: usize = 10;
/// Fewest digits that name a repository.
const ID_DIGITS_MIN: usize = 8;
/// Longest tag, in characters.
const TAG_CHARS_MAX: usize = 100;
pub(super) const NOTHING_HERE: &str = "there is nothing to back up here";

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

/// What a run is about to do.
struct Run {
    sources: Vec<ComponentSource>,
    kind: SnapshotKind,
    gaps: Gaps,
    /// How the system is called.
    system: String,
    /// Whether a manifest cannot be read, so that it is not known what is expected.
    is_unsure: bool,
}

/// The name of a stream, which is not that of a series or of a volume. A dump that somebody else makes may be called `database`.
fn stream_name(text: &str) -> Result<ComponentName, UsageError> {
    let name = text.parse::<ComponentName>().map_err(|error| UsageError::new(error.to_string()))?;
    if text.starts_with(VOLUME_PREFIX) || (text != DATABASE && lookup::is_of_series(text)) {
        let message = format!("a stream cannot be called {text}: that means something else");
        return Err(UsageError::with_advice(message, "give it another name"));
    }
    Ok(name)
}

/// The beginning of an id that tells it from others.
pub(super) fn repository_id(text: &str) -> Result<String, String> {
    let is_id = text.len() >= ID_DIGITS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("it is at least {ID_DIGITS_MIN} hexadecimal digits"))
    }
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
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        context.progress.stop_cleanly()?;
        // Opening it lets go on what a killed run has left held, so it comes before anybody looks at what runs.
        let existing = context.repository_to_add_to(self.new_repository)?;
        check_repository_id(&context.settings, existing.as_ref(), &self.repository_id)?;
        let system = context.system()?;
        let run = self.look(&system, existing.as_ref())?;
        // Nothing is known yet of what the engine has, and it is not saved.
        let is_blind = matches!(run.kind, SnapshotKind::Full | SnapshotKind::Database) && system.no_engine.is_some();
        if self.dry_run {
            let plans = backup::plan(existing.as_ref(), &run.sources, &run.system, &context.progress)?;
            context.progress.end();
            let exit = print_plan(context, &plans);
            return Ok(if is_blind { Exit::Partial } else { exit });
        }
        // What is asked for was looked at before anything is made.
        let (repository, run) = if let Some(repository) = existing {
            (repository, run)
        } else {
            let repository = context.repository_or_new()?;
            let run = self.look(&system, Some(&repository))?;
            (repository, run)
        };
        let lost = lost_newest(&context.settings, &repository, self.new_repository)?;
        if let Some(why) = &lost {
            warning(why);
            advice(WAYS_OUT_OF_LOSS);
        }
        let Run { sources, kind, gaps, system: name, is_unsure } = run;
        let accepted = self.accepted(&sources)?;
        gaps.tell();
        if kind == SnapshotKind::Full {
            tell_of_uncovered(context, &system, &gaps);
        }
        context.warn_of_strange_folder();
        let (reservation, time) = backup::reserve(&repository)?;
        let title = format!("Creating comprehensive system backup: {}", reservation.name());
        if context.output.is_json() {
            line(&title);
        } else {
            context.output.line(&title);
        }
        context.output.flush();
        let (tags, read_back, deltas) = (self.tags.clone(), !self.no_verify, !self.no_delta);
        let half = half_restored();
        let why = |source: &ComponentSource| Some((source.name.clone(), why_not_whole(&half, source)?));
        let not_whole = sources.iter().filter_map(why).collect();
        let dropped = gaps.dropped;
        let usual = options(kind, journals(&repository), name.clone());
        let options = BackupOptions { tags, read_back, deltas, not_whole, dropped, accepted, ..usual };
        let report = backup::run(&repository, (reservation, time), &sources, &options, &context.progress);
        context.progress.end();
        let report = report?;
        remember_use(&context.settings, &repository, &name)?;
        print_problems(&report.snapshot);
        if context.output.is_json() {
            context.output.json(&to_json(&report));
        } else {
            print_summary(context, &report);
        }
        let is_whole = context.protect(&repository)?
            && report.snapshot.status == Status::Complete
            && !is_blind
            && !is_unsure
            && lost.is_none();
        Ok(if is_whole { Exit::Done } else { Exit::Partial })
    }

    /// What to back up. Without a repository it is only checked that there is something.
    fn look(&self, system: &System<'_>, repository: Option<&Repository>) -> anyhow::Result<Run> {
        let name = system_name(system.settings, repository);
        let found = repository.map(lookup::snapshots).transpose()?.unwrap_or_default();
        let (earlier, is_unsure) = (found.snapshots, !found.unreadable.is_empty());
        if repository.is_some() {
            warn_of_new_system(&name, &earlier);
            warn_of_other_host(&name, &earlier);
            warn_of_clock(&earlier);
        }
        if let Some((stream, command)) = self.stream() {
            let stream = stream_name(stream)?;
            let sources = vec![ComponentSource { name: stream, origin: Origin::Command(command) }];
            return Ok(Run { sources, kind: SnapshotKind::Stream, gaps: Gaps::default(), system: name, is_unsure });
        }
        if !self.drop.is_empty() && self.what != Type::Full {
            let message =
                "--drop leaves something out of all backups from now on, and --type says that this one is of a part";
            return Err(UsageError::with_advice(message, "leave --type out").into());
        }
        let wanted = split_names(&self.components);
        check_names(&wanted, &system.names(), "in the configuration")?;
        let (names, kind) = if wanted.is_empty() {
            let directories = system.present_directories();
            let databases = system.databases.iter().map(|database| database.name.to_string());
            let volumes = system.volumes.iter().map(|volume| volume.name.to_string());
            match self.what {
                Type::Full => (databases.chain(directories).chain(volumes).collect(), SnapshotKind::Full),
                Type::Files => (directories, SnapshotKind::Files),
                Type::Database => (databases.collect(), SnapshotKind::Database),
            }
        } else {
            (wanted, SnapshotKind::Selected)
        };
        let gaps = Gaps::find(system, (&name, &earlier), kind, &split_names(&self.drop))?;
        let mut sources = system.sources(repository, &names)?;
        sources.extend(gaps.sources());
        if sources.is_empty() {
            let message = match self.what {
                Type::Database => "no database is configured",
                _ => NOTHING_HERE,
            };
            return Err(nothing(message).into());
        }
        Ok(Run { sources, kind, gaps, system: name, is_unsure })
    }

    /// The components that are taken as they are.
    fn accepted(&self, sources: &[ComponentSource]) -> anyhow::Result<Vec<ComponentName>> {
        let known: Vec<String> = sources.iter().map(|source| source.name.to_string()).collect();
        let names = split_names(&self.accept);
        check_names(&names, &known, "in this backup")?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn stream(&self) -> Option<(&String, CommandSource)> {
        let stdin = self.stdin.as_ref().map(|name| (name, CommandSource::Stdin));
        stdin.or_else(|| self.command.as_ref().map(|name| (name, CommandSource::Command(self.words.clone()))))
    }
}

/// Says what no component of a run of the whole system has.
fn tell_of_uncovered(context: &Context<'_>, system: &System<'_>, gaps: &Gaps) {
    if !context.progress.is_quiet() {
        tell_of_no_database(system, gaps);
    }
    for what in uncovered(system) {
        line(&format!("note: {what}"));
    }
}

/// The error when there is nothing to back up.
pub(super) fn nothing(message: &str) -> UsageError {
    let advice = "set DATABASE_URL, write a larder.toml, or give the directory of the system with -C";
    UsageError::with_advice(message, advice)
}

/// Options for a backup of a system by this program on this host.
pub(super) fn options(kind: SnapshotKind, journals: Journals, system: String) -> BackupOptions {
    let program = concat!("larder ", env!("CARGO_PKG_VERSION"));
    BackupOptions { journals, system, machine: machine(), ..BackupOptions::new(kind, &host_name(), program) }
}

fn print_plan(context: &Context<'_>, plans: &[ComponentPlan]) -> Exit {
    if context.output.is_json() {
        let components = plans.iter().map(|plan| {
            json!({
                "name": plan.name, "kind": plan.kind, "source": plan.source, "files": plan.files, "bytes": plan.bytes,
                "bytes_to_read": plan.bytes_to_read, "errors": plan.errors.messages,
                "notes": plan.notes.messages,
            })
        });
        context.output.json(&json!({ "dry_run": true, "components": components.collect::<Vec<_>>() }));
    } else {
        let columns = [
            ("component", Align::Left),
            ("files", Align::Right),
            ("size", Align::Right),
            ("to read", Align::Right),
            ("from", Align::Left),
        ];
        let mut table = Table::new(&columns);
        for plan in plans {
            let sizes = [plan.files.to_string(), size(plan.bytes), size(plan.bytes_to_read)];
            table.row([vec![plan.name.clone()], sizes.to_vec(), vec![plan.source.clone()]].concat());
        }
        table.lines().iter().for_each(|line| context.output.line(line));
        context.output.line("Dry run: nothing was written.");
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
    let mut exit = Exit::Done;
    for (name, message) in problems {
        warning(&format!("{name}: {message}"));
        exit = Exit::Partial;
    }
    exit
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

fn print_summary(context: &Context<'_>, report: &BackupReport) {
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
    let mut table = Table::new(&columns);
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
    table.lines().iter().for_each(|line| context.output.line(line));
    if report.adopted.packs > 0 {
        let packs = count(report.adopted.packs, "pack", "packs");
        context.output.line(&format!("Taken over from an interrupted run: {packs}, {}.", size(report.adopted.bytes)));
    }
    let rows: u64 = databases(snapshot).flat_map(|facts| &facts.tables).map(|table| table.rows).sum();
    if let Some(tables) = databases(snapshot).map(|facts| facts.tables.len() as u64).reduce(|a, b| a + b) {
        context.output.line(&format!(
            "Counted {} in {}.",
            count(rows, "row", "rows"),
            count(tables, "table", "tables")
        ));
    }
    for (component, facts) in snapshot.components.iter().filter_map(|part| Some((part, part.volume.as_ref()?))) {
        if !facts.held.is_empty() {
            let how = if component.consistency == Consistency::Stopped { "stopped" } else { "paused" };
            let names = facts.held.join(", ");
            context.output.line(&format!("{}: {names} {how} for {}.", component.name, span(facts.held_millis)));
        }
    }
    let word = if snapshot.status == Status::Complete { "complete" } else { "PARTIAL" };
    context.output.line(&format!(
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

fn to_json(report: &BackupReport) -> Value {
    let snapshot = &report.snapshot;
    json!({
        "name": snapshot.name,
        "time": snapshot.time.rfc3339(),
        "system": snapshot.system,
        "type": snapshot.kind,
        "series": snapshot.series,
        "status": snapshot.status,
        "parent": snapshot.parent,
        "tags": snapshot.tags,
        "dropped": snapshot.dropped,
        "seconds": seconds(snapshot.millis),
        "bytes": snapshot.bytes(),
        "bytes_added": report.stored.total_bytes,
        "adopted_bytes": report.adopted.bytes,
        "notes": report.notes,
        "components": snapshot.components.iter().map(component_json).collect::<Vec<_>>(),
    })
}

/// A component as every command shows it in JSON.
pub(super) fn component_json(component: &Component) -> Value {
    json!({
        "name": component.name,
        "kind": component.kind,
        "source": component.source,
        "status": component.status_text(),
        "consistency": component.consistency,
        "files": component.files,
        "bytes": component.bytes,
        "bytes_read": component.bytes_read,
        "bytes_new": component.bytes_new,
        "bytes_stored": component.bytes_stored,
        "seconds": seconds(component.millis),
        "errors": component.errors.messages,
        "errors_count": component.errors.count,
        "notes": component.notes.messages,
        "database": component.database,
        "volume": component.volume,
    })
}
