//! Everything that the commands need to know about a system before they look at it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use larder::events::Events;
use larder::parity::Share;
use larder::repo;
use larder::rooted::{Refusal, Trust};
use larder::source::postgres::TableOptions;
use larder::storage::check_folder;

use super::database::{self, DatabaseSettings};
use super::directories::{Directory, directories};
use super::engine::{self, DockerSettings, VolumeSettings};
use super::environment;
use super::file::{self, FILE_NAME};
use super::overrides::Overrides;
use super::retention::RetentionTable;
use super::trust::{self, check_repository, refused};
use crate::error::UsageError;

/// Longest name of a system, in bytes.
const SYSTEM_NAME_BYTES_MAX: usize = 200;
const DEFAULT_BACKUP_DIR: &str = "backups";
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
    pub(crate) fn load(overrides: &Overrides, events: &dyn Events) -> anyhow::Result<Self> {
        let trust = trust::of_run((overrides.trust_files, &[]), events)?;
        Self::load_trusting(overrides, trust, |refusal| Err(refused(&refusal).into()))
    }

    /// Finds the settings, also in a file that is not to be believed, which `refuse` hears of.
    pub(crate) fn load_trusting(
        overrides: &Overrides,
        trust: Trust,
        refuse: impl FnOnce(Refusal) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        if !overrides.directory.is_dir() {
            return Err(UsageError::new(format!("{} is not a directory", overrides.directory.display())).into());
        }
        let base = std::path::absolute(&overrides.directory)?;
        let (file, said) = read_file(overrides, &base, &trust, refuse)?;
        let backup_dir = overrides.backup_dir.clone().or_else(|| file.backup_dir.clone());
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
            file: configuration_file(overrides, &base)?,
            base,
            trust,
            insists: overrides.trust_files,
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
    pub(crate) fn refusals(&self, overrides: &Overrides, trust: &Trust) -> Vec<(Believed, Refusal)> {
        let file = configuration_file(overrides, &self.base).map(|path| trust.open_file(&path).map(drop));
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
    overrides: &Overrides,
    base: &Path,
    trust: &Trust,
    refuse: impl FnOnce(Refusal) -> anyhow::Result<()>,
) -> anyhow::Result<(file::File, toml::Table)> {
    let path = configuration_file(overrides, base)?;
    let text = match trust::read_trusted(&path, trust) {
        Err(refusal) if refusal.is_not_found() && overrides.config.is_none() => String::new(),
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

fn configuration_file(overrides: &Overrides, base: &Path) -> std::io::Result<PathBuf> {
    overrides.config.as_ref().map_or_else(|| Ok(base.join(FILE_NAME)), std::path::absolute)
}
