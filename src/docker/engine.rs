//! One engine: the connection to it, and everything that is asked of it in one call.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, VolumeCreateRequest};
use bollard::query_parameters::{
    ListContainersOptions, ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions, StartContainerOptions,
    StopContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::runtime::Handle;

use super::labels::ImageLabels;
use super::owner::{container_owner, hostname};
use super::places::VolumePlaces;
use super::{Container, Error, Volume};
use crate::model::message_without_secrets;
use crate::runtime;

/// Where an engine listens when nobody says otherwise.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_mins(2);
/// An archive is answered when the last byte of it has arrived, a stop when the container has ended.
const LONG_TIMEOUT: Duration = Duration::from_hours(24);

/// A connection to an engine.
pub struct Engine {
    pub(super) docker: Docker,
    pub(super) runtime: Handle,
    host: String,
    root_here: OnceLock<Option<PathBuf>>,
    /// The directory on this host that has its volumes, once that was looked for.
    pub(super) volumes_here: OnceLock<Option<PathBuf>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Engine({})", self.host)
    }
}

impl Engine {
    /// Connects to the engine at this address, `unix://PATH` or `tcp://HOST:PORT`; without one at the local socket.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Unreachable`], [`Error::Forbidden`].
    pub fn connect(host: Option<&str>) -> Result<Self, Error> {
        let host = host.unwrap_or(DEFAULT_HOST).to_owned();
        let unreachable = |why: String| Error::Unreachable { host: host.clone(), why };
        let runtime = runtime::handle().map_err(|error| unreachable(error.to_string()))?;
        let secs = TIMEOUT.as_secs();
        if let (false, Some((_, place))) = (host.starts_with("unix:"), host.rsplit_once('@')) {
            let why = "an engine takes no login; an SSH tunnel can bring a remote socket here";
            return Err(Error::Address { host: format!("…@{place}"), why });
        }
        let docker = match host.split_once("://") {
            Some(("unix", path)) => {
                check_socket(&host, path)?;
                Docker::connect_with_unix(path, secs, API_DEFAULT_VERSION)
            }
            Some(("tcp" | "http", address)) => {
                Docker::connect_with_http(&format!("tcp://{address}"), secs, API_DEFAULT_VERSION)
            }
            _ => {
                let why = "unix:// and tcp:// are; an SSH tunnel can bring a remote socket here";
                return Err(Error::Address { host, why });
            }
        };
        let docker = docker.map_err(|error| unreachable(error.to_string()))?;
        let engine = Self { docker, runtime, host, root_here: OnceLock::new(), volumes_here: OnceLock::new() };
        engine
            .runtime
            .block_on(engine.docker.version())
            .map_err(|error| Error::Unreachable { host: engine.host.clone(), why: reason(&error) })?;
        Ok(engine)
    }

    /// Its address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The directory with everything that it keeps, where it says that its host has the name of this one, whatever its address is.
    #[must_use]
    pub fn root_here(&self) -> Option<&Path> {
        let find = || {
            let info = self.block("describe itself", self.docker.info()).ok()?;
            let root = info.docker_root_dir.filter(|root| !root.is_empty()).map(PathBuf::from)?;
            (info.name.as_deref() == Some(hostname().as_str()) && root.is_dir()).then_some(root)
        };
        self.root_here.get_or_init(find).as_deref()
    }

    /// All containers but Larder's own, those that do not run too, in the order in which they were made. Labels
    /// that say what is done with a container are there only where they are its own and not its image's.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn containers(&self) -> Result<Vec<Container>, Error> {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let mut listed = self.block("list its containers", self.docker.list_containers(Some(options)))?;
        // The engine says nothing of a helper as long as it makes an archive of it.
        listed.retain(|container| container_owner(container).is_none());
        let mut containers = Vec::new();
        let mut image_labels = ImageLabels::default();
        for id in listed.into_iter().filter_map(|container| container.id) {
            match self.inspect(&id) {
                Ok(found) => {
                    let mut container = Container::from(found);
                    image_labels.disown(&mut container, |image| self.labels_of_image(image))?;
                    containers.push(container);
                }
                // Removed since the listing.
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        containers.sort_by(|a, b| (&a.created, &a.name).cmp(&(&b.created, &b.name)));
        let volumes = self.volumes()?;
        let places = VolumePlaces::new(&volumes);
        for container in &mut containers {
            container.reached = places.reached(container);
        }
        Ok(containers)
    }

    /// The containers that mount one of these volumes as things are now, or reach it, without Larder's own and the one that this process
    /// runs in.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn users(&self, volumes: &[&str]) -> Result<Vec<Container>, Error> {
        let mut containers = self.containers()?;
        containers.retain(|container| volumes.iter().any(|volume| container.mount(volume).is_some()));
        containers.retain(|container| !container.is_around_us());
        Ok(containers)
    }

    /// One container by name or id, with the labels of its image among its own, and without what it reaches by other mounts.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn container(&self, name: &str) -> Result<Container, Error> {
        self.inspect(name).map(Container::from)
    }

    /// The labels of an image; none where there is none any more.
    fn labels_of_image(&self, image: &str) -> Result<HashMap<String, String>, Error> {
        match self.block(&format!("look at the image {image}"), self.docker.inspect_image(image)) {
            Ok(found) => Ok(found.config.and_then(|config| config.labels).unwrap_or_default()),
            // What whoever made an image cannot bring about.
            Err(error) if error.is_missing() => Ok(HashMap::new()),
            Err(error) => Err(error),
        }
    }

    fn inspect(&self, name: &str) -> Result<ContainerInspectResponse, Error> {
        self.block(&format!("look at the container {name}"), self.docker.inspect_container(name, None))
    }

    /// All volumes.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn volumes(&self) -> Result<Vec<Volume>, Error> {
        let listed = self.block("list its volumes", self.docker.list_volumes(None::<ListVolumesOptions>))?;
        let mut volumes: Vec<Volume> = listed.volumes.unwrap_or_default().into_iter().map(Volume::from).collect();
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }

    /// One volume; `None` when there is none of this name.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn volume(&self, name: &str) -> Result<Option<Volume>, Error> {
        match self.block(&format!("look at the volume {name}"), self.docker.inspect_volume(name)) {
            Ok(volume) => Ok(Some(volume.into())),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a volume.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn create_volume(
        &self,
        name: &str,
        driver: &str,
        options: HashMap<String, String>,
        labels: HashMap<String, String>,
    ) -> Result<Volume, Error> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: Some(driver.to_owned()),
            driver_opts: Some(options),
            labels: Some(labels),
            ..Default::default()
        };
        self.block(&format!("create the volume {name}"), self.docker.create_volume(request)).map(Volume::from)
    }

    /// Removes a volume that no container uses.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn remove_volume(&self, name: &str) -> Result<(), Error> {
        let removed = self.docker.remove_volume(name, None::<RemoveVolumeOptions>);
        self.block(&format!("remove the volume {name}"), removed)
    }

    /// Freezes the processes of a container.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn pause(&self, container: &str) -> Result<(), Error> {
        self.block(&format!("pause the container {container}"), self.docker.pause_container(container))
    }

    /// Lets the processes of a container go on.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn unpause(&self, container: &str) -> Result<(), Error> {
        self.block(&format!("unpause the container {container}"), self.docker.unpause_container(container))
    }

    /// Ends a container in order. After the time that it was made with, ten seconds by default, it is killed.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn stop(&self, container: &str) -> Result<(), Error> {
        let stopped = self.patient();
        let stopped = stopped.stop_container(container, None::<StopContainerOptions>);
        self.block(&format!("stop the container {container}"), stopped)
    }

    /// Starts a container.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn start(&self, container: &str) -> Result<(), Error> {
        let started = self.docker.start_container(container, None::<StartContainerOptions>);
        self.block(&format!("start the container {container}"), started)
    }

    /// Removes a container, whatever it is doing, with the volumes that have no name but by it.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn remove_container(&self, container: &str) -> Result<(), Error> {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let removed = self.docker.remove_container(container, Some(options));
        self.block(&format!("remove the container {container}"), removed)
    }

    /// The same connection, with time for long work.
    pub(super) fn patient(&self) -> Docker {
        self.docker.clone().with_timeout(LONG_TIMEOUT)
    }

    pub(super) fn block<T>(
        &self,
        action: &str,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, Error> {
        self.runtime.block_on(call).map_err(|error| failed(action, &error))
    }
}

/// Tells a socket that is missing from one that is forbidden, which the client does not.
fn check_socket(host: &str, path: &str) -> Result<(), Error> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(Error::Forbidden { host: host.to_owned() })
        }
        Err(error) => Err(Error::Unreachable { host: host.to_owned(), why: error.to_string() }),
    }
}

pub(super) fn failed(action: &str, error: &bollard::errors::Error) -> Error {
    let action = action.to_owned();
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, message } => {
            Error::Refused { action, why: message_without_secrets(message.trim()), missing: *status_code == 404 }
        }
        error => Error::Broken { action, why: reason(error) },
    }
}

/// An error with its causes, without the repetitions.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    message_without_secrets(&text)
}
