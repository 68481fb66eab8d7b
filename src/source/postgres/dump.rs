//! A database as a source: its dump and the cluster's roles, as the files of a directory.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::tables::{Nodes, TableDump, TableOptions};
use super::{Connection, CopyCounter, Tools, psql};
use crate::clock::LocalTime;
use crate::id::{derive_secret, hex};
use crate::model::{Content, DatabaseFacts, Node, NodeKind, TableRows};
use crate::progress::Progress;
use crate::source::{Error, Place, Program, Visitor, Watched, made_node};

/// The dump within the component.
pub const DUMP_FILE: &str = "database.sql";
/// The roles and tablespaces of the cluster within the component, without passwords.
pub const GLOBALS_FILE: &str = "globals.sql";

/// What `pg_dumpall` writes at its end.
const GLOBALS_END: &[u8] = b"-- PostgreSQL database cluster dump complete";
const RESTRICT_KEY_CHARS: usize = 63;
/// How often reading table by table is begun.
const BEGIN_TRIES: u32 = 5;

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
    /// [`Error::Failed`] when the server cannot be reached or a program fails, [`Error::Incomplete`] when the dump does
    /// not reach its end, [`Error::NoProgram`], [`Error::Stop`].
    pub fn visit(
        &self,
        name: &str,
        time: LocalTime,
        visitor: &mut dyn Visitor,
        progress: &dyn Progress,
    ) -> Result<DatabaseFacts, Error> {
        let (mut facts, server_major) = self.facts()?;
        // A server that cannot be asked at all has said so by now.
        self.problem.iter().for_each(|problem| visitor.error(problem.clone()));
        let tools = Tools::for_server(server_major, &self.connection.place)?;
        facts.dump_version.clone_from(&tools.dump_version);
        let directory = |name: &str| made_node(name, NodeKind::Directory { tree: Content::default() }, time);
        let file =
            |name: &str| made_node(name, NodeKind::File { content: Content::default(), holes: Vec::new() }, time);
        visitor.enter(directory(name), Path::new(""))?;
        let session = session_name();
        let program = || self.dump_program(&tools, &session, &facts.encoding);
        let mut globals = |visitor: &mut dyn Visitor| self.globals(&tools, file(GLOBALS_FILE), visitor, progress);
        let shown = match self.begin_tables(&session, &program, visitor, progress)? {
            Some(tables) => {
                let nodes = Nodes { file: &file, directory: &directory };
                tables.show(&nodes, visitor, &mut globals, progress)
            }
            None => plain(&program(), file(DUMP_FILE), visitor, progress)
                .and_then(|tables| globals(visitor).map(|()| tables)),
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
        program: &dyn Fn() -> Program,
        visitor: &mut dyn Visitor,
        progress: &dyn Progress,
    ) -> Result<Option<TableDump>, Error> {
        let Some(options) = self.tables else { return Ok(None) };
        let mut tries = BEGIN_TRIES;
        loop {
            tries -= 1;
            match TableDump::begin(&self.connection, session, (options, program), progress) {
                Ok(tables) => {
                    tables.note().into_iter().for_each(|note| visitor.note(note));
                    return Ok(Some(tables).filter(TableDump::has_keyed_tables));
                }
                Err(error @ Error::Stop(_)) => return Err(error),
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

    fn dump_program(&self, tools: &Tools, session: &str, encoding: &str) -> Program {
        let mut program = self.connection.program(&tools.dump);
        program.args(["--format=plain", "--no-password"]).variable("PGAPPNAME", session);
        // Whatever role, database or environment ask for: all parts of a dump are in one encoding.
        program.arg(format!("--encoding={encoding}"));
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

    /// A `pg_dump` that nobody reads any more cannot be killed from outside of its container, so its session is ended.
    fn end_session(&self, session: &str) {
        if self.connection.place.container().is_some() {
            let sql =
                format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{session}'");
            // Where this fails too, it goes on to its end and harms nobody.
            let _ = psql(&self.connection, &sql);
        }
    }

    /// Shows the roles. What keeps them from being read is worth a note and no failure.
    fn globals(
        &self,
        tools: &Tools,
        node: Node,
        visitor: &mut dyn Visitor,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        match self.read_globals(tools, progress) {
            Ok(text) => visitor.stream(node, &mut text.as_slice()),
            Err(
                error @ (Error::Failed { .. }
                | Error::Start { .. }
                | Error::NotInContainer { .. }
                | Error::Incomplete { .. }),
            ) => {
                visitor.note(format!("roles were not saved: {error}"));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Roles are small: they are read whole, so that a failure leaves no half file behind.
    fn read_globals(&self, tools: &Tools, progress: &dyn Progress) -> Result<Vec<u8>, Error> {
        let mut program = self.connection.program(&tools.dump_all);
        program.args(["--globals-only", "--no-role-passwords", "--no-password"]);
        program.without_variable("PGDATABASE").args(["--database", &self.connection.database]);
        let mut stream = Watched::start(&program, progress)?;
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        read.map_err(|source| Error::Stream { what: "pg_dumpall".to_owned(), source })?;
        stream.finish()?;
        if !has_end(&bytes) {
            let why = "the line that ends it is missing";
            return Err(Error::Incomplete { program: "pg_dumpall".to_owned(), why });
        }
        Ok(repeatable_lines(&bytes))
    }

    fn facts(&self) -> Result<(DatabaseFacts, u32), Error> {
        let rows = psql(&self.connection, FACTS_SQL)?;
        let container = self.connection.place.container().map(str::to_owned);
        let name = self.connection.database.clone();
        let mut facts = DatabaseFacts { name, container, ..DatabaseFacts::default() };
        let mut server_major = 0;
        for row in rows {
            let mut fields = row.into_iter().skip(1);
            let (kind, first) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
            let second = fields.next().unwrap_or_default();
            match kind.as_str() {
                "version" => facts.server_version = first,
                "version_num" => server_major = first.parse::<u32>().unwrap_or(0) / 10_000,
                "size" => facts.size_bytes = first.parse().unwrap_or(0),
                "encoding" => facts.encoding = first,
                "collate" => facts.collate = first,
                "ctype" => facts.ctype = first,
                "owner" => facts.owner = first,
                "extension" => drop(facts.extensions.insert(first, second)),
                "property" => facts.properties.push(first),
                _ => {}
            }
        }
        Ok((facts, server_major))
    }
}

/// Shows all of a database as one plain dump. Returns the rows of each table.
fn plain(
    program: &Program,
    node: Node,
    visitor: &mut dyn Visitor,
    progress: &dyn Progress,
) -> Result<Vec<TableRows>, Error> {
    let mut counter = CopyCounter::new(Watched::start(program, progress)?);
    visitor.stream(node, &mut counter)?;
    let (complete, bytes) = (counter.is_complete(), counter.bytes_passed());
    let (tables, stream) = counter.finish();
    stream.finish()?;
    let incomplete = |why| Error::Incomplete { program: "pg_dump".to_owned(), why };
    if bytes == 0 {
        return Err(incomplete("it is empty"));
    }
    if !complete {
        return Err(incomplete("the line that ends a dump is missing"));
    }
    Ok(tables)
}

/// A name for sessions that no other session has.
#[must_use]
pub fn session_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("larder-{}-{}-{number}", LocalTime::now().stamp(), std::process::id())
}

/// Whether roles were written to their end.
fn has_end(globals: &[u8]) -> bool {
    globals.split(|byte| *byte == b'\n').any(|line| line == GLOBALS_END)
}

/// The random token of `\restrict` is of no use in roles and would change every night.
fn repeatable_lines(bytes: &[u8]) -> Vec<u8> {
    let kept = bytes.split_inclusive(|byte| *byte == b'\n');
    let kept = kept.filter(|line| !line.starts_with(b"\\restrict ") && !line.starts_with(b"\\unrestrict "));
    kept.flatten().copied().collect()
}

/// One row per fact: its kind, and one or two values. One statement, so that the rows can be told apart.
const FACTS_SQL: &str = "
WITH this AS (SELECT * FROM pg_database WHERE datname = current_database()),
settings AS (
    SELECT setrole, split_part(setting, '=', 1) AS name, substr(setting, strpos(setting, '=') + 1) AS value
    FROM pg_db_role_setting CROSS JOIN LATERAL unnest(setconfig) AS setting
    WHERE setdatabase = (SELECT oid FROM this)
),
quoted AS (
    -- Lists of names are quoted in the setting itself.
    SELECT setrole, name, CASE WHEN name IN ('search_path', 'temp_tablespaces', 'session_preload_libraries',
        'shared_preload_libraries', 'local_preload_libraries', 'unix_socket_directories')
        THEN value ELSE quote_literal(value) END AS value
    FROM settings
)
SELECT 1 AS part, 'version' AS kind, current_setting('server_version') AS first, '' AS second
UNION ALL SELECT 1, 'version_num', current_setting('server_version_num'), ''
UNION ALL SELECT 1, 'size', pg_database_size(current_database())::text, ''
UNION ALL SELECT 1, 'encoding', pg_encoding_to_char(encoding), '' FROM this
UNION ALL SELECT 1, 'collate', datcollate::text, '' FROM this
UNION ALL SELECT 1, 'ctype', datctype::text, '' FROM this
UNION ALL SELECT 1, 'owner', pg_get_userbyid(datdba)::text, '' FROM this
UNION ALL SELECT 2, 'extension', extname::text, extversion FROM pg_extension
UNION ALL SELECT 3, 'property', CASE WHEN setrole = 0 THEN format('ALTER DATABASE :DBNAME SET %I TO %s', name, value)
    ELSE format('ALTER ROLE %I IN DATABASE :DBNAME SET %I TO %s', pg_get_userbyid(setrole), name, value) END, ''
    FROM quoted
UNION ALL SELECT 3, 'property', format('ALTER DATABASE :DBNAME CONNECTION LIMIT %s', datconnlimit), ''
    FROM this WHERE datconnlimit >= 0
UNION ALL SELECT 3, 'property', format('COMMENT ON DATABASE :DBNAME IS %L', shobj_description(oid, 'pg_database')), ''
    FROM this WHERE shobj_description(oid, 'pg_database') IS NOT NULL
UNION ALL SELECT 4, 'property', 'REVOKE ALL ON DATABASE :DBNAME FROM PUBLIC', '' FROM this WHERE datacl IS NOT NULL
UNION ALL SELECT 5, 'property', format('GRANT %s ON DATABASE :DBNAME TO %s%s', privilege_type,
    CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), ''
    FROM this CROSS JOIN LATERAL aclexplode(datacl) WHERE grantee <> datdba
ORDER BY 1, 2, 3;
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_that_end_in_their_middle_are_not_complete() {
        let whole = b"CREATE ROLE a;\n--\n-- PostgreSQL database cluster dump complete\n--\n\n\\unrestrict x\n";
        assert!(has_end(whole));
        assert!(!has_end(&whole[..50]));
        assert!(!has_end(b"-- Name: PostgreSQL database cluster dump complete\n"));
    }
}
