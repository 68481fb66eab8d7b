//! `larder restore`: a snapshot back into the live system, or into a folder.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use larder::model::{Component, ComponentKind, Parts, Snapshot, SnapshotKind};
use larder::pipeline::backup::{ComponentSource, Origin};
use larder::pipeline::restore::{
    self, DatabaseTarget, Destination, RestoreJob, RestoreOptions, RestoreReport, Safety, safety_snapshot,
};
use larder::pipeline::{self, Mask, lookup};
use larder::progress::Cancelled;
use larder::repo::Repository;
use larder::source::postgres::DumpSource;

use super::ahead::warn_of_clock;
use super::create::options;
use super::earlier::{Doubts, Found, find_snapshot};
use super::left_held::start_after_killed_restores;
use super::restore_paths::{Wanted, check_live, components_of, parts_of};
use super::restore_plan::Plan;
use super::restore_report::Report;
use super::select::SelectArguments;
use super::{Context, name_list, place, split_names};
use crate::config::{DATABASE, read_mask};
use crate::console::{advice, confirm, error, line, warning};
use crate::failure::{Exit, UsageError};
use crate::identity::system_name;
use crate::restoring::{HalfRestored, Restoring, check_nobody_restores};
use crate::state::journals;
use crate::system::System;

/// Paths of a component that a question names.
const PATHS_SHOWN: usize = 10;
/// Tables that a question names.
const TABLES_SHOWN: usize = 5;
/// Rights of everybody but the owner.
const RIGHTS_OF_OTHERS: u32 = 0o077;
/// Longest name of a database, in bytes.
const DATABASE_NAME_BYTES_MAX: usize = 63;

/// Restore a snapshot into the live system, or with --target into a folder.
///
/// The live system is first saved as a snapshot of its own. Directories are made equal to the snapshot. A database is
/// loaded beside the old one, its rows are counted, and only then does it take its place. The containers that use a volume
/// are stopped while it is written, and started again.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(after_help = "Examples:\n  larder restore latest --dry-run\n  larder restore system_backup_20251010_103000 \
    --components database,models\n  larder restore latest --target /tmp/look\n  \
    larder restore latest:config/sources.yaml 'latest:outputs/**/*.csv'\n  larder restore latest --tables public.users,public.orders\n  larder restore latest --into shop_test --mask mask.toml\n  larder restore latest --components docker_volume_redis_data --volume redis_data=test_redis_data")]
pub(super) struct RestoreArguments {
    /// The snapshot: its name, the beginning of it, or `latest`; with a path behind a colon only that file or folder, or what the
    /// pattern matches; or the path of a folder or dump, which is imported first.
    #[arg(required = true, value_name = "NAME[:PATH]")]
    places: Vec<String>,
    /// Only these components, separated by commas.
    #[arg(long, value_name = "A,B", value_parser = name_list)]
    components: Vec<String>,
    /// Restore into this folder, where each component becomes an entry of its name. What else is there stays.
    #[arg(long, value_name = "DIR")]
    target: Option<PathBuf>,
    /// Touch nothing, and say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    force: bool,
    /// Do not save what is replaced.
    #[arg(long)]
    no_snapshot: bool,
    /// Leave files that the snapshot does not have.
    #[arg(long)]
    keep_extra: bool,
    /// Only these tables of a database, separated by commas: `public.users`. Their rows replace those in the live database.
    #[arg(long, value_name = "A,B", value_parser = name_list, conflicts_with = "target")]
    tables: Vec<String>,
    /// Restore a database as a new one of this name, beside the live one.
    #[arg(long, value_name = "DATABASE", value_parser = database_name, conflicts_with_all = ["target", "volumes"])]
    into: Option<String>,
    /// Mask columns of the database by the rules of this file; needs --into: the live database would be replaced by the masked one.
    #[arg(long, value_name = "FILE", requires = "into")]
    mask: Option<PathBuf>,
    /// Load tables with all rights of the restoring role also where that runs code of roles that are no superusers, and load
    /// whatever a dump says that was imported: who wrote it could become superuser by it. Without it such a table is loaded
    /// as its owner, or the restore is refused.
    #[arg(long, conflicts_with = "target")]
    run_code_as_superuser: bool,
    /// Restore everything else of a database where its server refuses something, and name each thing that it refuses; ends with 3 then.
    /// Without it nothing of the database is restored.
    #[arg(long = "continue", conflicts_with = "target")]
    goes_on: bool,
    /// Restore the volume OLD of the snapshot into the volume NEW of the engine; may be repeated.
    #[arg(long = "volume", value_name = "OLD=NEW", value_parser = volume_mapping, conflicts_with = "target")]
    volumes: Vec<(String, String)>,
    #[command(flatten)]
    select: SelectArguments,
}

/// A name that a server takes as it is: a longer one it cuts.
fn database_name(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a database has a name".to_owned()),
        1..=DATABASE_NAME_BYTES_MAX => Ok(text.to_owned()),
        len => Err(format!("it has {len} bytes, and a server takes {DATABASE_NAME_BYTES_MAX}")),
    }
}

fn volume_mapping(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err("not of the form OLD=NEW".to_owned()),
    }
}

impl RestoreArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        context.progress.stop_cleanly()?;
        let live = self.target.is_none() && !self.dry_run;
        let wanted = Wanted::parse(&self.places)?;
        self.check_alone(&wanted)?;
        let Found { repository, snapshot, .. } = &match find_snapshot(context, &wanted.name, &self.select, live)? {
            Ok(found) => found,
            Err(Doubts { path, why }) => {
                for why in why {
                    error(&format!("{path}: {why}"));
                }
                let message = format!("{path} is not as it should be, and nothing was restored");
                let advice = "`larder import --force` takes it all the same, and the snapshot can be restored";
                return Err(UsageError::with_advice(message, advice).into());
            }
        };
        warn_of_clock(&lookup::snapshots(repository)?.snapshots);
        if self.target.is_none() {
            self.select.check_system(context, repository, snapshot)?;
        }
        let mask = self.mask.as_deref().map(|path| read_mask(path, &context.settings.trust)).transpose()?.map(Arc::new);
        let tables = split_names(&self.tables);
        let parts = wanted.parts(repository, snapshot, &context.progress)?;
        context.progress.end();
        let system = if self.target.is_some() { None } else { Some(context.system()?) };
        let mut plan = self.plan(context, snapshot, system.as_ref(), parts)?;
        plan.aim_databases(&tables, self.into.as_deref(), mask.as_ref());
        plan.warn_of_other_names(snapshot);
        if live && (mask.is_some() || self.into.is_some() || !tables.is_empty()) {
            check_databases(context, repository, &plan.jobs, mask.as_deref())?;
        }
        if live {
            check_nobody_restores(&plan.jobs)?;
        }
        if live && !self.force {
            ask(snapshot, &plan)?;
        }
        let trusts_code = self.run_code_as_superuser || (live && ask_for_code(snapshot, &plan.jobs)?);
        let mut safety = Safety { journals: journals(repository), ..Safety::default() };
        if let Some(system) = system.as_ref().filter(|_| live && !self.no_snapshot) {
            safety = save(context, repository, system, &plan.jobs)?;
        }
        let safety_name = safety.snapshot.as_ref().map(|safety| safety.name.clone());
        let jobs = context.settings.jobs;
        let Self { keep_extra, dry_run, goes_on, .. } = *self;
        let options = RestoreOptions { keep_extra, dry_run, jobs, trusts_code, goes_on };
        let restoring = (live && !self.dry_run)
            .then(|| Restoring::begin(repository, (snapshot, &wanted.name), &plan.jobs, plan.parts.as_deref()))
            .transpose()?;
        let report = restore::run(repository, snapshot, &plan.jobs, safety, options, &context.progress);
        context.progress.end();
        let half = restoring.map(|restoring| restoring.end(report.as_ref().ok(), &plan.jobs)).unwrap_or_default();
        let RestoreReport { components: results, interrupted } = report?;
        let dry_run = self.dry_run;
        let report = Report { snapshot, plan: &plan, results: &results, safety: safety_name, dry_run };
        report.print(context);
        tell_of_half(&half, &plan);
        if interrupted {
            if *snapshot.name.as_str() != *wanted.name {
                // By then `latest` may be what this one leaves.
                line(&format!("note: to go on, restore {}, and not {}", snapshot.name, wanted.name));
            }
            return Err(pipeline::Error::Cancelled(Cancelled).into());
        }
        let exit = if half.is_empty() { report.exit() } else { report.exit().or_partial() };
        if live && exit == Exit::Done {
            start_after_killed_restores(repository, &plan.jobs);
        }
        Ok(exit)
    }

    /// What goes where; without a system into the target.
    fn plan<'a>(
        &self,
        context: &Context<'_>,
        snapshot: &'a Snapshot,
        system: Option<&System<'_>>,
        parts: Option<Arc<Parts>>,
    ) -> anyhow::Result<Plan<'a>> {
        let names = parts.as_deref().map_or_else(|| split_names(&self.components), components_of);
        let mut components = lookup::components(snapshot, &names)?;
        if self.into.is_some() || !self.tables.is_empty() {
            components = vec![only_database(&components, names.is_empty())?];
        }
        let mut plan = if let Some(system) = system {
            parts.as_ref().map_or(Ok(()), |parts| check_live(parts, &components))?;
            Plan::live(system, (&components, &snapshot.components), &self.volumes, !names.is_empty())?
        } else {
            let target = std::path::absolute(self.target.as_deref().unwrap_or(Path::new(".")))?;
            check_target(&target, context.settings.insists)?;
            place::check(&target, &context.settings)?;
            Plan::into_folder(&target, &context.settings.trust, &components)
        };
        plan.limit(parts);
        Ok(plan)
    }

    /// Refuses paths beside options that choose, too.
    fn check_alone(&self, wanted: &Wanted) -> Result<(), UsageError> {
        if self.goes_on && !self.tables.is_empty() && self.into.is_none() {
            let message = "the rows of --tables are replaced all or none, and --continue would leave some out";
            return Err(UsageError::with_advice(
                message,
                "leave --continue away, or name another database with --into",
            ));
        }
        let options = [
            ("--components", !self.components.is_empty()),
            ("--tables", !self.tables.is_empty()),
            ("--into", self.into.is_some()),
            ("--volume", !self.volumes.is_empty()),
        ];
        match options.into_iter().find(|(_, is_given)| *is_given && !wanted.paths.is_empty()) {
            Some((option, _)) => {
                let message = format!("NAME:PATH and {option} both say what is restored");
                Err(UsageError::with_advice(message, "use one of them"))
            }
            None => Ok(()),
        }
    }
}

/// Says which places are not whole.
fn tell_of_half(half: &[HalfRestored], plan: &Plan<'_>) {
    for half in half {
        warning(&half.to_string());
    }
    if !half.is_empty() && plan.jobs.iter().any(|job| !job.component.is_good()) {
        advice(
            "what is not whole in its snapshot makes nothing whole: restore it from another one, or look at it and remove the file",
        );
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
            all_known &= restore::check_target(repository, job.component, target, &context.progress)?;
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

/// Where a database goes, in words.
fn describe(target: &DatabaseTarget) -> String {
    let place = &target.connection;
    let masked = if target.mask.is_some() { ", masked" } else { "" };
    match (target.is_new, target.tables.is_empty()) {
        (true, true) => format!("as the new database {place}{masked}"),
        (true, false) => format!("{} as the new database {place}{masked}", target.tables.join(", ")),
        (false, true) => format!("{place}{masked}"),
        (false, false) => format!("the rows of {} in {place}{masked}", target.tables.join(", ")),
    }
}

fn ask(snapshot: &Snapshot, plan: &Plan<'_>) -> anyhow::Result<()> {
    line(&format!("{} of {} replaces:", snapshot.name, snapshot.time.to_text()));
    for job in &plan.jobs {
        let place = match &job.destination {
            Destination::Live { folder, .. } | Destination::Folder { folder, .. } => folder.display().to_string(),
            Destination::Database(target) => describe(target),
            Destination::Volume(target) => {
                let users = target.users.iter().filter(|user| user.is_up()).map(|user| user.name.as_str());
                let users = users.collect::<Vec<_>>().join(", ");
                let stopped = if users.is_empty() { users } else { format!("; stopped meanwhile: {users}") };
                format!("the volume {}{stopped}", target.name)
            }
        };
        let parts = job.parts.as_deref().map_or_else(Vec::new, |parts| parts_of(parts, job.component));
        if parts.is_empty() {
            line(&format!("  {} ({place})", job.component.name));
        }
        parts.iter().take(PATHS_SHOWN).for_each(|path| line(&format!("  {path} (in {place})")));
        if parts.len() > PATHS_SHOWN {
            line(&format!("  and {} more of {}", parts.len() - PATHS_SHOWN, job.component.name));
        }
    }
    match confirm("Are you sure you want to continue?") {
        Some(true) => Ok(()),
        Some(false) => Err(UsageError::new("nothing was restored").into()),
        None => Err(UsageError::with_advice(
            "nobody is there to confirm the restore",
            "`--force` restores without a question",
        )
        .into()),
    }
}

/// Asks whether code of roles that are no superusers, or of whoever wrote a dump that was imported, may run with all rights,
/// where a database is known to need that. Nothing has been touched so far. Says whether it was allowed; where nobody has to, it
/// is not.
fn ask_for_code(snapshot: &Snapshot, jobs: &[RestoreJob<'_>]) -> anyhow::Result<bool> {
    let whole =
        |job: &&RestoreJob<'_>| matches!(&job.destination, Destination::Database(target) if target.tables.is_empty());
    let facts = jobs.iter().filter(whole).filter_map(|job| job.component.database.as_ref());
    let objects: Vec<&str> = facts.flat_map(|facts| &facts.foreign_code).map(String::as_str).collect();
    if objects.is_empty() {
        return Ok(false);
    }
    let shown = objects.iter().take(TABLES_SHOWN).copied().collect::<Vec<_>>().join(", ");
    let more = if objects.len() > TABLES_SHOWN { " and more" } else { "" };
    let (runs, question, refused) = if snapshot.imported.is_some() {
        (
            format!("The dump has code of whoever wrote it: {shown}{more}. Loading it can run that"),
            "Load it all the same?",
            "the dump has code of whoever wrote it, and nothing was restored",
        )
    } else {
        (
            format!("Loading {shown}{more} runs that code"),
            "Load these tables all the same?",
            "tables of superusers run code of roles that are none, and nothing was restored",
        )
    };
    line(&format!("{runs} with all rights of the restoring role: its authors could take them over."));
    match confirm(question) {
        Some(true) => Ok(true),
        _ => Err(UsageError::with_advice(
            refused,
            "`--run-code-as-superuser` allows that; --components leaves the database out",
        )
        .into()),
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
    let name = system_name(system.settings, Some(repository));
    let options = options(SnapshotKind::Safety, journals(repository), name);
    let safety = safety_snapshot(repository, sources, &options, &context.progress);
    context.progress.end();
    let safety = safety?;
    if let Some(snapshot) = &safety.snapshot {
        line(&format!("What is replaced is saved as {}.", snapshot.name));
    }
    Ok(safety)
}
