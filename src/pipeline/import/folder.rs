//! What an earlier backup is made of: a folder with or without `metadata.json`, or a dump that lies alone.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::metadata::{
    ARCHIVE_ENDINGS, DUMP_ENDINGS, Exported, FolderComponent, FolderMetadata, METADATA_FILE, VOLUME_PREFIX, ends_in,
    parse,
};
use crate::clock::LocalTime;
use crate::id::{Digest, hex};
use crate::limits::METADATA_BYTES_MAX;
use crate::model::{ComponentKind, ComponentName, DatabaseFacts, SnapshotKind, VolumeFacts, VolumeMethod};
use crate::monitor::Monitor;
use crate::source::StoredFile;

const FOLDER_PREFIX: &str = "system_backup_";
const VOLUMES_FOLDER: &str = "docker_volumes";
/// How the names of dumps begin that the old tool made before a restore.
const BEFORE_RESTORE: &str = "pre_restore_snapshot_";
const STAMP_CHARS: usize = 15;
const HASH_BYTES: usize = 256 << 10;

/// Where the data of one component lies.
#[derive(Debug)]
pub(super) enum Place {
    Dump(StoredFile, Box<DatabaseFacts>),
    Directory(PathBuf),
    Archive(StoredFile, VolumeFacts),
    Stream(StoredFile),
    Missing(ComponentKind, String),
}

/// One component of an earlier backup.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: ComponentName,
    pub(super) place: Place,
    pub(super) checksum: Option<String>,
    /// What is known to be wrong with it.
    pub(super) errors: Vec<String>,
}

/// An earlier backup, before its data is looked at.
#[derive(Debug)]
pub struct OldBackup {
    /// The folder, or the file.
    pub path: PathBuf,
    /// When it was made, by its name.
    pub time: LocalTime,
    /// Bytes of its files, each counted once.
    pub bytes: u64,
    /// Why it is taken only when that is insisted on.
    pub doubts: Vec<String>,
    pub(super) kind: SnapshotKind,
    /// The system that it is of, where that is said.
    pub(super) system: Option<String>,
    /// Components that had been left out on purpose.
    pub(super) dropped: Vec<ComponentName>,
    /// When the snapshot was made that it was exported from, with everything that it has.
    pub(super) exported: Option<LocalTime>,
    /// Words that it had.
    pub(super) tags: Vec<String>,
    /// Whether it was pinned.
    pub(super) pinned: bool,
    pub(super) parts: Vec<Part>,
    /// Tells it from others that have the same name.
    pub(super) fingerprint: String,
}

/// The instant in the name of a folder, or of a dump that lies alone.
pub(super) fn time_of(path: &Path) -> Option<LocalTime> {
    let name = path.file_name()?.to_str()?;
    if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return LocalTime::of_stamp(name.strip_prefix(FOLDER_PREFIX)?);
    }
    let stem = DUMP_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))?;
    let (before, stamp) = stem.split_at_checked(stem.len().checked_sub(STAMP_CHARS)?)?;
    LocalTime::of_stamp(stamp).filter(|_| before.ends_with('_'))
}

impl OldBackup {
    /// Looks at a folder or a file; `None` when its name is not that of a backup.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look(path: &Path) -> io::Result<Option<Self>> {
        let Some(time) = time_of(path) else { return Ok(None) };
        let is_folder = path.symlink_metadata()?.is_dir();
        let (inventory, bytes) = inventory(path)?;
        let mut backup = Self {
            path: path.to_owned(),
            time,
            bytes,
            doubts: Vec::new(),
            kind: SnapshotKind::Database,
            system: None,
            dropped: Vec::new(),
            exported: None,
            tags: Vec::new(),
            pinned: false,
            parts: Vec::new(),
            fingerprint: String::new(),
        };
        let (mut told, mut exported) = (Vec::new(), None);
        if is_folder {
            (told, exported) = backup.look_into_folder()?;
        } else {
            let file = StoredFile::new(path);
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(BEFORE_RESTORE) {
                backup.kind = SnapshotKind::Safety;
            }
            let database = side_car(path).or_else(|| database_of(name)).unwrap_or_default();
            let facts = DatabaseFacts { name: database, ..DatabaseFacts::default() };
            let component = "database".parse().map_err(io::Error::other)?;
            backup.parts.push(Part {
                name: component,
                place: Place::Dump(file, Box::new(facts)),
                checksum: None,
                errors: Vec::new(),
            });
        }
        let stamp = time.stamp();
        backup.fingerprint = Digest::of(&[stamp.as_bytes(), &inventory, &told].concat()).to_string();
        if backup.parts.iter().any(|part| !matches!(part.place, Place::Dump(..))) {
            backup.kind = SnapshotKind::Full;
        }
        if let Some(exported) = exported {
            backup.as_exported(exported);
        }
        Ok(Some(backup))
    }

    /// Takes over what it was as a snapshot. Its name says when it was made, to the second: another time is not believed.
    fn as_exported(&mut self, exported: Exported) {
        match exported.time {
            Some(time) if time.stamp() == self.time.stamp() => {
                self.time = time;
                self.exported = Some(time).filter(|_| !exported.is_masked);
            }
            Some(_) => self.doubts.push("what `larder` says of its time is not what its name says".to_owned()),
            None => {}
        }
        self.kind = exported.kind.unwrap_or(self.kind);
        (self.system, self.dropped) = (exported.system, exported.dropped);
        (self.tags, self.pinned) = (exported.tags, exported.pinned);
        self.doubts.extend(exported.doubts);
    }

    /// A file of the folder, which no link in it leads out of.
    fn stored(&self, path: &Path) -> StoredFile {
        path.strip_prefix(&self.path)
            .map_or_else(|_| StoredFile::new(path), |within| StoredFile::within(&self.path, within))
    }

    /// Finds the parts of a folder, and returns the bytes of its metadata, and of which snapshot it was exported.
    fn look_into_folder(&mut self) -> io::Result<(Vec<u8>, Option<Exported>)> {
        let file = self.stored(&self.path.join(METADATA_FILE));
        let mut bytes = Vec::new();
        let read = file.open_stored().and_then(|file| file.take(METADATA_BYTES_MAX + 1).read_to_end(&mut bytes));
        let parsed = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err("it is missing, so the backup did not reach its end".to_owned())
            }
            Err(error) => Err(error.to_string()),
            Ok(len) if len as u64 > METADATA_BYTES_MAX => Err("it is too long".to_owned()),
            Ok(_) => parse(&bytes),
        };
        let mut exported = None;
        match parsed {
            Ok(mut metadata) => {
                exported = metadata.exported.take();
                let failed = exported.iter().flat_map(|exported| &exported.failed).map(|(name, kind)| (name, *kind));
                self.parts_of(metadata, failed)?;
            }
            Err(why) => {
                self.doubts.push(format!("{METADATA_FILE} cannot be used: {why}"));
                self.parts_without_metadata()?;
                let error = format!("imported without {METADATA_FILE}: {why}");
                self.parts.iter_mut().for_each(|part| part.errors.push(error.clone()));
            }
        }
        if self.parts.is_empty() {
            return Err(io::Error::other("there is nothing in it that a backup has"));
        }
        Ok((bytes, exported))
    }

    fn parts_of<'a>(
        &mut self,
        metadata: FolderMetadata,
        failed: impl Iterator<Item = (&'a ComponentName, ComponentKind)>,
    ) -> io::Result<()> {
        if let Some(version) = metadata.unknown_version {
            self.doubts.push(format!("its format has the version '{version}', which is not known"));
        }
        for component in metadata.components {
            let mut errors = component.errors.clone();
            errors.extend(self.missing_files(&component)?);
            let (name, checksum) = (component.name.clone(), component.checksum.clone());
            let place = self.place_of(&component)?;
            self.parts.push(Part { name, place, checksum, errors });
        }
        for (name, kind) in failed {
            if !self.parts.iter().any(|part| part.name == *name) {
                let said =
                    metadata.errors.iter().find_map(|error| error.strip_prefix(name.as_str())?.strip_prefix(": "));
                let why = said.unwrap_or("nothing of it was saved").to_owned();
                let place = Place::Missing(kind, why.clone());
                self.parts.push(Part { name: name.clone(), place, checksum: None, errors: vec![why] });
            }
        }
        for error in metadata.errors {
            let of_component = error.split_once(": ").and_then(|(name, why)| {
                let part = self.parts.iter().position(|part| part.name.as_str() == name)?;
                Some((part, why.to_owned()))
            });
            let (part, why) = of_component.unwrap_or((0, error));
            if let Some(part) = self.parts.get_mut(part).filter(|part| !part.errors.contains(&why)) {
                part.errors.push(why);
            }
        }
        Ok(())
    }

    /// What is wrong with a directory that has fewer files than it was made with.
    fn missing_files(&self, component: &FolderComponent) -> io::Result<Option<String>> {
        let path = self.path.join(component.name.as_str());
        let Some(listed) =
            component.files.filter(|_| component.kind == ComponentKind::Directory && is_directory(&path))
        else {
            return Ok(None);
        };
        let found = count_files(&path)?;
        Ok((found < listed).then(|| format!("{METADATA_FILE} lists {listed} files, and {found} are there")))
    }

    fn place_of(&self, component: &FolderComponent) -> io::Result<Place> {
        let name = component.name.as_str();
        let listed = component.filename.as_ref().map(|name| self.path.join(name)).filter(|path| is_file(path));
        let why = || component.errors.first().cloned().unwrap_or_else(|| "its file is missing".to_owned());
        Ok(match component.kind {
            ComponentKind::Database => {
                let file = listed.or(if name == "database" && component.filename.is_none() {
                    self.main_dump()?
                } else {
                    None
                });
                let Some(file) = file else { return Ok(Place::Missing(ComponentKind::Database, why())) };
                let shown = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let database = component.origin.clone().or_else(|| database_of(shown)).unwrap_or_default();
                let facts = DatabaseFacts { name: database, ..DatabaseFacts::default() };
                Place::Dump(self.stored(&file), Box::new(facts))
            }
            ComponentKind::Volume => {
                let short = name.strip_prefix(VOLUME_PREFIX).unwrap_or(name);
                let file =
                    listed.or(self.archives()?.into_iter().find(|(volume, _)| volume == short).map(|(_, path)| path));
                let volume = component.origin.clone().unwrap_or_else(|| short.to_owned());
                file.map_or_else(
                    || Place::Missing(ComponentKind::Volume, why()),
                    |file| Place::Archive(self.stored(&file), volume_facts(volume)),
                )
            }
            ComponentKind::Stream => listed.map_or_else(
                || Place::Missing(ComponentKind::Stream, why()),
                |file| Place::Stream(self.stored(&file).as_it_is()),
            ),
            ComponentKind::Directory => {
                let path = self.path.join(name);
                if is_directory(&path) {
                    Place::Directory(path)
                } else {
                    let missing = || "its directory is missing".to_owned();
                    Place::Missing(ComponentKind::Directory, component.errors.first().cloned().unwrap_or_else(missing))
                }
            }
        })
    }

    fn parts_without_metadata(&mut self) -> io::Result<()> {
        let mut places: Vec<(String, Place)> = Vec::new();
        let main = self.main_dump()?;
        for file in self.dump_files()? {
            let name = if main.as_ref() == Some(&file) { "database".to_owned() } else { stem_of(&file).to_owned() };
            places.push((name, Place::Dump(self.stored(&file), Box::default())));
        }
        let mut unknown = Vec::new();
        for path in entries_of(&self.path)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_known =
                [&DUMP_ENDINGS[..], &ARCHIVE_ENDINGS, &[".json"]].iter().any(|endings| ends_in(&name, endings));
            if is_directory(&path) && name != VOLUMES_FOLDER {
                places.push((name, Place::Directory(path)));
            } else if !is_known && name != VOLUMES_FOLDER {
                unknown.push(name);
            }
        }
        for (volume, path) in self.archives()? {
            let place = Place::Archive(self.stored(&path), volume_facts(volume.clone()));
            places.push((format!("{VOLUME_PREFIX}{volume}"), place));
        }
        for (name, place) in places {
            match name.parse::<ComponentName>() {
                Ok(name) if !self.parts.iter().any(|part| part.name == name) => {
                    self.parts.push(Part { name, place, checksum: None, errors: Vec::new() });
                }
                _ => unknown.push(name),
            }
        }
        if let Some(part) = self.parts.first_mut() {
            part.errors
                .extend(unknown.iter().map(|name| format!("'{}' of the folder was not imported", name.escape_debug())));
        }
        Ok(())
    }

    /// The dump of the main database: the one that is called so, else the one with a stamp, else the only one.
    fn main_dump(&self) -> io::Result<Option<PathBuf>> {
        let files = self.dump_files()?;
        let called = files.iter().find(|file| stem_of(file) == "database");
        let stamped = || files.iter().find(|file| database_of(stem_of(file)).is_some());
        let only = || files.first().filter(|_| files.len() == 1);
        Ok(called.or_else(stamped).or_else(only).cloned())
    }

    /// The dumps in the folder itself, the largest first.
    fn dump_files(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = files_in(&self.path, |name| ends_in(name, &DUMP_ENDINGS))?;
        found.sort_by_key(|path| std::cmp::Reverse(path.metadata().map_or(0, |metadata| metadata.len())));
        Ok(found)
    }

    /// The archives in the folder and in that of volumes: the volume of each, which is named once.
    fn archives(&self) -> io::Result<Vec<(String, PathBuf)>> {
        let is_archive = |name: &str| ends_in(name, &ARCHIVE_ENDINGS);
        let mut paths = files_in(&self.path, is_archive)?;
        let folder = self.path.join(VOLUMES_FOLDER);
        if is_directory(&folder) {
            paths.extend(files_in(&folder, is_archive)?);
        }
        let mut found: Vec<(String, PathBuf)> = Vec::new();
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let stem = name.trim_end_matches(".gz").trim_end_matches(".tar");
            let stamped = stem.len().checked_sub(STAMP_CHARS).and_then(|at| stem.split_at_checked(at));
            let volume = stamped.filter(|(_, stamp)| LocalTime::of_stamp(stamp).is_some());
            let volume = volume.map_or(stem, |(before, _)| before.trim_end_matches('_')).to_owned();
            if !found.iter().any(|(known, _)| *known == volume) {
                found.push((volume, path));
            }
        }
        Ok(found)
    }

    /// Reads every file that a checksum is known of, and says which do not match.
    ///
    /// # Errors
    /// When one cannot be read; [`Cancelled`](crate::cancel::Cancelled) as an I/O error.
    pub(super) fn wrong_checksums(&self, monitor: &Monitor<'_>) -> io::Result<Vec<(usize, String)>> {
        let mut wrong = Vec::new();
        for (number, part) in self.parts.iter().enumerate() {
            let (Place::Dump(file, _) | Place::Archive(file, _) | Place::Stream(file)) = &part.place else { continue };
            let Some(expected) = &part.checksum else { continue };
            let found = sha256(file.open_stored()?, monitor)?;
            if found != *expected {
                let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
                wrong
                    .push((number, format!("the SHA-256 of {name} is {found}, where {METADATA_FILE} says {expected}")));
            }
        }
        Ok(wrong)
    }
}

fn volume_facts(name: String) -> VolumeFacts {
    VolumeFacts {
        name,
        driver: "local".to_owned(),
        options: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        containers: Vec::new(),
        method: VolumeMethod::Archive,
        held: Vec::new(),
        held_millis: 0,
        server_data: None,
    }
}

/// The name of a dump without its ending.
fn stem_of(dump: &Path) -> &str {
    let name = dump.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    DUMP_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

/// The database that a dump was named after.
fn database_of(file_name: &str) -> Option<String> {
    let before = ["_backup_", "_snapshot_"].iter().find_map(|middle| Some(file_name.split_once(middle)?.0))?;
    (!before.is_empty() && before != "pre_restore").then(|| before.to_owned())
}

/// The database that the file beside a dump names.
fn side_car(dump: &Path) -> Option<String> {
    let name = dump.file_name()?.to_str()?;
    let stem = name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".sql")?;
    let mut bytes = Vec::new();
    let file = StoredFile::new(&dump.with_file_name(format!("{stem}.json"))).open_stored().ok()?;
    file.take(METADATA_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let document: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(document.get("database")?.as_str()?.to_owned())
}

fn is_file(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}

fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// What a folder has, hidden things apart, in the order of names.
fn entries_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries: io::Result<Vec<PathBuf>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut entries = entries?;
    entries.retain(|path| !path.file_name().unwrap_or_default().as_encoded_bytes().starts_with(b"."));
    entries.sort();
    Ok(entries)
}

fn files_in(folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let named = entry.file_name().to_str().is_some_and(|name| !name.starts_with('.') && wanted(name));
        if named && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// The names and lengths of everything below a path, and the bytes of its files, each counted once.
fn inventory(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let (mut lines, mut bytes, mut counted) = (Vec::new(), 0, HashSet::new());
    let name = path.file_name().map(PathBuf::from).unwrap_or_default();
    let mut waiting = vec![(path.to_owned(), name)];
    while let Some((path, relative)) = waiting.pop() {
        let metadata = path.symlink_metadata()?;
        let len = if metadata.is_file() { metadata.len() } else { 0 };
        lines.push(format!("{}\0{len}\n", relative.display()));
        if metadata.is_file() && counted.insert((metadata.dev(), metadata.ino())) {
            bytes += len;
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                waiting.push((entry.path(), relative.join(entry.file_name())));
            }
        }
    }
    lines.sort();
    Ok((lines.concat().into_bytes(), bytes))
}

fn count_files(folder: &Path) -> io::Result<u64> {
    let (mut count, mut waiting) = (0, vec![folder.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            count += u64::from(kind.is_file());
            if kind.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(count)
}

fn sha256(mut file: File, monitor: &Monitor<'_>) -> io::Result<String> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; HASH_BYTES]);
    loop {
        monitor.check().map_err(io::Error::other)?;
        let len = file.read(&mut buffer)?;
        if len == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(buffer.get(..len).unwrap_or_default());
    }
}
