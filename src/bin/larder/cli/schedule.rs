//! `larder schedule`: has systemd or cron run backups, checks and prunes.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, Subcommand, ValueEnum};
use larder::docker::Stack;
use larder::model::show_path;
use larder::postgres::Connection;
use larder::repo::Repository;
use serde_json::json;

use super::GlobalArguments;
use super::believed::{check_program, planned, settings, user};
use super::create::nothing;
use crate::config::{DatabasePlace, FILE_NAME, Settings, settings_of_environment};
use crate::failure::{Exit, UsageError};
use crate::identity::ids_at;
use crate::new_file::{self, Purpose};
use crate::output::Output;
use crate::real_path::real;
use crate::schedule::{Job, Planned, Runner, Schedule, When, timers};

/// Longest command that cron takes whole, in bytes.
const CRON_COMMAND_BYTES_MAX: usize = 990;

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
    #[arg(long, value_name = "TIME", default_value = "sun 03:00", value_parser = When::or_none)]
    prune: Chosen,
    /// When to read and check some of the data, or `none`.
    #[arg(long, value_name = "TIME", default_value = "sat 04:00", value_parser = When::or_none)]
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

impl When {
    fn or_none(text: &str) -> Result<Chosen, String> {
        if text == "none" { Ok(Chosen(None)) } else { Self::parse(text).map(|when| Chosen(Some(when))) }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RunnerName {
    Systemd,
    Cron,
}

impl ScheduleArguments {
    pub(super) fn run(&self, global: &GlobalArguments, output: &Output) -> anyhow::Result<Exit> {
        let base = global.directory.canonicalize().map_err(|error| {
            UsageError::new(format!("the directory {} cannot be used: {error}", global.directory.display()))
        })?;
        let name = Schedule::name_of(&base);
        match &self.action {
            Action::Install(install) => {
                // What the commands will be run with has to be understood now.
                let (settings, trusted) = settings(global, &install.trusted)?;
                check_something_is_saved(&settings)?;
                let jobs = install.jobs(global, &base, &settings)?;
                let repository = word("the path of the repository", &real(&settings.backup_dir))?;
                let reads = reads(&settings, global)?;
                check_program(global, &trusted)?;
                let believed = planned(&self.root, &settings, global, &trusted)?;
                self.install(&Schedule { name, base, repository, reads, jobs }, (install, believed), output)
            }
            Action::Show => self.show(&name, output),
            Action::Remove => self.remove(&name, output),
        }
    }

    /// Whether it is this machine that is changed.
    fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    fn install(
        &self,
        schedule: &Schedule,
        (install, believed): (&InstallArguments, Option<Planned>),
        output: &Output,
    ) -> anyhow::Result<Exit> {
        let runner = match install.with {
            Some(RunnerName::Systemd) => Runner::Systemd,
            Some(RunnerName::Cron) => Runner::Cron,
            None => Runner::of_this_host(),
        };
        let files = runner.files(&self.root, schedule);
        check_length(runner, &files)?;
        let written: Vec<&Planned> = believed.iter().chain(&files).collect();
        if install.dry_run {
            for Planned { path, text } in &written {
                output.line(&format!("# {}", path.display()));
                text.lines().for_each(|line| output.line(line));
            }
        } else {
            for Planned { path, text } in &written {
                let folder = path.parent().unwrap_or(Path::new("/"));
                let written =
                    new_file::make_folder(folder).and_then(|()| new_file::write(path, text.as_bytes(), Purpose::Text));
                written.map_err(|error| {
                    let message = format!("cannot write {}: {error}", path.display());
                    UsageError::with_advice(message, "only root may; `--dry-run` prints the files")
                })?;
                output.line(&path.display().to_string());
            }
            let stale = Schedule::standing(&self.root, &schedule.name);
            let stale: Vec<PathBuf> =
                stale.into_iter().filter(|path| !files.iter().any(|file| file.path == *path)).collect();
            self.delete(&stale)?;
            if self.is_live() && runner == Runner::Systemd {
                // A service cannot make what it may write to.
                let repository = &schedule.repository;
                let made = DirBuilder::new().recursive(true).mode(0o700).create(repository);
                made.map_err(|error| UsageError::new(format!("cannot make the directory {repository}: {error}")))?;
                let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
                systemctl(["daemon-reload"])?;
                systemctl(["enable", "--now"].into_iter().map(str::to_owned).chain(timers(&paths)))?;
            }
        }
        let paths: Vec<_> = written.iter().map(|file| &file.path).collect();
        if output.is_json() {
            output.json(&json!({ "name": schedule.name, "files": paths, "written": !install.dry_run }));
        }
        Ok(Exit::Done)
    }

    fn show(&self, name: &str, output: &Output) -> anyhow::Result<Exit> {
        let standing = Schedule::standing(&self.root, name);
        if output.is_json() {
            output.json(&json!({ "name": name, "files": standing }));
            return Ok(Exit::Done);
        }
        if standing.is_empty() {
            output.line("Nothing is installed for this directory.");
        }
        for path in &standing {
            let text = fs::read_to_string(path)?;
            let telling = |line: &&str| {
                line.starts_with("OnCalendar=") || line.starts_with("ExecStart=") || line.contains(" root ")
            };
            text.lines().filter(telling).for_each(|line| output.line(&format!("{}: {line}", path.display())));
        }
        if self.is_live() && !timers(&standing).is_empty() {
            let timers =
                Command::new("systemctl").args(["list-timers", "--no-pager"]).args(timers(&standing)).output()?;
            output.bytes(&timers.stdout);
        }
        Ok(Exit::Done)
    }

    fn remove(&self, name: &str, output: &Output) -> anyhow::Result<Exit> {
        let standing = Schedule::standing(&self.root, name);
        self.delete(&standing)?;
        if output.is_json() {
            output.json(&json!({ "name": name, "removed": standing }));
        } else if standing.is_empty() {
            output.line("Nothing is installed for this directory.");
        } else {
            for path in &standing {
                output.line(&format!("removed {}", path.display()));
            }
        }
        Ok(Exit::Done)
    }

    fn delete(&self, files: &[PathBuf]) -> anyhow::Result<()> {
        let timers = timers(files);
        if self.is_live() && !timers.is_empty() {
            systemctl(["disable", "--now"].into_iter().map(str::to_owned).chain(timers))?;
        }
        for path in files {
            new_file::remove(path)
                .map_err(|error| UsageError::new(format!("cannot remove {}: {error}", path.display())))?;
        }
        if self.is_live() && files.iter().any(|path| path.extension() == Some(OsStr::new("service"))) {
            systemctl(["daemon-reload"])?;
        }
        Ok(())
    }
}

impl InstallArguments {
    fn jobs(&self, global: &GlobalArguments, base: &Path, settings: &Settings) -> anyhow::Result<Vec<Job>> {
        let number = self.subset.trim_end_matches('%').parse::<f64>();
        if !number.is_ok_and(|number| number > 0.0 && number <= 100.0) {
            return Err(UsageError::new(format!("--subset {}: not between 0 and 100 %", self.subset)).into());
        }
        let program = word("the path of this program", &std::env::current_exe()?)?;
        let mut words =
            vec![program, "-q".to_owned(), "-C".to_owned(), word("the directory of the system (-C)", base)?];
        if let Some(backup_dir) = &global.backup_dir {
            let backup_dir = word("the repository (--backup-dir or LARDER_BACKUP_DIR)", backup_dir)?;
            words.extend(["--backup-dir".to_owned(), backup_dir]);
        }
        // One that is named has to be there: whoever owns the directory could rename it away, and runs would do without what it says.
        let found = Some(base.join(FILE_NAME)).filter(|file| file.symlink_metadata().is_ok());
        if let Some(config) = global.config.as_deref().or(found.as_deref()) {
            let config = word("the configuration file (--config)", &std::path::absolute(config)?)?;
            words.extend(["--config".to_owned(), config]);
        }
        let job = |name, when, arguments: Vec<String>| Job {
            name,
            when,
            starts_programs: name == "create",
            words: words.iter().cloned().chain(arguments).collect(),
        };
        // Where there is a repository already, no other one is used than those that were used here.
        let ids = repository_ids(settings);
        let with_ids = |words: &[&str]| -> Vec<String> {
            let ids = ids.iter().flat_map(|id| ["--repository-id", id.as_str()]);
            words.iter().copied().chain(ids).map(str::to_owned).collect()
        };
        let mut jobs = vec![job("create", self.create, with_ids(&["create"]))];
        if let Chosen(Some(when)) = self.verify {
            let verify = ["verify", "--all", "--read-data", "--subset", &self.subset];
            jobs.push(job("verify", when, verify.map(str::to_owned).to_vec()));
        }
        if let Chosen(Some(when)) = self.prune {
            jobs.push(job("prune", when, with_ids(&["prune", "--force"])));
        }
        Ok(jobs)
    }
}

/// Refuses a system whose runs would save nothing, or nothing of a database that only the environment of this command names.
fn check_something_is_saved(settings: &Settings) -> Result<(), UsageError> {
    if settings.is_database_of_environment {
        let message = "the database is named by the environment alone (DATABASE_URL, POSTGRES_DB), which the schedule does not have";
        let advice =
            "name it in [database] of larder.toml, with its password in a file; `skip = true` there saves none";
        return Err(UsageError::with_advice(message, advice));
    }
    let said = settings_of_environment();
    if !said.is_empty() {
        let message = format!("{} are set here, and the schedule does not have them", said.join(", "));
        return Err(UsageError::with_advice(message, "write these settings into larder.toml"));
    }
    let has_directory = settings.directories.iter().any(|directory| directory.configured || directory.path.exists());
    let has_engine = Stack::is_compose_directory(&settings.base)
        || settings.docker.enabled == Some(true)
        || settings.docker.project.is_some()
        || !settings.volumes.is_empty();
    if has_directory || has_engine || settings.database.is_some() {
        return Ok(());
    }
    Err(nothing("there is nothing to back up here that a schedule would know of"))
}

/// The ids of the repositories that were used, where there is one that can be read.
fn repository_ids(settings: &Settings) -> Vec<String> {
    let storage = larder::storage::open(&settings.backup_dir.to_string_lossy(), &settings.trust);
    let repository = storage.ok().and_then(|storage| Repository::open(storage).ok());
    repository.map(|repository| ids_at(settings, &repository)).unwrap_or_default()
}

/// Refuses a command that cron would cut off.
fn check_length(runner: Runner, files: &[Planned]) -> Result<(), UsageError> {
    let commands = files.iter().filter(|_| runner == Runner::Cron).flat_map(|file| file.text.lines());
    let mut commands = commands.filter_map(|line| line.split_once(" root ").map(|(_, command)| command));
    if commands.all(|command| command.len() <= CRON_COMMAND_BYTES_MAX) {
        return Ok(());
    }
    let message = format!("a command is longer than the {CRON_COMMAND_BYTES_MAX} bytes that cron takes");
    Err(UsageError::with_advice(message, "give the directories shorter paths, or have systemd run it"))
}

/// What jobs reach beside the directory of the system and the repository.
fn reads(settings: &Settings, global: &GlobalArguments) -> anyhow::Result<Vec<PathBuf>> {
    let mut reads: Vec<PathBuf> = settings.directories.iter().map(|directory| directory.path.clone()).collect();
    reads.push(std::env::current_exe()?);
    reads.extend(global.config.as_ref().map(std::path::absolute).transpose()?);
    reads.extend(settings.docker.host.as_ref().and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from));
    if let Some(database) = &settings.database {
        // Clients look there for passwords and certificates.
        reads.push(PathBuf::from("/root"));
        if let DatabasePlace::Server(Connection { host: Some(host), .. }) = &database.place {
            reads.push(PathBuf::from(host));
        }
    }
    Ok(reads.iter().map(|path| real(path)).collect())
}

/// A path as a word of a schedule. A control character could end its line and begin one of somebody else.
fn word(what: &str, path: &Path) -> Result<String, UsageError> {
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(UsageError::with_advice(
            format!("{what} has a control character, or is not UTF-8: {}", show_path(path.as_os_str().as_bytes())),
            "no schedule can have that: give it another name",
        )),
    }
}

fn systemctl<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> anyhow::Result<()> {
    let output = Command::new("systemctl").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(anyhow::anyhow!("systemctl failed: {said}"))
}
