//! A database as a source: its dump and the cluster's roles, as the files of a directory.

use std::sync::atomic::{AtomicU32, Ordering};

use super::plain::PlainDump;
use super::tables::{NAMES_SHOWN, Nodes, Reading, TableDump, TableOptions};
use crate::clock::LocalTime;
use crate::id::{derive_secret, hex};
use crate::limits::PROBLEMS_MAX;
use crate::model::{Content, DatabaseFacts, Node, NodeKind, PROPERTIES_FILE, ROLES_FILE, TableRows};
use crate::postgres::access::Access;
use crate::postgres::sql::literal;
use crate::postgres::{
    self, Connection, Found, Stopped, Tools, doubts, globals_text, lacks_locks, query, read_facts, read_left_out,
    read_roles, unrestricted,
};
use crate::process::{Place, Program};
use crate::progress::{self, Progress};
use crate::source::{Error, Visitor, made_node};

/// The dump within the component.
pub const DUMP_FILE: &str = "database.sql";
/// The roles and tablespaces of the cluster as SQL within the component, without passwords, for people.
pub(super) const GLOBALS_FILE: &str = "globals.sql";

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
        progress: &dyn Progress,
    ) -> Result<DatabaseFacts, Error> {
        let stopped = || progress.cancelled();
        let interrupted =
            |error| progress::check(progress).map_or_else(|cancelled| Error::Stop(cancelled.into()), |()| error);
        let Found { mut facts, properties, user, server_major, left_out } =
            read_facts(&self.connection, &stopped).map_err(|error| interrupted(error.into()))?;
        facts.foreign_code = self.foreign_code(&stopped).map_err(|error| interrupted(error.into()))?;
        let members = read_left_out(&self.connection, &stopped).map_err(|error| interrupted(error.into()))?;
        // A server that cannot be asked at all has said so by now.
        let problems = self.problem.iter().chain(&left_out).chain(&members.problems);
        problems.for_each(|problem| visitor.error(problem.clone()));
        members.notes.into_iter().for_each(|note| visitor.note(note));
        match doubts(&self.connection, &stopped) {
            Ok(doubts) => doubts.into_iter().for_each(|doubt| visitor.note(doubt)),
            Err(error) => visitor.note(format!("it was not looked for what might not restore: {error}")),
        }
        if let Some(note) = foreign_note(&facts.foreign_code) {
            visitor.note(note);
        }
        if let Some(extension) = facts.bound_extension() {
            visitor.note(format!(
                "the server makes the extension {extension} only in the database of this name: it can be restored where there is none"
            ));
        }
        let tools = Tools::for_server(server_major, &self.connection.place, &stopped)?;
        facts.dump_version.clone_from(&tools.dump_version);
        let directory = |name: &str| made_node(name, NodeKind::Directory { tree: Content::default() }, time);
        let file =
            |name: &str| made_node(name, NodeKind::File { content: Content::default(), holes: Vec::new() }, time);
        visitor.enter(directory(name), None)?;
        let roles = self.roles(visitor, progress).map_err(interrupted)?;
        if let Some(note) = unrestricted(&self.connection, &stopped)? {
            visitor.note(note);
        }
        let mut show_list = |name: &str, visitor: &mut dyn Visitor| match &roles {
            _ if name == PROPERTIES_FILE => visitor.stream(file(name), &mut properties.encode().as_slice()),
            Some(roles) if name == GLOBALS_FILE => visitor.stream(file(name), &mut roles.globals.as_bytes()),
            Some(roles) => visitor.stream(file(name), &mut roles.list.as_slice()),
            None => Ok(()),
        };
        let session = session_name();
        let encodings = (facts.encoding.as_str(), facts.dump_encoding.as_str());
        let program = || self.dump_program(&tools, (&session, &user), encodings.1);
        let reading = self.tables.map(|options| Reading { options, program: &program, encodings });
        let shown = match self.begin_tables(&session, reading, visitor, progress)? {
            Some(tables) => {
                let nodes = Nodes { file: &file, directory: &directory };
                tables.show(&nodes, visitor, &mut show_list, progress)
            }
            None => {
                self.plain((&session, &program), file(DUMP_FILE), encodings.1, visitor, progress).and_then(|tables| {
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

    /// Begins to read table by table, where that is wanted, the server permits it, and any table has a key.
    fn begin_tables(
        &self,
        session: &str,
        reading: Option<Reading<'_>>,
        visitor: &mut dyn Visitor,
        progress: &dyn Progress,
    ) -> Result<Option<TableDump>, Error> {
        let Some(reading) = reading else { return Ok(None) };
        if let Some(why) = lacks_locks(&self.connection, reading.options.jobs, &|| progress.cancelled())? {
            visitor.note(format!("not table by table, but as pg_dump gives it: {why}"));
            return Ok(None);
        }
        let mut tries = BEGIN_TRIES;
        loop {
            tries -= 1;
            match TableDump::begin(&self.connection, session, &reading, progress) {
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
        progress: &dyn Progress,
    ) -> Result<Vec<TableRows>, Error> {
        let mut tries = BEGIN_TRIES;
        loop {
            tries -= 1;
            match PlainDump::begin((&self.connection, session), program, encoding, progress) {
                Ok(dump) => return dump.show(node, visitor, progress),
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
        let _ = query(&self.connection, &sql, &|| false);
    }

    /// The tables that nobody but a superuser will be able to load, because they run code of others.
    fn foreign_code(&self, stopped: Stopped<'_>) -> Result<Vec<String>, postgres::Error> {
        let refused = Access::of_restore(&self.connection, stopped)?.check().err();
        let mut objects = refused.map(|refused| refused.objects).unwrap_or_default();
        objects.truncate(PROBLEMS_MAX);
        Ok(objects)
    }

    /// The roles of the server as files. What keeps them from being read is worth a note and no failure; one that cannot be
    /// saved as it is, is missing.
    fn roles(&self, visitor: &mut dyn Visitor, progress: &dyn Progress) -> Result<Option<RoleFiles>, Error> {
        let read = read_roles(&self.connection, &|| progress.cancelled()).and_then(|(roles, left_out)| {
            let globals = globals_text(&roles)?;
            Ok((RoleFiles { globals, list: roles.encode() }, left_out))
        });
        match read {
            Ok((files, left_out)) => {
                for problem in left_out {
                    visitor.error(problem);
                }
                Ok(Some(files))
            }
            Err(error) if !progress.cancelled() => {
                visitor.note(format!("roles were not saved: {error}"));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What is to be said of objects that nobody but a superuser can load.
fn foreign_note(objects: &[String]) -> Option<String> {
    let shown = objects.iter().take(NAMES_SHOWN).map(|object| object.escape_debug().to_string()).collect::<Vec<_>>();
    let more = objects.len().saturating_sub(NAMES_SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!objects.is_empty()).then(|| {
        format!(
            "it is restored only with --run-code-as-superuser, which runs code of others with all rights: {}{more}",
            shown.join(", ")
        )
    })
}

/// The roles of a server, for people and for a restore.
struct RoleFiles {
    globals: String,
    list: Vec<u8>,
}

/// Makes sure that there is no entry that is longer than what a restore takes.
pub(super) fn check_length(too_long: Option<String>) -> Result<(), postgres::Error> {
    too_long.map_or(Ok(()), |title| Err(postgres::Error::TooLong { title }))
}

/// A name for sessions that no other session has.
#[must_use]
pub fn session_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("larder-{}-{}-{number}", LocalTime::now().stamp(), std::process::id())
}
