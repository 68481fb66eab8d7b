//! A live system for a test: a database on the tests' server, folders, and the binary that works on them.
//!
//! Nothing here knows what a backup holds; it only runs programs and reads what they say.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::common::data::noise;
pub(crate) use crate::common::document::{component, text};
use crate::common::program::{clean, larder};
pub(crate) use crate::common::run::{Run, feed, run};

/// The four folders of a documented system.
pub(crate) const FOLDERS: [&str; 4] = ["models", "config", "outputs", "logs"];

static NEXT: AtomicU32 = AtomicU32::new(0);
/// Roles belong to the whole server: a restore makes those that it misses, also those of other tests.
static ROLES: RwLock<()> = RwLock::new(());

/// Held while commands run that may make missing roles.
pub(crate) fn roles_stay() -> RwLockReadGuard<'static, ()> {
    ROLES.read().unwrap_or_else(PoisonError::into_inner)
}

/// Held while roles are missing.
pub(crate) fn roles_go() -> RwLockWriteGuard<'static, ()> {
    ROLES.write().unwrap_or_else(PoisonError::into_inner)
}

/// Where the server is and who may do everything there.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Server {
    pub(crate) fn from_environment() -> Self {
        let url = std::env::var("LARDER_TEST_DATABASE_URL").expect("run tests/run");
        let rest = url.strip_prefix("postgres://").expect("a URL postgres://user:password@host:port/database");
        let (login, place) = rest.split_once('@').expect("the URL has a login");
        let (user, password) = login.split_once(':').expect("the URL has a password");
        let (server, _) = place.split_once('/').expect("the URL has a database");
        let (host, port) = server.split_once(':').expect("the URL has a port");
        let [host, port, user, password] = [host, port, user, password].map(str::to_owned);
        Self { host, port, user, password }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://{}:{}@{}:{}/{database}", self.user, self.password, self.host, self.port)
    }

    /// `psql` for a database, which ends at the first error.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        clean(&mut command);
        command.args(["-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", &self.host, "-p", &self.port]);
        command.args(["-U", &self.user, "-d", database]).env("PGPASSWORD", &self.password);
        command
    }

    /// Runs SQL and returns what it prints.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        let run = feed(&mut self.psql(database), sql.as_bytes());
        assert_eq!(run.code, 0, "{sql:.300}\n{}", run.stderr);
        run.stdout.trim_end().to_owned()
    }

    /// Whether a database is there.
    pub(crate) fn has(&self, database: &str) -> bool {
        self.sql("postgres", &format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'")) == "1"
    }
}

/// A name that no other test has, for a database or a role.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A database and folders, which are gone when it is dropped.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) server: Server,
    pub(crate) database: String,
    folder: TempDir,
    roles: Vec<String>,
}

impl System {
    /// A system whose database has one table, `numbers`, of this many rows of a good 1 KB each.
    pub(crate) fn with_numbers(rows: u32) -> Self {
        let system = Self::bare();
        system.sql(&format!(
            "CREATE TABLE numbers AS SELECT n AS id, string_agg(md5((n * 64 + m)::text), ' ') AS text
                FROM generate_series(1, {rows}) AS n, generate_series(1, 31) AS m GROUP BY n ORDER BY n"
        ));
        system
    }

    /// A system with everything in `schema.sql`.
    pub(crate) fn documented() -> Self {
        let mut system = Self::bare();
        let [owner, reader] = ["NOLOGIN", "NOLOGIN"].map(|options| system.new_role(options));
        system.server.sql("postgres", &format!("GRANT {reader} TO {owner}"));
        let mut psql = system.server.psql(&system.database);
        for (variable, value) in [("database", &system.database), ("owner", &owner), ("reader", &reader)] {
            psql.arg("-v").arg(format!("{variable}={value}"));
        }
        feed(&mut psql, include_bytes!("schema.sql")).exits(0);
        system
    }

    /// A system with an empty database.
    pub(crate) fn bare() -> Self {
        let server = Server::from_environment();
        let database = unique("larder_system");
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let system = Self { server, database, folder, roles: Vec::new() };
        system.write("models/model.bin", &noise(300_000, 1));
        system.write("models/sub folder/weights.bin", &noise(70_000, 2));
        system.write("config/settings.yaml", b"a: 1\n");
        system.write("config/run.sh", b"#!/bin/sh\n");
        system.write("outputs/résumé of 漢字.txt", b"out\n");
        system.write("outputs/empty", b"");
        system.write("logs/app.log", b"one line\n".repeat(3000).as_slice());
        fs::set_permissions(system.path("config/run.sh"), fs::Permissions::from_mode(0o750)).expect("the file is ours");
        symlink("model.bin", system.path("models/latest")).expect("the folder is ours");
        system
    }

    /// Makes a role for this test and returns its name.
    pub(crate) fn new_role(&mut self, options: &str) -> String {
        let role = unique("larder_role");
        self.server.sql("postgres", &format!("CREATE ROLE {role} {options}"));
        self.roles.push(role.clone());
        role
    }

    /// The roles of `schema.sql`: the owner of everything, and one who may connect.
    pub(crate) fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The folder of the system, or a path below it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("app").join(path)
    }

    /// A path beside the system.
    pub(crate) fn beside(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("the path has a folder")).expect("the folder is ours");
        fs::write(path, bytes).expect("the folder is ours");
    }

    /// Larder with the database in `DATABASE_URL`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command_without_database(arguments);
        command.env("DATABASE_URL", self.server.url(&self.database));
        command
    }

    pub(crate) fn command_without_database(&self, arguments: &[&str]) -> Command {
        let mut command = larder();
        command.arg("-C").arg(self.path("")).arg("--backup-dir").arg(self.beside("backups")).args(arguments);
        command.env("STATE_DIRECTORY", self.beside("state"));
        command
    }

    pub(crate) fn larder(&self, arguments: &[&str]) -> Run {
        let _roles = roles_stay();
        run(&mut self.command(arguments))
    }

    /// Makes a snapshot that must be complete, and returns the JSON document about it.
    pub(crate) fn create(&self) -> Value {
        self.larder(&["create", "--json"]).exits(0).json()
    }

    /// The names of all snapshots, newest first.
    pub(crate) fn snapshots(&self) -> Vec<String> {
        let list = self.larder(&["list", "--json"]).exits(0).json();
        list.as_array().expect("a list").iter().map(|snapshot| text(&snapshot["name"])).collect()
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.database, sql)
    }

    /// Everything that is in a database, as text.
    pub(crate) fn fingerprint_of(&self, database: &str) -> String {
        self.server.sql(database, include_str!("fingerprint.sql"))
    }

    /// The database and its settings as text.
    pub(crate) fn fingerprint(&self) -> String {
        self.fingerprint_in(&self.database)
    }

    /// A database and its settings as text.
    pub(crate) fn fingerprint_in(&self, database: &str) -> String {
        let settings = self.server.sql(database, include_str!("settings.sql"));
        format!("{settings}\n{}", self.fingerprint_of(database))
    }

    pub(crate) fn drop_database(&self) {
        self.server.sql("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database));
    }

    pub(crate) fn drop_roles(&self) {
        for role in &self.roles {
            self.server.sql("postgres", &format!("DROP ROLE IF EXISTS {role}"));
        }
    }

    /// How many of the roles of this test are members of others of them.
    pub(crate) fn memberships(&self) -> String {
        let roles: Vec<String> = self.roles.iter().map(|role| format!("'{role}'::regrole")).collect();
        let roles = roles.join(", ");
        let sql = format!("SELECT count(*) FROM pg_auth_members WHERE roleid IN ({roles}) AND member IN ({roles})");
        self.server.sql("postgres", &sql)
    }

    /// Databases that were made beside this one and are still there.
    pub(crate) fn scratch_databases(&self) -> String {
        let pattern = format!("{}\\_larder\\_%", self.database);
        self.server.sql("postgres", &format!("SELECT datname FROM pg_database WHERE datname LIKE '{pattern}'"))
    }

    /// Copies the folders with all of their metadata.
    pub(crate) fn keep_folders(&self, to: &str) -> PathBuf {
        let kept = self.beside(to);
        fs::create_dir(&kept).expect("the folder is ours");
        let folders = FOLDERS.map(|folder| self.path(folder));
        run(Command::new("cp").arg("-a").args(folders).arg(&kept)).exits(0);
        kept
    }

    pub(crate) fn delete_folders(&self) {
        for folder in FOLDERS {
            fs::remove_dir_all(self.path(folder)).expect("the folder is ours");
        }
    }

    /// Compares the folders with kept ones: data, names, modes, times, links.
    pub(crate) fn assert_folders_equal(&self, kept: &Path) {
        for folder in FOLDERS {
            let (ours, theirs) = (self.path(folder), kept.join(folder));
            run(Command::new("diff").args(["-r", "--no-dereference"]).args([&ours, &theirs])).exits(0);
            assert_eq!(metadata_of(&ours), metadata_of(&theirs), "{folder}");
        }
    }
}

/// Shows the first line that differs, of texts that are too long to be shown whole.
pub(crate) fn assert_text(found: &str, expected: &str) {
    if let Some((found, expected)) = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected) {
        panic!("found    {found}\nexpected {expected}");
    }
    assert_eq!(found.len(), expected.len());
}

impl Drop for System {
    fn drop(&mut self) {
        let mut sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE);", self.database);
        for role in &self.roles {
            write!(sql, "DROP ROLE IF EXISTS {role};").expect("writing into a string");
        }
        // A test that has failed must not be hidden by a panic here.
        let _ = feed(&mut self.server.psql("postgres"), sql.as_bytes());
    }
}

fn metadata_of(folder: &Path) -> String {
    let mut find = Command::new("find");
    let listed = run(find.arg(folder).args(["-printf", "%P\\t%y\\t%m\\t%u\\t%g\\t%T@\\t%l\\n"])).exits(0).stdout;
    let mut lines: Vec<&str> = listed.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}
