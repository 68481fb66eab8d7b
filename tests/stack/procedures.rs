//! The recovery procedures of the documented system, word for word, on a project that Docker Compose made: the scripts are those
//! that `larder shim` writes, and whoever is asked says yes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::terminal::at_terminal;
use crate::support::{IMAGE, POSTGRES_SCRIPT, Run, Stack, noise, run, server_programs, server_user, until};

/// A compose project in a folder of its own, with what the document has in it.
struct System {
    stack: Stack,
}

impl System {
    fn up() -> Self {
        let system = Self { stack: Stack::bare() };
        fs::write(system.path("docker-compose.yml"), Self::compose_file()).expect("the folder is ours");
        system.write("models/content_filter.pkl", &noise(200_000, 1));
        system.write("outputs/combined_training_data.csv", b"a,b\n");
        system.write("logs/app.log", b"started\n");
        run(&mut system.larder(&["shim", "--into", "scripts"])).exits(0);
        system.ok("docker-compose up --no-start");
        let data = system.stack.mountpoint(&system.stack.volume("postgres_data"));
        std::os::unix::fs::chown(data, Some(server_user()), Some(server_user())).expect("the tests run as root");
        system.start();
        system.sql("CREATE TABLE articles AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, 5000) AS n");
        system.redis("set first 1");
        system
    }

    fn compose_file() -> String {
        let host: Vec<String> = ["/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc"]
            .iter()
            .map(|path| format!("{path}:{path}:ro"))
            .collect();
        let host = serde_json::to_string(&host).expect("JSON");
        let with = |own: &str| host.replacen('[', &format!("[\"{own}\","), 1);
        let (user, programs) = (server_user(), server_programs());
        let script = serde_json::to_string(&POSTGRES_SCRIPT.replace('$', "$$")).expect("JSON");
        // The engine tells a terminal its size when its command runs already. Without one psql takes every answer for longer
        // than the screen, and its pager waits for somebody to read on.
        format!(
            "version: '2.4'\nservices:\n  postgres:\n    image: {IMAGE}\n    container_name: cti_postgres\n    network_mode: none\n    \
             user: '{user}:{user}'\n    tmpfs: ['/tmp', '/run', '/var/run/postgresql:uid={user},mode=0777']\n    \
             environment: {{POSTGRES_USER: cti, POSTGRES_DB: cti, PGDATA: /var/lib/postgresql/data, PSQL_PAGER: cat, PATH: '{}:/usr/bin:/bin'}}\n    \
             volumes: {}\n    command: ['sh', '-c', {script}]\n  redis:\n    image: {IMAGE}\n    container_name: cti_redis\n    \
             network_mode: none\n    user: '0:0'\n    tmpfs: ['/tmp', '/run']\n    volumes: {}\n    \
             command: ['redis-server', '--dir', '/data', '--save', '3600', '1']\nvolumes:\n  postgres_data: {{}}\n  redis_data: {{}}\n",
            programs.display(),
            with("postgres_data:/var/lib/postgresql/data"),
            with("redis_data:/data"),
        )
    }

    fn path(&self, path: &str) -> PathBuf {
        self.stack.path(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("the folder is ours");
        fs::write(path, bytes).expect("the folder is ours");
    }

    fn larder(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command.args(arguments).current_dir(self.path(""));
        command
    }

    /// A line of the document, typed at a terminal; a question is answered with yes.
    fn shell(&self, line: &str) -> Run {
        let program = Path::new(env!("CARGO_BIN_EXE_larder")).parent().expect("a folder").display().to_string();
        let path = format!("{program}:{}", std::env::var("PATH").unwrap_or_default());
        at_terminal(line, (200, b"yes\n"), |command| {
            command.current_dir(self.path("")).env("PATH", path).env("DOCKER_HOST", &self.stack.host);
            command.env("COMPOSE_PROJECT_NAME", &self.stack.project).env_remove("DATABASE_URL");
        })
    }

    fn ok(&self, line: &str) -> Run {
        self.shell(line).exits(0)
    }

    fn start(&self) {
        self.ok("docker-compose up -d");
        until("PostgreSQL answers", || {
            self.docker(&["exec", "cti_postgres", "pg_isready", "-q", "-U", "cti"]).code == 0
        });
        until("Redis answers", || self.redis("ping") == "PONG");
    }

    fn docker(&self, arguments: &[&str]) -> Run {
        self.stack.docker(arguments)
    }

    fn sql(&self, sql: &str) -> String {
        self.docker(&["exec", "cti_postgres", "psql", "-XqAt", "-U", "cti", "-d", "cti", "-c", sql]).exits(0).text()
    }

    fn redis(&self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        self.docker(&[&["exec", "cti_redis", "redis-cli"][..], &words].concat()).text()
    }

    /// A backup by the documented command; gives its name.
    fn create(&self, arguments: &str) -> String {
        let said = self.ok(&format!("./scripts/backup_restore.sh create {arguments}")).all();
        let title = said.lines().find_map(|line| line.trim().strip_prefix("Creating comprehensive system backup: "));
        title.expect("the name").to_owned()
    }

    /// Everything goes wrong that can.
    fn ruin(&self) {
        self.sql("DELETE FROM articles WHERE id > 10");
        self.redis("set first ruined");
        self.write("models/content_filter.pkl", b"ruined");
        fs::remove_file(self.path("outputs/combined_training_data.csv")).expect("it is there");
    }

    fn assert_restored(&self) {
        assert_eq!(self.sql("SELECT count(*) FROM articles"), "5000");
        assert_eq!(self.redis("get first"), "1");
        self.assert_models();
        assert_eq!(fs::read(self.path("outputs/combined_training_data.csv")).expect("it is back"), b"a,b\n");
    }

    fn assert_models(&self) {
        assert!(fs::read(self.path("models/content_filter.pkl")).expect("it is back") == noise(200_000, 1));
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // The names of its containers are those of the document, and there is one test that has them.
        self.shell("docker-compose down --volumes");
    }
}

#[test]
fn the_playbook_of_the_document_recovers_the_system() {
    let system = System::up();
    let name = system.create("");

    // Full system recovery.
    system.ruin();
    system.ok("docker-compose down");
    let restored = system.ok(&format!("./scripts/backup_restore.sh restore {name}"));
    system.start();
    system.ok(&format!("./scripts/backup_restore.sh verify {name}"));
    system.assert_restored();
    assert!(restored.all().contains("no server is there to load it into"), "{restored:?}");

    // On a machine that has nothing: neither containers nor volumes, folders or configuration.
    system.ok("docker-compose down --volumes");
    for folder in ["models", "outputs", "logs", "config"] {
        fs::remove_dir_all(system.path(folder)).expect("it is there");
    }
    system.ok(&format!("./scripts/backup_restore.sh restore {name}"));
    system.start();
    system.assert_restored();

    // Database-only recovery.
    system.sql("DELETE FROM articles WHERE id > 10");
    system.ok(&format!("./scripts/backup_restore.sh restore {name} --components database"));
    let counted = system.ok("docker exec -it cti_postgres psql -U cti -d cti -c 'SELECT COUNT(*) FROM articles;'");
    assert!(counted.all().contains("5000"), "{counted:?}");

    // ML model recovery.
    system.write("models/content_filter.pkl", b"ruined");
    system.ok(&format!("./scripts/backup_restore.sh restore {name} --components models"));
    let listed = system.ok("ls -la models/");
    assert!(listed.all().contains("content_filter.pkl"), "{listed:?}");
    system.assert_models();

    // Testing a recovery, and a backup of the database alone.
    system.ok(&format!("./scripts/backup_restore.sh verify {name} --test-restore"));
    system.ruin();
    system.ok(&format!("./scripts/backup_restore.sh restore {name} --dry-run"));
    assert_eq!(system.redis("get first"), "ruined", "a dry run touches nothing");
    assert_eq!(system.sql("SELECT count(*) FROM articles"), "10");
    system.ok(&format!("./scripts/backup_restore.sh restore {name}"));
    system.assert_restored();
    let database = system.create("--type database");
    system.ok(&format!("./scripts/backup_restore.sh restore {database} --components database --dry-run"));
    // A copy of the exported folder in a test environment.
    system.ok(&format!("larder export {name} --to exported"));
    system.ok(&format!("mkdir -p /tmp/test_restore_{name} && cp -r exported/{name} /tmp/test_restore_{name}/"));
    system.ok(&format!("./scripts/restore_system.py /tmp/test_restore_{name}/{name} --dry-run"));
    system.ok(&format!("rm -r /tmp/test_restore_{name}"));
    system.ok("docker ps && docker volume ls && df -h && ls -la backups/");
}
