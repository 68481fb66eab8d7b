//! The commands, one file each, and what they share: arguments, opening the repository, finding a snapshot.

mod ahead;
mod believed;
mod cat;
mod completions;
mod config;
mod create;
mod diff;
mod earlier;
mod expected;
mod export;
mod find;
mod forget;
mod guard;
mod import;
mod import_config;
mod left_held;
mod list;
mod losses;
mod ls;
mod man;
mod origin;
mod pin;
mod place;
mod plan;
mod plan_repository;
mod prune;
mod refusals;
mod repair;
mod restore;
mod restore_paths;
mod restore_plan;
mod restore_report;
mod savings;
mod schedule;
mod select;
mod setup;
mod shim;
mod show;
mod stats;
mod undelete;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use larder::docker::Stack;
use larder::pipeline::lookup;
use larder::progress::Progress;
use larder::repo::Repository;
use larder::rooted::Refusal;
use larder::storage::Storage;

use crate::config::{Parity, Settings, check_repository, repository_refused, strange_folder_above, warn_of_unknown};
use crate::console::{ConsoleProgress, Verbosity, advice, line, warning};
use crate::failure::{Exit, UsageError, with_causes};
use crate::identity::{check_repository_is_known, doubt_of_repository, warn_of_other_places};
use crate::output::Output;
use crate::state;
use crate::system::System;

/// Backs up a whole running system every night as one named snapshot, and gives any night back.
///
/// A system is a PostgreSQL database and some directories (models, config, outputs and logs, unless larder.toml names
/// others). The first `larder create` makes the repository.
#[derive(Debug, Parser)]
#[command(name = "larder", version, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct GlobalArguments {
    /// The directory of the system, where larder.toml, the repository and the directories are looked for.
    #[arg(short = 'C', value_name = "DIR", default_value = ".", global = true, hide_default_value = true)]
    pub(crate) directory: PathBuf,
    /// The repository [default: backups].
    #[arg(long, value_name = "DIR", env = "LARDER_BACKUP_DIR", global = true)]
    pub(crate) backup_dir: Option<PathBuf>,
    /// The configuration file [default: larder.toml, where there is one].
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Believe larder.toml, links and the repository whoever owns them.
    #[arg(long, global = true)]
    pub(crate) trust_files: bool,
    /// Print one JSON document on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what is being done, and how much memory it took.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::CreateArguments),
    Plan(plan::PlanArguments),
    List(list::ListArguments),
    Show(show::ShowArguments),
    Ls(ls::LsArguments),
    Cat(cat::CatArguments),
    Diff(diff::DiffArguments),
    Find(find::FindArguments),
    Restore(restore::RestoreArguments),
    Export(export::ExportArguments),
    Import(import::ImportArguments),
    ImportConfig(import_config::ImportConfigArguments),
    Verify(verify::VerifyArguments),
    Repair(repair::RepairArguments),
    Prune(prune::PruneArguments),
    Forget(forget::ForgetArguments),
    Undelete(undelete::UndeleteArguments),
    Pin(pin::PinArguments),
    Unpin(pin::UnpinArguments),
    Stats(stats::StatsArguments),
    Savings(savings::SavingsArguments),
    Config(config::ConfigArguments),
    Schedule(schedule::ScheduleArguments),
    Shim(shim::ShimArguments),
    Setup(setup::SetupArguments),
    Completions(completions::CompletionsArguments),
    Man(man::ManArguments),
    #[command(hide = true)]
    GuardContainers(guard::GuardArguments),
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> anyhow::Result<Exit> {
    let global = &arguments.global;
    let exit = match &arguments.command {
        Command::Create(command) => command.run(&Context::new(global, output)?),
        Command::Plan(command) => command.run(global, output),
        Command::List(command) => command.run(&Context::new(global, output)?),
        Command::Show(command) => command.run(&Context::new(global, output)?),
        Command::Ls(command) => command.run(&Context::new(global, output)?),
        Command::Cat(command) => command.run(&Context::new(global, output)?),
        Command::Diff(command) => command.run(&Context::new(global, output)?),
        Command::Find(command) => command.run(&Context::new(global, output)?),
        Command::Restore(command) => command.run(&Context::new(global, output)?),
        Command::Export(command) => command.run(&Context::new(global, output)?),
        Command::Import(command) => command.run(&Context::new(global, output)?),
        Command::Verify(command) => command.run(&Context::new(global, output)?),
        Command::Repair(command) => command.run(&Context::new(global, output)?),
        Command::Prune(command) => command.run(&Context::new(global, output)?),
        Command::Forget(command) => command.run(&Context::new(global, output)?),
        Command::Undelete(command) => command.run(&Context::new(global, output)?),
        Command::Pin(command) => command.run(&Context::new(global, output)?),
        Command::Unpin(command) => command.run(&Context::new(global, output)?),
        Command::Stats(command) => command.run(&Context::new(global, output)?),
        Command::Savings(command) => command.run(&Context::new(global, output)?),
        Command::Config(command) => Ok(command.run(&Context::new(global, output)?, global)),
        Command::ImportConfig(command) => command.run(global, output),
        Command::Schedule(command) => command.run(global, output),
        Command::Shim(command) => command.run(output),
        Command::Setup(command) => command.run(output),
        Command::Completions(command) => Ok(command.run(output)),
        Command::Man(command) => command.run(output),
        Command::GuardContainers(command) => command.run(),
    };
    output.flush();
    if global.verbose {
        report_memory();
    }
    exit
}

/// Says how much memory the process has had at most, where the system tells.
fn report_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        line(&format!("peak memory: {}", peak.trim()));
    }
}

/// What a command works with.
struct Context<'a> {
    settings: Settings,
    output: &'a Output,
    progress: ConsoleProgress,
}

impl<'a> Context<'a> {
    fn new(global: &GlobalArguments, output: &'a Output) -> anyhow::Result<Self> {
        warn_of_unknown();
        Ok(Self::with(Settings::load(global)?, global, output))
    }

    fn with(settings: Settings, global: &GlobalArguments, output: &'a Output) -> Self {
        let verbosity = match (global.quiet, global.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        };
        Self { settings, output, progress: ConsoleProgress::new(verbosity) }
    }

    /// The storage of the repository, which need not be there.
    fn storage(&self) -> anyhow::Result<Arc<dyn Storage>> {
        let (place, trust) = (&self.settings.backup_dir, &self.settings.trust);
        check_repository(place, trust).map_err(|refusal| repository_refused(place, &refusal))?;
        Ok(larder::storage::open(&place.to_string_lossy(), trust).map_err(larder::repo::Error::from)?)
    }

    /// Opens the repository, which must be there.
    fn repository(&self) -> anyhow::Result<Repository> {
        let repository = Repository::open(self.storage()?)?;
        if let Some((why, _)) = doubt_of_repository(&self.settings.backup_dir, Some(&repository)) {
            warning(&why);
        }
        left_held::make_good(&repository, &self.settings)?;
        Ok(repository)
    }

    /// Opens the repository, where there is one.
    fn repository_if_any(&self) -> anyhow::Result<Option<Repository>> {
        match self.repository() {
            Err(error) if is_not_found(&error) => Ok(None),
            repository => repository.map(Some),
        }
    }

    /// Opens the repository, where there is one, for adding to it; only the one that was used before, or none where none was, unless a new
    /// one is wanted.
    fn repository_to_add_to(&self, takes_new: bool) -> anyhow::Result<Option<Repository>> {
        let existing = self.repository_if_any()?;
        if existing.is_none() {
            Repository::check_vacant(self.storage()?.as_ref())?;
        }
        check_repository_is_known(&self.settings, existing.as_ref(), takes_new)?;
        Ok(existing)
    }

    /// Opens the repository, and makes it where there is none.
    fn repository_or_new(&self) -> anyhow::Result<Repository> {
        let storage = self.storage()?;
        let is_there = Repository::is_there(storage.as_ref())?;
        let repository = Repository::open_or_create(storage)?;
        if !is_there {
            line(&format!("note: a new repository was made in {}", self.settings.backup_dir.display()));
            warn_of_other_places(&self.settings);
        }
        left_held::make_good(&repository, &self.settings)?;
        Ok(repository)
    }

    /// Tells when somebody else may take the repository away.
    fn warn_of_strange_folder(&self) {
        let (place, trust) = (&self.settings.backup_dir, &self.settings.trust);
        match strange_folder_above(place, trust) {
            Some(Refusal::Owner { path, uid, .. }) => {
                let folder = path.display();
                warning(&format!(
                    "{folder}, which the repository lies in, belongs to user {uid}, who can take it away"
                ));
            }
            Some(refusal) => warning(&format!("{refusal}, which the repository lies in: they can take it away")),
            None => {}
        }
    }

    /// Writes the parity that the settings ask for. Says whether there was room for it.
    fn protect(&self, repository: &Repository) -> anyhow::Result<bool> {
        let share = match self.settings.parity {
            None => return Ok(true),
            Some(Parity::None) => None,
            Some(Parity::Share(share)) => Some(share),
        };
        let protected = repository.protect(share, &self.progress);
        self.progress.end();
        match protected {
            Err(error) if error.is_full() => {
                warning("there is no room for all of the parity; the next command writes what is missing");
                Ok(false)
            }
            protected => Ok(protected.map(|_| true)?),
        }
    }

    /// Everything that there is to back up, or to restore into.
    fn system(&self) -> anyhow::Result<System<'_>> {
        let system = System::find(&self.settings, &|| self.progress.cancelled())?;
        let Settings { base, file, backup_dir, .. } = &self.settings;
        let whole = [(base.clone(), "larder.toml"), (backup_dir.clone(), "the repository")];
        let files = Stack::files_in(base).map(|file| (file, "the project")).chain([(file.clone(), "what is done")]);
        let files = files.filter(|(file, _)| file.parent() != Some(base) || !system.trust.is_strange(base));
        for (place, what) in whole.into_iter().chain(files).filter(|(place, _)| system.trust.is_strange(place)) {
            let place = place.display();
            warning(&format!("a container may write to {place}: whoever is root in it decides over {what}"));
        }
        state::check(&system.trust)?;
        if let Some(why) = self.settings.unused_database.as_ref().filter(|_| !system.databases.is_empty()) {
            warning(why);
        }
        if let Some(why) = &system.no_engine {
            warning(&format!("volumes and databases in containers are out of reach: {why}"));
            advice("where there is no engine, `enabled = false` in [docker] says so");
        }
        Ok(system)
    }
}

fn is_not_found(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(larder::repo::Error::NotFound { .. }))
}

/// A list of names with at least one: where a variable of a script is empty, what was meant is not known.
fn name_list(text: &str) -> Result<String, String> {
    if text.split(',').all(|name| name.trim().is_empty()) {
        return Err("it has no name; leave the option out to mean all".to_owned());
    }
    Ok(text.to_owned())
}

/// Splits a list of names at commas.
fn split_names(lists: &[String]) -> Vec<String> {
    let parts = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Refuses names that are not among those known.
fn check_names(names: &[String], known: &[String], place: &str) -> anyhow::Result<()> {
    match names.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(unknown) => {
            let message = format!("there is no component '{unknown}' {place}");
            let advice = if known.is_empty() {
                "name one in larder.toml".to_owned()
            } else {
                format!("one of {}", known.join(", "))
            };
            Err(UsageError::with_advice(message, advice).into())
        }
    }
}

/// Tells of manifests that cannot be read; says whether there are any.
fn warn_unreadable(found: &lookup::Snapshots) -> bool {
    for (name, error) in &found.unreadable {
        warning(&format!("the manifest of {name} cannot be read: {}", with_causes(error)));
    }
    !found.unreadable.is_empty()
}
