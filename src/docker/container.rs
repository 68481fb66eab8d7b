//! What is known of a container: how it is made, what it mounts, what it is doing.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, HealthStatusEnum, MountPoint};

/// How long the engine gives a container to end where nothing else is said.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Where the memory is that containers share with the host, where they do.
const SHARED_MEMORY: &str = "/dev/shm";
/// The year in which a container was started that never was.
const NEVER: &str = "0001-";
const DEPENDS_ON: &str = "com.docker.compose.depends_on";
pub(super) const SERVICE: &str = "com.docker.compose.service";

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its processes run.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It ended and is started again and again.
    Restarting,
    /// It does not run.
    Stopped,
}

/// A volume in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Name of the volume.
    pub volume: String,
    /// Where the container has it.
    pub destination: String,
    /// Whether the container may write to it.
    pub writable: bool,
}

/// A directory or a file of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Its path on the host, as it was named when the container was made.
    pub source: PathBuf,
    /// Where the container has it.
    pub destination: String,
    /// Whether the container may write to it.
    pub writable: bool,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// The image as it was named.
    pub image: String,
    /// The image that it is made of, whatever is called so by now.
    pub image_id: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its environment.
    pub variables: HashMap<String, String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// Labels of it that are not believed, because its image has them.
    pub foreign_labels: HashMap<String, String>,
    /// What it is doing.
    pub state: State,
    /// Whether it says that it is well; `None` when nobody asks it.
    pub healthy: Option<bool>,
    /// The volumes that it mounts.
    pub mounts: Vec<Mount>,
    /// Volumes that it does not mount and reaches all the same: by a directory of the host, or by another volume, that is the same place.
    pub reached: Vec<Mount>,
    /// Directories and files of the host that it mounts.
    pub binds: Vec<Bind>,
    /// When it was made.
    pub created: String,
    /// When it was started last.
    pub started: String,
    /// How long it has to end before it is killed, when it is stopped; `None` for as long as it takes.
    pub stop_limit: Option<Duration>,
    /// Whether it is removed when it ends.
    pub removes_itself: bool,
    /// Its first process, as the engine's host counts them, while it is up.
    pub pid: Option<u32>,
}

impl Container {
    /// The service of the compose project that it runs.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.labels.get(SERVICE).map(String::as_str)
    }

    /// The services that have to run before this one, as Compose notes them.
    #[must_use]
    pub fn depends_on(&self) -> Vec<&str> {
        let list = self.labels.get(DEPENDS_ON).map_or("", String::as_str);
        list.split(',').filter_map(|entry| entry.split(':').next()).filter(|name| !name.is_empty()).collect()
    }

    /// How it mounts a volume, or reaches it. Of several mounts it is one that it may write to, where there is one.
    #[must_use]
    pub fn mount(&self, volume: &str) -> Option<&Mount> {
        let mut mounts = self.mounts.iter().chain(&self.reached).filter(|mount| mount.volume == volume);
        let first = mounts.next()?;
        if first.writable { Some(first) } else { mounts.find(|mount| mount.writable).or(Some(first)) }
    }

    /// Whether it mounts a volume by its name.
    #[must_use]
    pub fn mounts_by_name(&self, volume: &str) -> bool {
        self.mounts.iter().any(|mount| mount.volume == volume)
    }

    /// Whether it has processes that run or wait to go on.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.state, State::Running | State::Paused | State::Restarting)
    }

    /// Whether this process runs in it: the engine mounts files of each container into it. Held, it could let nobody go
    /// on.
    #[must_use]
    pub fn is_around_us(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        !self.id.is_empty() && mounts.contains(&format!("/containers/{}/", self.id))
    }

    /// Whether it was ever started.
    #[must_use]
    pub fn has_run(&self) -> bool {
        !self.started.is_empty() && !self.started.starts_with(NEVER)
    }

    /// Whether one of the programs is what it starts, or what its entry point starts.
    #[must_use]
    pub fn runs(&self, programs: &[&str]) -> bool {
        let name = |word: &String| word.rsplit('/').next().unwrap_or_default().to_owned();
        self.command.iter().take(2).map(name).any(|name| programs.contains(&name.as_str()))
    }

    /// `postgres` of `registry:5000/library/postgres:15-alpine@sha256:…`.
    #[must_use]
    pub fn image_name(&self) -> &str {
        let name = self.image.rsplit('/').next().unwrap_or_default();
        name.split([':', '@']).next().unwrap_or_default()
    }

    /// The first of these variables that has a value.
    #[must_use]
    pub fn variable(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.variables.get(*name)).map(String::as_str).filter(|value| !value.is_empty())
    }
}

impl From<ContainerInspectResponse> for Container {
    fn from(found: ContainerInspectResponse) -> Self {
        let config = found.config.unwrap_or_default();
        let state = found.state.unwrap_or_default();
        let is = |flag: Option<bool>| flag == Some(true);
        let health = state.health.and_then(|health| health.status);
        let variables = config.env.unwrap_or_default();
        let variables =
            variables.iter().filter_map(|entry| entry.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned()));
        let program = found.path.into_iter();
        let host_config = found.host_config.unwrap_or_default();
        let shared = (host_config.ipc_mode.as_deref() == Some("host")).then(|| Bind {
            source: PathBuf::from(SHARED_MEMORY),
            destination: SHARED_MEMORY.to_owned(),
            writable: true,
        });
        Self {
            id: found.id.unwrap_or_default(),
            name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            image: config.image.unwrap_or_default(),
            image_id: found.image.unwrap_or_default(),
            command: program.chain(found.args.unwrap_or_default()).collect(),
            variables: variables.collect(),
            labels: config.labels.unwrap_or_default(),
            foreign_labels: HashMap::new(),
            state: match () {
                () if is(state.paused) => State::Paused,
                () if is(state.restarting) => State::Restarting,
                () if is(state.running) => State::Running,
                () => State::Stopped,
            },
            healthy: match health {
                Some(HealthStatusEnum::HEALTHY) => Some(true),
                Some(HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY) => Some(false),
                _ => None,
            },
            reached: Vec::new(),
            binds: found.mounts.iter().flatten().filter_map(bind).chain(shared).collect(),
            mounts: found.mounts.unwrap_or_default().into_iter().filter_map(volume_mount).collect(),
            started: state.started_at.unwrap_or_default(),
            stop_limit: match config.stop_timeout {
                None => Some(STOP_LIMIT),
                Some(secs) => u64::try_from(secs).ok().map(Duration::from_secs),
            },
            pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
            removes_itself: is(host_config.auto_remove),
            created: found.created.unwrap_or_default(),
        }
    }
}

fn bind(mount: &MountPoint) -> Option<Bind> {
    let source = mount.source.as_ref().filter(|_| mount.typ.as_deref() == Some("bind"))?;
    let destination = mount.destination.clone().unwrap_or_default();
    Some(Bind { source: PathBuf::from(source), destination, writable: mount.rw != Some(false) })
}

fn volume_mount(mount: MountPoint) -> Option<Mount> {
    let volume = mount.name.filter(|name| !name.is_empty())?;
    let destination = mount.destination.unwrap_or_default();
    Some(Mount { volume, destination, writable: mount.rw.unwrap_or(true) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_mounts_a_volume_twice_writes_to_it_when_one_mount_allows_it() {
        let mount = |destination: &str, writable: bool| MountPoint {
            name: Some("data".to_owned()),
            destination: Some(destination.to_owned()),
            rw: Some(writable),
            ..MountPoint::default()
        };
        let found = |mounts: [MountPoint; 2]| {
            let found =
                ContainerInspectResponse { mounts: Some(mounts.to_vec()), ..ContainerInspectResponse::default() };
            let mount = Container::from(found).mount("data").cloned().expect("it is mounted");
            (mount.destination, mount.writable)
        };
        assert_eq!(found([mount("/a", false), mount("/b", true)]), ("/b".to_owned(), true));
        assert_eq!(found([mount("/a", true), mount("/b", false)]), ("/a".to_owned(), true));
        assert_eq!(found([mount("/a", false), mount("/b", false)]), ("/a".to_owned(), false));
    }
}
