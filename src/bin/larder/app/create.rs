//! A backup from beginning to end: what there is, what is missing, and the snapshot of it.

use std::ffi::OsString;

use larder::events::Event;
use larder::model::{ComponentName, SnapshotKind, Status};
use larder::pipeline::backup::{self, BackupOptions, BackupReport, ComponentPlan, ComponentSource, Origin};
use larder::pipeline::lookup;
use larder::repo::Repository;
use larder::source::CommandSource;

use super::clock::warn_of_clock;
use super::context::Context;
use super::discovery::System;
use super::expected::{Gaps, tell_of_no_database, uncovered};
use super::identity::{check_repository_id, remember_use, system_name, warn_of_new_system, warn_of_other_host};
use super::known_newest::{WAYS_OUT_OF_LOSS, lost_newest};
use super::names::check_names;
use super::restoring::{half_restored, why_not_whole};
use super::run_options::run_options;
use crate::config::{DATABASE, VOLUME_PREFIX};
use crate::error::UsageError;
use crate::exit::Exit;
use crate::host::state::journals;

pub(crate) const NOTHING_HERE: &str = "there is nothing to back up here";

/// What is to be backed up.
#[derive(Debug, Clone)]
pub(crate) enum Extent {
    Full,
    Database,
    Files,
    /// These components.
    Components(Vec<String>),
    /// A stream as the component of this name.
    Stream(String, Stream),
}

/// Where a stream comes from.
#[derive(Debug, Clone)]
pub(crate) enum Stream {
    /// Standard input.
    Stdin,
    /// The output of a command.
    Command(Vec<OsString>),
}

/// A backup as somebody wants it.
#[derive(Debug, Clone)]
pub(crate) struct CreateRequest {
    pub(crate) extent: Extent,
    pub(crate) tags: Vec<String>,
    /// Components that are left out from now on.
    pub(crate) drop: Vec<String>,
    /// Components that are taken as they are, whatever was expected of them.
    pub(crate) accept: Vec<String>,
    /// Whether a new repository is made, or another one used, where one was before.
    pub(crate) new_repository: bool,
    /// Beginnings of the ids of the repositories that may be used; none for any.
    pub(crate) repository_ids: Vec<String>,
    /// Whether what was written is read back.
    pub(crate) read_back: bool,
    /// Whether chunks may be stored as differences to those of the last snapshot.
    pub(crate) deltas: bool,
}

/// What a backup would save.
pub(crate) struct CreatePlan {
    pub(crate) components: Vec<ComponentPlan>,
    pub(crate) exit: Exit,
}

/// What a backup has saved.
pub(crate) struct CreateOutcome {
    pub(crate) report: BackupReport,
    pub(crate) exit: Exit,
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

/// Says what would be backed up, and writes nothing.
pub(crate) fn plan(context: &Context<'_>, request: &CreateRequest) -> anyhow::Result<CreatePlan> {
    let existing = open(context, request)?;
    let system = context.system()?;
    let run = look(context, request, &system, existing.as_ref())?;
    let components = backup::plan(existing.as_ref(), &run.sources, &run.system, &context.monitor)?;
    let is_whole = components.iter().all(|plan| plan.errors.messages.is_empty()) && !is_blind(&run, &system);
    Ok(CreatePlan { components, exit: if is_whole { Exit::Done } else { Exit::Partial } })
}

/// Makes a snapshot.
pub(crate) fn run(context: &Context<'_>, request: &CreateRequest) -> anyhow::Result<CreateOutcome> {
    let existing = open(context, request)?;
    let system = context.system()?;
    // What is asked for is looked at before anything is made.
    let run = look(context, request, &system, existing.as_ref())?;
    let is_blind = is_blind(&run, &system);
    let (repository, run) = if let Some(repository) = existing {
        (repository, run)
    } else {
        let repository = context.repository_or_new()?;
        let run = look(context, request, &system, Some(&repository))?;
        (repository, run)
    };
    let lost = lost_newest(context, &repository, request.new_repository)?;
    if let Some(why) = &lost {
        context.events.warn_with(why, WAYS_OUT_OF_LOSS);
    }
    let Run { sources, kind, gaps, system: name, is_unsure } = run;
    let accepted = accepted(&request.accept, &sources)?;
    gaps.tell(context.events);
    if kind == SnapshotKind::Full {
        tell_of_uncovered(context, &system, &gaps);
    }
    context.warn_of_strange_folder();
    let (reservation, time) = backup::reserve(&repository)?;
    context.events.event(Event::SnapshotBegun { name: reservation.name() });
    let (tags, read_back, deltas) = (request.tags.clone(), request.read_back, request.deltas);
    let half = half_restored();
    let why = |source: &ComponentSource| Some((source.name.clone(), why_not_whole(&half, source)?));
    let not_whole = sources.iter().filter_map(why).collect();
    let dropped = gaps.dropped;
    let usual = run_options(kind, journals(&repository), name.clone());
    let options = BackupOptions { tags, read_back, deltas, not_whole, dropped, accepted, ..usual };
    let report = backup::run(&repository, (reservation, time), &sources, &options, &context.monitor)?;
    remember_use(context, &repository, &name)?;
    let is_whole = context.protect(&repository)?
        && report.snapshot.status == Status::Complete
        && !is_blind
        && !is_unsure
        && lost.is_none();
    Ok(CreateOutcome { report, exit: if is_whole { Exit::Done } else { Exit::Partial } })
}

/// Opens the repository, where there is one. That resumes containers which a killed run has left held, so it comes before anybody looks
/// at what runs.
fn open(context: &Context<'_>, request: &CreateRequest) -> anyhow::Result<Option<Repository>> {
    let existing = context.repository_to_add_to(request.new_repository)?;
    check_repository_id(context, existing.as_ref(), &request.repository_ids)?;
    Ok(existing)
}

/// Whether it is not known what the engine has, so that it is not saved.
fn is_blind(run: &Run, system: &System<'_>) -> bool {
    matches!(run.kind, SnapshotKind::Full | SnapshotKind::Database) && system.no_engine.is_some()
}

/// What to back up. Without a repository it is only checked that there is something.
fn look(
    context: &Context<'_>,
    request: &CreateRequest,
    system: &System<'_>,
    repository: Option<&Repository>,
) -> anyhow::Result<Run> {
    let name = system_name(context, repository);
    let found = repository.map(lookup::snapshots).transpose()?.unwrap_or_default();
    let (earlier, is_unsure) = (found.snapshots, !found.unreadable.is_empty());
    if repository.is_some() {
        warn_of_new_system(context.events, &name, &earlier);
        warn_of_other_host(context.events, &name, &earlier);
        warn_of_clock(context.events, &earlier);
    }
    if let Extent::Stream(stream, from) = &request.extent {
        let stream = stream_name(stream)?;
        let command = match from {
            Stream::Stdin => CommandSource::Stdin,
            Stream::Command(words) => CommandSource::Command(words.clone()),
        };
        let sources = vec![ComponentSource { name: stream, origin: Origin::Command(command) }];
        return Ok(Run { sources, kind: SnapshotKind::Stream, gaps: Gaps::default(), system: name, is_unsure });
    }
    if !request.drop.is_empty() && !matches!(request.extent, Extent::Full) {
        let message =
            "--drop leaves something out of all backups from now on, and --type says that this one is of a part";
        return Err(UsageError::with_advice(message, "leave --type out").into());
    }
    let (names, kind) = components(&request.extent, system)?;
    let gaps = Gaps::find(system, (&name, &earlier), kind, &request.drop)?;
    let mut sources = system.sources(repository, &names)?;
    sources.extend(gaps.sources());
    if sources.is_empty() {
        let message = match request.extent {
            Extent::Database => "no database is configured",
            _ => NOTHING_HERE,
        };
        return Err(nothing(message).into());
    }
    Ok(Run { sources, kind, gaps, system: name, is_unsure })
}

/// The names of the components that are wanted, and the kind of snapshot that has them.
fn components(extent: &Extent, system: &System<'_>) -> anyhow::Result<(Vec<String>, SnapshotKind)> {
    let directories = system.present_directories();
    let databases = system.databases.iter().map(|database| database.name.to_string());
    let volumes = system.volumes.iter().map(|volume| volume.name.to_string());
    Ok(match extent {
        Extent::Full => (databases.chain(directories).chain(volumes).collect(), SnapshotKind::Full),
        Extent::Files => (directories, SnapshotKind::Files),
        Extent::Database => (databases.collect(), SnapshotKind::Database),
        Extent::Stream(..) => (Vec::new(), SnapshotKind::Stream),
        Extent::Components(wanted) => {
            check_names(wanted, &system.names(), "in the configuration")?;
            (wanted.clone(), SnapshotKind::Selected)
        }
    })
}

/// The components that are taken as they are.
fn accepted(names: &[String], sources: &[ComponentSource]) -> anyhow::Result<Vec<ComponentName>> {
    let known: Vec<String> = sources.iter().map(|source| source.name.to_string()).collect();
    check_names(names, &known, "in this backup")?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
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

/// Says what no component of a run of the whole system has.
fn tell_of_uncovered(context: &Context<'_>, system: &System<'_>, gaps: &Gaps) {
    tell_of_no_database(context.events, system, gaps);
    for what in uncovered(system) {
        context.events.note(&what);
    }
}

/// The error when there is nothing to back up.
pub(crate) fn nothing(message: &str) -> UsageError {
    let advice = "set DATABASE_URL, write a larder.toml, or give the directory of the system with -C";
    UsageError::with_advice(message, advice)
}
