//! A database as a source: its dump and the cluster's roles, as the files of a directory.

use std::sync::atomic::{AtomicU32, Ordering};

use super::answers::Answers;
use super::layout::{DUMP_FILE, GLOBALS_FILE};
use super::plain::PlainDump;
use super::tables::{Nodes, Reading, TableDump, TableOptions};
use crate::cancel::Cancel;
use crate::clock::LocalTime;
use crate::id::{derive_secret, hex};
use crate::model::{Content, DatabaseFacts, Node, NodeKind, PROPERTIES_FILE, ROLES_FILE, TableRows};
use crate::monitor::Monitor;
use crate::postgres::sql::literal;
use crate::postgres::{self, Connection, LockRoom, Tools, query};
use crate::process::{Place, Program};
use crate::source::{Error, Visitor, made_node};

const RESTRICT_KEY_CHARS: usize = 63;
/// How often reading table by table is begun: somebody may alter tables all the time, which `pg_dump` does not bear.
const BEGIN_TRIES: u32 = 12;

/// A database that is to be backed up.
#[derive(Debug)]
pub struct DumpSource {
    connection: Connection,
    secret: [u8; 32],
    /// What is known to be missing beside it.
    problem: Option<String>,
    /// How it is read table by table, where it is.
    tables: Option<TableOptions>,
}

impl DumpSource {
    /// The database of a connection. `secret` belongs to the repository; it makes the dump's only random line the same
    /// on every night and unknown to the server.
    #[must_use]
    pub const fn new(connection: Connection, secret: [u8; 32]) -> Self {
        Self { connection, secret, problem: None, tables: None }
    }

    /// Reads it table by table, in the order of their keys. Else it is one plain dump.
    #[must_use]
    pub const fn by_tables(mut self, tables: Option<TableOptions>) -> Self {
        self.tables = tables;
        self
    }

    /// Reports a problem that was found before it is read, as an error of the component.
    #[must_use]
    pub fn reporting(mut self, problem: Option<String>) -> Self {
        self.problem = problem;
        self
    }

    /// The connection.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Shows dump and roles to `visitor`, and returns what is worth knowing about them.
    ///
    /// # Errors
    /// [`Error::Postgres`] when the server cannot be reached, or the dump does not reach its end; [`Error::Process`] when a
    /// program fails; [`Error::Stop`].
    pub fn visit(
        &self,
        name: &str,
        time: LocalTime,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<DatabaseFacts, Error> {
        let sessions = self.tables.map(|options| options.jobs);
        let answers = Answers::ask(&self.connection, sessions, visitor, monitor)
            .map_err(|error| monitor.check().map_or_else(|cancelled| Error::Stop(cancelled.into()), |()| error))?;
        let Answers { mut facts, properties, roles, user, tools, room } = answers;
        // A server that cannot be asked at all has said so by now.
        self.problem.iter().for_each(|problem| visitor.error(problem.clone()));
        let directory = |name: &str| made_node(name, NodeKind::Directory { tree: Content::default() }, time);
        let file =
            |name: &str| made_node(name, NodeKind::File { content: Content::default(), holes: Vec::new() }, time);
        visitor.enter(directory(name), None)?;
        let mut show_list = |name: &str, visitor: &mut dyn Visitor| match &roles {
            _ if name == PROPERTIES_FILE => visitor.stream(file(name), &mut properties.encode().as_slice()),
            Some(roles) if name == GLOBALS_FILE => visitor.stream(file(name), &mut roles.globals.as_bytes()),
            Some(roles) => visitor.stream(file(name), &mut roles.list.as_slice()),
            None => Ok(()),
        };
        let session = session_name();
        let encodings = (facts.encoding.as_str(), facts.dump_encoding.as_str());
        let program = || self.dump_program(&tools, (&session, &user), encodings.1);
        let is_at_once = room == Some(LockRoom::Ample);
        let reading = match (self.tables, room) {
            (Some(_), Some(LockRoom::Lacking(why))) => {
                visitor.note(format!("not table by table, but as pg_dump gives it: {why}"));
                None
            }
            (options, _) => options.map(|options| Reading { options, program: &program, encodings, is_at_once }),
        };
        let shown = match self.begin_tables(&session, reading, visitor, monitor)? {
            Some(tables) => {
                let nodes = Nodes { file: &file, directory: &directory };
                tables.show(&nodes, visitor, &mut show_list, monitor)
            }
            None => {
                self.plain((&session, &program), file(DUMP_FILE), encodings.1, visitor, monitor).and_then(|tables| {
                    [GLOBALS_FILE, PROPERTIES_FILE, ROLES_FILE].iter().try_for_each(|name| show_list(name, visitor))?;
                    Ok(tables)
                })
            }
        };
        let tables = shown.inspect_err(|_| self.end_session(&session))?;
        facts.tables = tables;
        visitor.leave()?;
        Ok(facts)
    }

    /// Begins to read table by table, where that is wanted and possible, the server permits it, and any table has a key.
    fn begin_tables(
        &self,
        session: &str,
        reading: Option<Reading<'_>>,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<Option<TableDump>, Error> {
        let Some(reading) = reading else { return Ok(None) };
        let mut tries = BEGIN_TRIES;
        loop {
            tries -= 1;
            match TableDump::begin(&self.connection, session, &reading, monitor) {
                Ok(tables) => {
                    let unfit = tables.unfit.map(|why| format!("not table by table, but as pg_dump gives it: {why}"));
                    unfit.or_else(|| tables.note()).into_iter().for_each(|note| visitor.note(note));
                    return Ok(Some(tables).filter(TableDump::is_fit));
                }
                Err(error @ (Error::Stop(_) | Error::Postgres(postgres::Error::Renaming { .. }))) => {
                    self.end_session(session);
                    return Err(error);
                }
                // Somebody waited to alter a table, and can do so now.
                Err(_) if tries > 0 => self.end_session(session),
                Err(error) => {
                    self.end_session(session);
                    visitor.note(format!("not table by table, but as pg_dump gives it: {error}"));
                    return Ok(None);
                }
            }
        }
    }

    /// Shows all of the database as one plain dump. Returns the rows of each table.
    fn plain(
        &self,
        (session, program): (&str, &dyn Fn() -> Program),
        node: Node,
        encoding: &str,
        visitor: &mut dyn Visitor,
        monitor: &Monitor<'_>,
    ) -> Result<Vec<TableRows>, Error> {
        let mut tries = BEGIN_TRIES;
        loop {
            tries -= 1;
            match PlainDump::begin((&self.connection, session), program, encoding, monitor) {
                Ok(dump) => return dump.show(node, visitor, monitor),
                // Somebody waited to alter a table, or replaced one, and has done so by now.
                Err(error @ (Error::Stop(_) | Error::Postgres(postgres::Error::Renaming { .. }))) => return Err(error),
                Err(_) if tries > 0 => self.end_session(session),
                Err(error) => return Err(error),
            }
        }
    }

    /// A `pg_dump` whose session has this name, as the role that logged in.
    fn dump_program(&self, tools: &Tools, (session, user): (&str, &str), encoding: &str) -> Program {
        let mut program = self.connection.program(&tools.dump);
        // One warning of it is looked for in English.
        program.args(["--format=plain", "--no-password"]).variable("PGAPPNAME", session).variable("LC_ALL", "C");
        // Whatever role, database or environment ask for: all parts of a dump are in one encoding.
        program.arg(format!("--encoding={encoding}"));
        // The owner of a database can have everybody become another role who comes into it. Names that are not ASCII are text of the encoding
        // of whatever database they were made in.
        if user.is_ascii() {
            program.arg(format!("--role={user}"));
        }
        // In a container others may see the arguments, and a key that is known is no protection.
        if self.connection.place == Place::Here && tools.has_restrict_key() {
            let subject =
                format!("{}/{}", self.connection.host.as_deref().unwrap_or_default(), self.connection.database);
            let key = derive_secret("larder 2026 pg_dump restrict key", &self.secret, subject.as_bytes());
            let mut key = hex(&key);
            key.truncate(RESTRICT_KEY_CHARS);
            program.arg(format!("--restrict-key={key}"));
        }
        program
    }

    /// Sessions that nobody reads any more may wait for others, and are not there any more for who runs them: the server ends
    /// them.
    fn end_session(&self, session: &str) {
        let sql = format!(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = {}",
            literal(session)
        );
        // Where this fails too, they go on to their end and harm nobody.
        let _ = query(&self.connection, &sql, &Cancel::new());
    }
}

/// A name for sessions that no other session has.
#[must_use]
pub fn session_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("larder-{}-{}-{number}", LocalTime::now().stamp(), std::process::id())
}
