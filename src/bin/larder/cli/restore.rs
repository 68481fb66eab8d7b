//! `larder restore`: a snapshot back into the live system, or into a folder.

use std::path::PathBuf;

use clap::Args;
use larder::cancel::Cancelled;
use larder::model::Snapshot;
use larder::pipeline;
use larder::pipeline::restore::{DatabaseTarget, Destination, RestoreOptions};

use super::restore_report::print;
use super::select::SelectArguments;
use super::terminal::Terminal;
use super::values::name_list;
use crate::app::names::split_names;
use crate::app::restore::{FoundRestore, PreparedRestore, RestoreRequest};
use crate::app::restore_paths::parts_of;
use crate::app::restore_plan::Plan;
use crate::app::restoring::HalfRestored;
use crate::error::UsageError;
use crate::exit::Exit;
use crate::term::console::{advice, confirm, line, warning};

/// Paths of a component that a question names.
const PATHS_SHOWN: usize = 10;
/// Tables that a question names.
const TABLES_SHOWN: usize = 5;
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
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        terminal.console.stop_cleanly()?;
        let (context, request) = (&terminal.context, self.request());
        let found = terminal.ended(FoundRestore::find(context, &request))?;
        let prepared = terminal.ended(PreparedRestore::prepare(context, &request, &found))?;
        let live = self.target.is_none() && !self.dry_run;
        if live && !self.force && prepared.plan().replaces_something() {
            ask(terminal, prepared.snapshot(), prepared.plan())?;
        }
        let trusts_code = self.run_code_as_superuser || (live && ask_for_code(terminal, &prepared)?);
        let other_name = prepared.other_name();
        let outcome = terminal.ended(prepared.execute(context, &request, trusts_code))?;
        print(terminal, &outcome)?;
        tell_of_half(&outcome.half, &outcome.plan);
        if outcome.interrupted {
            if let Some(other_name) = other_name {
                // By then `latest` may be what this one leaves.
                line(&format!("note: to go on, restore {}, and not {other_name}", outcome.snapshot.name));
            }
            return Err(pipeline::Error::Cancelled(Cancelled).into());
        }
        Ok(outcome.exit)
    }

    fn request(&self) -> RestoreRequest {
        let Self { keep_extra, dry_run, goes_on, .. } = *self;
        RestoreRequest {
            places: self.places.clone(),
            select: self.select.select(),
            components: split_names(&self.components),
            target: self.target.clone(),
            saves_before: !self.no_snapshot,
            tables: split_names(&self.tables),
            into: self.into.clone(),
            mask: self.mask.clone(),
            volumes: self.volumes.clone(),
            options: RestoreOptions { keep_extra, dry_run, goes_on, ..RestoreOptions::default() },
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

fn ask(terminal: &Terminal<'_>, snapshot: &Snapshot, plan: &Plan<'_>) -> anyhow::Result<()> {
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
    match confirm("Are you sure you want to continue?", terminal.console.cancel()).map_err(pipeline::Error::from)? {
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
fn ask_for_code(terminal: &Terminal<'_>, prepared: &PreparedRestore<'_>) -> anyhow::Result<bool> {
    let objects = prepared.foreign_code();
    if objects.is_empty() {
        return Ok(false);
    }
    let shown = objects.iter().take(TABLES_SHOWN).copied().collect::<Vec<_>>().join(", ");
    let more = if objects.len() > TABLES_SHOWN { " and more" } else { "" };
    let (runs, question, refused) = if prepared.snapshot().imported.is_some() {
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
    match confirm(question, terminal.console.cancel()).map_err(pipeline::Error::from)? {
        Some(true) => Ok(true),
        _ => Err(UsageError::with_advice(
            refused,
            "`--run-code-as-superuser` allows that; --components leaves the database out",
        )
        .into()),
    }
}
