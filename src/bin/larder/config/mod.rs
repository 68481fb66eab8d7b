//! What is to be backed up and where: flags over environment over `larder.toml` over what is found.

mod file;

use std::path::{Path, PathBuf};

use anyhow::Context;
use larder::model::ComponentName;
use larder::source::Excludes;
use larder::source::postgres::Connection;

use crate::cli::GlobalArguments;
use crate::failure::UsageError;

const FILE_NAME: &str = "larder.toml";
const DEFAULT_BACKUP_DIR: &str = "backups";
/// The directories of the documented system.
const DEFAULT_DIRECTORIES: [&str; 4] = ["models", "config", "outputs", "logs"];
/// The name of the database as a component.
pub(crate) const DATABASE: &str = "database";

/// A directory that is a component.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) name: ComponentName,
    pub(crate) path: PathBuf,
    pub(crate) excludes: Excludes,
    /// Whether the user named it, so that its absence is an error.
    pub(crate) configured: bool,
}

/// Everything that the commands need to know about the system.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) backup_dir: PathBuf,
    pub(crate) directories: Vec<Directory>,
    pub(crate) database: Option<Connection>,
}

impl Settings {
    /// Finds the settings for a command.
    pub(crate) fn load(global: &GlobalArguments) -> anyhow::Result<Self> {
        if !global.directory.is_dir() {
            return Err(UsageError::new(format!("{} is not a directory", global.directory.display())).into());
        }
        let base = &std::path::absolute(&global.directory)?;
        let file = read_file(global)?;
        let backup_dir = global.backup_dir.clone().or_else(|| file.backup_dir.clone());
        let backup_dir = backup_dir.unwrap_or_else(|| PathBuf::from(DEFAULT_BACKUP_DIR));
        let directories = directories(&file, base)?;
        let database = match database_from_environment()? {
            Some(connection) => Some(connection),
            None => file.database.as_ref().map(|database| database.connection(base)).transpose()?,
        };
        Ok(Self { backup_dir: base.join(backup_dir), directories, database })
    }

    /// The directory of this name.
    pub(crate) fn directory(&self, name: &str) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.name.as_str() == name)
    }

    /// The names of all components that are configured or found.
    pub(crate) fn names(&self) -> Vec<String> {
        let database = self.database.iter().map(|_| DATABASE.to_owned());
        database.chain(self.directories.iter().map(|directory| directory.name.to_string())).collect()
    }
}

fn read_file(global: &GlobalArguments) -> anyhow::Result<file::File> {
    let path = global.config.clone().unwrap_or_else(|| global.directory.join(FILE_NAME));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && global.config.is_none() => String::new(),
        Err(error) => {
            let message = format!("cannot read the configuration {}: {error}", path.display());
            return Err(UsageError::new(message).into());
        }
    };
    file::File::parse(&text).map_err(|why| UsageError::new(format!("{} is not valid: {why}", path.display())).into())
}

fn directories(file: &file::File, base: &Path) -> anyhow::Result<Vec<Directory>> {
    let Some(configured) = &file.directories else {
        let found = DEFAULT_DIRECTORIES.iter().map(|name| {
            let name = name.parse::<ComponentName>()?;
            let path = base.join(name.as_str());
            Ok(Directory { name, path, excludes: Excludes::default(), configured: false })
        });
        return found.collect();
    };
    let mut directories = Vec::new();
    for (name, entry) in configured {
        let component =
            name.parse::<ComponentName>().map_err(|error| UsageError::new(format!("[directories]: {error}")))?;
        if name == DATABASE {
            return Err(UsageError::new("[directories]: 'database' is the name of the database").into());
        }
        let excludes = Excludes::new(entry.exclude())
            .map_err(|error| UsageError::new(format!("[directories.{name}]: {error}")))?;
        directories.push(Directory { name: component, path: base.join(entry.path()), excludes, configured: true });
    }
    Ok(directories)
}

/// The connection that the environment names; a URL of another kind of database is not ours to read.
fn database_from_environment() -> anyhow::Result<Option<Connection>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(url) = variable("DATABASE_URL").filter(|url| url.starts_with("postgres")) {
        let connection = Connection::from_url(&url);
        return connection.map(Some).map_err(|error| UsageError::new(format!("DATABASE_URL: {error}")).into());
    }
    let Some(database) = variable("POSTGRES_DB") else { return Ok(None) };
    let port = variable("POSTGRES_PORT")
        .map(|port| port.parse().map_err(|_| UsageError::new(format!("POSTGRES_PORT: '{port}' is not a port"))))
        .transpose()?;
    Ok(Some(Connection {
        host: variable("POSTGRES_HOST"),
        port,
        user: variable("POSTGRES_USER"),
        password: variable("POSTGRES_PASSWORD"),
        database,
        variables: Vec::new(),
    }))
}

/// Reads a password from the first line of a file.
fn read_password(path: &Path) -> anyhow::Result<String> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the password file {}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
