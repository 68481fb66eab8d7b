//! PostgreSQL servers that are started for a test alone, with the programs that are installed here.
//!
//! Who owns a table has code run in them, as the superuser, and so whatever the user of the server may do. As root they run in
//! a [`Sandbox`]. None of root's files lies in a folder of theirs, none of their names is followed by us, and nobody gets in
//! without a password that is made for each.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, linkat};

use crate::cancel::{Cancel, POLL};
use crate::id::{hex, random_bytes};
use crate::pipeline::Error;
use crate::postgres::{self, Connection, psql_program, server_programs_of, unrestricted};
use crate::process::{self, Place, Process, ProcessInput, Program, Sandbox};
use crate::rooted::Trust;
use crate::sink::{self, DirTarget, give_to};
use crate::temporary::TemporaryFolder;

/// How long a recovery from the write-ahead log may take.
const START_LIMIT: Duration = Duration::from_mins(10);
const SOCKET: &str = ".s.PGSQL.5432";
/// Longest path of a socket.
const SOCKET_BYTES_MAX: usize = 107;
const PORT: u16 = 5432;
const PASSWORD_FILE: &str = "password";
/// What is read of the file that says which version a data directory is of.
const VERSION_BYTES_MAX: u64 = 16;
/// Lines that are kept of what a server says that does not start.
const LINES_MAX: usize = 5;
/// Where a server in a sandbox has its folders.
const IN_SANDBOX: &str = "/server";
/// What a fresh server does without: it never has to start again.
const FRESH: [&str; 2] = ["fsync=off", "full_page_writes=off"];
/// What a server on a copy does not do: reach others, be reached over a network, load what is not installed, write
/// elsewhere, or take the memory of a large machine.
pub(crate) const ON_A_COPY: [&str; 14] = [
    "listen_addresses=",
    "ssl=off",
    "archive_mode=off",
    "restore_command=",
    "primary_conninfo=",
    "primary_slot_name=",
    "max_logical_replication_workers=0",
    "shared_preload_libraries=",
    "logging_collector=off",
    "log_destination=stderr",
    "huge_pages=off",
    "shared_buffers=64MB",
    "external_pid_file=",
    "unix_socket_permissions=0777",
];

/// Whose code a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeOf {
    /// Ours alone. Where we are not root it runs as we do.
    Ourselves,
    /// That of whoever made the data.
    Others,
}

/// A PostgreSQL server of its own. Ended when dropped, with everything that was started in it, and its folder removed.
pub struct TestServer {
    /// Of a server in a sandbox: it ends with it.
    input: Mutex<Option<ProcessInput>>,
    process: Option<Process>,
    ground: Ground,
}

/// The folders of a server, before it runs.
#[derive(Debug)]
struct Ground {
    programs: PathBuf,
    sandbox: Option<Sandbox>,
    password: String,
    /// Ours, and closed to all others: what the server makes of its own is nobody else's. It has `data`, `socket` and `settings`.
    folder: TemporaryFolder,
    /// Ours. It has a second name of the socket, which only we can change, and nothing else.
    entrance: TemporaryFolder,
}

impl TestServer {
    /// Starts a server with nothing in it, with the programs of this folder, or says what is lacking for it.
    ///
    /// # Errors
    /// [`Error::Sink`] when it does not start.
    pub fn start(programs: &Path, code: CodeOf, cancel: &Cancel) -> Result<Result<Self, String>, Error> {
        let ground = match Ground::prepare(programs, None, code)? {
            Ok(ground) => ground,
            Err(why) => return Ok(Err(why)),
        };
        if let Err(error) = ground.program("postgres").arg("--version").run_apart() {
            return Ok(Err(format!("the programs in {} do not run apart from this host: {error}", programs.display())));
        }
        let password = ground.place("settings").join(PASSWORD_FILE).display().to_string();
        let mut initdb = ground.program("initdb");
        initdb.args(["-A", "scram-sha-256", "--pwfile", &password, "-U", "postgres", "-E", "UTF8", "--locale=C"]);
        initdb.arg("--no-sync").arg("-D").arg(ground.place("data"));
        initdb.run_apart().map_err(failed)?;
        ground.forget_password()?;
        Self::run(ground, &FRESH.map(str::to_owned), cancel).map(Ok)
    }

    /// Starts a server on a data directory below `root` that is a throwaway copy, or says what is lacking for it. The copy
    /// is given to the user of the server. Of its configuration nothing counts that reaches beyond the copy. It is changed
    /// by that, and is no standby any more. Nobody may log in.
    ///
    /// # Errors
    /// [`Error::Sink`] when it does not start.
    pub fn start_on((root, data): (&Path, &str), cancel: &Cancel) -> Result<Result<Self, String>, Error> {
        let mut beneath = DirTarget::open(root, &Trust::default())?;
        let within = |name: &str| Path::new(data).join(name).into_os_string().into_vec();
        let mut version = String::new();
        beneath.open_file(&within("PG_VERSION"))?.0.take(VERSION_BYTES_MAX).read_to_string(&mut version).map_err(
            |source| sink::Error::io("read", root.join(data).join("PG_VERSION").display().to_string(), source),
        )?;
        for signal in ["standby.signal", "recovery.signal"] {
            beneath.remove_file(&within(signal))?;
        }
        let version = version.trim();
        let Some(programs) = server_programs_of(version) else {
            return Ok(Err(not_installed(version)));
        };
        let ground = match Ground::prepare(&programs, Some(&root.join(data)), CodeOf::Others)? {
            Ok(ground) => ground,
            Err(why) => return Ok(Err(why)),
        };
        let place = |folder: &str| ground.place(folder).display().to_string();
        let (data, settings) = (place("data"), place("settings"));
        let mut options = vec![
            format!("data_directory={data}"),
            format!("hba_file={settings}/hba"),
            format!("ident_file={settings}/ident"),
        ];
        options.extend(ON_A_COPY.map(str::to_owned));
        Self::run(ground, &options, cancel).map(Ok)
    }

    fn run(ground: Ground, options: &[String], cancel: &Cancel) -> Result<Self, Error> {
        let mut program = ground.program("postgres");
        program.arg("-D").arg(ground.place("data")).arg("-k").arg(ground.place("socket"));
        program.args(["-h", "", "-p", &PORT.to_string()]);
        for option in options {
            program.args(["-c", option]);
        }
        let (input, process) = program.start(true).map_err(failed)?;
        let mut server = Self { input: Mutex::new(input), process: Some(process), ground };
        server.wait(cancel)?;
        Ok(server)
    }

    /// Waits until it lets people in.
    fn wait(&mut self, cancel: &Cancel) -> Result<(), Error> {
        let deadline = Instant::now() + START_LIMIT;
        while !(self.ground.link_socket()? && self.ground.answers()?) {
            let late = Instant::now() >= deadline;
            if self.process.as_mut().is_none_or(Process::has_ended) || late {
                let ended = self.end();
                let silent = process::Error::Stream {
                    program: "postgres".to_owned(),
                    source: io::Error::other(format!("it lets nobody in after {} s", START_LIMIT.as_secs())),
                };
                return Err(failed(if late { silent } else { ended.err().unwrap_or(silent) }));
            }
            if cancel.is_cancelled() {
                return Err(failed(process::Error::interrupted("postgres")));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// How to reach it.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection {
            host: Some(self.ground.entrance.path().display().to_string()),
            user: Some("postgres".to_owned()),
            password: Some(self.ground.password.clone()),
            database: "postgres".to_owned(),
            port: Some(PORT),
            ..Connection::default()
        }
    }

    /// What ends everything in the sandbox, whoever waits for that. Out of one, the server ends when dropped.
    pub(crate) fn stopper(&self) -> impl Fn() + Send + '_ {
        let input = &self.input;
        move || drop(input.lock().unwrap_or_else(PoisonError::into_inner).take())
    }

    fn end(&mut self) -> Result<(), process::Error> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        if self.ground.sandbox.is_none() {
            process.quit();
        }
        self.stopper()();
        process.finish()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // It is told to leave everything as it is, and that is no good end. Its folder goes with it.
        let _ = self.end();
    }
}

impl std::fmt::Debug for TestServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TestServer({})", self.ground.folder.path().display())
    }
}

impl Ground {
    /// Makes the folders of a server, or says what is lacking to run it.
    fn prepare(programs: &Path, copy: Option<&Path>, code: CodeOf) -> Result<Result<Self, String>, Error> {
        let made = |source| Error::Sink(sink::Error::io("create", "a temporary folder", source));
        let folder = TemporaryFolder::new("larder-pg-").map_err(made)?;
        let entrance = TemporaryFolder::new("larder-pg-").map_err(made)?;
        for path in [folder.path().join("socket"), entrance.path().to_owned()] {
            if path.join(SOCKET).as_os_str().len() > SOCKET_BYTES_MAX {
                let why = "is too long a path for a socket: TMPDIR says where it lies";
                return Ok(Err(format!("{} {why}", path.display())));
            }
        }
        let psql_has_no_rights = match unrestricted(&Connection::default(), &Cancel::new()) {
            Ok(note) => note.is_some(),
            // One that cannot even say what it knows is as good as none.
            Err(error @ (postgres::Error::NoPsql | postgres::Error::Process(process::Error::Failed { .. }))) => {
                return Ok(Err(error.to_string()));
            }
            Err(source) => return Err(not_started(source)),
        };
        if psql_has_no_rights {
            // It gets to the socket, and needs the password there.
            fs::set_permissions(entrance.path(), fs::Permissions::from_mode(0o711)).map_err(made)?;
        }
        for (name, mode) in [("root", 0o700), ("socket", 0o700), ("data", 0o700), ("settings", 0o711)] {
            let path = folder.path().join(name);
            DirBuilder::new().mode(0o700).create(&path).map_err(made)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(made)?;
        }
        let is_root = rustix::process::geteuid().is_root();
        let sandbox = match (code, is_root) {
            (CodeOf::Ourselves, false) => None,
            _ => match Sandbox::new(folder.path().join("root")) {
                Ok(sandbox) => Some(sandbox),
                Err(why) => return Ok(Err(why)),
            },
        };
        let password = hex(&random_bytes().map_err(made)?);
        let mut ground = Self { programs: programs.to_owned(), sandbox, password, folder, entrance };
        ground.write_settings().map_err(made)?;
        ground.furnish(copy)?;
        Ok(Ok(ground))
    }

    /// Gives the sandbox the folders of the server, and the server those that it writes.
    fn furnish(&mut self, copy: Option<&Path>) -> Result<(), Error> {
        let Some(sandbox) = &mut self.sandbox else { return Ok(()) };
        let own = |name: &str| self.folder.path().join(name);
        let data = copy.map_or_else(|| own("data"), Path::to_owned);
        give_to(&data, sandbox.user())?;
        give_to(&own("socket"), sandbox.user())?;
        sandbox.may_write(&data, &format!("{IN_SANDBOX}/data"));
        sandbox.may_write(&own("socket"), &format!("{IN_SANDBOX}/socket"));
        sandbox.may_read(&own("settings"), format!("{IN_SANDBOX}/settings"));
        if let Some(prefix) = self.programs.parent() {
            sandbox.may_run(prefix);
        }
        Ok(())
    }

    /// Files of ours that the server reads: only it knows the password.
    fn write_settings(&self) -> io::Result<()> {
        let password = format!("{}\n", self.password);
        for (name, text, mode) in
            [("hba", "local all all reject\n", 0o444), ("ident", "", 0o444), (PASSWORD_FILE, &password, 0o400)]
        {
            let path = self.folder.path().join("settings").join(name);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&path)?;
            file.write_all(text.as_bytes())?;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            if let (Some(sandbox), PASSWORD_FILE) = (&self.sandbox, name) {
                chown(&path, Some(sandbox.user()), None)?;
            }
        }
        Ok(())
    }

    /// Takes away the file with the password, which is needed no more.
    fn forget_password(&self) -> Result<(), Error> {
        let path = self.folder.path().join("settings").join(PASSWORD_FILE);
        fs::remove_file(&path)
            .map_err(|source| Error::Sink(sink::Error::io("remove", path.display().to_string(), source)))
    }

    /// Where the server sees one of its folders.
    fn place(&self, folder: &str) -> PathBuf {
        self.sandbox.as_ref().map_or_else(|| self.folder.path(), |_| Path::new(IN_SANDBOX)).join(folder)
    }

    fn program(&self, name: &str) -> Program {
        let mut program = Program::new(self.programs.join(name), Place::Here);
        match &self.sandbox {
            Some(sandbox) => program.in_sandbox(sandbox.clone()),
            None => program.variable("LC_ALL", "C").without_variable("PGDATA").without_variable("PGPORT").apart(),
        };
        program
    }

    /// Gives the socket a name that the server cannot put anything else under. `false` as long as there is none.
    fn link_socket(&self) -> Result<bool, Error> {
        let [socket, name] = [self.folder.path().join("socket").join(SOCKET), self.entrance.path().join(SOCKET)];
        let unlinked = |source: io::Error| Error::Sink(sink::Error::io("link", name.display().to_string(), source));
        match linkat(CWD, &socket, CWD, &name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(rustix::io::Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(unlinked(errno.into())),
        }
        if fs::symlink_metadata(&name).map_err(unlinked)?.file_type().is_socket() {
            return Ok(true);
        }
        Err(unlinked(io::Error::other("it is no socket")))
    }

    /// Whether it would let somebody in who has the right password.
    fn answers(&self) -> Result<bool, Error> {
        let own = self.programs.join("pg_isready");
        let path = if own.exists() { own } else { psql_program(&Place::Here).with_file_name("pg_isready") };
        let mut program = Program::new(path, Place::Here);
        program
            .args(["-q", "-d", "postgres", "-U", "postgres", "-p", &PORT.to_string(), "-h"])
            .arg(self.entrance.path());
        match program.run(&Cancel::new()) {
            Ok(_) => Ok(true),
            Err(process::Error::Failed { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Says that the programs of a version are lacking, and what has them.
pub(crate) fn not_installed(major: &str) -> String {
    let major = major.escape_debug();
    format!("PostgreSQL {major} is not installed here (Debian: postgresql-{major})")
}

/// The error of a server that does not start, with the last of what it said.
fn failed(mut error: process::Error) -> Error {
    if let process::Error::Failed { stderr, .. } = &mut error {
        let lines: Vec<&str> = stderr.lines().collect();
        *stderr = lines.get(lines.len().saturating_sub(LINES_MAX)..).unwrap_or_default().join("\n");
    }
    not_started(error.into())
}

fn not_started(source: postgres::Error) -> Error {
    Error::Sink(sink::Error::Database { action: "start a PostgreSQL server".to_owned(), source })
}

/// A link to where a server keeps data that leads out of its directory. It is not followed.
///
/// # Errors
/// Those of the operating system.
pub fn link_outside(data: &Path) -> io::Result<Option<String>> {
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
            if target.is_absolute() || target.components().any(|part| part == Component::ParentDir) {
                return Ok(Some(Path::new(folder).join(name).display().to_string()));
            }
        }
    }
    Ok(None)
}
