//! Systems, disks and hosts as they come and go, and a server with databases.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;

/// Exit statuses.
pub(crate) const DONE: i32 = 0;
pub(crate) const USAGE: i32 = 2;
pub(crate) const PARTIAL: i32 = 3;
pub(crate) const NO_SUCH_SNAPSHOT: i32 = 6;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder with systems, each in a folder of its own, and what a host remembers of them.
pub(crate) struct World {
    folder: TempDir,
}

/// A finished run of the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// With one system, `app`, that has a file in `config`.
    pub(crate) fn with_app() -> Self {
        let world = Self::new();
        world.write("app/config/settings", "one");
        world
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub(crate) fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a path below the folder")).expect("ours");
        fs::write(path, bytes).expect("ours");
    }

    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).expect("it is there")
    }

    pub(crate) fn remove(&self, relative: &str) {
        fs::remove_dir_all(self.path(relative)).expect("it is there");
    }

    /// The program in a system of this world, with nothing in its environment that decides anything.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, system: &str, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        self.clean(&mut command);
        command.arg("-C").arg(self.path(system)).args(arguments);
        command
    }

    fn clean(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            let bytes = name.as_bytes();
            let prefixes = [&b"POSTGRES_"[..], b"PG", b"LARDER_", b"BACKUP_", b"DOCKER_", b"COMPOSE_"];
            if prefixes.iter().any(|prefix| bytes.starts_with(prefix)) || bytes == b"DATABASE_URL" {
                command.env_remove(&name);
            }
        }
        command.env("STATE_DIRECTORY", self.path("state")).stdin(Stdio::null());
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, system: &str, arguments: &[A]) -> Run {
        Run::of(&mut self.command(system, arguments))
    }

    /// A run that does all that it is asked for.
    pub(crate) fn ok<A: AsRef<OsStr>>(&self, system: &str, arguments: &[A]) -> Run {
        let run = self.run(system, arguments);
        run.ended(DONE);
        run
    }

    /// The document of a run that does all that it is asked for.
    pub(crate) fn json(&self, system: &str, arguments: &[&str]) -> Value {
        self.ok(system, &[arguments, &["--json"]].concat()).json()
    }

    /// A complete backup of a system; gives the name of the snapshot.
    pub(crate) fn create(&self, system: &str) -> String {
        name_of(&self.json(system, &["create"]))
    }

    /// A backup with the clock moved by so much, where there is what moves it.
    pub(crate) fn create_at(&self, shift: &str) -> Option<Run> {
        let library = std::env::var_os("LARDER_TEST_FAKETIME")?;
        let mut command = self.command("app", &["create", "--json"]);
        command.env("LD_PRELOAD", library).env("FAKETIME", shift).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Some(Run::of(&mut command))
    }

    /// The names of all snapshots, newest first.
    pub(crate) fn names(&self, system: &str) -> Vec<String> {
        let list = self.json(system, &["list"]);
        list.as_array().expect("a list").iter().map(name_of).collect()
    }

    /// A command of a shell in which one folder is mounted at another one, and that is called `host` where it has a name.
    pub(crate) fn shell(&self, script: &str) -> Run {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--uts", "--", "sh", "-ec", script]).current_dir(self.folder.path());
        self.clean(&mut command);
        command.env("LARDER_TEST_PROGRAM", env!("CARGO_BIN_EXE_larder"));
        Run::of(&mut command)
    }
}

/// The name in a document.
pub(crate) fn name_of(document: &Value) -> String {
    document["name"].as_str().expect("a name").to_owned()
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the program runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON document ({error}): {self:?}"))
    }

    pub(crate) fn ended(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Asserts that standard error says all of these.
    pub(crate) fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "'{text}' is not said: {self:?}");
        }
        self
    }

    /// Asserts that standard error does not say this.
    pub(crate) fn says_not(&self, text: &str) -> &Self {
        assert!(!self.stderr.contains(text), "'{text}' is said: {self:?}");
        self
    }
}

/// A database on the server of the tests, which is gone when it is dropped.
pub(crate) struct Database {
    name: String,
}

impl Database {
    /// With a table of so many rows.
    pub(crate) fn with_rows(rows: u32) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let database = Self { name: format!("larder_world_{}_{number}", std::process::id()) };
        sql(&server_url("postgres"), &format!("CREATE DATABASE {}", database.name));
        sql(&database.url(), &format!("CREATE TABLE t AS SELECT generate_series(1, {rows}) AS n"));
        database
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        server_url(&self.name)
    }

    pub(crate) fn sql(&self, statement: &str) -> String {
        sql(&self.url(), statement)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        sql(&server_url("postgres"), &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn server_url(database: &str) -> String {
    let url = std::env::var("LARDER_TEST_DATABASE_URL").expect("run tests/run");
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    format!("{server}/{database}")
}

fn sql(url: &str, statement: &str) -> String {
    let output = Command::new("psql")
        .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement, url])
        .output()
        .expect("psql runs");
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
