//! A live stack for a test: PostgreSQL, Redis and a holder of models in containers, as Compose would have made them.
//!
//! Their image has nothing but `rm` and a cluster to begin with: the host's programs are mounted into it. Nothing here
//! knows what a backup holds.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use crate::common::data::noise;
pub(crate) use crate::common::document::{component, text};
use crate::common::program::larder;
pub(crate) use crate::common::run::{Run, run};

pub(crate) const IMAGE: &str = "larder-test";
/// How long a container may take until it does what it is for.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long it is left alone before it is asked again.
const PAUSE: Duration = Duration::from_millis(10);
/// Begins with a copy of the cluster that is in the image.
pub(crate) const POSTGRES_SCRIPT: &str = r#"
set -e
[ -s "$PGDATA/PG_VERSION" ] || cp -a /cluster/. "$PGDATA"
exec postgres -D "$PGDATA" -h ''"#;
/// Makes a cluster with an empty database, in `$PGDATA`.
const CLUSTER_SCRIPT: &str = r#"
set -e
initdb -A trust -U cti -D "$PGDATA" --no-sync >/dev/null
pg_ctl -D "$PGDATA" -s -w -o "-h '' -k '$PGDATA'" start >/dev/null 2>&1
trap 'pg_ctl -D "$PGDATA" -s -w stop' EXIT
createdb -h "$PGDATA" -U cti --maintenance-db=postgres cti"#;
/// Ends when it is asked to, which `sleep` alone does not.
const MODELS_SCRIPT: &str = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done";

static NEXT: AtomicU32 = AtomicU32::new(0);
static MAKE_IMAGE: Once = Once::new();

/// Asks, again and again, until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "in {PATIENCE:?} it was not so that {what}");
        std::thread::sleep(PAUSE);
    }
}

/// A compose project with a folder of its own, which is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) host: String,
    pub(crate) project: String,
    folder: TempDir,
}

impl Stack {
    /// A project with volumes and no containers.
    pub(crate) fn bare() -> Self {
        let host = std::env::var("LARDER_TEST_DOCKER_HOST").expect("run tests/run");
        let project = format!("lt{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let stack = Self { host, project, folder: tempfile::tempdir().expect("a temporary folder") };
        MAKE_IMAGE.call_once(|| stack.make_image());
        fs::create_dir_all(stack.path("config")).expect("the folder is ours");
        fs::write(stack.path("config/settings.yaml"), "a: 1\n").expect("the folder is ours");
        stack
    }

    /// All three services, with something in each.
    pub(crate) fn full() -> Self {
        let stack = Self::bare();
        stack.start_postgres();
        stack.start_redis("redis_data");
        stack.start_models();
        stack.sql("CREATE TABLE articles AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, 20000) AS n");
        stack.redis("mset first 1 second 2");
        stack.write("ollama_data", "model.bin", &noise(3 << 20, 1));
        stack.write("ollama_data", "blobs/small", b"small");
        stack
    }

    /// An image with `rm`, what that needs, and a cluster: to make one for each test would take longer than most of them.
    fn make_image(&self) {
        let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir();
        let folder = folder.expect("a temporary folder");
        let (cluster, user) = (folder.path().join("cluster"), server_user());
        fs::create_dir(&cluster).expect("the folder is ours");
        std::os::unix::fs::chown(&cluster, Some(user), Some(user)).expect("the tests run as root");
        let mut make = Command::new("setpriv");
        make.args(["--reuid", &user.to_string(), "--regid", &user.to_string(), "--clear-groups", "sh", "-c"]);
        make.arg(CLUSTER_SCRIPT).current_dir(&cluster).env("PGDATA", &cluster);
        run(make.env("PATH", format!("{}:/usr/bin:/bin", server_programs().display()))).exits(0);
        let libraries = "ldd /bin/rm | grep -o '/[^ ]*'";
        let script =
            format!("tar chP /bin/rm $({libraries}) -C \"$0\" cluster | docker --host {} import - {IMAGE}", self.host);
        run(Command::new("sh").arg("-c").arg(script).arg(folder.path())).exits(0);
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> Run {
        run(Command::new("docker").args(["--host", &self.host]).args(arguments))
    }

    pub(crate) fn volume(&self, name: &str) -> String {
        format!("{}_{name}", self.project)
    }

    pub(crate) fn container(&self, service: &str) -> String {
        format!("{}_{service}_1", self.project)
    }

    /// Makes a volume of the project.
    pub(crate) fn create_volume(&self, name: &str, options: &[&str]) -> PathBuf {
        let labels = ["project", "volume"].map(|key| format!("com.docker.compose.{key}="));
        let [project, volume] = [format!("{}{}", labels[0], self.project), format!("{}{name}", labels[1])];
        let full = self.volume(name);
        let arguments = [&["volume", "create", "--label", &project, "--label", &volume], options, &[&full]].concat();
        self.docker(&arguments).exits(0);
        self.mountpoint(&full)
    }

    pub(crate) fn mountpoint(&self, volume: &str) -> PathBuf {
        PathBuf::from(self.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", volume]).exits(0).text())
    }

    /// Starts a container of the project that has the host's programs.
    pub(crate) fn start(&self, service: &str, mount: (&str, &str), options: &[&str], command: &[&str]) {
        self.start_of((IMAGE, service), mount, options, command);
    }

    /// The same of another image.
    pub(crate) fn start_of(
        &self,
        (image, service): (&str, &str),
        mount: (&str, &str),
        options: &[&str],
        command: &[&str],
    ) {
        let name = self.container(service);
        let folder = self.path("").canonicalize().expect("the folder is there");
        let labels = [
            format!("com.docker.compose.project={}", self.project),
            format!("com.docker.compose.service={service}"),
            format!("com.docker.compose.project.working_dir={}", folder.display()),
            "com.docker.compose.oneoff=False".to_owned(),
        ];
        let mut docker = Command::new("docker");
        docker.args(["--host", &self.host, "run", "--detach", "--name", &name, "--network", "none"]);
        for label in &labels {
            docker.args(["--label", label]);
        }
        for path in ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"] {
            docker.args(["--volume", &format!("{path}:{path}:ro")]);
        }
        docker.arg("--mount").arg(format!("type=volume,src={},dst={},volume-nocopy", mount.0, mount.1));
        docker.args(["--tmpfs", "/tmp", "--tmpfs", "/run"]).args(options).arg(image).args(command);
        run(&mut docker).exits(0);
    }

    pub(crate) fn start_postgres(&self) {
        let mountpoint = self.create_volume("postgres_data", &[]);
        self.start_postgres_on("cti_postgres", &self.volume("postgres_data"), &mountpoint);
    }

    /// Starts a server on a volume and waits until it answers.
    pub(crate) fn start_postgres_on(&self, service: &str, volume: &str, mountpoint: &Path) {
        self.start_postgres_with(service, volume, mountpoint, &[]);
    }

    /// The same with further options for its container.
    pub(crate) fn start_postgres_with(&self, service: &str, volume: &str, mountpoint: &Path, further: &[&str]) {
        let user = server_user();
        if fs::read_dir(mountpoint).expect("the tests run as root").next().is_none() {
            std::os::unix::fs::chown(mountpoint, Some(user), Some(user)).expect("the tests run as root");
        }
        let (ids, socket) = (format!("{user}:{user}"), format!("/var/run/postgresql:uid={user},mode=0777"));
        let path = format!("PATH={}:/usr/bin:/bin", server_programs().display());
        let health = ["--health-cmd", "pg_isready -q -U cti", "--health-interval", "1s"];
        let options = [&["--user", &ids, "--tmpfs", &socket, "--env", &path][..], &health].concat();
        let variables = ["POSTGRES_USER=cti", "POSTGRES_DB=cti", "PGDATA=/var/lib/postgresql/data"];
        let variables: Vec<&str> = variables.iter().flat_map(|variable| ["--env", variable]).collect();
        let place = (volume, "/var/lib/postgresql/data");
        let options = [&options, &variables, further].concat();
        self.start(service, place, &options, &["sh", "-c", POSTGRES_SCRIPT]);
        self.wait_for_postgres(service);
    }

    pub(crate) fn wait_for_postgres(&self, service: &str) {
        until("PostgreSQL answers", || self.try_sql(service, "cti", "SELECT 1").code == 0);
    }

    pub(crate) fn start_redis(&self, volume: &str) {
        self.create_volume(volume, &[]);
        self.start_redis_on("cti_redis", &self.volume(volume));
    }

    pub(crate) fn start_redis_on(&self, service: &str, volume: &str) {
        let command = ["redis-server", "--dir", "/data", "--save", "3600", "1"];
        self.start(service, (volume, "/data"), &["--user", "0:0"], &command);
        until("Redis answers", || self.exec(service, &["redis-cli", "ping"]).text() == "PONG");
    }

    pub(crate) fn start_models(&self) {
        self.create_volume("ollama_data", &[]);
        let (place, user) = ((self.volume("ollama_data"), "/models"), ["--user", "0:0"]);
        self.start("ollama", (&place.0, place.1), &user, &["sh", "-c", MODELS_SCRIPT]);
    }

    /// Runs a program in a container of a service.
    pub(crate) fn exec(&self, service: &str, command: &[&str]) -> Run {
        let name = self.container(service);
        self.docker(&[&["exec", &name], command].concat())
    }

    pub(crate) fn try_sql(&self, service: &str, database: &str, sql: &str) -> Run {
        self.exec(
            service,
            &["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "cti", "-d", database, "-c", sql],
        )
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.sql_in("cti", sql)
    }

    pub(crate) fn sql_in(&self, database: &str, sql: &str) -> String {
        self.try_sql("cti_postgres", database, sql).exits(0).text()
    }

    /// Every table with the number and the checksum of its rows.
    pub(crate) fn fingerprint(&self, service: &str) -> String {
        let list = "SELECT format('SELECT %L, count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM %s AS t', \
            c.oid::regclass, c.oid::regclass) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace \
            WHERE relkind = 'r' AND nspname = 'public' ORDER BY relname";
        let queries = self.try_sql(service, "cti", list).exits(0).text();
        queries.lines().map(|query| self.try_sql(service, "cti", query).exits(0).text() + "\n").collect()
    }

    pub(crate) fn redis(&self, command: &str) -> String {
        let words: Vec<&str> = std::iter::once("redis-cli").chain(command.split(' ')).collect();
        self.exec("cti_redis", &words).exits(0).text()
    }

    /// All keys of Redis with their values.
    pub(crate) fn keys(&self, service: &str) -> String {
        let script = "local keys = redis.call('keys', '*') table.sort(keys) local all = {} \
            for i, key in ipairs(keys) do all[i] = key .. '=' .. redis.call('get', key) end return table.concat(all, ' ')";
        self.exec(service, &["redis-cli", "eval", script, "0"]).exits(0).text()
    }

    /// Writes a file into a volume.
    pub(crate) fn write(&self, volume: &str, path: &str, bytes: &[u8]) {
        let path = self.mountpoint(&self.volume(volume)).join(path);
        fs::create_dir_all(path.parent().expect("the path has a folder")).expect("the tests run as root");
        fs::File::create(path).and_then(|mut file| file.write_all(bytes)).expect("the tests run as root");
    }

    /// Everything that is in a volume: names, types, modes, owners, times, links, contents.
    pub(crate) fn files(&self, volume: &str) -> String {
        files_in(&self.mountpoint(volume))
    }

    pub(crate) fn state(&self, service: &str) -> String {
        self.docker(&["inspect", "-f", "{{.State.Status}}", &self.container(service)]).text()
    }

    /// The helper containers that mount a volume.
    pub(crate) fn helpers(&self, volume: &str) -> String {
        let volume = format!("volume={}", self.volume(volume));
        self.docker(&["ps", "--all", "--quiet", "--filter", "label=larder.helper", "--filter", &volume]).exits(0).text()
    }

    /// Whether these containers run, and none is frozen.
    pub(crate) fn assert_runs(&self, services: &[&str]) {
        for service in services {
            assert_eq!(self.state(service), "running", "{service}");
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("app").join(path)
    }

    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.path("larder.toml"), text).expect("the folder is ours");
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.folder.path().join("backups")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_on(&self.repository(), arguments)
    }

    /// The program in the folder of this project, on any repository.
    pub(crate) fn command_on(&self, repository: &Path, arguments: &[&str]) -> Command {
        let mut command = larder();
        command
            .env("DOCKER_HOST", &self.host)
            .env("STATE_DIRECTORY", self.path("state"))
            .arg("-C")
            .arg(self.path(""))
            .arg("--backup-dir");
        command.arg(repository).args(arguments);
        command
    }

    pub(crate) fn larder(&self, arguments: &[&str]) -> Run {
        run(&mut self.command(arguments))
    }

    /// Makes a snapshot that must be complete, and returns the JSON document about it.
    pub(crate) fn create(&self) -> Value {
        self.larder(&["create", "--json"]).exits(0).json()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let mine = format!("name={}_", self.project);
        let containers = self.docker(&["ps", "--all", "--quiet", "--filter", &mine]).stdout;
        let containers: Vec<&str> = containers.lines().collect();
        if !containers.is_empty() {
            self.docker(&[&["rm", "--force"], containers.as_slice()].concat());
        }
        let volumes = self.docker(&["volume", "ls", "--quiet", "--filter", &mine]).stdout;
        let volumes: Vec<&str> = volumes.lines().collect();
        if !volumes.is_empty() {
            self.docker(&[&["volume", "rm"], volumes.as_slice()].concat());
        }
    }
}

/// A file system in memory, with a size of its own.
pub(crate) struct Disk {
    pub(crate) path: PathBuf,
}

impl Disk {
    pub(crate) fn mount(path: &Path, size: &str) -> Self {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(path)).exits(0);
        Self { path: path.to_owned() }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A test that has failed may have left its container on it.
        run(Command::new("umount").arg("--lazy").arg(&self.path));
    }
}

/// A listing of a folder with everything that a backup keeps, and the checksums of files below two gigabytes.
pub(crate) fn files_in(folder: &Path) -> String {
    let script = "cd \"$0\" && find . -printf '%P\\t%y\\t%m\\t%U\\t%G\\t%T@\\t%n\\t%l\\n' | sort && \
        find . -type f -size -2G -exec sha256sum {} + | sort -k 2";
    run(Command::new("sh").env("LC_ALL", "C").arg("-c").arg(script).arg(folder)).exits(0).stdout
}

/// A user that is neither root nor unknown to the host.
pub(crate) fn server_user() -> u32 {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = passwd.lines().find_map(|line| line.strip_prefix("postgres:")?.split(':').nth(1)?.parse().ok());
    entry.unwrap_or(65_534)
}

pub(crate) fn server_programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed").flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    PathBuf::from(format!("/usr/lib/postgresql/{}/bin", newest.expect("PostgreSQL is installed")))
}
