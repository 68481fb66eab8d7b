//! A Docker volume as a source: the directory that holds it, or an archive that the engine makes of it.
//!
//! A volume that is a directory of the host (`o=bind`) is read there, whether a container has it mounted or not.
//!
//! Both show the same tree. An archive has no extended attributes but those of the `security` class, no holes, no
//! sockets, and times to the second; a note says so.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::CWD;

use super::{DirSource, Error, Excludes, Stop, Visitor};
use crate::docker::{Archive, ArchiveEntry, Container, Engine, EntryKind, Helper, LOCAL_DRIVER, Volume, has_mounted};
use crate::limits::ARCHIVE_LINKS_MAX;
use crate::model::{
    ByteString, Content, FileTime, Metadata, Node, NodeKind, VolumeFacts, VolumeMethod, Xattr, show_path,
    without_secrets,
};
use crate::monitor::Monitor;
use crate::rooted::{Guarded, Refusal, Status, Trust};

const FOR_ROOT_ONLY: &str = "only root may read the directories of volumes";

/// Names that lead from the root of a volume to an entry.
pub type EntryPath = Vec<Vec<u8>>;
/// The further names of files, each with the first one. Their nodes are to be completed when the first are stored.
pub type HardLinks = BTreeMap<EntryPath, EntryPath>;

/// How a volume is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReadMethod {
    /// Where it lies if that is possible, else through the engine.
    #[default]
    Auto,
    /// Where it lies.
    Mountpoint,
    /// Through the engine.
    Engine,
}

/// What is known of a volume beside itself.
#[derive(Debug, Clone, Default)]
pub struct VolumeUse {
    /// The containers that mount it.
    pub containers: Vec<Container>,
    /// Where in it a PostgreSQL server keeps its data.
    pub server_data: Option<String>,
    /// Whether its containers are stopped while it is read. A volume with options that is no directory of the host is
    /// unmounted then.
    pub is_stopped: bool,
    /// Whose links on the way to its directory are followed.
    pub trust: Trust,
}

/// A volume that is to be backed up.
#[derive(Debug)]
pub struct VolumeSource {
    engine: Arc<Engine>,
    volume: Volume,
    place: Place,
    excludes: Excludes,
    usage: VolumeUse,
    /// The repository, which is left out where it lies in the volume.
    forbidden: Option<PathBuf>,
}

impl VolumeSource {
    /// The volume as the engine has it now.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when it cannot be read in the way that was asked for, or a link on the way to it is not followed.
    pub fn new(
        engine: Arc<Engine>,
        volume: Volume,
        method: ReadMethod,
        excludes: Excludes,
        usage: VolumeUse,
    ) -> Result<Self, Error> {
        let place = match (method, Place::of(&engine, &volume, &usage)?) {
            (ReadMethod::Mountpoint, Place::Engine(why)) => {
                return Err(Error::Unreadable { volume: volume.name, why: why.to_owned() });
            }
            (ReadMethod::Engine, Place::Here { .. }) if volume.bound_directory().is_none() => {
                Place::Engine("the configuration says so")
            }
            (_, place) => place,
        };
        Ok(Self { engine, volume, place, excludes, usage, forbidden: None })
    }

    /// Leaves out `directory`, which is a path of this host or of the container that this process runs in.
    #[must_use]
    pub fn forbidding(mut self, directory: Option<&Path>) -> Self {
        self.forbidden = directory.and_then(|path| path.canonicalize().ok());
        self
    }

    /// Where in the volume the forbidden directory is.
    fn forbidden_path(&self) -> Option<EntryPath> {
        let forbidden = self.forbidden.as_deref()?;
        let ours = self.usage.containers.iter().find(|container| container.is_around_us());
        let mounts = ours.iter().flat_map(|container| &container.mounts);
        let mounts =
            mounts.filter(|mount| mount.volume == self.volume.name).map(|mount| PathBuf::from(&mount.destination));
        let root = self.volume.bound_directory().unwrap_or(Path::new(&self.volume.mountpoint));
        let here = root.canonicalize().ok().filter(|_| self.engine.has_here(&self.volume, &self.usage.trust));
        let below = mounts.chain(here).find_map(|root| forbidden.strip_prefix(&root).ok().map(Path::to_owned))?;
        Some(below.iter().map(|name| name.as_bytes().to_vec()).collect())
    }

    /// The engine that has it.
    #[must_use]
    pub const fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The volume.
    #[must_use]
    pub const fn volume(&self) -> &Volume {
        &self.volume
    }

    /// How it is read.
    #[must_use]
    pub const fn method(&self) -> VolumeMethod {
        match self.place {
            Place::Here { .. } => VolumeMethod::Mountpoint,
            Place::Engine(_) => VolumeMethod::Engine,
        }
    }

    /// Whose links on the way to the directory that it is are followed.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        match &self.place {
            Place::Here { trust, .. } => trust,
            Place::Engine(_) => &self.usage.trust,
        }
    }

    /// The containers that mount it.
    #[must_use]
    pub fn containers(&self) -> &[Container] {
        &self.usage.containers
    }

    /// The containers that may write to it.
    #[must_use]
    pub fn writers(&self) -> Vec<Container> {
        let writes = |container: &&Container| container.mount(&self.volume.name).is_some_and(|mount| mount.writable);
        self.usage.containers.iter().filter(writes).cloned().collect()
    }

    /// What the manifest says of it, before anybody was held.
    #[must_use]
    pub fn facts(&self) -> VolumeFacts {
        let masked = |(name, value): (&String, &String)| (name.clone(), without_secrets(name, value));
        VolumeFacts {
            name: self.volume.name.clone(),
            driver: self.volume.driver.clone(),
            options: self.volume.options.iter().map(masked).collect(),
            labels: self.volume.labels.clone().into_iter().collect(),
            containers: self.usage.containers.iter().map(|container| container.name.clone()).collect(),
            method: self.method(),
            held: Vec::new(),
            held_millis: 0,
            server_data: self.usage.server_data.clone(),
        }
    }

    /// The directory that holds it, where it is read there.
    #[must_use]
    pub fn directory(&self) -> Option<DirSource> {
        let Place::Here { root, trust, .. } = &self.place else { return None };
        let directory = DirSource::new(root, self.excludes.clone()).with_caches().trusting(trust.clone());
        Some(directory.forbidding(self.forbidden.as_deref().map(Guarded::at).unwrap_or_default()))
    }

    /// A volume that was unmounted shows an empty directory, which must not be taken for it.
    fn check_mounted(&self) -> Result<(), Error> {
        let Place::Here { root, trust, identity } = &self.place else { return Ok(()) };
        let status = trust.open_directory(root).ok().and_then(|opened| Status::of(opened).ok());
        if status.is_some_and(|status| status.identity() == *identity) {
            return Ok(());
        }
        Err(Error::Missing { why: format!("the volume {} was unmounted while it was to be read", self.volume.name) })
    }

    /// Shows everything to `visitor`; the root is called `name`. Returns what is still to be linked.
    ///
    /// # Errors
    /// [`Error::Root`], [`Error::Docker`], [`Error::Archive`], [`Error::Stream`], [`Error::Stop`].
    pub fn visit(&self, name: &str, visitor: &mut dyn Visitor, monitor: &Monitor<'_>) -> Result<HardLinks, Error> {
        let forbidden = self.forbidden_path();
        if forbidden.as_ref().is_some_and(Vec::is_empty) {
            let name = &self.volume.name;
            let why =
                format!("the volume {name} is the repository itself: `skip = true` in its [volumes.…] leaves it out");
            return Err(Error::Missing { why });
        }
        if let Some(directory) = self.directory() {
            self.check_mounted()?;
            directory.visit(name, visitor)?;
            return self.check_mounted().map(|()| HardLinks::new());
        }
        let why = if let Place::Engine(why) = self.place { why } else { "" };
        visitor.note(format!(
            "read through the engine because {why}: times to the second, no extended attributes, holes or sockets"
        ));
        let helper = Helper::create(&self.engine, &self.volume.name)?;
        let left_out = LeftOut { excludes: &self.excludes, forbidden };
        let read = read_archive(&mut helper.archive_until(monitor.cancel()), name, &left_out, visitor);
        read.map_err(|error| if monitor.is_cancelled() { Stop.into() } else { error })
    }
}

/// Where a volume is read.
#[derive(Debug)]
enum Place {
    /// In the directory that it is.
    Here {
        root: PathBuf,
        /// Whose links on the way to it are followed.
        trust: Trust,
        /// Device and inode of it.
        identity: (u64, u64),
    },
    /// Through the engine, and why.
    Engine(&'static str),
}

impl Place {
    /// Where it lies, if it can be read there. The engine mounts what stands at the place of a volume, through any link: where one
    /// would not be followed, the volume is not read at all.
    fn of(engine: &Engine, volume: &Volume, usage: &VolumeUse) -> Result<Self, Error> {
        if volume.driver != LOCAL_DRIVER {
            return Ok(Self::Engine("its driver is not 'local'"));
        }
        let is_root = rustix::process::geteuid().is_root();
        // Who is not root has the engine read it, and cannot look at what the engine writes down.
        let is_here = if is_root { engine.has_here(volume, &usage.trust) } else { engine.root_here().is_some() };
        if !is_here {
            return Ok(Self::Engine("the engine runs on another host, or has not shown that it runs on this one"));
        }
        let unreadable = |why: String| Error::Unreadable { volume: volume.name.clone(), why };
        if let Some(directory) = volume.relative_directory() {
            let why = "is relative, and only the engine knows to which directory: make the volume with an absolute one";
            return Err(unreadable(format!("its device {} {why}", directory.display())));
        }
        for path in volume.named_places() {
            usage.trust.check_way(path).map_err(|refusal| unreadable(refusal.to_string()))?;
        }
        let bound = volume.bound_directory();
        let root = bound.unwrap_or(Path::new(&volume.mountpoint));
        let trust = match bound {
            Some(_) => usage.trust.clone(),
            // The engine makes the directories of its volumes itself, and none of them is a link.
            None => usage.trust.but_links_in(root.parent().map(Path::to_owned)),
        };
        let opened = match trust.open_directory(root) {
            Ok(opened) => opened,
            Err(Refusal::Io { .. }) if !is_root => return Ok(Self::Engine(FOR_ROOT_ONLY)),
            Err(Refusal::Io { .. }) if bound.is_none() => {
                return Ok(Self::Engine("its directory is not to be found on this host"));
            }
            Err(refusal) => return Err(unreadable(refusal.to_string())),
        };
        if !is_root {
            return Ok(Self::Engine(FOR_ROOT_ONLY));
        }
        let Ok(status) = Status::of(opened) else { return Ok(Self::Engine("its directory cannot be looked at")) };
        if bound.is_none() && !volume.options.is_empty() {
            if usage.is_stopped {
                return Ok(Self::Engine("it has options and is not mounted while nobody uses it"));
            }
            // Such a volume is somewhere else, and its directory is empty as long as no container uses it.
            let around = root.parent().and_then(|around| Status::of_entry(CWD, around).ok());
            if around.is_some_and(|around| around.device() == status.device()) {
                return Ok(Self::Engine("it has options and is not mounted now"));
            }
        }
        let is_other = |container: &&Container| has_mounted(container, status.identity()) == Some(false);
        let users = usage.containers.iter().filter(|container| container.mounts_by_name(&volume.name));
        if let Some(container) = users.filter(|container| container.is_up()).find(is_other) {
            let (name, root) = (&container.name, root.display());
            return Err(unreadable(format!(
                "the container {name} has another directory than {root}, which is another one here, or was when it was started: start \
                 it anew"
            )));
        }
        Ok(Self::Here { root: root.to_owned(), trust, identity: status.identity() })
    }
}

fn excluded_first(path: &[Vec<u8>], first: &[Vec<u8>]) -> String {
    let [own, first] = [path, first].map(|path| show_path(&path.join(&b'/')));
    format!("left out {own}: its content is that of {first}, which is excluded: exclude both")
}

/// What is not shown of an archive.
struct LeftOut<'a> {
    excludes: &'a Excludes,
    /// The repository.
    forbidden: Option<EntryPath>,
}

impl LeftOut<'_> {
    fn has(&self, path: &[Vec<u8>]) -> bool {
        let joined = path.join(&b'/');
        self.is_forbidden(path) || self.excludes.matches(Path::new(OsStr::from_bytes(&joined)))
    }

    fn is_forbidden(&self, path: &[Vec<u8>]) -> bool {
        self.forbidden.as_deref() == Some(path)
    }

    fn tell(&self, path: &[Vec<u8>], visitor: &mut dyn Visitor) {
        if self.is_forbidden(path) {
            visitor.note(format!("left out {}: it is the repository", show_path(&path.join(&b'/'))));
        }
    }

    /// Whether a path or a directory around it is not shown.
    fn has_below(&self, path: &[Vec<u8>]) -> bool {
        (1..=path.len()).any(|len| path.get(..len).is_some_and(|path| self.has(path)))
    }
}

/// Shows the entries of an archive, which come in the order of their names.
fn read_archive(
    archive: &mut Archive,
    name: &str,
    left_out: &LeftOut<'_>,
    visitor: &mut dyn Visitor,
) -> Result<HardLinks, Error> {
    let mut links = HardLinks::new();
    let mut open: Option<EntryPath> = None;
    let mut last = EntryPath::new();
    let mut skipped: Option<EntryPath> = None;
    while let Some(mut entry) = archive.next_entry()? {
        let path = std::mem::take(&mut entry.path);
        let Some(parent_len) = path.len().checked_sub(1) else {
            if open.is_some() || entry.kind != EntryKind::Directory {
                return Err(Error::Archive { why: "its root is not its first entry, or no directory" });
            }
            visitor.enter(node_of(name.as_bytes(), &entry), None)?;
            open = Some(EntryPath::new());
            continue;
        };
        let Some(open) = &mut open else {
            return Err(Error::Archive { why: "it does not begin with the root" });
        };
        if path <= last {
            return Err(Error::Archive { why: "its entries are not in order" });
        }
        last.clone_from(&path);
        let (parent, own_name) = (path.get(..parent_len).unwrap_or_default(), path.last().cloned().unwrap_or_default());
        if skipped.as_ref().is_some_and(|skipped| path.starts_with(skipped)) {
            continue;
        }
        while !parent.starts_with(open) {
            open.pop();
            visitor.leave()?;
        }
        if open != parent {
            return Err(Error::Archive { why: "it has an entry without the directory around it" });
        }
        if left_out.has(&path) {
            left_out.tell(&path, visitor);
            skipped = Some(path);
            continue;
        }
        let node = node_of(&own_name, &entry);
        match entry.kind {
            EntryKind::Directory => {
                visitor.enter(node, None)?;
                *open = path;
            }
            EntryKind::File => visitor.stream(node, archive as &mut dyn Read)?,
            EntryKind::HardLink(target) if left_out.has_below(&target) => visitor.error(excluded_first(&path, &target)),
            EntryKind::HardLink(target) => {
                if links.len() >= ARCHIVE_LINKS_MAX {
                    return Err(Error::Archive { why: "it has more hard links than this program follows" });
                }
                links.insert(path, target);
                visitor.special(node, None)?;
            }
            _ => visitor.special(node, None)?,
        }
    }
    let Some(open) = open else { return Err(Error::Archive { why: "it is empty" }) };
    for _ in 0..=open.len() {
        visitor.leave()?;
    }
    Ok(links)
}

fn node_of(name: &[u8], entry: &ArchiveEntry) -> Node {
    let (secs, nanos) = entry.mtime;
    let time = FileTime { secs, nanos };
    let device = |major: u32, minor: u32| rustix::fs::makedev(major, minor);
    let xattr =
        |(name, value): &(Vec<u8>, Vec<u8>)| Xattr { name: ByteString(name.clone()), value: ByteString(value.clone()) };
    let mut xattrs: Vec<Xattr> = entry.xattrs.iter().map(xattr).collect();
    xattrs.sort_by(|a, b| a.name.cmp(&b.name));
    xattrs.dedup_by(|a, b| a.name == b.name);
    let metadata = Metadata {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        user: entry.user.clone(),
        group: entry.group.clone(),
        mtime: time,
        ctime: time,
        links: 1,
        xattrs,
        ..Metadata::default()
    };
    let kind = match &entry.kind {
        // A further name of a file stays empty until the first one is known.
        EntryKind::File | EntryKind::HardLink(_) => NodeKind::File { content: Content::default(), holes: Vec::new() },
        EntryKind::Directory => NodeKind::Directory { tree: Content::default() },
        EntryKind::Symlink(target) => NodeKind::Symlink { target: ByteString(target.clone()) },
        EntryKind::Fifo => NodeKind::Fifo,
        EntryKind::CharDevice(major, minor) => NodeKind::CharDevice { number: device(*major, *minor) },
        EntryKind::BlockDevice(major, minor) => NodeKind::BlockDevice { number: device(*major, *minor) },
    };
    Node::new(ByteString::from(name), metadata, kind)
}
