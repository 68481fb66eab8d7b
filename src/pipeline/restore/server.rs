//! PostgreSQL servers that are started for a test alone, with the programs that are installed here.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::pipeline::Error;
use crate::postgres::{Connection, find_server_programs, server_programs_of};
use crate::process;
use crate::sink;

/// How long a recovery from the write-ahead log may take.
const START_SECS: &str = "600";
/// What a server on a copy does not do: reach others, be reached over a network, load what is not installed, write
/// elsewhere, or take the memory of a large machine.
const ON_A_COPY: &str = "-c listen_addresses='' -c ssl=off -c archive_mode=off -c restore_command='' -c primary_conninfo='' \
    -c primary_slot_name='' -c max_logical_replication_workers=0 -c shared_preload_libraries='' -c logging_collector=off \
    -c log_destination=stderr -c huge_pages=off -c shared_buffers=64MB";

/// A PostgreSQL server of its own, on a socket in a temporary folder. Stopped when dropped, and its folder removed.
#[derive(Debug)]
pub struct TestServer {
    programs: PathBuf,
    folder: TempDir,
    data: PathBuf,
    /// Whether the data is a copy that was there before.
    is_copy: bool,
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

    /// Starts a server on a data directory that is a throwaway copy, as the owner of it, or says why it is not started.
    /// Of its configuration nothing counts that reaches beyond the copy. It is changed by that, and is no standby any
    /// more.
    ///
    /// # Errors
    /// [`Error::Sink`] when it does not start.
    pub fn start_on(data: &Path) -> Result<Result<Self, String>, Error> {
        let failed = |source| Error::Sink(sink::Error::io("read", data.display().to_string(), source));
        let version = fs::read_to_string(data.join("PG_VERSION")).map_err(failed)?;
        let Some(programs) = server_programs_of(version.trim()) else {
            return Ok(Err("its version is not installed here".to_owned()));
        };
        if let Some(link) = link_outside(data).map_err(failed)? {
            return Ok(Err(format!("{link} is a link that leads out of the copy")));
        }
        for signal in ["standby.signal", "recovery.signal"] {
            match fs::remove_file(data.join(signal)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
        let owner = fs::metadata(data).map_err(failed)?;
        let user = rustix::process::geteuid().is_root().then(|| (owner.uid(), owner.gid()));
        let server = Self::prepare(programs, Some(data), user)?;
        // What the system's own server needs beside its data may not be here.
        for (name, text) in [("hba", "local all all trust\n"), ("ident", "")] {
            let path = server.folder.path().join(name);
            fs::write(&path, text).map_err(failed)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).map_err(failed)?;
        }
        let (folder, data) = (server.folder.path().display(), data.display());
        server.start_with(&format!(
            "-c data_directory='{data}' -c hba_file='{folder}/hba' -c ident_file='{folder}/ident' \
             -c external_pid_file='{folder}/pid' {ON_A_COPY}"
        ))?;
        Ok(Ok(server))
    }

    fn prepare(programs: PathBuf, data: Option<&Path>, user: Option<(u32, u32)>) -> Result<Self, Error> {
        let failed = |source| Error::Sink(sink::Error::io("create", "a temporary folder", source));
        let folder = tempfile::Builder::new().prefix("larder-pg-").tempdir().map_err(failed)?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).map_err(failed)?;
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let is_copy = data.is_some();
        let data = data.map_or_else(|| folder.path().join("data"), Path::to_owned);
        Ok(Self { programs, folder, data, is_copy, user })
    }

    fn start_with(&self, settings: &str) -> Result<(), Error> {
        let (folder, data) = (self.folder.path().display(), self.data.display().to_string());
        let options = format!("-k {folder} -h '' -p 5432 {settings}");
        let log = format!("{folder}/log");
        self.run("pg_ctl", &["-D", &data, "-l", &log, "-w", "-t", START_SECS, "-o", &options, "start"])
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
        let failed = |source: process::Error| {
            Error::Sink(sink::Error::Database { action: "start a PostgreSQL server".to_owned(), source: source.into() })
        };
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
        // Ctrl-C reaches a whole group: a server whose start or stop it cuts off would be left. Only the recovery of a copy
        // takes so long that it has to be cut off.
        if !(self.is_copy && arguments.contains(&"start")) {
            command.process_group(0);
        }
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let status =
            command.status().map_err(|source| failed(process::Error::Start { program: program.to_owned(), source }))?;
        if status.success() {
            return Ok(());
        }
        let said = [format!("{program}.out"), "log".to_owned()].map(|name| last_lines(&self.folder.path().join(name)));
        let stderr = said.join("\n").trim().to_owned();
        Err(failed(process::Error::Failed {
            program: program.to_owned(),
            status: process::status_text(status),
            stderr,
        }))
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // The folder goes with it, so a server that does not stop in time loses nothing of worth.
        let _ = self.run("pg_ctl", &["-D", &self.data.display().to_string(), "-w", "-m", "immediate", "stop"]);
    }
}

/// A link to where a server keeps data that leads out of its directory. It is not followed.
fn link_outside(data: &Path) -> io::Result<Option<String>> {
    let is_data = |name: &str| name.starts_with("pg_") || matches!(name, "base" | "global");
    for folder in ["", "pg_tblspc"] {
        let entries = match fs::read_dir(data.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.file_type()?.is_symlink() || (folder.is_empty() && !is_data(&name)) {
                continue;
            }
            let target = fs::read_link(entry.path())?;
            let leads_up = target.components().any(|part| part == Component::ParentDir);
            if leads_up || (target.is_absolute() && !target.starts_with(data)) {
                return Ok(Some(Path::new(folder).join(name).display().to_string()));
            }
        }
    }
    Ok(None)
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
