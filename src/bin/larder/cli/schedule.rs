//! `larder schedule`: has systemd or cron run backups, checks and prunes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use larder::cancel::Cancel;

use super::global::GlobalArguments;
use super::terminal::Shown;
use crate::app::believed::user;
use crate::app::schedule::{InstallRequest, Installed, PlannedInstall};
use crate::exit::Exit;
use crate::host_schedule::{Planned, Runner, When};
use crate::term::console::{confirm, line};
use crate::term::output::Output;
use crate::view::documents::schedule::{InstallDocument, InstalledDocument, RemovedDocument};

/// Have systemd or cron run backups, checks and prunes of this system.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larder schedule install\n  larder schedule install --create 01:30 --prune 'sun 03:00' --verify none\n  \
    larder schedule show\n  larder schedule remove"
)]
pub(super) struct ScheduleArguments {
    #[command(subcommand)]
    action: Action,
    /// Take this directory for the root of the file system, and start nothing.
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true, global = true)]
    root: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write timers of systemd, or where it does not run a file for cron; replaces what was installed before.
    Install(InstallArguments),
    /// Show what is installed, and when it runs next.
    Show,
    /// Remove what is installed.
    Remove,
}

#[derive(Debug, Args)]
struct InstallArguments {
    /// When to back up: a time like 02:00, or one of a day of the week like 'sun 02:00'.
    #[arg(long, value_name = "TIME", default_value = "02:00", value_parser = When::parse)]
    create: When,
    /// When to prune, or `none`.
    #[arg(long, value_name = "TIME", default_value = "sun 03:00", value_parser = time_or_none)]
    prune: Chosen,
    /// When to read and check some of the data, or `none`.
    #[arg(long, value_name = "TIME", default_value = "sat 04:00", value_parser = time_or_none)]
    verify: Chosen,
    /// How much of the data each check reads, chosen anew each time.
    #[arg(long, value_name = "N%", default_value = "10%")]
    subset: String,
    /// What is to run it [default: systemd where it runs, else cron].
    #[arg(long, value_name = "WHO")]
    with: Option<RunnerName>,
    /// Have the runs, and every other run of root on this host, believe a user's larder.toml, links and repository; may be repeated.
    #[arg(long = "trust-user", value_name = "USER", value_parser = user)]
    trusted: Vec<u32>,
    /// Print the files, and write nothing.
    #[arg(long)]
    dry_run: bool,
}

/// A time, or none.
#[derive(Debug, Clone, Copy)]
struct Chosen(Option<When>);

fn time_or_none(text: &str) -> Result<Chosen, String> {
    if text == "none" { Ok(Chosen(None)) } else { When::parse(text).map(|when| Chosen(Some(when))) }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RunnerName {
    Systemd,
    Cron,
}

impl ScheduleArguments {
    pub(super) fn run(&self, global: &GlobalArguments, shown: &Shown<'_>) -> anyhow::Result<Exit> {
        let installed = || Installed::find(&global.overrides(), &self.root);
        match &self.action {
            Action::Install(install) => self.install(install, global, shown)?,
            Action::Show => show(&installed()?, shown.output)?,
            Action::Remove => remove(&installed()?, shown.output)?,
        }
        Ok(Exit::Done)
    }

    fn install(&self, install: &InstallArguments, global: &GlobalArguments, shown: &Shown<'_>) -> anyhow::Result<()> {
        let output = shown.output;
        let planned = PlannedInstall::find(&self.request(install, global), &mut ask, shown)?;
        if install.dry_run {
            for Planned { path, text } in planned.files() {
                output.line(&format!("# {}", path.display()));
                text.lines().for_each(|line| output.line(line));
            }
        } else {
            planned.execute(|path| output.line(&path.display().to_string()))?;
        }
        if output.is_json() {
            output.document(&InstallDocument::new(&planned, !install.dry_run))?;
        }
        Ok(())
    }

    fn request(&self, install: &InstallArguments, global: &GlobalArguments) -> InstallRequest {
        InstallRequest {
            overrides: global.overrides(),
            root: self.root.clone(),
            create: install.create,
            prune: install.prune.0,
            verify: install.verify.0,
            subset: install.subset.clone(),
            runner: install.with.map(|name| match name {
                RunnerName::Systemd => Runner::Systemd,
                RunnerName::Cron => Runner::Cron,
            }),
            trusted: install.trusted.clone(),
        }
    }
}

/// Asks whoever is at the terminal. Where nobody is, the answer is no.
fn ask(what: &str, question: &str) -> bool {
    line(what);
    // Signals are not taken over here: they end the process.
    matches!(confirm(question, &Cancel::new()), Ok(Some(true)))
}

fn show(installed: &Installed, output: &Output) -> anyhow::Result<()> {
    if output.is_json() {
        return output.document(&InstalledDocument::new(installed));
    }
    if installed.files.is_empty() {
        output.line("Nothing is installed for this directory.");
    }
    for path in &installed.files {
        Installed::lines(path)?.iter().for_each(|line| output.line(&format!("{}: {line}", path.display())));
    }
    if let Some(next) = installed.next_runs()? {
        output.bytes(&next);
    }
    Ok(())
}

fn remove(installed: &Installed, output: &Output) -> anyhow::Result<()> {
    installed.remove()?;
    if output.is_json() {
        return output.document(&RemovedDocument::new(installed));
    }
    if installed.files.is_empty() {
        output.line("Nothing is installed for this directory.");
    }
    for path in &installed.files {
        output.line(&format!("removed {}", path.display()));
    }
    Ok(())
}
