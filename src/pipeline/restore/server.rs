//! PostgreSQL servers that are started for a test alone, with the programs that are installed here.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::pipeline::Error;
use crate::sink;
use crate::source;
use crate::source::postgres::{Connection, find_server_programs, server_programs_of};

/// A PostgreSQL server of its own, on a socket in a temporary folder. Stopped when dropped, and its folder removed.
#[derive(Debug)]
pub struct TestServer {
    programs: PathBuf,
    folder: TempDir,
    data: PathBuf,
    user: Option<(u32, u32)>,
}

impl TestServer {
    /// Starts a server with nothing in it, with the programs that are installed here.
    ///
    /// # Errors
    /// [`Error::Sink`] when none are installed or it does not start.
    pub fn start() -> Result<Self, Error> {
        let programs = find_server_programs().ok_or_else(|| {
            let why = "no database server was named, and no PostgreSQL is installed here to start one";
            Error::Sink(sink::Error::Unusable(why.to_owned()))
        })?;
        // PostgreSQL refuses to run as root.
        let user = rustix::process::geteuid().is_root().then(unprivileged_user);
        let server = Self::prepare(programs, None, user)?;
        let data = server.data.display().to_string();
        server
            .run("initdb", &["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "-D", &data])?;
        server.start_with("-c fsync=off -c full_page_writes=off")?;
        Ok(server)
    }

    /// Starts a server on a data directory, as the owner of it; `None` when the programs of its version are not here.
    /// It is changed by that.
    ///
    /// # Errors
    /// [`Error::Sink`] when it does not start.
    pub fn start_on(data: &Path) -> Result<Option<Self>, Error> {
        let failed = |source| Error::Sink(sink::Error::io("read", data.display().to_string(), source));
        let version = fs::read_to_string(data.join("PG_VERSION")).map_err(failed)?;
        let Some(programs) = server_programs_of(version.trim()) else { return Ok(None) };
        let owner = fs::metadata(data).map_err(failed)?;
        let user = rustix::process::geteuid().is_root().then(|| (owner.uid(), owner.gid()));
        let server = Self::prepare(programs, Some(data), user)?;
        // What the system's own server needs beside its data may not be here.
        let hba = server.folder.path().join("hba");
        fs::write(&hba, "local all all trust\n").map_err(failed)?;
        fs::set_permissions(&hba, fs::Permissions::from_mode(0o644)).map_err(failed)?;
        let hba = hba.display();
        server.start_with(&format!(
            "-c ssl=off -c archive_mode=off -c shared_preload_libraries='' -c hba_file='{hba}'"
        ))?;
        Ok(Some(server))
    }

    fn prepare(programs: PathBuf, data: Option<&Path>, user: Option<(u32, u32)>) -> Result<Self, Error> {
        let failed = |source| Error::Sink(sink::Error::io("create", "a temporary folder", source));
        let folder = tempfile::Builder::new().prefix("larder-pg-").tempdir().map_err(failed)?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).map_err(failed)?;
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let data = data.map_or_else(|| folder.path().join("data"), Path::to_owned);
        Ok(Self { programs, folder, data, user })
    }

    fn start_with(&self, settings: &str) -> Result<(), Error> {
        let (folder, data) = (self.folder.path().display(), self.data.display().to_string());
        let options = format!("-k {folder} -h '' -p 5432 {settings}");
        let log = format!("{folder}/log");
        self.run("pg_ctl", &["-D", &data, "-l", &log, "-w", "-o", &options, "start"])
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
        let said = [format!("{program}.out"), "log".to_owned()].map(|name| last_lines(&self.folder.path().join(name)));
        let stderr = said.join("\n").trim().to_owned();
        Err(failed(source::Error::Failed { program: program.to_owned(), status: source::status_text(status), stderr }))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // The folder goes with it, so a server that does not stop in time loses nothing of worth.
        let _ = self.run("pg_ctl", &["-D", &self.data.display().to_string(), "-w", "-m", "immediate", "stop"]);
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
