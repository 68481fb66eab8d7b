//! What runs regularly: planned, installed, looked at and removed.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder::cancel::Cancel;
use larder::docker::Stack;
use larder::events::Events;
use larder::model::show_path;
use larder::monitor::Monitor;
use larder::postgres::Connection;
use larder::repo::Repository;

use super::believed::ScheduleTrust;
use super::context::Context;
use super::create::nothing;
use super::identity::ids_at;
use super::invocation::Invocation;
use crate::config::{DatabasePlace, FILE_NAME, Overrides, Settings, settings_of_environment};
use crate::error::UsageError;
use crate::host::new_file::{self, Purpose};
use crate::host::real_path::real;
use crate::host_schedule::{Job, Planned, Runner, Schedule, When, standing, timers};

/// Longest command that cron takes whole, in bytes.
const CRON_COMMAND_BYTES_MAX: usize = 990;

/// What is to run regularly.
#[derive(Debug, Clone)]
pub(crate) struct InstallRequest {
    /// What the commands are run with.
    pub(crate) overrides: Overrides,
    /// The root of the file system; where it is another one than that of this machine, nothing is started.
    pub(crate) root: PathBuf,
    pub(crate) create: When,
    /// When to prune, if at all.
    pub(crate) prune: Option<When>,
    /// When to read and check some of the data, if at all.
    pub(crate) verify: Option<When>,
    /// How much of the data each check reads, as it was written.
    pub(crate) subset: String,
    /// What is to run it; `None` for what runs on this host.
    pub(crate) runner: Option<Runner>,
    /// Users that the runs are to believe.
    pub(crate) trusted: Vec<u32>,
}

/// A schedule that can be installed.
#[derive(Debug)]
pub(crate) struct PlannedInstall {
    root: PathBuf,
    schedule: Schedule,
    runner: Runner,
    files: Vec<Planned>,
    /// The file of this host, where it has to name more users.
    host_file: Option<Planned>,
}

/// What is installed for a system.
#[derive(Debug)]
pub(crate) struct Installed {
    root: PathBuf,
    pub(crate) name: String,
    pub(crate) files: Vec<PathBuf>,
}

impl PlannedInstall {
    /// Looks what is to be written. `ask` says something, asks a question about it, and gives whether the answer is yes.
    pub(crate) fn find(
        request: &InstallRequest,
        ask: &mut dyn FnMut(&str, &str) -> bool,
        events: &dyn Events,
    ) -> anyhow::Result<Self> {
        let (base, overrides) = (base(&request.overrides)?, &request.overrides);
        let mut trust = ScheduleTrust::new(overrides, &request.trusted, ask, events);
        // What the commands will be run with has to be understood now.
        let cancel = Cancel::new();
        let context = Context {
            settings: trust.settings()?,
            events,
            monitor: Monitor::unheard(&cancel),
            invocation: Invocation::default(),
        };
        let settings = &context.settings;
        check_something_is_saved(settings)?;
        let jobs = request.jobs(&context, &base)?;
        let repository = word("the path of the repository", &real(&settings.backup_dir))?;
        let reads = reads(settings, overrides)?;
        trust.check_program()?;
        let host_file = trust.host_file(&request.root, settings)?;
        let schedule = Schedule { name: Schedule::name_of(&base), base, repository, reads, jobs };
        let runner = request.runner.unwrap_or_else(Runner::of_this_host);
        let files = runner.files(&request.root, &schedule);
        check_length(runner, &files)?;
        Ok(Self { root: request.root.clone(), schedule, runner, files, host_file })
    }

    /// What the schedule is called.
    pub(crate) fn name(&self) -> &str {
        &self.schedule.name
    }

    /// The files that are written.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Planned> {
        self.host_file.iter().chain(&self.files)
    }

    /// Writes the files, in the place of what was installed before, and starts the timers. `tell` hears of each file that is written.
    pub(crate) fn execute(&self, tell: impl Fn(&Path)) -> anyhow::Result<()> {
        for Planned { path, text } in self.files() {
            let folder = path.parent().unwrap_or(Path::new("/"));
            let written =
                new_file::make_folder(folder).and_then(|()| new_file::write(path, text.as_bytes(), Purpose::Text));
            written.map_err(|error| {
                let message = format!("cannot write {}: {error}", path.display());
                UsageError::with_advice(message, "only root may; `--dry-run` prints the files")
            })?;
            tell(path);
        }
        let stale = standing(&self.root, &self.schedule.name);
        let stale: Vec<PathBuf> =
            stale.into_iter().filter(|path| !self.files.iter().any(|file| file.path == *path)).collect();
        delete(&self.root, &stale)?;
        if is_live(&self.root) && self.runner == Runner::Systemd {
            // A service cannot make what it may write to.
            let repository = &self.schedule.repository;
            let made = DirBuilder::new().recursive(true).mode(0o700).create(repository);
            made.map_err(|error| UsageError::new(format!("cannot make the directory {repository}: {error}")))?;
            let paths: Vec<PathBuf> = self.files.iter().map(|file| file.path.clone()).collect();
            systemctl(["daemon-reload"])?;
            systemctl(["enable", "--now"].into_iter().map(str::to_owned).chain(timers(&paths)))?;
        }
        Ok(())
    }
}

impl Installed {
    /// Looks what is installed below `root` for the system of this directory.
    pub(crate) fn find(overrides: &Overrides, root: &Path) -> anyhow::Result<Self> {
        let name = Schedule::name_of(&base(overrides)?);
        Ok(Self { root: root.to_owned(), files: standing(root, &name), name })
    }

    /// The lines of one of the files that say what runs, and when.
    pub(crate) fn lines(path: &Path) -> anyhow::Result<Vec<String>> {
        let text = fs::read_to_string(path)?;
        let telling =
            |line: &&str| line.starts_with("OnCalendar=") || line.starts_with("ExecStart=") || line.contains(" root ");
        Ok(text.lines().filter(telling).map(str::to_owned).collect())
    }

    /// When the timers run next, in the words of systemd; `None` where it runs none of this.
    pub(crate) fn next_runs(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let timers = timers(&self.files);
        if !is_live(&self.root) || timers.is_empty() {
            return Ok(None);
        }
        let output = Command::new("systemctl").args(["list-timers", "--no-pager"]).args(timers).output()?;
        Ok(Some(output.stdout))
    }

    /// Stops the timers, and removes the files.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        delete(&self.root, &self.files)
    }
}

impl InstallRequest {
    fn jobs(&self, context: &Context<'_>, base: &Path) -> anyhow::Result<Vec<Job>> {
        let number = self.subset.trim_end_matches('%').parse::<f64>();
        if !number.is_ok_and(|number| number > 0.0 && number <= 100.0) {
            return Err(UsageError::new(format!("--subset {}: not between 0 and 100 %", self.subset)).into());
        }
        let program = word("the path of this program", &std::env::current_exe()?)?;
        let mut words =
            vec![program, "-q".to_owned(), "-C".to_owned(), word("the directory of the system (-C)", base)?];
        if let Some(backup_dir) = &self.overrides.backup_dir {
            let backup_dir = word("the repository (--backup-dir or LARDER_BACKUP_DIR)", backup_dir)?;
            words.extend(["--backup-dir".to_owned(), backup_dir]);
        }
        // One that is named has to be there: whoever owns the directory could rename it away, and runs would do without what it says.
        let found = Some(base.join(FILE_NAME)).filter(|file| file.symlink_metadata().is_ok());
        if let Some(config) = self.overrides.config.as_deref().or(found.as_deref()) {
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
        let ids = repository_ids(context);
        let with_ids = |words: &[&str]| -> Vec<String> {
            let ids = ids.iter().flat_map(|id| ["--repository-id", id.as_str()]);
            words.iter().copied().chain(ids).map(str::to_owned).collect()
        };
        let mut jobs = vec![job("create", self.create, with_ids(&["create"]))];
        if let Some(when) = self.verify {
            let verify = ["verify", "--all", "--read-data", "--subset", &self.subset];
            jobs.push(job("verify", when, verify.map(str::to_owned).to_vec()));
        }
        if let Some(when) = self.prune {
            jobs.push(job("prune", when, with_ids(&["prune", "--force"])));
        }
        Ok(jobs)
    }
}

/// The directory of the system, without links in its path.
fn base(overrides: &Overrides) -> Result<PathBuf, UsageError> {
    let directory = &overrides.directory;
    directory
        .canonicalize()
        .map_err(|error| UsageError::new(format!("the directory {} cannot be used: {error}", directory.display())))
}

/// Whether it is this machine that is changed.
fn is_live(root: &Path) -> bool {
    root == Path::new("/")
}

/// Removes files of a schedule below `root`, and stops the timers among them.
fn delete(root: &Path, files: &[PathBuf]) -> anyhow::Result<()> {
    let timers = timers(files);
    if is_live(root) && !timers.is_empty() {
        systemctl(["disable", "--now"].into_iter().map(str::to_owned).chain(timers))?;
    }
    for path in files {
        new_file::remove(path)
            .map_err(|error| UsageError::new(format!("cannot remove {}: {error}", path.display())))?;
    }
    if is_live(root) && files.iter().any(|path| path.extension() == Some(OsStr::new("service"))) {
        systemctl(["daemon-reload"])?;
    }
    Ok(())
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
fn repository_ids(context: &Context<'_>) -> Vec<String> {
    let settings = &context.settings;
    let storage = larder::storage::open(&settings.backup_dir.to_string_lossy(), &settings.trust);
    let repository = storage.ok().and_then(|storage| Repository::open(storage).ok());
    repository.map(|repository| ids_at(context, &repository)).unwrap_or_default()
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
fn reads(settings: &Settings, overrides: &Overrides) -> anyhow::Result<Vec<PathBuf>> {
    let mut reads: Vec<PathBuf> = settings.directories.iter().map(|directory| directory.path.clone()).collect();
    reads.push(std::env::current_exe()?);
    reads.extend(overrides.config.as_ref().map(std::path::absolute).transpose()?);
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
