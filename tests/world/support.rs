//! Systems, disks and hosts as they come and go, and a server with databases.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::common::document::name_of;
pub(crate) use crate::common::program::is_root;
use crate::common::program::{clean, larder};
pub(crate) use crate::common::run::{DONE, NO_SUCH_SNAPSHOT, PARTIAL, Run, USAGE};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder with systems, each in a folder of its own, and what a host remembers of them.
pub(crate) struct World {
    folder: TempDir,
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
        let mut command = larder();
        command.env("STATE_DIRECTORY", self.path("state"));
        command.arg("-C").arg(self.path(system)).args(arguments);
        command
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
        clean(&mut command);
        command.env("STATE_DIRECTORY", self.path("state"));
        command.env("LARDER_TEST_PROGRAM", env!("CARGO_BIN_EXE_larder"));
        Run::of(&mut command)
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
