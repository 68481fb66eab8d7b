//! The commands, one file each: arguments become a request, and an outcome becomes text or a document.

mod cat;
mod completions;
mod config;
mod confirm;
mod create;
mod diff;
mod entry;
mod export;
mod find;
mod foreign_commands;
mod forget;
mod global;
mod guard;
mod import;
mod import_config;
mod list;
mod losses;
mod ls;
mod man;
mod pin;
mod plan;
mod prune;
mod repair;
mod report;
mod restore;
mod restore_report;
mod savings;
mod schedule;
mod select;
mod setup;
mod shim;
mod show;
mod stats;
mod terminal;
mod undelete;
mod values;
mod verify;

use clap::{CommandFactory, Parser, Subcommand};

use self::global::GlobalArguments;
use self::terminal::{Shown, Terminal};
use crate::config::Settings;
use crate::exit::Exit;
use crate::term::console::{ConsoleProgress, line};
use crate::term::output::Output;

pub(crate) use foreign_commands::exit as exit_with;
pub(crate) use report::report;

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
    let console = ConsoleProgress::new(global.verbosity());
    let shown = Shown { output, console: &console };
    let terminal = || terminal(global, &shown);
    let exit = match &arguments.command {
        Command::Create(command) => command.run(&terminal()?),
        Command::Plan(command) => command.run(global, &shown),
        Command::List(command) => command.run(&terminal()?),
        Command::Show(command) => command.run(&terminal()?),
        Command::Ls(command) => command.run(&terminal()?),
        Command::Cat(command) => command.run(&terminal()?),
        Command::Diff(command) => command.run(&terminal()?),
        Command::Find(command) => command.run(&terminal()?),
        Command::Restore(command) => command.run(&terminal()?),
        Command::Export(command) => command.run(&terminal()?),
        Command::Import(command) => command.run(&terminal()?),
        Command::Verify(command) => command.run(&terminal()?),
        Command::Repair(command) => command.run(&terminal()?),
        Command::Prune(command) => command.run(&terminal()?),
        Command::Forget(command) => command.run(&terminal()?),
        Command::Undelete(command) => command.run(&terminal()?),
        Command::Pin(command) => command.run(&terminal()?),
        Command::Unpin(command) => command.run(&terminal()?),
        Command::Stats(command) => command.run(&terminal()?),
        Command::Savings(command) => command.run(&terminal()?),
        Command::Config(command) => command.run(&terminal()?, global),
        Command::ImportConfig(command) => command.run(global, &shown),
        Command::Schedule(command) => command.run(global, &shown),
        Command::Shim(command) => command.run(output),
        Command::Setup(command) => command.run(output, Arguments::command()),
        Command::Completions(command) => Ok(command.run(output, Arguments::command())),
        Command::Man(command) => command.run(output, Arguments::command()),
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

/// The terminal of a command that needs the settings.
fn terminal<'a>(global: &GlobalArguments, shown: &'a Shown<'a>) -> anyhow::Result<Terminal<'a>> {
    shown.warn_of_unknown_variables();
    Ok(Terminal::new(Settings::load(&global.overrides(), shown)?, shown))
}
