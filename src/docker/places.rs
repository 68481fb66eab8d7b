//! Places of the engine's host that containers write to: by mounts of the host, and by volumes.
//!
//! Whoever is root in a container makes links and files there that are root's on the host. And two mounts may be one place: who
//! writes to the one writes to the other.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use super::volume::VOLUMES;
use super::{Container, Mount, Volume};
use crate::rooted::mounts_below;

/// What the kernel and the engine mount by themselves, for each container anew.
const TRANSIENT: [&str; 3] = ["/proc", "/sys", "/run/docker"];

/// The directories and files that containers may write to, those that do not run too: what they mount of the host, what the host
/// has mounted below that, which `:ro` may leave writable, all volumes, and whatever the options of volumes name. `root` is
/// where the engine keeps its data.
pub(super) fn writable_places(containers: &[Container], volumes: &[Volume], root: &Path) -> Vec<PathBuf> {
    let (writable, read_only): (Vec<_>, Vec<_>) =
        containers.iter().flat_map(|container| &container.binds).partition(|bind| bind.writable);
    let is_lasting =
        |place: &PathBuf| !place.starts_with(root) && TRANSIENT.iter().all(|path| !place.starts_with(path));
    let read_only: BTreeSet<&PathBuf> = read_only.iter().map(|bind| &bind.source).collect();
    let below = read_only.into_iter().flat_map(|source| mounts_below(source).unwrap_or_default()).filter(is_lasting);
    let named = volumes.iter().flat_map(Volume::named_places).map(Path::to_owned);
    // An engine that the system has started is in the root.
    let relative = volumes.iter().filter_map(Volume::relative_directory).map(|path| Path::new("/").join(path));
    let standing = volumes.iter().map(|volume| PathBuf::from(&volume.mountpoint));
    let volumes = root.join(VOLUMES);
    let elsewhere = standing.filter(|place| !place.starts_with(&volumes));
    let places: BTreeSet<PathBuf> = writable
        .iter()
        .map(|bind| bind.source.clone())
        .chain(below)
        .chain(named)
        .chain(relative)
        .chain(elsewhere)
        .collect();
    // Who may write to everything is root on the host anyway.
    let places = places.into_iter().filter(|place| place.is_absolute() && *place != Path::new("/"));
    places.chain([volumes.clone()]).collect()
}

/// Where volumes are, to find those that a directory lies in.
pub(super) struct VolumePlaces<'a> {
    by_place: HashMap<PathBuf, Vec<&'a Volume>>,
    by_name: HashMap<&'a str, &'a Volume>,
}

impl<'a> VolumePlaces<'a> {
    pub(super) fn new(volumes: &'a [Volume]) -> Self {
        let mut by_place: HashMap<PathBuf, Vec<&Volume>> = HashMap::new();
        for volume in volumes {
            let own = Some(Path::new(&volume.mountpoint)).filter(|path| path.is_absolute());
            for place in volume.bound_directory().into_iter().chain(own) {
                by_place.entry(plain(place)).or_default().push(volume);
            }
        }
        Self { by_place, by_name: volumes.iter().map(|volume| (volume.name.as_str(), volume)).collect() }
    }

    fn around<'s>(&'s self, place: &Path) -> impl Iterator<Item = &'s Volume> + use<'s, 'a> {
        let place = plain(place);
        let found: Vec<&Volume> =
            place.ancestors().filter_map(|place| self.by_place.get(place)).flatten().copied().collect();
        found.into_iter()
    }

    /// The volumes that a container does not mount and reaches all the same, each as that mount shows it.
    pub(super) fn reached(&self, container: &Container) -> Vec<Mount> {
        let mount = |volume: &Volume, destination: &str, writable| Mount {
            volume: volume.name.clone(),
            destination: destination.to_owned(),
            writable,
        };
        let mut reached = Vec::new();
        for bind in &container.binds {
            let volumes = self.around(&bind.source);
            reached.extend(volumes.map(|volume| mount(volume, &bind.destination, bind.writable)));
        }
        for mounted in &container.mounts {
            let directory = self.by_name.get(mounted.volume.as_str()).and_then(|volume| volume.bound_directory());
            let volumes = directory.into_iter().flat_map(|directory| self.around(directory));
            let others = volumes.filter(|volume| volume.name != mounted.volume);
            reached.extend(others.map(|volume| mount(volume, &mounted.destination, mounted.writable)));
        }
        reached.sort_by(|one, other| one.volume.cmp(&other.volume));
        reached
    }
}

/// A path without `.` and `..`, as the engine writes what it mounts. Links are not looked at.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            component => plain.push(component),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerInspectResponse, MountPoint};

    use super::*;

    fn container(mounts: &[(&str, &str, bool)]) -> Container {
        let mount = |(kind, source, writable): &(&str, &str, bool)| MountPoint {
            typ: Some((*kind).to_owned()),
            name: (*kind == "volume").then(|| (*source).to_owned()),
            source: Some((*source).to_owned()),
            destination: Some("/x".to_owned()),
            rw: Some(*writable),
            ..MountPoint::default()
        };
        let mounts = Some(mounts.iter().map(mount).collect());
        Container::from(ContainerInspectResponse { mounts, ..ContainerInspectResponse::default() })
    }

    fn volume(name: &str, options: &[(&str, &str)]) -> Volume {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Volume {
            name: name.to_owned(),
            driver: "local".to_owned(),
            mountpoint: format!("/e/volumes/{name}/_data"),
            options,
            labels: HashMap::new(),
        }
    }

    /// Only plain writable bind mounts were known, and links of containers were followed in all other places.
    #[test]
    fn all_places_that_containers_write_to_are_known() {
        let containers = [
            container(&[("bind", "/srv/data", true), ("bind", "/srv/file.toml", true), ("bind", "/", true)]),
            container(&[("bind", "/srv/read", false), ("volume", "plain", false), ("bind", "/proc", false)]),
        ];
        let volumes = [
            volume("plain", &[]),
            volume("bound", &[("type", "none"), ("o", "ro, rbind"), ("device", "/srv/bound")]),
            volume("share", &[("type", "nfs"), ("o", "addr=bind"), ("device", ":/export")]),
            volume("layers", &[("type", "overlay"), ("o", "lowerdir=/srv/one:/srv/two,upperdir=/srv/upper")]),
            volume("relative", &[("type", "none"), ("o", "bind"), ("device", "srv/relative")]),
            Volume { mountpoint: "/plugins/v".to_owned(), driver: "other".to_owned(), ..volume("other", &[]) },
        ];
        let found = writable_places(&containers, &volumes, Path::new("/e"));
        let layers = ["/srv/one", "/srv/one:/srv/two", "/srv/relative", "/srv/two", "/srv/upper", "/e/volumes"];
        let wanted = ["/plugins/v", "/srv/bound", "/srv/data", "/srv/file.toml"].into_iter().chain(layers);
        assert_eq!(found, wanted.map(PathBuf::from).collect::<Vec<_>>());
        // What is mounted below a directory that is only read may be written to.
        let found = writable_places(&[container(&[("bind", "/", false)])], &[], Path::new("/e"));
        assert!(found.contains(&PathBuf::from("/dev")) && !found.contains(&PathBuf::from("/proc")), "{found:?}");
    }

    /// Whoever wrote to a volume by another mount was not held while it was read or written.
    #[test]
    fn who_reaches_a_volume_by_another_mount_is_known() {
        let bound = |name| volume(name, &[("type", "none"), ("o", "bind"), ("device", "/srv/bound")]);
        let volumes = [volume("plain", &[]), bound("one"), bound("two")];
        let names = |mounts: &[(&str, &str, bool)]| -> Vec<(String, bool)> {
            VolumePlaces::new(&volumes)
                .reached(&container(mounts))
                .into_iter()
                .map(|mount| (mount.volume, mount.writable))
                .collect()
        };
        let named = |name: &str, writable| (name.to_owned(), writable);
        assert_eq!(names(&[("bind", "/e/volumes/plain/_data", true)]), [named("plain", true)]);
        assert_eq!(names(&[("bind", "/srv/bound/part", false)]), [named("one", false), named("two", false)]);
        assert_eq!(names(&[("bind", "/srv/./other/../bound", true)]), [named("one", true), named("two", true)]);
        assert_eq!(names(&[("volume", "one", true)]), [named("two", true)]);
        assert!(
            names(&[("volume", "plain", true), ("bind", "/srv/bound-not", true), ("bind", "/srv", true)]).is_empty()
        );
    }
}
