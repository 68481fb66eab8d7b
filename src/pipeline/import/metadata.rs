//! What `metadata.json` of a folder says, whoever wrote it: any field may be missing, of another type, or a lie.
//!
//! No path in it is followed. Names of files count, and only those that stay in the folder.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::clock::LocalTime;
use crate::limits::{METADATA_BYTES_MAX, TAGS_MAX};
use crate::model::{ComponentKind, ComponentName, SnapshotKind};
use crate::source::StoredFile;

/// The file of a folder that says what is in it.
pub(super) const METADATA_FILE: &str = "metadata.json";
/// What stands before the name of a volume in the name of its component.
pub(super) const VOLUME_PREFIX: &str = "docker_volume_";
/// How the names of dumps end.
pub(super) const DUMP_ENDINGS: [&str; 2] = [".sql.gz", ".sql"];
/// How the names of archives end.
pub(super) const ARCHIVE_ENDINGS: [&str; 2] = [".tar.gz", ".tar"];
/// Versions of the document that are understood. None at all is an old one.
const VERSIONS: [&str; 2] = ["1.0", "2.0"];
/// Letters of a SHA-256 in hexadecimal.
const CHECKSUM_CHARS: usize = 64;

/// The usable part of a `metadata.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FolderMetadata {
    /// The version of the document, where it is one that is not known.
    pub unknown_version: Option<String>,
    /// The components, in the order of their names.
    pub components: Vec<FolderComponent>,
    /// What was found to be wrong when the folder was made.
    pub errors: Vec<String>,
    /// The snapshot that the folder was exported from.
    pub exported: Option<Exported>,
}

/// What Larder notes of a snapshot in the folder that it is exported to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// The system that it is of, where that is said.
    pub system: Option<String>,
    /// Components that had been left out on purpose.
    pub dropped: Vec<ComponentName>,
    /// Components of which nothing had been saved.
    pub failed: BTreeMap<ComponentName, ComponentKind>,
    /// Whether rows of it are not those of the system.
    pub is_masked: bool,
    /// What had been asked for.
    pub kind: Option<SnapshotKind>,
    /// Words that the user gave it.
    pub tags: Vec<String>,
    /// Whether it was pinned. One of which that is not understood counts as pinned: nothing deletes it for want of a word.
    pub pinned: bool,
    /// When the run began.
    pub time: Option<LocalTime>,
    /// What was not understood.
    pub doubts: Vec<String>,
}

impl Exported {
    /// What a document says of the snapshot; `None` where it is no folder of Larder's. Each field counts by itself.
    fn of(document: &Map<String, Value>) -> Option<Self> {
        let said = document.get("larder")?;
        let mut exported = Self { is_masked: document.contains_key("masked"), ..Self::default() };
        // Folders of earlier versions do not say these.
        let is_said = |name: &str| said.get(name).is_some();
        exported.system = if is_said("system") { exported.field(said, "system") } else { None };
        let dropped = if is_said("dropped") { exported.field(said, "dropped") } else { None };
        exported.dropped = dropped.unwrap_or_default();
        let failed = if is_said("failed") { exported.field(said, "failed") } else { None };
        exported.failed = failed.unwrap_or_default();
        exported.kind = exported.field(said, "kind");
        exported.time = exported.field(said, "time");
        let tags: Option<Vec<String>> = exported.field(said, "tags");
        exported.tags = tags.unwrap_or_default();
        if exported.tags.len() >= TAGS_MAX {
            exported.doubts.push(format!("it has {} tags, and a snapshot has at most {TAGS_MAX}", exported.tags.len()));
            exported.tags.truncate(TAGS_MAX - 1);
        }
        exported.pinned = exported.field(said, "pinned").unwrap_or(true);
        Some(exported)
    }

    /// A field, or a doubt where it is missing or not understood.
    fn field<T: DeserializeOwned>(&mut self, said: &Value, name: &str) -> Option<T> {
        let value = said.get(name).unwrap_or(&Value::Null);
        let understood = T::deserialize(value).ok();
        if understood.is_none() {
            self.doubts.push(format!("what `larder` says of its {name} is not understood"));
        }
        understood
    }
}

/// What it says of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderComponent {
    /// Its name.
    pub name: ComponentName,
    /// What it seems to be.
    pub kind: ComponentKind,
    /// The file that it lies in, relative to the folder.
    pub filename: Option<String>,
    /// SHA-256 of that file, in small letters.
    pub checksum: Option<String>,
    /// Regular files of a directory.
    pub files: Option<u64>,
    /// The volume or database that it was made of.
    pub origin: Option<String>,
    /// The directory that it was copied from, where that is said and is an absolute path.
    pub source: Option<PathBuf>,
    /// What went wrong with it.
    pub errors: Vec<String>,
}

/// The system that the metadata of a folder names.
pub(super) fn exported_system(folder: &Path) -> Option<String> {
    metadata_of(folder)?.exported?.system
}

/// The directories that a folder of the old tool was copied from, by their components.
pub(super) fn copied_from(folder: &Path) -> Vec<(ComponentName, PathBuf)> {
    let of_old_tool = metadata_of(folder).filter(|metadata| metadata.exported.is_none());
    let components = of_old_tool.map(|metadata| metadata.components).unwrap_or_default();
    components.into_iter().filter_map(|component| Some((component.name, component.source?))).collect()
}

fn metadata_of(folder: &Path) -> Option<FolderMetadata> {
    let file = StoredFile::within(folder, Path::new(METADATA_FILE));
    let mut bytes = Vec::new();
    file.open_stored().ok()?.take(METADATA_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    parse(&bytes).ok()
}

/// Reads a `metadata.json`.
///
/// # Errors
/// Why it cannot be used at all.
pub fn parse(bytes: &[u8]) -> Result<FolderMetadata, String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
    let fields = document.as_object().ok_or("it is not an object")?;
    let listed = fields.get("components").and_then(Value::as_object).ok_or("it lists no components")?;
    let version = fields.get("version").and_then(Value::as_str).unwrap_or("1.0");
    let mut metadata = FolderMetadata {
        unknown_version: (!VERSIONS.contains(&version)).then(|| version.to_owned()),
        components: Vec::new(),
        errors: texts(fields.get("validation_errors")),
        exported: Exported::of(fields),
    };
    for (name, value) in listed {
        let name = name.parse::<ComponentName>().map_err(|error| error.to_string())?;
        let fields = value.as_object().ok_or_else(|| format!("what it says of {name} is not an object"))?;
        metadata.components.push(component(name, fields));
    }
    metadata.components.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(metadata)
}

fn component(name: ComponentName, fields: &Map<String, Value>) -> FolderComponent {
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let filename = text("filename").filter(|name| stays_inside(name)).map(str::to_owned);
    let kind = if name.as_str().starts_with(VOLUME_PREFIX) || fields.contains_key("volume") {
        ComponentKind::Volume
    } else if name.as_str() == "database" || filename.as_deref().is_some_and(|name| ends_in(name, &DUMP_ENDINGS)) {
        ComponentKind::Database
    } else if filename.is_some() && !fields.contains_key("backup_dir") {
        ComponentKind::Stream
    } else {
        ComponentKind::Directory
    };
    let checksum = text("checksum").map(str::to_ascii_lowercase);
    let is_checksum = |sum: &String| sum.len() == CHECKSUM_CHARS && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    FolderComponent {
        kind,
        checksum: checksum.filter(is_checksum),
        files: fields.get("files").and_then(Value::as_u64),
        source: text("source_dir").map(PathBuf::from).filter(|path| path.is_absolute()),
        origin: text("volume").or(text("database")).map(str::to_owned),
        errors: texts(fields.get("errors")),
        filename,
        name,
    }
}

/// Whether a name has one of these endings.
pub(super) fn ends_in(name: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| name.ends_with(ending))
}

/// Whether a path has at most one folder before the name, and leads nowhere else.
fn stays_inside(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    parts.len() <= 2 && parts.iter().all(|part| !part.is_empty() && !part.starts_with('.') && !part.contains('\0'))
}

fn texts(list: Option<&Value>) -> Vec<String> {
    let values = list.and_then(Value::as_array).into_iter().flatten();
    values.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_wrong_or_foreign_is_left_out() {
        let text = br#"{"components": {
            "database": {"filename": "../../etc/passwd", "checksum": "sha256...", "errors": ["no", 7]},
            "models": {"backup_dir": "/somewhere/models", "files": "many"},
            "docker_volume_redis": {"filename": null},
            "notes": {"filename": "notes"},
            "second": {"filename": "second.sql.gz", "checksum": "ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789"}
        }, "version": "9", "validation_errors": "none"}"#;
        let found = parse(text).expect("it can be used");
        assert_eq!(found.unknown_version.as_deref(), Some("9"));
        let kinds: Vec<_> = found.components.iter().map(|one| (one.name.as_str(), one.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("database", ComponentKind::Database),
                ("docker_volume_redis", ComponentKind::Volume),
                ("models", ComponentKind::Directory),
                ("notes", ComponentKind::Stream),
                ("second", ComponentKind::Database),
            ]
        );
        let database = &found.components[0];
        assert_eq!((&database.filename, &database.checksum), (&None, &None));
        assert_eq!(database.errors, ["no", "7"]);
        assert!(found.components[4].checksum.as_deref().is_some_and(|sum| sum.starts_with("abcdef")));
    }

    #[test]
    fn what_is_no_metadata_says_why() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "[]",
            "{}",
            "{\"components\": []}",
            "{\"components\": {\"../x\": {}}}",
            "{\"components\": {\"a\": 1}}",
            &deep,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{}", &text[..text.len().min(40)]);
        }
    }

    #[test]
    fn paths_stay_inside() {
        for path in ["a.sql", "docker_volumes/x.tar.gz"] {
            assert!(stays_inside(path), "{path}");
        }
        for path in ["", "/a", "../a", "a/../b", "a/b/c", ".", "a//b", "a\0"] {
            assert!(!stays_inside(path), "{path}");
        }
    }
}
