//! Where the database is: as `larder.toml` says, else as the variables say that other programs read too.

use std::path::{Path, PathBuf};

use anyhow::Context;
use larder::postgres::{self, Connection};
use larder::rooted::Trust;

use super::file::{self, FILE_BYTES_MAX};
use crate::error::UsageError;

/// The name of the database as a component.
pub(crate) const DATABASE: &str = "database";
/// What ends the schemes that mean PostgreSQL, before a `+` and what drives it.
const SCHEMES: [&str; 2] = ["postgres", "postgresql"];

/// Where the database is.
#[derive(Debug, Clone)]
pub(crate) enum DatabasePlace {
    /// On a server that can be connected to.
    Server(Connection),
    /// In a container, which says itself what is not said here.
    Container { container: String, name: Option<String>, user: Option<String>, password: Option<String> },
    /// Nobody knows, because what says it is not understood.
    Unknown(String),
}

/// The database, and others of its server.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseSettings {
    pub(crate) place: DatabasePlace,
    pub(crate) others: Vec<String>,
    /// What the password was read from.
    pub(crate) password_file: Option<PathBuf>,
}

impl DatabaseSettings {
    const fn alone(place: DatabasePlace) -> Self {
        Self { place, others: Vec::new(), password_file: None }
    }
}

/// The database that was found, if any.
pub(super) struct FoundDatabase {
    pub(super) settings: Option<DatabaseSettings>,
    /// Why a `DATABASE_URL` is not used that is there.
    pub(super) unused: Option<String>,
    /// Whether only variables name it that other programs read too.
    pub(super) is_of_environment: bool,
}

/// Finds the database, and why a `DATABASE_URL` is not used that is there.
pub(super) fn find(of_file: Option<&file::Database>, base: &Path, trust: &Trust) -> anyhow::Result<FoundDatabase> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let said = of_file.map(|database| settings_of(database, base, trust)).transpose()?.flatten();
    let url = variable("DATABASE_URL").map(|url| tidied(&url)).filter(|url| !url.is_empty());
    let is_skipped = of_file.is_some_and(file::Database::is_skipped);
    if said.is_some() || is_skipped {
        let is_same = url.as_ref().is_none_or(|url| is_skipped || is_named(said.as_ref(), url));
        let unused = (!is_same).then(|| {
            "DATABASE_URL names another database than larder.toml or LARDER_DATABASE_…, and is not used".to_owned()
        });
        return Ok(FoundDatabase { settings: said, unused, is_of_environment: false });
    }
    match url {
        Some(url) if is_of_postgres(&url) => {
            let place = match Connection::from_url(&url) {
                Ok(connection) => DatabasePlace::Server(connection),
                Err(error) => DatabasePlace::Unknown(format!("DATABASE_URL: {error}")),
            };
            Ok(FoundDatabase { settings: Some(DatabaseSettings::alone(place)), unused: None, is_of_environment: true })
        }
        other => {
            let why = "DATABASE_URL is set, and its scheme is not that of PostgreSQL: that database is not saved; `skip = true` in [database] of larder.toml says that there is \
                       none, and `larder create --command NAME -- DUMP` saves the output of a command";
            let named = of_single_variables(variable)?;
            let is_of_environment = named.is_some() || other.is_some();
            let settings = named.map(DatabasePlace::Server).map(DatabaseSettings::alone);
            Ok(FoundDatabase { settings, unused: other.map(|_| why.to_owned()), is_of_environment })
        }
    }
}

/// Whether nothing is said of where the database is, but of how those are read that are found.
const fn is_found(said: &file::Database) -> bool {
    let says_how = said.method.is_some() || said.jobs.is_some() || said.key_order_max.is_some();
    let says_where = said.url.is_some()
        || said.host.is_some()
        || said.port.is_some()
        || said.name.is_some()
        || said.user.is_some()
        || said.password_file.is_some()
        || said.container.is_some()
        || !said.others.is_empty();
    says_how && !says_where
}

/// The database and others of its server, where they are not to be found. A relative password file lies below `base`.
fn settings_of(said: &file::Database, base: &Path, trust: &Trust) -> anyhow::Result<Option<DatabaseSettings>> {
    if said.skip || is_found(said) {
        return Ok(None);
    }
    let password_file = said.password_file.as_ref().map(|path| base.join(path));
    let password = password_file.as_ref().map(|path| read_password(path, trust)).transpose()?;
    let others = said.others.clone();
    if let Some(container) = &said.container {
        if said.url.is_some() || said.host.is_some() || said.port.is_some() {
            let message = "[database] has `container` and says where the server is: keep one of them";
            return Err(UsageError::new(message).into());
        }
        let (name, user) = (said.name.clone(), said.user.clone());
        let place = DatabasePlace::Container { container: container.clone(), name, user, password };
        return Ok(Some(DatabaseSettings { place, others, password_file }));
    }
    let place = match connection_of(said, password)? {
        Ok(connection) => DatabasePlace::Server(connection),
        Err(why) => DatabasePlace::Unknown(why),
    };
    Ok(Some(DatabaseSettings { place, others, password_file }))
}

fn connection_of(said: &file::Database, password: Option<String>) -> anyhow::Result<Result<Connection, String>> {
    let Some(url) = &said.url else {
        let missing = || UsageError::new("[database] needs `url`, `name` or `container`");
        let database = said.name.clone().ok_or_else(missing)?;
        let (host, port, user) = (said.host.clone(), said.port, said.user.clone());
        return Ok(Ok(Connection { host, port, user, password, database, ..Connection::default() }));
    };
    if said.host.is_some() || said.port.is_some() || said.name.is_some() || said.user.is_some() {
        return Err(UsageError::new("[database] has both `url` and single settings: keep one of them").into());
    }
    let connection = of_url(url)?;
    Ok(connection.map(|connection| Connection { password: password.or(connection.password.clone()), ..connection }))
}

/// A URL without the blanks and quotes around it that files of variables leave there, and with its scheme in small letters.
fn tidied(url: &str) -> String {
    let mut url = url.trim();
    for quote in ['"', '\''] {
        url = url.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).unwrap_or(url).trim();
    }
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => url.to_owned(),
    }
}

fn is_of_postgres(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.and_then(|scheme| scheme.split('+').next()).is_some_and(|scheme| SCHEMES.contains(&scheme))
}

/// Whether a URL names the database that is saved.
fn is_named(said: Option<&DatabaseSettings>, url: &str) -> bool {
    let named = Connection::from_url(url).map(|connection| connection.database).ok();
    match said.map(|said| &said.place) {
        Some(DatabasePlace::Server(connection)) => named.as_ref() == Some(&connection.database),
        // What a container says of its own is not known yet.
        Some(DatabasePlace::Container { name, .. }) => name.is_none() || named == *name,
        _ => false,
    }
}

/// The connection of `POSTGRES_DB` and its companions.
fn of_single_variables(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Connection>> {
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
        ..Connection::default()
    }))
}

/// Where the database of a URL of `larder.toml` is. A parameter that is not known keeps this database from being saved, and nothing else.
fn of_url(url: &str) -> Result<Result<Connection, String>, UsageError> {
    match Connection::from_url(&tidied(url)) {
        Ok(connection) => Ok(Ok(connection)),
        Err(error @ postgres::Error::Parameter(_)) => Ok(Err(format!("[database] url: {error}"))),
        Err(error) => Err(UsageError::new(format!("[database] url: {error}"))),
    }
}

/// Reads a password from the first line of a file.
fn read_password(path: &Path, trust: &Trust) -> anyhow::Result<String> {
    let text = trust
        .read_named(path, FILE_BYTES_MAX)
        .map_err(std::io::Error::from)
        .with_context(|| format!("cannot read the password file {}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_understood_as_people_leave_them_in_files() {
        for url in ["postgres://u@h/d", " \"postgres://u@h/d\" ", "'Postgres://u@h/d'", "POSTGRESQL+asyncpg://u@h/d\n"]
        {
            let tidied = tidied(url);
            assert!(is_of_postgres(&tidied), "{url}");
            assert_eq!(Connection::from_url(&tidied).expect(url).database, "d");
        }
        for url in ["mysql://u@h/d", "prisma+postgres://x", "postgis://u@h/d", "host=h dbname=d", "", "postgres"] {
            assert!(!is_of_postgres(&tidied(url)), "{url}");
        }
    }
}
