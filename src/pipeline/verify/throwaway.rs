//! The server that a database is loaded into for a test: programs of this host of the version that the database is of, or a
//! container of the image that its own server runs.
//!
//! What is loaded runs code of whoever owns its tables. Nothing else is on such a server, and nothing of it stays.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::cancel::{Cancel, POLL};
use crate::docker::{Engine, ThrowawayContainer, ThrowawayOptions, ThrowawayVolume};
use crate::id::{hex, random_bytes};
use crate::model::DatabaseFacts;
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::pipeline::restore::{CodeOf, ON_A_COPY, TestServer, not_installed};
use crate::postgres::{self, Connection, find_server_programs, query, server_programs_of};
use crate::process::{Place, Program};
use crate::sink;
use crate::sink::postgres::lacking;

/// How long a container may take until its server answers.
const READY_LIMIT: Duration = Duration::from_mins(2);
/// Where the container has a volume with restored data. An image may expect it somewhere below.
const VOLUME_PLACE: &str = "/var/lib/postgresql/larder";
const READY_PAUSE: Duration = Duration::from_millis(300);
const VERSION: &str = "SELECT pg_catalog.current_setting('server_version')";

/// A server for one test.
pub(super) struct ThrowawayServer {
    /// How to reach it.
    pub(super) connection: Connection,
    /// What is worth knowing of it.
    pub(super) note: Option<String>,
    running: Running,
}

/// It runs as long as that is held.
enum Running {
    Here(Box<TestServer>),
    #[expect(dead_code, reason = "it is only held")]
    Container(ThrowawayContainer),
}

/// Where a container for a test may be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Containers<'a> {
    /// The engine, where one answers.
    pub(super) engine: Option<&'a Arc<Engine>>,
    /// The image of the container that the database was saved from, where that is known.
    pub(super) image: Option<&'a str>,
}

impl ThrowawayServer {
    /// Starts the first server that has what a database needs, or says what each of them lacks.
    ///
    /// # Errors
    /// [`Error::Sink`] when one that has it does not start or answer; [`Error::Cancelled`].
    pub(super) fn start(
        facts: &DatabaseFacts,
        containers: Containers<'_>,
        cancel: &Cancel,
    ) -> Result<Result<Self, String>, Error> {
        let mut reasons = Vec::new();
        match Self::here(facts, cancel)? {
            Ok(server) => match server.lacks(facts, cancel)? {
                None => return Ok(Ok(server)),
                Some(why) => reasons.push(why),
            },
            Err(why) => reasons.push(why),
        }
        if let Some(container) = &facts.container {
            match Self::in_container(container, containers, cancel)? {
                Ok(server) => match server.lacks(facts, cancel)? {
                    None => return Ok(Ok(server)),
                    Some(why) => reasons.push(format!("a container of its image: {why}")),
                },
                Err(why) => reasons.push(why),
            }
        }
        Ok(Err(reasons.join("; ")))
    }

    /// Does something with it. Code that runs in it may keep it from answering: on this host it is ended as soon as the caller
    /// wants to stop, so that nothing waits for it any more.
    pub(super) fn with<T>(&self, cancel: &Cancel, act: impl FnOnce() -> T) -> T {
        let Running::Here(server) = &self.running else { return act() };
        let stop = server.stopper();
        let (is_done, done) = bounded::<()>(0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while done.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                    if cancel.is_cancelled() {
                        stop();
                        return;
                    }
                }
            });
            let result = act();
            drop(is_done);
            result
        })
    }

    fn here(facts: &DatabaseFacts, cancel: &Cancel) -> Result<Result<Self, String>, Error> {
        let (programs, note) = match programs_for(&facts.server_version) {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        Ok(TestServer::start(&programs, CodeOf::Others, cancel)?.map(|server| Self {
            connection: server.connection(),
            note,
            running: Running::Here(Box::new(server)),
        }))
    }

    fn in_container(
        container: &str,
        containers: Containers<'_>,
        cancel: &Cancel,
    ) -> Result<Result<Self, String>, Error> {
        let Containers { engine: Some(engine), image: Some(image) } = containers else {
            let container = container.escape_debug();
            return Ok(Err(format!("there is no container {container} here whose image could be used")));
        };
        let password = hex(&random_bytes().map_err(|source| sink::Error::io("read", "/dev/urandom", source))?);
        let variables =
            [("POSTGRES_USER", "postgres"), ("POSTGRES_PASSWORD", &password), ("POSTGRES_HOST_AUTH_METHOD", "trust")];
        let options = ThrowawayOptions { image, variables: &variables, ..ThrowawayOptions::default() };
        let container = match ThrowawayContainer::start(engine, options) {
            Ok(container) => container,
            Err(error) => return Ok(Err(with_causes(&Error::from(error)))),
        };
        let connection = Connection {
            // While an image prepares its data, its server listens on a socket alone.
            host: Some("127.0.0.1".to_owned()),
            user: Some("postgres".to_owned()),
            password: Some(password.clone()),
            database: "postgres".to_owned(),
            place: Place::Container { engine: Arc::clone(engine), name: container.name().to_owned() },
            ..Connection::default()
        };
        let ready = wait(&container, || query(&connection, VERSION, cancel).map(drop), cancel)?;
        Ok(ready.map(|()| Self { connection, note: None, running: Running::Container(container) }))
    }

    /// What the server lacks that a database needs.
    fn lacks(&self, facts: &DatabaseFacts, cancel: &Cancel) -> Result<Option<String>, Error> {
        let action = "ask for the version of the server";
        let failed = |source| sink::Error::Database { action: action.to_owned(), source };
        let answer = query(&self.connection, VERSION, cancel).map_err(failed)?;
        let version = answer.into_iter().flatten().flatten().next().unwrap_or_default();
        let (has, needs) = (major_of(&version), major_of(&facts.server_version));
        if needs.is_some() && has != needs {
            let shown = [&version, &facts.server_version].map(|version| version.escape_debug().to_string());
            return Ok(Some(format!("it runs PostgreSQL {}, and the database is of {}", shown[0], shown[1])));
        }
        let lacking = lacking(&self.connection, facts, cancel)?;
        let version = has.unwrap_or_default();
        Ok((!lacking.is_empty()).then(|| format!("PostgreSQL {version} lacks {}", lacking.join(", "))))
    }
}

/// Starts PostgreSQL on its data in a throwaway volume, in a container of its image, or says what is lacking for it.
///
/// # Errors
/// [`Error::Docker`]; [`Error::Sink`] when the caller wants to stop.
pub(super) fn start_on_volume(
    (volume, data): (&ThrowawayVolume, &str),
    containers: Containers<'_>,
    cancel: &Cancel,
) -> Result<Result<(), String>, Error> {
    let Containers { engine: Some(engine), image: Some(image) } = containers else {
        return Ok(Err("there is no container here that uses the volume and whose image could be used".to_owned()));
    };
    let data = format!("{VOLUME_PLACE}/{data}");
    let data = data.trim_end_matches('/');
    let own = [
        format!("data_directory={data}"),
        format!("hba_file={data}/pg_hba.conf"),
        format!("ident_file={data}/pg_ident.conf"),
    ];
    let settings = own.into_iter().chain(ON_A_COPY.map(str::to_owned)).flat_map(|setting| ["-c".to_owned(), setting]);
    let options = ThrowawayOptions {
        image,
        variables: &[("PGDATA", data)],
        command: &std::iter::once("postgres".to_owned()).chain(settings).collect::<Vec<_>>(),
        volume: Some((&volume.volume().name, VOLUME_PLACE)),
    };
    let container = match ThrowawayContainer::start(engine, options) {
        Ok(container) => container,
        Err(error) => return Ok(Err(with_causes(&Error::from(error)))),
    };
    let place = Place::Container { engine: Arc::clone(engine), name: container.name().to_owned() };
    let mut program = Program::new("pg_isready", place);
    program.arg("-q");
    wait(&container, || Ok(program.run(cancel).map(drop)?), cancel)
}

/// Waits until the server in a container answers, or says why it does not.
fn wait(
    container: &ThrowawayContainer,
    answers: impl Fn() -> Result<(), postgres::Error>,
    cancel: &Cancel,
) -> Result<Result<(), String>, Error> {
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        let Err(error) = answers() else { return Ok(Ok(())) };
        let is_up = container.is_up()?;
        if cancel.is_cancelled() || !is_up || Instant::now() >= deadline {
            if cancel.is_cancelled() {
                let action = "wait for a server".to_owned();
                return Err(sink::Error::Database { action, source: error }.into());
            }
            let what = if is_up { "does not answer" } else { "has ended" };
            let said = container.last_lines();
            return Ok(Err(format!("the container that was made of its image {what}: {}", said.escape_debug())));
        }
        std::thread::sleep(READY_PAUSE);
    }
}

/// The programs of the version that a database is of, or those of the newest where its dump does not say which that is.
fn programs_for(version: &str) -> Result<(PathBuf, Option<String>), String> {
    let Some(major) = major_of(version) else {
        let programs = find_server_programs().ok_or("no PostgreSQL is installed here")?;
        let note =
            "its dump does not say which version of PostgreSQL it is of: tested with the newest that is installed";
        return Ok((programs, Some(note.to_owned())));
    };
    let programs = server_programs_of(&major);
    programs.map(|programs| (programs, None)).ok_or_else(|| not_installed(&major))
}

/// `15` of `15.4 (Debian 15.4-1)`, `9.6` of `9.6.24`.
fn major_of(version: &str) -> Option<String> {
    let mut numbers = version.split(|char: char| !char.is_ascii_digit()).filter_map(|part| part.parse::<u32>().ok());
    match (numbers.next()?, numbers.next()) {
        _ if !version.starts_with(|first: char| first.is_ascii_digit()) => None,
        (major @ ..10, Some(minor)) => Some(format!("{major}.{minor}")),
        (major, _) => Some(major.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_majors() {
        let majors = ["15.4 (Debian 15.4-1)", "9.6.24", "17beta1", "18", "", "unknown 12"].map(major_of);
        let expected = [Some("15"), Some("9.6"), Some("17"), Some("18"), None, None];
        assert_eq!(majors, expected.map(|major| major.map(str::to_owned)));
    }

    #[test]
    fn a_version_that_is_not_installed_is_named() {
        let expected = "PostgreSQL 9.6 is not installed here (Debian: postgresql-9.6)";
        assert_eq!(programs_for("9.6.24").err().as_deref(), Some(expected));
    }
}
