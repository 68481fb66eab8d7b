//! The compose project of a directory: its containers and volumes, and which of them are databases.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::here::writable_now;
use super::places::writable_places;
use super::{Container, Engine, Error, State, Volume};
use crate::rooted::Trust;

const PROJECT: &str = "com.docker.compose.project";
const WORKING_DIRECTORY: &str = "com.docker.compose.project.working_dir";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const DATABASE_LABEL: &str = "larder.database";
const VOLUME: &str = "com.docker.compose.volume";
/// Files that say that a directory is a compose project.
const COMPOSE_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
const ENVIRONMENT_FILE: &str = ".env";
/// Images that run a PostgreSQL server and may not say where its data directory is.
const POSTGRES_IMAGES: [&str; 5] = ["postgres", "postgresql", "postgis", "pgvector", "timescaledb"];
/// Programs that talk to a server and are none.
const CLIENTS: [&str; 5] = ["pg_dump", "pg_dumpall", "pg_basebackup", "pg_isready", "psql"];
/// What stands in the command of a container that runs a server, although it calls clients, too.
const STARTS_OF_SERVER: [&str; 4] = ["exec postgres", "entrypoint.sh postgres", "postgres -D", "pg_ctl"];
/// Longest compose file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
const POSTGRES_DATA: &str = "/var/lib/postgresql/data";

/// A PostgreSQL server in a container, and what its environment says of it.
#[derive(Debug, Clone)]
pub struct DatabaseServer {
    /// The container.
    pub container: Container,
    /// The role that its image made.
    pub user: String,
    /// The password of that role, where it is not in a file.
    pub password: Option<String>,
    /// The database that its image made.
    pub database: String,
}

impl DatabaseServer {
    /// What the environment of a container says, whether it runs PostgreSQL or not.
    #[must_use]
    pub fn of(container: &Container) -> Self {
        let variable = |names: &[&str]| container.variable(names).map(str::to_owned);
        let user = variable(&["POSTGRES_USER", "POSTGRESQL_USERNAME"]).unwrap_or_else(|| "postgres".to_owned());
        let database = variable(&["POSTGRES_DB", "POSTGRESQL_DATABASE"]).unwrap_or_else(|| user.clone());
        let password = variable(&["POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD"]);
        Self { container: container.clone(), user, password, database }
    }

    /// The path of the server's data directory within a volume: empty for the root, `None` when it is elsewhere.
    #[must_use]
    pub fn data_in(&self, volume: &str) -> Option<String> {
        let data = self.container.variable(&["PGDATA"]).unwrap_or(POSTGRES_DATA);
        let mounts = self.container.mounts.iter().chain(&self.container.reached).filter(|mount| mount.volume == volume);
        let mut below = mounts.filter_map(|mount| data.strip_prefix(mount.destination.trim_end_matches('/')));
        below.find(|path| path.is_empty() || path.starts_with('/')).map(|path| path.trim_matches('/').to_owned())
    }
}

/// What an engine has, seen from one directory.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    /// The name of the compose project; `None` when the directory is none.
    pub project: Option<String>,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
}

impl Stack {
    /// Looks for the project that was started in `directory`, or for the one that is named. Of files that somebody wrote who
    /// is not believed only a name is taken, and not that of a project that was started elsewhere.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn find(engine: &Engine, directory: &Path, project: Option<&str>, trust: &Trust) -> Result<Self, Error> {
        let containers = engine.containers()?;
        let mut stack = Self { project: project.map(str::to_owned), containers, volumes: engine.volumes()? };
        if stack.project.is_none() {
            stack.project = stack.project_of(directory, trust);
        }
        Ok(stack)
    }

    /// Where the files would lie in a directory that say what its project is.
    pub fn files_in(directory: &Path) -> impl Iterator<Item = PathBuf> {
        COMPOSE_FILES.iter().chain([&ENVIRONMENT_FILE]).map(|file| directory.join(file))
    }

    /// Whether a directory has a file that Compose reads.
    #[must_use]
    pub fn is_compose_directory(directory: &Path) -> bool {
        COMPOSE_FILES.iter().any(|file| directory.join(file).is_file())
    }

    fn project_of(&self, directory: &Path, trust: &Trust) -> Option<String> {
        let real = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        let is_here = |container: &&Container| {
            container.labels.get(WORKING_DIRECTORY).is_some_and(|path| {
                let path = Path::new(path);
                path == directory || path.canonicalize().is_ok_and(|path| path == real)
            })
        };
        if let Some(container) = self.containers.iter().find(is_here) {
            return container.labels.get(PROJECT).cloned();
        }
        // After `compose down` only volumes are left, and their project has the name that Compose gives.
        if !Self::is_compose_directory(directory) {
            return None;
        }
        let (default, is_believed) =
            named_project(directory, trust).or_else(|| Some((default_project(&real)?, true)))?;
        let is_elsewhere = |container: &Container| {
            container.labels.get(PROJECT) == Some(&default) && container.labels.contains_key(WORKING_DIRECTORY)
        };
        if !is_believed && self.containers.iter().any(is_elsewhere) {
            return None;
        }
        let known = |labels: &HashMap<String, String>| labels.get(PROJECT) == Some(&default);
        let found = self.containers.iter().any(|container| known(&container.labels))
            || self.volumes.iter().any(|volume| known(&volume.labels));
        found.then_some(default)
    }

    /// The containers of the services of the project, without those that `compose run` made for one command.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        let is_one_off = |container: &Container| {
            container.labels.get(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true"))
        };
        let is_ours = move |container: &&Container| {
            self.project.is_some() && container.labels.get(PROJECT) == self.project.as_ref() && !is_one_off(container)
        };
        self.containers.iter().filter(is_ours)
    }

    /// Places of the engine's host that containers may write to, whatever project they belong to; `root` is where the engine keeps
    /// its data.
    #[must_use]
    pub fn writable_places(&self, root: &Path) -> Vec<PathBuf> {
        writable_places(&self.containers, &self.volumes, root)
    }

    /// What containers that run may write to as things are now, by paths that lead there whatever has been renamed since, as long as they
    /// run.
    #[must_use]
    pub fn writable_now(&self) -> Vec<PathBuf> {
        self.containers.iter().flat_map(writable_now).collect()
    }

    /// Containers with labels that are not believed and would say something of this project, or of a directory.
    pub fn disbelieved(&self) -> impl Iterator<Item = &Container> {
        let is_ours = |container: &Container| self.containers().any(|ours| ours.id == container.id);
        let would_be = |labels: &HashMap<String, String>| {
            labels.contains_key(WORKING_DIRECTORY)
                || (self.project.is_some() && labels.get(PROJECT) == self.project.as_ref())
        };
        let is_told = move |container: &&Container| {
            let labels = &container.foreign_labels;
            !labels.is_empty() && (would_be(labels) || is_ours(container))
        };
        self.containers.iter().filter(is_told)
    }

    /// A container by its name, or by its service in the project.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Container> {
        let by_name = self.containers.iter().find(|container| container.name == name || container.id == name);
        by_name.or_else(|| self.containers().find(|container| container.service() == Some(name)))
    }

    /// The project's volumes that have a name, with the names that the project gives them; also those that its
    /// containers mount and it did not make.
    #[must_use]
    pub fn volumes(&self) -> Vec<(String, &Volume)> {
        let mut found: Vec<(String, &Volume)> = Vec::new();
        for volume in &self.volumes {
            let ours = self.project.is_some() && volume.labels.get(PROJECT) == self.project.as_ref();
            let used = self.containers().any(|container| container.mounts_by_name(&volume.name));
            if ours || (used && !is_anonymous(volume)) {
                found.push((self.short_name(volume), volume));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    /// Volumes of the project that have no name to be found by again.
    #[must_use]
    pub fn anonymous_volumes(&self) -> Vec<&Volume> {
        let used = |volume: &&Volume| self.containers().any(|container| container.mounts_by_name(&volume.name));
        self.volumes.iter().filter(|volume| is_anonymous(volume)).filter(used).collect()
    }

    fn short_name(&self, volume: &Volume) -> String {
        let ours = self.project.is_some() && volume.labels.get(PROJECT) == self.project.as_ref();
        let label = volume.labels.get(VOLUME).filter(|_| ours);
        label.unwrap_or(&volume.name).clone()
    }

    /// The volume that a name means: `redis_data` is the one that the project calls so, before one of just that name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        let of_project = self.volumes().into_iter().find(|(short, _)| short == name).map(|(_, volume)| volume);
        of_project.or_else(|| self.volumes.iter().find(|volume| volume.name == name))
    }

    /// The name that the engine has for a volume that the project would make.
    #[must_use]
    pub fn full_name(&self, name: &str) -> String {
        self.project.as_ref().map_or_else(|| name.to_owned(), |project| format!("{project}_{name}"))
    }

    /// All containers that mount a volume, or reach it, of other projects too.
    #[must_use]
    pub fn users(&self, volume: &str) -> Vec<Container> {
        self.containers.iter().filter(|container| container.mount(volume).is_some()).cloned().collect()
    }

    /// The containers that may write to a volume.
    #[must_use]
    pub fn writers(&self, volume: &str) -> Vec<Container> {
        let mut writers = self.users(volume);
        writers.retain(|container| container.mount(volume).is_some_and(|mount| mount.writable));
        writers
    }

    /// The PostgreSQL servers of the project, by image, program or `larder.database` label: those that only have its image
    /// and run a client do not count beside a server. Of several containers of a service it is one that runs.
    #[must_use]
    pub fn servers(&self) -> Vec<DatabaseServer> {
        let mut found: Vec<&Container> = self.containers().filter(|container| is_postgres(container)).collect();
        if found.iter().any(|container| !is_client(container)) {
            found.retain(|container| !is_client(container));
        }
        let is_kept = |container: &&Container| {
            let same = |other: &&&Container| container.service().is_some() && other.service() == container.service();
            let best = found.iter().filter(same).min_by_key(|other| other.state != State::Running);
            best.is_none_or(|best| best.id == container.id)
        };
        found.iter().filter(|container| is_kept(container)).map(|container| DatabaseServer::of(container)).collect()
    }

    /// The server whose data directory lies in a volume, and where in it.
    #[must_use]
    pub fn server_data(&self, volume: &str) -> Option<String> {
        self.data_server(volume).map(|(_, data)| data)
    }

    /// The container of that server, and where in the volume its data lies.
    #[must_use]
    pub fn data_server(&self, volume: &str) -> Option<(&Container, String)> {
        let users = self.containers.iter().filter(|user| user.mount(volume).is_some() && is_postgres(user));
        users.map(|user| (user, DatabaseServer::of(user).data_in(volume))).find_map(|(user, data)| Some((user, data?)))
    }
}

fn is_postgres(container: &Container) -> bool {
    match container.labels.get(DATABASE_LABEL).map(String::as_str) {
        Some("false") => return false,
        Some(_) => return true,
        None => {}
    }
    container.variable(&["PGDATA"]).is_some()
        || container.runs(&["postgres"])
        || POSTGRES_IMAGES.contains(&container.image_name())
}

/// Whether a container clearly runs a client of a server, as one that makes dumps does.
fn is_client(container: &Container) -> bool {
    if container.labels.contains_key(DATABASE_LABEL) {
        return false;
    }
    let text = container.command.join(" ");
    let mut words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let calls_client = words.any(|word| CLIENTS.contains(&word));
    container.runs(&CLIENTS) || (calls_client && !STARTS_OF_SERVER.iter().any(|start| text.contains(start)))
}

/// Volumes that were made for a container without a name have 64 hexadecimal digits for one.
fn is_anonymous(volume: &Volume) -> bool {
    volume.name.len() == 64 && volume.name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The name that a directory gives to its project: in `.env`, or with `name` in its compose file. Also whether the file is
/// to be believed.
fn named_project(directory: &Path, trust: &Trust) -> Option<(String, bool)> {
    let value_in = |file: &str, key: &str| {
        let path = directory.join(file);
        let text = trust.read_named(&path, FILE_BYTES_MAX).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(key))?;
        let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
        is_project_name(value).then(|| (value.to_owned(), trust.open_file(&path).is_ok()))
    };
    let named = || COMPOSE_FILES.iter().find_map(|file| value_in(file, "name:"));
    value_in(ENVIRONMENT_FILE, "COMPOSE_PROJECT_NAME=").or_else(named)
}

/// What Compose takes for the name of a project.
fn is_project_name(name: &str) -> bool {
    let fits = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '_' | '-');
    name.starts_with(|char: char| char.is_ascii_lowercase() || char.is_ascii_digit()) && name.chars().all(fits)
}

/// The name that Compose gives to the project of a directory: lower case, letters, digits, `_` and `-`.
fn default_project(directory: &Path) -> Option<String> {
    let name = directory.file_name()?.to_str()?.to_lowercase();
    let kept: String = name
        .chars()
        .filter(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || matches!(char, '_' | '-'))
        .collect();
    let trimmed = kept.trim_start_matches(['_', '-']);
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::container::SERVICE;
    use crate::docker::{Mount, redis};

    fn container(image: &str, command: &[&str], variables: &[(&str, &str)]) -> Container {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        Container {
            id: "1".to_owned(),
            name: "c".to_owned(),
            image: image.to_owned(),
            image_id: String::new(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            variables: variables.iter().map(owned).collect(),
            labels: HashMap::new(),
            foreign_labels: HashMap::new(),
            state: State::Running,
            healthy: None,
            mounts: vec![Mount {
                volume: "v".to_owned(),
                destination: "/var/lib/postgresql".to_owned(),
                writable: true,
            }],
            reached: Vec::new(),
            binds: Vec::new(),
            created: String::new(),
            started: String::new(),
            stop_limit: None,
            removes_itself: false,
            pid: None,
        }
    }

    #[test]
    fn servers_are_told_from_their_clients() {
        for image in ["postgres", "docker.io/library/postgres:15-alpine", "registry:5000/pgvector:pg16@sha256:00"] {
            assert!(is_postgres(&container(image, &["docker-entrypoint.sh"], &[])), "{image}");
        }
        assert!(is_postgres(&container("own", &["docker-entrypoint.sh", "postgres"], &[])));
        assert!(is_postgres(&container("own", &["sh"], &[("PGDATA", "/data")])));
        for image in ["postgrest/postgrest", "prometheuscommunity/postgres-exporter:1", "dpage/pgadmin4"] {
            assert!(!is_postgres(&container(image, &["run", "-h", "postgres"], &[("POSTGRES_DB", "x")])), "{image}");
        }
        assert!(redis::is_redis(&container("redis:7-alpine", &["docker-entrypoint.sh", "redis-server"], &[])));
        assert!(!redis::is_redis(&container("oliver006/redis_exporter", &["/redis_exporter"], &[])));
    }

    #[test]
    fn clients_with_the_image_of_a_server_and_one_off_containers_are_no_servers() {
        let labelled = |service: &str, state: State, mut container: Container, labels: &[(&str, &str)]| {
            let all = [(PROJECT, "p"), (SERVICE, service)];
            let all = all.iter().chain(labels).map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            container.labels = all.collect();
            (container.name, container.state) = (service.to_owned(), state);
            container.id = format!("{service}{state:?}");
            container
        };
        let postgres = |command: &[&str]| container("postgres:15", command, &[("PGDATA", "/d")]);
        let (server, nothing) = (["docker-entrypoint.sh", "postgres"], &[][..]);
        let names = |containers: Vec<Container>| -> Vec<String> {
            let stack = Stack { project: Some("p".to_owned()), containers, volumes: Vec::new() };
            stack.servers().into_iter().map(|server| server.container.id).collect()
        };
        let db = || labelled("db", State::Running, postgres(&server), nothing);
        let sidecar = ["sh", "-c", "while sleep 3600; do pg_dump -h db > /b/x.sql; done"];
        let client = |command: &[&str], labels| labelled("backup", State::Running, postgres(command), labels);
        let other = ["sh", "-c", "sleep 60; pg_dump -h postgres"];
        for command in
            [&sidecar[..], &other, &["docker-entrypoint.sh", "psql", "-h", "db"], &["pg_dump", "-h", "postgres"]]
        {
            assert_eq!(names(vec![client(command, nothing), db()]), ["dbRunning"], "{command:?}");
            assert_eq!(names(vec![client(command, nothing)]), ["backupRunning"], "alone it is all there is");
        }
        assert_eq!(names(vec![client(&sidecar, &[(DATABASE_LABEL, "true")]), db()]), ["backupRunning", "dbRunning"]);
        let one_off = labelled("other", State::Running, postgres(&server), &[(ONE_OFF, "True")]);
        assert_eq!(names(vec![one_off, db()]), ["dbRunning"]);
        let ended = labelled("db", State::Stopped, postgres(&server), nothing);
        assert_eq!(names(vec![ended.clone(), db()]), ["dbRunning"]);
        assert_eq!(names(vec![ended]), ["dbStopped"]);
    }

    #[test]
    fn the_data_directory_is_found_within_its_volume() {
        let data = |variables: &[(&str, &str)]| DatabaseServer::of(&container("postgres", &[], variables)).data_in("v");
        assert_eq!(data(&[]).as_deref(), Some("data"));
        assert_eq!(data(&[("PGDATA", "/var/lib/postgresql/18/docker")]).as_deref(), Some("18/docker"));
        assert_eq!(data(&[("PGDATA", "/var/lib/postgresql")]).as_deref(), Some(""));
        assert_eq!(data(&[("PGDATA", "/var/lib/postgresql-other")]), None);
    }

    #[test]
    fn a_directory_may_name_its_project() {
        let folder = tempfile::tempdir().expect("a folder");
        let named_project = |folder: &Path| named_project(folder, &Trust::default()).map(|(name, _)| name);
        assert_eq!(named_project(folder.path()), None);
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("write");
        write("compose.yaml", "services:\n  a:\n    name: no\nname: \"shop\" # ours\n");
        assert_eq!(named_project(folder.path()).as_deref(), Some("shop"));
        write(".env", "A=1\nCOMPOSE_PROJECT_NAME=other\n");
        assert_eq!(named_project(folder.path()).as_deref(), Some("other"));
        for hostile in ["../x", "$(id)", "a b", "UPPER", "-x", "a/b", ""] {
            write(".env", &format!("COMPOSE_PROJECT_NAME={hostile}\n"));
            assert_eq!(named_project(folder.path()).as_deref(), Some("shop"), "{hostile}");
        }
        // It was waited for until somebody wrote into it.
        std::fs::remove_file(folder.path().join(".env")).expect("ours");
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join(".env"), rustix::fs::Mode::RWXU).expect("a pipe");
        assert_eq!(named_project(folder.path()).as_deref(), Some("shop"));
    }

    #[test]
    fn projects_are_called_as_compose_calls_them() {
        let name = |path: &str| default_project(Path::new(path));
        assert_eq!(name("/srv/My App.2").as_deref(), Some("myapp2"));
        assert_eq!(name("/srv/_cti-scraper_x").as_deref(), Some("cti-scraper_x"));
        assert_eq!(name("/"), None);
    }
}
