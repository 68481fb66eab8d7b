//! A restore from beginning to end: which snapshot, what of it goes where, what is replaced, and the writing.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder::events::Event;
use larder::model::{Component, ComponentKind, Parts, Snapshot, SnapshotKind, SnapshotName};
use larder::pipeline::backup::{ComponentSource, Origin};
use larder::pipeline::restore::{
    self, ComponentRestore, Destination, RestoreJob, RestoreOptions, RestoreReport, Safety, safety_snapshot,
};
use larder::pipeline::{self, Mask, lookup};
use larder::repo::Repository;
use larder::source::postgres::DumpSource;

use super::clock::warn_of_clock;
use super::context::Context;
use super::discovery::System;
use super::folder_as_snapshot::{Doubts, Found, find_snapshot};
use super::hold_recovery::start_after_killed_restores;
use super::identity::system_name;
use super::restore_paths::{Wanted, check_live, components_of};
use super::restore_plan::Plan;
use super::restoring::{HalfRestored, Restoring, check_nobody_restores};
use super::run_options::run_options;
use super::selection::Select;
use super::write_place;
use crate::config::{DATABASE, read_mask};
use crate::error::UsageError;
use crate::exit::Exit;
use crate::host::state::journals;

/// Rights of everybody but the owner.
const RIGHTS_OF_OTHERS: u32 = 0o077;

/// A restore as somebody wants it.
#[derive(Debug, Clone)]
pub(crate) struct RestoreRequest {
    /// `NAME`, `NAME:PATH`, or the path of a folder or dump.
    pub(crate) places: Vec<String>,
    pub(crate) select: Select,
    pub(crate) components: Vec<String>,
    /// The folder that everything goes into; `None` for the live system.
    pub(crate) target: Option<PathBuf>,
    /// Whether what is replaced is saved before.
    pub(crate) saves_before: bool,
    pub(crate) tables: Vec<String>,
    /// The new database that a database becomes.
    pub(crate) into: Option<String>,
    /// The file with the rules of a mask.
    pub(crate) mask: Option<PathBuf>,
    /// Volumes of the snapshot, each with the one of the engine that it goes into.
    pub(crate) volumes: Vec<(String, String)>,
    pub(crate) options: RestoreOptions,
}

/// The snapshot that was found, and what of it is wanted.
pub(crate) struct FoundRestore {
    found: Found,
    wanted: Wanted,
    parts: Option<Arc<Parts>>,
    mask: Option<Arc<Mask>>,
}

/// A restore that can begin.
pub(crate) struct PreparedRestore<'a> {
    found: &'a FoundRestore,
    system: Option<System<'a>>,
    plan: Plan<'a>,
}

/// What a restore did.
pub(crate) struct RestoreOutcome<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) plan: Plan<'a>,
    pub(crate) results: Vec<ComponentRestore>,
    /// The snapshot of what was replaced.
    pub(crate) safety: Option<SnapshotName>,
    pub(crate) dry_run: bool,
    /// Places of the live system that are partly old and partly new.
    pub(crate) half: Vec<HalfRestored>,
    /// Whether it was cancelled.
    pub(crate) interrupted: bool,
    pub(crate) exit: Exit,
}

impl RestoreRequest {
    /// Whether the live system is written to.
    fn is_live(&self) -> bool {
        self.target.is_none() && !self.options.dry_run
    }
}

impl FoundRestore {
    /// Finds the snapshot, or imports the folder, and looks up the paths that are wanted of it.
    pub(crate) fn find(context: &Context<'_>, request: &RestoreRequest) -> anyhow::Result<Self> {
        let wanted = Wanted::parse(&request.places)?;
        check_alone(request, &wanted)?;
        let found = match find_snapshot(context, &wanted.name, &request.select, request.is_live())? {
            Ok(found) => found,
            Err(Doubts { path, why }) => {
                for why in why {
                    context.events.event(Event::Failure { text: &format!("{path}: {why}"), advice: None });
                }
                let message = format!("{path} is not as it should be, and nothing was restored");
                let advice = "`larder import --force` takes it all the same, and the snapshot can be restored";
                return Err(UsageError::with_advice(message, advice).into());
            }
        };
        let (repository, snapshot) = (&found.repository, &found.snapshot);
        warn_of_clock(context.events, &lookup::snapshots(repository)?.snapshots);
        if request.target.is_none() {
            request.select.check_system(context, repository, snapshot)?;
        }
        let mask = request.mask.as_deref().map(|path| read_mask(path, &context.settings.trust));
        let mask = mask.transpose()?.map(Arc::new);
        let parts = wanted.parts(repository, snapshot, &context.monitor)?;
        Ok(Self { found, wanted, parts, mask })
    }
}

impl<'a> PreparedRestore<'a> {
    /// Looks what goes where, and refuses what cannot be restored. Nothing is changed.
    pub(crate) fn prepare(
        context: &'a Context<'_>,
        request: &RestoreRequest,
        found: &'a FoundRestore,
    ) -> anyhow::Result<Self> {
        let (repository, snapshot) = (&found.found.repository, &found.found.snapshot);
        let system = if request.target.is_some() { None } else { Some(context.system()?) };
        let mut plan = plan(context, (request, found), system.as_ref())?;
        plan.aim_databases(&request.tables, request.into.as_deref(), found.mask.as_ref());
        plan.warn_of_other_names(context.events, snapshot);
        let of_database = found.mask.is_some() || request.into.is_some() || !request.tables.is_empty();
        if request.is_live() {
            if of_database {
                check_databases(context, repository, &plan.jobs, found.mask.as_deref())?;
            }
            check_nobody_restores(&plan.jobs)?;
        }
        Ok(Self { found, system, plan })
    }

    /// What goes where.
    pub(crate) const fn plan(&self) -> &Plan<'a> {
        &self.plan
    }

    /// The snapshot that is restored.
    pub(crate) const fn snapshot(&self) -> &'a Snapshot {
        &self.found.found.snapshot
    }

    /// The objects of whole databases that run code of roles that are no superusers, or of whoever wrote a dump that was imported,
    /// when they are loaded with all rights.
    pub(crate) fn foreign_code(&self) -> Vec<&str> {
        let whole = |job: &&RestoreJob<'_>| matches!(&job.destination, Destination::Database(target) if target.tables.is_empty());
        let facts = self.plan.jobs.iter().filter(whole).filter_map(|job| job.component.database.as_ref());
        facts.flat_map(|facts| &facts.foreign_code).map(String::as_str).collect()
    }

    /// Saves what is replaced, and restores. `trusts_code` allows what [`Self::foreign_code`] names.
    pub(crate) fn execute(
        self,
        context: &Context<'_>,
        request: &RestoreRequest,
        trusts_code: bool,
    ) -> anyhow::Result<RestoreOutcome<'a>> {
        let Self { found, system, plan } = self;
        let (repository, snapshot) = (&found.found.repository, &found.found.snapshot);
        let live = request.is_live();
        let mut safety = Safety { journals: journals(repository), ..Safety::default() };
        if let Some(system) = system.as_ref().filter(|_| live && request.saves_before) {
            safety = save(context, repository, system, &plan.jobs)?;
        }
        let safety_name = safety.snapshot.as_ref().map(|safety| safety.name.clone());
        let options = RestoreOptions { jobs: context.settings.jobs, trusts_code, ..request.options };
        let restoring = live
            .then(|| {
                Restoring::begin(
                    (repository, context),
                    (snapshot, &found.wanted.name),
                    &plan.jobs,
                    plan.parts.as_deref(),
                )
            })
            .transpose()?;
        let report = restore::run(repository, snapshot, &plan.jobs, safety, options, &context.monitor);
        let half = restoring.map(|restoring| restoring.end(report.as_ref().ok(), &plan.jobs)).unwrap_or_default();
        let RestoreReport { components: results, interrupted } = report?;
        let exit = exit(&plan, &results);
        let exit = if half.is_empty() { exit } else { exit.or_partial() };
        if live && exit == Exit::Done && !interrupted {
            start_after_killed_restores(context.events, repository, &plan.jobs);
        }
        let dry_run = request.options.dry_run;
        Ok(RestoreOutcome { snapshot, plan, results, safety: safety_name, dry_run, half, interrupted, exit })
    }

    /// The name that the snapshot was asked for by, where that may be another snapshot's by now.
    pub(crate) fn other_name(&self) -> Option<&'a str> {
        let wanted = self.found.wanted.name.as_str();
        (self.snapshot().name.as_str() != wanted).then_some(wanted)
    }
}

/// The status of a restore.
fn exit(plan: &Plan<'_>, results: &[ComponentRestore]) -> Exit {
    let is_whole = plan.left_out.is_empty() && plan.refused.is_empty();
    let failed = failed(results);
    if results.iter().any(|result| result.damaged) {
        Exit::Damage
    } else if failed == 0 && is_whole {
        Exit::Done
    } else if failed == results.len() && results.iter().all(|result| result.written == 0 && result.unchanged == 0) {
        Exit::Failed
    } else {
        Exit::Partial
    }
}

/// How many components were not restored whole.
pub(crate) fn failed(results: &[ComponentRestore]) -> usize {
    results.iter().filter(|result| result.problems().next().is_some()).count()
}

/// What goes where; without a system into the target.
fn plan<'a>(
    context: &Context<'_>,
    (request, found): (&RestoreRequest, &'a FoundRestore),
    system: Option<&System<'_>>,
) -> anyhow::Result<Plan<'a>> {
    let (snapshot, parts) = (&found.found.snapshot, &found.parts);
    let names = parts.as_deref().map_or_else(|| request.components.clone(), components_of);
    let mut components = lookup::components(snapshot, &names)?;
    if request.into.is_some() || !request.tables.is_empty() {
        components = vec![only_database(&components, names.is_empty())?];
    }
    let mut plan = if let Some(system) = system {
        parts.as_ref().map_or(Ok(()), |parts| check_live(parts, &components))?;
        Plan::live(system, (&components, &snapshot.components), &request.volumes, !names.is_empty())?
    } else {
        let target = std::path::absolute(request.target.as_deref().unwrap_or(Path::new(".")))?;
        check_target(&target, context.settings.insists)?;
        write_place::check(&target, context)?;
        Plan::into_folder(&target, &context.settings.trust, &components)
    };
    plan.limit(parts.clone());
    Ok(plan)
}

/// Refuses paths beside options that choose, too.
fn check_alone(request: &RestoreRequest, wanted: &Wanted) -> Result<(), UsageError> {
    if request.options.goes_on && !request.tables.is_empty() && request.into.is_none() {
        let message = "the rows of --tables are replaced all or none, and --continue would leave some out";
        return Err(UsageError::with_advice(message, "leave --continue away, or name another database with --into"));
    }
    let options = [
        ("--components", !request.components.is_empty()),
        ("--tables", !request.tables.is_empty()),
        ("--into", request.into.is_some()),
        ("--volume", !request.volumes.is_empty()),
    ];
    match options.into_iter().find(|(_, is_given)| *is_given && !wanted.paths.is_empty()) {
        Some((option, _)) => {
            let message = format!("NAME:PATH and {option} both say what is restored");
            Err(UsageError::with_advice(message, "use one of them"))
        }
        None => Ok(()),
    }
}

/// Refuses a folder that others get into: what is restored keeps its modes, set-user-id among them, and the folders around it in
/// the live system that kept others out are not there.
fn check_target(target: &Path, insists: bool) -> anyhow::Result<()> {
    let Ok(metadata) = target.metadata() else { return Ok(()) };
    let euid = rustix::process::geteuid();
    let is_closed = metadata.uid() == euid.as_raw() && metadata.mode() & RIGHTS_OF_OTHERS == 0;
    if is_closed || insists || !euid.is_root() || !metadata.is_dir() {
        return Ok(());
    }
    let shown = target.display();
    let message = format!("others than root get into {shown}, and so to all that would be restored there");
    let advice = "name a folder that is not there, or one that only root gets into; or --trust-files";
    Err(UsageError::with_advice(message, advice).into())
}

/// Makes sure of what is asked for of databases before anybody is asked and anything is saved.
fn check_databases(
    context: &Context<'_>,
    repository: &Repository,
    jobs: &[RestoreJob<'_>],
    mask: Option<&Mask>,
) -> anyhow::Result<()> {
    let mut all_known = true;
    for job in jobs {
        if let Destination::Database(target) = &job.destination {
            all_known &= restore::check_target(repository, job.component, target, &context.monitor)?;
        }
    }
    match mask.filter(|_| all_known).and_then(Mask::missing) {
        Some(missing) => Err(pipeline::Error::Refused(missing).into()),
        None => Ok(()),
    }
}

/// The database that `--tables` and `--into` are about: the one that was named, else the main one.
fn only_database<'a>(components: &[&'a Component], by_itself: bool) -> anyhow::Result<&'a Component> {
    let databases: Vec<&Component> =
        components.iter().copied().filter(|component| component.kind == ComponentKind::Database).collect();
    match databases.as_slice() {
        [only] => Ok(only),
        several => {
            let main = several.iter().find(|component| by_itself && component.name.as_str() == DATABASE);
            let advice = "name one with --components";
            let none = || UsageError::with_advice("--tables and --into are about one database", advice);
            main.copied().ok_or_else(|| none().into())
        }
    }
}

/// Saves what is about to be replaced. The users of volumes are stopped for that and stay so.
fn save(
    context: &Context<'_>,
    repository: &Repository,
    system: &System<'_>,
    jobs: &[RestoreJob<'_>],
) -> anyhow::Result<Safety> {
    let is_folder = |job: &&RestoreJob<'_>| matches!(job.destination, Destination::Live { .. });
    let names: Vec<String> = jobs.iter().filter(is_folder).map(|job| job.component.name.to_string()).collect();
    let mut sources = system.sources(Some(repository), &names)?;
    for job in jobs {
        let name = &job.component.name;
        match &job.destination {
            Destination::Volume(target) => sources.extend(system.target_source(name, target)?),
            // From where it is restored to: it may not be among those that were found.
            Destination::Database(target) => {
                let dump = DumpSource::new(target.connection.clone(), *repository.config().id.as_bytes());
                let dump = dump.by_tables(system.settings.tables);
                sources.push(ComponentSource { name: name.clone(), origin: Origin::Database(Box::new(dump)) });
            }
            Destination::Live { .. } | Destination::Folder { .. } => {}
        }
    }
    let name = system_name(context, Some(repository));
    let options = run_options(SnapshotKind::Safety, journals(repository), name);
    let safety = safety_snapshot(repository, sources, &options, &context.monitor)?;
    if let Some(snapshot) = &safety.snapshot {
        context.events.event(Event::SafetySnapshotSaved { name: snapshot.name.as_str() });
    }
    Ok(safety)
}
