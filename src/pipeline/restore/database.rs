//! A database component: into the live server, or into a scratch database that proves it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{ComponentRestore, LostPath};
use crate::model::{self, Component, DatabaseFacts, Node, NodeKind, TreeReader};
use crate::pipeline::Error;
use crate::pipeline::stream::{ContentStream, write_content};
use crate::progress::{Progress, check};
use crate::repo::{ChunkReader, Repository};
use crate::sink;
use crate::sink::postgres::{LoadedDatabase, exists, maintenance};
use crate::source;
use crate::source::postgres::{Connection, DUMP_FILE, GLOBALS_FILE, find_server_programs, psql};

/// What a restore of a database did.
#[derive(Debug, Default)]
pub struct DatabaseRestore {
    /// Tables whose rows were compared.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Whether there was a database of that name before.
    pub replaced: bool,
    /// Roles that were made, without passwords.
    pub roles_created: Vec<String>,
}

/// The dump and the roles of a component.
struct Saved<'a> {
    facts: &'a DatabaseFacts,
    dump: Node,
    globals: String,
}

fn saved<'a>(reader: &mut ChunkReader, component: &'a Component) -> Result<Saved<'a>, Error> {
    let incomplete = || Error::Refused(format!("{} has no dump", component.name));
    let facts = component.database.as_ref().ok_or_else(incomplete)?;
    let Some(NodeKind::Directory { tree }) = component.root.as_ref().map(|root| &root.kind) else {
        return Err(incomplete());
    };
    let (mut dump, mut globals) = (None, Vec::new());
    let mut nodes = TreeReader::new(tree.clone())?;
    while let Some(node) = nodes.next(reader)? {
        if *node.name == *DUMP_FILE.as_bytes() {
            dump = Some(node);
        } else if *node.name == *GLOBALS_FILE.as_bytes() {
            write_content(reader, &node, &mut globals)?;
        }
    }
    let globals = String::from_utf8_lossy(&globals).into_owned();
    Ok(Saved { facts, dump: dump.ok_or_else(incomplete)?, globals })
}

pub(super) fn restore(
    repository: &Repository,
    component: &Component,
    connection: &Connection,
    lost: &[LostPath],
    dry_run: bool,
    result: &mut ComponentRestore,
    progress: &dyn Progress,
) -> Result<(), Error> {
    if let Some(lost) = lost.first() {
        result.damaged = true;
        return Err(Error::Refused(format!("{} is lost, so the database stays as it is", lost.shown())));
    }
    let mut reader = repository.reader()?;
    let saved = saved(&mut reader, component)?;
    // The database is restored under the name that the configuration gives it now.
    let facts = DatabaseFacts { name: connection.database.clone(), ..saved.facts.clone() };
    let maintenance = maintenance(connection)?;
    let mut done = counts(&facts);
    done.replaced = exists(&maintenance, &facts.name)?;
    if dry_run {
        result.written = 1;
        result.bytes_written = saved.dump.size_bytes;
        result.database = Some(done);
        return Ok(());
    }
    let (loaded, roles) = LoadedDatabase::create(maintenance, &facts, "new", &saved.globals)?;
    load(&loaded, &mut reader, &saved.dump, progress)?;
    loaded.check_rows(&facts)?;
    loaded.put_in_place(&facts)?;
    done.roles_created = roles;
    result.written = 1;
    result.bytes_written = saved.dump.size_bytes;
    result.database = Some(done);
    Ok(())
}

fn counts(facts: &DatabaseFacts) -> DatabaseRestore {
    let rows = facts.tables.iter().map(|table| table.rows).sum();
    DatabaseRestore { tables: facts.tables.len() as u64, rows, ..DatabaseRestore::default() }
}

fn load(loaded: &LoadedDatabase, reader: &mut ChunkReader, dump: &Node, progress: &dyn Progress) -> Result<(), Error> {
    let NodeKind::File { content, .. } = &dump.kind else {
        return Err(Error::Refused("the dump is not a file".to_owned()));
    };
    let mut stream = Watched { stream: ContentStream::new(content, reader)?, progress };
    loaded.load(&mut stream).map_err(|error| reading_error(error, progress))
}

/// What ended the reading of a dump is an error of ours, not of the database.
fn reading_error(error: sink::Error, progress: &dyn Progress) -> Error {
    if let Err(cancelled) = check(progress) {
        return cancelled.into();
    }
    match error {
        sink::Error::Io { action, path, source } => match source.downcast::<model::Error>() {
            Ok(source) => Error::Model(source),
            Err(source) => Error::Sink(sink::Error::Io { action, path, source }),
        },
        error => Error::Sink(error),
    }
}

/// A stream that tells how far it is and ends with an error when it should stop.
struct Watched<'a> {
    stream: ContentStream<'a>,
    progress: &'a dyn Progress,
}

impl std::io::Read for Watched<'_> {
    fn read(&mut self, target: &mut [u8]) -> std::io::Result<usize> {
        if self.progress.cancelled() {
            return Err(std::io::Error::other("interrupted"));
        }
        let len = self.stream.read(target)?;
        self.progress.advance(len as u64);
        Ok(len)
    }
}

/// Loads the dump of a component into a scratch database, compares its rows, and drops it.
///
/// # Errors
/// [`Error::Sink`] when it cannot be loaded or has other rows; [`Error::Model`] when the dump is damaged.
pub fn load_and_count(
    repository: &Repository,
    component: &Component,
    connection: &Connection,
    progress: &dyn Progress,
) -> Result<DatabaseRestore, Error> {
    let mut reader = repository.reader()?;
    let saved = saved(&mut reader, component)?;
    let maintenance = maintenance(connection)?;
    let (loaded, roles) = LoadedDatabase::create(maintenance.clone(), saved.facts, "test", &saved.globals)?;
    let outcome = load(&loaded, &mut reader, &saved.dump, progress)
        .and_then(|()| loaded.check_rows(saved.facts).map_err(Error::from));
    drop(loaded);
    for role in &roles {
        // Made for this test alone. A role that cannot be dropped any more was put to use meanwhile.
        let _ = psql(&maintenance, &format!("DROP ROLE {role}"));
    }
    outcome.map(|()| counts(saved.facts))
}

/// A PostgreSQL server of its own in a temporary folder, on a socket there. Stopped and removed when dropped.
#[derive(Debug)]
pub struct TestServer {
    programs: PathBuf,
    folder: TempDir,
    user: Option<(u32, u32)>,
}

impl TestServer {
    /// Starts a server with the programs that are installed here.
    ///
    /// # Errors
    /// [`Error::Sink`] when none are installed or it does not start.
    pub fn start() -> Result<Self, Error> {
        let unusable = |why: String| Error::Sink(sink::Error::Unusable(why));
        let programs = find_server_programs().ok_or_else(|| {
            unusable("no database server was named, and no PostgreSQL is installed here to start one".to_owned())
        })?;
        let failed = |source| Error::Sink(sink::Error::io("create", "a temporary folder", source));
        let folder = tempfile::Builder::new().prefix("larder-pg-").tempdir().map_err(failed)?;
        // PostgreSQL refuses to run as root.
        let user = rustix::process::geteuid().is_root().then(unprivileged_user);
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).map_err(failed)?;
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let server = Self { programs, folder, user };
        server
            .run("initdb", &["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D", "data"])?;
        let options = format!("-k {} -h '' -c fsync=off -c full_page_writes=off", server.folder.path().display());
        server.run("pg_ctl", &["-D", "data", "-l", "log", "-w", "-o", &options, "start"])?;
        Ok(server)
    }

    /// How to reach it.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection {
            host: Some(self.folder.path().display().to_string()),
            user: Some("postgres".to_owned()),
            database: "postgres".to_owned(),
            port: Some(5432),
            ..Connection::default()
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), Error> {
        let failed =
            |source| Error::Sink(sink::Error::Database { action: "start a PostgreSQL server".to_owned(), source });
        let log = fs::File::create(self.folder.path().join(format!("{program}.out")));
        let log = log.map_err(|source| Error::Sink(sink::Error::io("write", "a temporary file", source)))?;
        let mut command = Command::new(self.programs.join(program));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LC_ALL", "C")
            .env_remove("PGDATA")
            .env_remove("PGPORT");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(log));
        if let Some((uid, gid)) = self.user {
            use std::os::unix::process::CommandExt;
            command.uid(uid).gid(gid);
        }
        let status =
            command.status().map_err(|source| failed(source::Error::Start { program: program.to_owned(), source }))?;
        if status.success() {
            return Ok(());
        }
        let stderr = last_lines(&self.folder.path().join(format!("{program}.out")));
        Err(failed(source::Error::Failed { program: program.to_owned(), status: source::status_text(status), stderr }))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // The folder goes with it, so a server that does not stop in time loses nothing of worth.
        let _ = self.run("pg_ctl", &["-D", "data", "-w", "-m", "immediate", "stop"]);
    }
}

fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join("\n")
}

/// User and group of `postgres`, or of `nobody` where there is none.
fn unprivileged_user() -> (u32, u32) {
    const NOBODY: (u32, u32) = (65_534, 65_534);
    let Ok(passwd) = fs::read_to_string("/etc/passwd") else { return NOBODY };
    let entry = passwd.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    entry.unwrap_or(NOBODY)
}
