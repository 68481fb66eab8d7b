//! Where a PostgreSQL server is and who asks: from a URL or from single settings, to environment variables.

use std::ffi::OsStr;
use std::fmt;

use percent_encoding::percent_decode_str;

use super::Error;
use crate::process::{Place, Program};

/// URL parameters that libpq knows, and its environment variables for them.
const PARAMETERS: [(&str, &str); 7] = [
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
];

/// How to reach one database. What is `None` is left to libpq's own defaults.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// Host name, address, or directory of the socket.
    pub host: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Role.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Name of the database.
    pub database: String,
    /// Further settings as environment variables.
    pub variables: Vec<(&'static str, String)>,
    /// Where the client programs run that connect.
    pub place: Place,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Connection({self})")
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(container) = self.place.container() {
            return write!(formatter, "the database {} in the container {container}", self.database);
        }
        write!(formatter, "postgres://")?;
        if let Some(user) = &self.user {
            write!(formatter, "{user}@")?;
        }
        match &self.host {
            Some(host) if host.starts_with('/') => write!(formatter, "[{host}]")?,
            host => write!(formatter, "{}", host.as_deref().unwrap_or("localhost"))?,
        }
        if let Some(port) = self.port {
            write!(formatter, ":{port}")?;
        }
        write!(formatter, "/{}", self.database)
    }
}

impl Connection {
    /// The connection of a URL `postgres[ql][+driver]://[user[:password]@][host][:port]/database[?parameters]`.
    ///
    /// # Errors
    /// [`Error::Settings`], which never shows the URL itself.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::Settings(why.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("the URL has no scheme"))?;
        if !matches!(scheme.split('+').next(), Some("postgres" | "postgresql")) {
            return Err(bad("the scheme of the URL is not postgres"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, server) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
        let (host, port) = split_port(server)?;
        let mut connection = Self {
            host: non_empty(decode(host)?),
            port,
            user: non_empty(decode(user)?),
            password: password.map(decode).transpose()?,
            database: decode(database)?,
            variables: Vec::new(),
            place: Place::Here,
        };
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            connection.set_parameter(parameter)?;
        }
        if database.contains('@') {
            return Err(bad(
                "the URL has '/', '@', ':' or '?' in its user or password: write them as %2F, %40, %3A or %3F",
            ));
        }
        if connection.database.is_empty() {
            return Err(bad("the URL names no database"));
        }
        Ok(connection)
    }

    /// The same server and role, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// A client program that has everything that it needs to connect in its environment.
    #[must_use]
    pub fn program(&self, name: impl AsRef<OsStr>) -> Program {
        let mut program = Program::new(name, self.place.clone());
        program.variable("PGDATABASE", &self.database).variable("LC_MESSAGES", "C").variable("PGAPPNAME", "larder");
        if std::env::var_os("PGCONNECT_TIMEOUT").is_none() {
            program.variable("PGCONNECT_TIMEOUT", "15");
        }
        let port = self.port.map(|port| port.to_string());
        let settings =
            [("PGHOST", &self.host), ("PGPORT", &port), ("PGUSER", &self.user), ("PGPASSWORD", &self.password)];
        for (variable, value) in settings {
            if let Some(value) = value {
                program.variable(variable, value);
            }
        }
        for (variable, value) in &self.variables {
            program.variable(variable, value);
        }
        program
    }

    fn set_parameter(&mut self, parameter: &str) -> Result<(), Error> {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = decode(value)?;
        match name {
            "host" => self.host = Some(value),
            "port" => self.port = Some(parse_port(&value)?),
            "user" => self.user = Some(value),
            "password" => self.password = Some(value),
            "dbname" => self.database = value,
            _ => match PARAMETERS.iter().find(|(known, _)| *known == name) {
                Some((_, variable)) => self.variables.push((variable, value)),
                None => {
                    return Err(Error::Parameter(known_parameters()));
                }
            },
        }
        Ok(())
    }
}

/// The parameters that a URL may have. One that is not known is not quoted: it may be part of the password.
fn known_parameters() -> String {
    let own = ["host", "port", "user", "password", "dbname"];
    own.into_iter().chain(PARAMETERS.iter().map(|(name, _)| *name)).collect::<Vec<_>>().join(", ")
}

fn split_port(server: &str) -> Result<(&str, Option<u16>), Error> {
    if let Some(rest) = server.strip_prefix('[') {
        let (host, after) =
            rest.split_once(']').ok_or_else(|| Error::Settings("the URL has a '[' too many".to_owned()))?;
        let port = after.strip_prefix(':').map(parse_port).transpose()?;
        return Ok((host, port));
    }
    match server.split_once(':') {
        Some((host, "")) => Ok((host, None)),
        Some((host, port)) => Ok((host, Some(parse_port(port)?))),
        None => Ok((server, None)),
    }
}

/// Does not quote the text: where the URL is wrong, it may be part of the password.
fn parse_port(text: &str) -> Result<u16, Error> {
    text.parse().map_err(|_| Error::Settings("the port of the URL is not a number".to_owned()))
}

fn decode(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| Error::Settings("the URL is not UTF-8".to_owned()))
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_as_people_write_them() {
        let connection =
            Connection::from_url("postgresql+asyncpg://cti:p%40ss:w@db.local:5433/cti%20db?sslmode=require");
        let connection = connection.expect("a valid URL");
        assert_eq!(connection.host.as_deref(), Some("db.local"));
        assert_eq!((connection.port, connection.user.as_deref()), (Some(5433), Some("cti")));
        assert_eq!((connection.password.as_deref(), connection.database.as_str()), (Some("p@ss:w"), "cti db"));
        assert_eq!(connection.variables, [("PGSSLMODE", "require".to_owned())]);

        let socket = Connection::from_url("postgres:///app?host=/run/pg&port=5").expect("a valid URL");
        assert_eq!((socket.host.as_deref(), socket.port, socket.user), (Some("/run/pg"), Some(5), None));
        let encoded = Connection::from_url("postgres://%2Frun%2Fpg/app").expect("a valid URL");
        assert_eq!(encoded.host.as_deref(), Some("/run/pg"));
        let six = Connection::from_url("postgres://u@[::1]:99/app").expect("a valid URL");
        assert_eq!((six.host.as_deref(), six.port), (Some("::1"), Some(99)));
    }

    #[test]
    fn errors_and_texts_never_show_the_password() {
        for url in [
            "mysql://u:secret@h/d",
            "postgres://u:secret@h:port/d",
            "postgres://u:secret@h",
            "postgres://u:secret@h/d?x=1",
            "postgres://u:a/secret@h/d",
            "postgres://u:12/secret@h/d",
            "postgres://u:a?secret@h/d",
        ] {
            let error = Connection::from_url(url).expect_err(url);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let connection = Connection::from_url("postgres://u:secret@h/d").expect("a valid URL");
        assert!(!format!("{connection} {connection:?}").contains("secret"));
    }
}
