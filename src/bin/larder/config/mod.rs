//! What is to be backed up and where: flags over `LARDER_…` over `larder.toml` over variables that other programs read too, over what is
//! found.

mod database;
mod effective;
mod engine;
mod environment;
mod file;
mod mask;
mod old;
mod retention;
mod trust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use larder::model::ComponentName;
use larder::parity::Share;
use larder::repo;
use larder::rooted::{Refusal, Trust};
use larder::source::Excludes;
use larder::source::postgres::TableOptions;
use larder::storage::check_folder;

pub(crate) use database::{DATABASE, DatabasePlace, DatabaseSettings};
pub(crate) use effective::{Effective, effective};
pub(crate) use engine::{DockerSettings, VOLUME_PREFIX, VolumeSettings, hold_of_label};
pub(crate) use environment::{is_system_of_environment, settings_of_environment, warn_of_unknown};
pub(crate) use mask::read_mask;
pub(crate) use old::convert;
pub(crate) use retention::{RetentionTable, parse_size, parse_span};
pub(crate) use trust::{
    HOST_FILE, check_repository, mend_of_repository, of_run, parse_host_file, refused, repository_refused, scheduled,
    strange_folder_above, trusted_uids,
};

use crate::cli::GlobalArguments;
use crate::failure::UsageError;

pub(crate) const FILE_NAME: &str = "larder.toml";
/// Longest file with settings that is read, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest name of a system, in bytes.
const SYSTEM_NAME_BYTES_MAX: usize = 200;
const DEFAULT_BACKUP_DIR: &str = "backups";
/// The directories of the documented system.
const DEFAULT_DIRECTORIES: [&str; 4] = ["models", "config", "outputs", "logs"];

/// A directory that is a component.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) name: ComponentName,
    pub(crate) path: PathBuf,
    pub(crate) excludes: Excludes,
    /// The patterns of `excludes` as they were written.
    pub(crate) patterns: Vec<String>,
    /// Whether the user named it, so that its absence is an error.
    pub(crate) configured: bool,
}

/// How much parity there is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parity {
    /// None at all.
    None,
    Share(Share),
}

/// Everything that the commands need to know about the system.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The directory of the system.
    pub(crate) base: PathBuf,
    /// The configuration file, which need not be there.
    pub(crate) file: PathBuf,
    /// Whose files and links are believed.
    pub(crate) trust: Trust,
    /// Whether everybody's are, because that was insisted on.
    pub(crate) insists: bool,
    /// How the system is called, where that is said.
    pub(crate) system: Option<String>,
    pub(crate) backup_dir: PathBuf,
    /// How much parity there is to be, where something is said of it.
    pub(crate) parity: Option<Parity>,
    pub(crate) directories: Vec<Directory>,
    pub(crate) database: Option<DatabaseSettings>,
    /// What names a database and is not used, and why.
    pub(crate) unused_database: Option<String>,
    /// Whether only variables name the database that other programs read too.
    pub(crate) is_database_of_environment: bool,
    /// Sessions that read or load the tables of a database at once.
    pub(crate) jobs: usize,
    /// How databases are read table by table; `None` when each is one plain dump.
    pub(crate) tables: Option<TableOptions>,
    /// Whether no database is saved, wherever there is one.
    pub(crate) skips_database: bool,
    pub(crate) docker: DockerSettings,
    pub(crate) volumes: BTreeMap<String, VolumeSettings>,
    /// What the file says of pruning.
    pub(crate) retention: RetentionTable,
    /// Everything that the file and the environment say, for showing it.
    pub(crate) said: toml::Table,
}

/// What has to be believed before it is used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Believed {
    Configuration,
    Repository,
    /// The way to the directory of a component.
    Directory(String),
}

impl Believed {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Configuration => "configuration",
            Self::Repository => "repository",
            Self::Directory(name) => name,
        }
    }
}

impl Settings {
    /// Finds the settings for a command.
    pub(crate) fn load(global: &GlobalArguments) -> anyhow::Result<Self> {
        let trust = trust::of_run(global.trust_files, &[])?;
        Self::load_trusting(global, trust, |refusal| Err(refused(&refusal).into()))
    }

    /// Finds the settings, also in a file that is not to be believed, which `refuse` hears of.
    pub(crate) fn load_trusting(
        global: &GlobalArguments,
        trust: Trust,
        refuse: impl FnOnce(Refusal) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        if !global.directory.is_dir() {
            return Err(UsageError::new(format!("{} is not a directory", global.directory.display())).into());
        }
        let base = std::path::absolute(&global.directory)?;
        let (file, said) = read_file(global, &base, &trust, refuse)?;
        let backup_dir = global.backup_dir.clone().or_else(|| file.backup_dir.clone());
        let backup_dir = backup_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_BACKUP_DIR));
        if backup_dir.as_os_str().is_empty() {
            return Err(UsageError::new("backup_dir is empty: it names the folder of the repository").into());
        }
        check_folder(&backup_dir.to_string_lossy()).map_err(repo::Error::from)?;
        let backup_dir = base.join(backup_dir);
        let directories = directories(&file, &base)?;
        let database::FoundDatabase { settings: database, unused: unused_database, is_of_environment } =
            database::find(file.database.as_ref(), &base, &trust)?;
        let (tables, is_plain) = file.database.as_ref().map(file::Database::tables).transpose()?.unwrap_or_default();
        let (jobs, tables) = (tables.jobs, (!is_plain).then_some(tables));
        let skips_database = file.database.as_ref().is_some_and(file::Database::is_skipped);
        let volumes = file.volumes.iter().map(|(name, volume)| Ok((name.clone(), engine::volume(name, volume)?)));
        let volumes = volumes.collect::<anyhow::Result<_>>()?;
        let system = file.system.name.as_deref().map(system_name).transpose()?;
        let parity = file.parity.as_deref().map(parse_parity).transpose()?;
        // A policy that means nothing is found now, and not by the first prune.
        file.retention.check()?;
        let (docker, retention) = (engine::docker(file.docker), file.retention);
        Ok(Self {
            file: configuration_file(global, &base)?,
            base,
            trust,
            insists: global.trust_files,
            system,
            backup_dir,
            parity,
            directories,
            database,
            unused_database,
            is_database_of_environment: is_of_environment,
            jobs,
            tables,
            skips_database,
            docker,
            volumes,
            retention,
            said,
        })
    }

    /// Everything that is not believed, and why.
    pub(crate) fn refusals(&self, global: &GlobalArguments, trust: &Trust) -> Vec<(Believed, Refusal)> {
        let file = configuration_file(global, &self.base).map(|path| trust.open_file(&path).map(drop));
        let file = file.into_iter().map(|checked| (Believed::Configuration, checked));
        let repository = (Believed::Repository, check_repository(&self.backup_dir, trust).map(drop));
        let directory = |directory: &Directory| {
            let name = directory.name.to_string();
            (Believed::Directory(name), trust.open_directory(&directory.path).map(drop))
        };
        let checked = file.chain([repository]).chain(self.directories.iter().map(directory));
        let refused = checked.filter_map(|(what, checked)| Some((what, checked.err()?)));
        // What a component says of itself is told with it.
        let is_told = |what: &Believed, refusal: &Refusal| {
            let is_link = matches!(refusal, Refusal::OfContainer { .. }) && !matches!(what, Believed::Directory(_));
            is_link || refusal.mend().is_some()
        };
        refused.filter(|(what, refusal)| is_told(what, refusal)).collect()
    }

    /// What is to be written into larder.toml so that `missing` of each directory, patterns of what is mounted there, is left
    /// out; `None` when nothing is missing of this one.
    pub(crate) fn decision_on_mount(
        &self,
        directory: &Directory,
        missing: impl Fn(&Directory) -> Vec<String>,
    ) -> Option<String> {
        let patterns = missing(directory);
        if patterns.is_empty() {
            return None;
        }
        let name = &directory.name;
        if directory.configured {
            let entry = self.entry_excluding(directory, &patterns);
            return Some(format!(
                "write `{entry}` in [directories] of {FILE_NAME}, in the place of what it says of {name}"
            ));
        }
        // Once there is such a table, it has to name all of them.
        let present = self.directories.iter().filter(|directory| directory.path.exists());
        let entries: Vec<String> =
            present.map(|directory| self.entry_excluding(directory, &missing(directory))).collect();
        let entries = entries.join(", ");
        Some(format!("write `directories = {{ {entries} }}` in {FILE_NAME}, above its first [table]"))
    }

    /// A directory as `[directories]` has it, with these patterns besides.
    fn entry_excluding(&self, directory: &Directory, patterns: &[String]) -> String {
        let name = directory.name.as_str();
        let name = if name.contains('.') { old::quoted(name) } else { name.to_owned() };
        let path = directory.path.strip_prefix(&self.base).unwrap_or(&directory.path);
        let path = old::quoted(&path.to_string_lossy());
        let patterns: Vec<String> =
            directory.patterns.iter().chain(patterns).map(|pattern| old::quoted(pattern)).collect();
        if patterns.is_empty() {
            return format!("{name} = {path}");
        }
        format!("{name} = {{ path = {path}, exclude = [{}] }}", patterns.join(", "))
    }

    /// The directory of this name.
    pub(crate) fn directory(&self, name: &str) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.name.as_str() == name)
    }
}

/// How the system is called, where that is a name.
fn system_name(name: &str) -> Result<String, UsageError> {
    let is_name = !name.trim().is_empty() && name.len() <= SYSTEM_NAME_BYTES_MAX && !name.contains(char::is_control);
    let message =
        || format!("[system] name: it has at most {SYSTEM_NAME_BYTES_MAX} bytes, and something that can be seen");
    if is_name { Ok(name.trim().to_owned()) } else { Err(UsageError::new(message())) }
}

/// Understands `3%`, `0.5%` and `0%`.
fn parse_parity(text: &str) -> Result<Parity, UsageError> {
    let wrong = || {
        UsageError::with_advice(format!("`parity = \"{text}\"` is no share"), "write it like \"3%\", from 0% to 100%")
    };
    let (whole, tenths) =
        text.strip_suffix('%').map(|number| number.split_once('.').unwrap_or((number, "0"))).ok_or_else(wrong)?;
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(tenths) || tenths.len() > 1 {
        return Err(wrong());
    }
    let thousandths = format!("{whole}{tenths}").parse::<u16>().map_err(|_| wrong())?;
    if thousandths == 0 { Ok(Parity::None) } else { Share::new(thousandths).map(Parity::Share).ok_or_else(wrong) }
}

fn read_file(
    global: &GlobalArguments,
    base: &Path,
    trust: &Trust,
    refuse: impl FnOnce(Refusal) -> anyhow::Result<()>,
) -> anyhow::Result<(file::File, toml::Table)> {
    let path = configuration_file(global, base)?;
    let text = match trust::read_trusted(&path, trust) {
        Err(refusal) if refusal.is_not_found() && global.config.is_none() => String::new(),
        Err(Refusal::Io { source, .. }) => {
            let message = format!("cannot read the configuration {}: {source}", path.display());
            return Err(UsageError::new(message).into());
        }
        Err(refusal) => {
            refuse(refusal)?;
            // Whose it is decides whether anything of it is shown, errors in it included.
            let text =
                trust::read_trusted(&path, &Trust::of_everybody()).map_err(|refusal| trust::refused(&refusal))?;
            return Ok((file::File::parse(&text).unwrap_or_default(), toml::Table::new()));
        }
        Ok(text) => text,
    };
    let invalid = |why: String| UsageError::new(format!("{} is not valid: {why}", path.display()));
    // What is wrong with the file is told with its line, before the environment changes anything of it.
    file::File::parse(&text).map_err(invalid)?;
    environment::laid_over(&text, |name| std::env::var(name).ok())
}

fn configuration_file(global: &GlobalArguments, base: &Path) -> std::io::Result<PathBuf> {
    global.config.as_ref().map_or_else(|| Ok(base.join(FILE_NAME)), std::path::absolute)
}

fn directories(file: &file::File, base: &Path) -> anyhow::Result<Vec<Directory>> {
    let Some(configured) = &file.directories else {
        let found = DEFAULT_DIRECTORIES.iter().map(|name| {
            let name = name.parse::<ComponentName>()?;
            let path = base.join(name.as_str());
            Ok(Directory { name, path, excludes: Excludes::default(), patterns: Vec::new(), configured: false })
        });
        return found.collect();
    };
    let mut directories = Vec::new();
    for (name, entry) in configured {
        let component =
            name.parse::<ComponentName>().map_err(|error| UsageError::new(format!("[directories]: {error}")))?;
        if name == DATABASE || name.starts_with(VOLUME_PREFIX) {
            let message = format!("[directories]: '{name}' is the name of a database or a volume");
            return Err(UsageError::new(message).into());
        }
        let excludes = Excludes::new(entry.exclude())
            .map_err(|error| UsageError::new(format!("[directories.{name}]: {error}")))?;
        if entry.path().as_os_str().is_empty() {
            return Err(UsageError::new(format!(
                "[directories] {name}: the path is empty; `.` is the directory of the system"
            ))
            .into());
        }
        let (path, patterns) = (base.join(entry.path()), entry.exclude().to_vec());
        directories.push(Directory { name: component, path, excludes, patterns, configured: true });
    }
    Ok(directories)
}
