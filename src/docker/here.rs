//! Whether an engine runs on this host, so that a path that it tells of is a path here, and what its containers see there.
//!
//! An engine of another host may be reached through a socket here, its host may have the name of this one, its disk may be a copy, and
//! whoever answers may be anybody. So it has to know, or to do, what only the engine of this host can.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bollard::query_parameters::ListContainersOptions;
use rustix::fs::CWD;

use super::throwaway::{make, unmake};
use super::volume::{VOLUMES, directory_of};
use super::{Container, Engine, Volume};
use crate::rooted::{Status, Trust, place_of};

/// Where the engine writes down what it knows of a container, by its id.
const CONTAINERS: &str = "containers";
const CONTAINER_FILE: &str = "config.v2.json";
/// Longest such file that is read, in bytes.
const CONTAINER_BYTES_MAX: u64 = 4 << 20;
/// So many containers are compared with what is written down of them.
const COMPARED_MAX: usize = 3;
/// What the kernel mounts in each container, which is nobody's on the host.
const OWN_MOUNTS: [&str; 2] = ["/proc", "/sys"];
/// The field of a line of the kernel's list of mounts that says what may be done there.
const OPTIONS_FIELD: usize = 5;

/// The directory on this host that has the volumes of an engine; `None` when it is not known to be here.
fn volumes_here(engine: &Engine, trust: &Trust) -> Option<PathBuf> {
    let root = engine.root_here()?;
    let socket = Path::new(engine.host().strip_prefix("unix://")?);
    // A container may have a folder mounted that is told to be the engine's, but not that itself.
    let is_believed =
        is_ours(&socket.canonicalize().ok()?, trust) && !trust.is_strange(socket) && !trust.is_strange(root);
    let is_here = is_believed && (knows_a_container(engine, root, trust) || shows_up(engine, root, trust));
    is_here.then(|| root.join(VOLUMES))
}

/// Whether it, and every folder around it, belongs to somebody who is believed, and nobody else can put another in its place.
fn is_ours(path: &Path, trust: &Trust) -> bool {
    let owner = Status::of_entry(CWD, path).map(|status| status.uid());
    owner.is_ok_and(|uid| trust.believes(uid))
        && path.parent().is_none_or(|around| trust.strange_folder(around).is_none())
}

/// Whether a container that runs was started when the engine of this host has written down that it was, to the nanosecond. Only
/// root reads that.
fn knows_a_container(engine: &Engine, root: &Path, trust: &Trust) -> bool {
    let options = ListContainersOptions { all: false, ..Default::default() };
    let listed = engine.block("list its containers", engine.docker.list_containers(Some(options))).unwrap_or_default();
    let mut ids = listed.into_iter().filter_map(|container| container.id).take(COMPARED_MAX);
    ids.any(|id| {
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let written = root.join(CONTAINERS).join(&id).join(CONTAINER_FILE);
        let started = is_id.then(|| engine.container(&id).ok()).flatten().map(|container| container.started);
        let started = started.filter(|started| started.contains('.') && !started.contains('"'));
        started.is_some_and(|started| {
            let mut text = String::new();
            let read = File::open(&written).and_then(|file| file.take(CONTAINER_BYTES_MAX).read_to_string(&mut text));
            read.is_ok() && text.contains(&format!("\"StartedAt\":\"{started}\"")) && is_ours(&written, trust)
        })
    })
}

/// Whether a volume that the engine makes now is found here, in a folder that nobody else can have made: its name is made by chance.
fn shows_up(engine: &Engine, root: &Path, trust: &Trust) -> bool {
    let Ok(volume) = make(engine) else { return false };
    let place = directory_of(&root.join(VOLUMES), &volume.name);
    let is_here = Path::new(&volume.mountpoint) == place && is_ours(&place, trust);
    unmake(engine, &volume);
    is_here
}

impl Engine {
    /// Whether a volume lies on this host where the engine says, and the engine is known to be of this host. One that has no socket is
    /// not, nor one whose socket somebody else can put another in the place of.
    #[must_use]
    pub fn has_here(&self, volume: &Volume, trust: &Trust) -> bool {
        let volumes = self.volumes_here.get_or_init(|| volumes_here(self, trust));
        let place = volumes.as_ref().map(|volumes| directory_of(volumes, &volume.name));
        place.is_some_and(|place| place == Path::new(&volume.mountpoint))
    }
}

/// What a container that runs here has mounted, by the paths of the kernel, which lead there whatever is called how in it; with
/// whether it may write there. `None` when it cannot be looked at.
fn mounts_of(container: &Container) -> Option<Vec<(PathBuf, bool)>> {
    let process = PathBuf::from(format!("/proc/{}", container.pid?));
    // Another host's process, or another one that has the number by now, is none of the container.
    let is_its = std::fs::read_to_string(process.join("cgroup")).is_ok_and(|text| text.contains(&container.id));
    let list =
        std::fs::read_to_string(process.join("mountinfo")).ok().filter(|_| is_its && !container.id.is_empty())?;
    let mount = |line: &str| {
        let (place, options) = (place_of(line.as_bytes())?, line.split(' ').nth(OPTIONS_FIELD)?);
        let is_own = place == Path::new("/") || OWN_MOUNTS.iter().any(|own| place.starts_with(own));
        let inner = place.strip_prefix("/").ok()?;
        (!is_own).then(|| (process.join("root").join(inner), options.split(',').any(|option| option == "rw")))
    };
    Some(list.lines().filter_map(mount).collect())
}

/// What a container that runs here may write to. Who may write to everything is root on the host anyway.
pub(super) fn writable_now(container: &Container) -> Vec<PathBuf> {
    let identity = |path: &Path| Status::of_place(path).map(|status| status.identity()).ok();
    let everything = identity(Path::new("/"));
    let mounts: Vec<PathBuf> = mounts_of(container)
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, writable)| *writable)
        .map(|(path, _)| path)
        .collect();
    let is_everything = |path: &PathBuf| identity(path) == everything;
    let everywhere: Vec<PathBuf> = mounts.iter().filter(|path| is_everything(path)).cloned().collect();
    mounts.into_iter().filter(|path| !everywhere.iter().any(|around| path.starts_with(around))).collect()
}

/// Whether a container that runs here has this very directory; `None` when it cannot be looked at.
pub(crate) fn has_mounted(container: &Container, identity: (u64, u64)) -> Option<bool> {
    let identities = mounts_of(container)?.into_iter().filter_map(|(path, _)| Status::of_place(&path).ok());
    let identities: HashSet<(u64, u64)> = identities.map(|status| status.identity()).collect();
    Some(identities.contains(&identity))
}
