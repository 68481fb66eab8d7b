//! The directories that are components.

use std::path::{Path, PathBuf};

use larder::model::ComponentName;
use larder::source::Excludes;

use super::database::DATABASE;
use super::engine::VOLUME_PREFIX;
use super::file::{self, FILE_NAME};
use super::legacy;
use crate::error::UsageError;

/// The directories of the documented system.
const DEFAULT_DIRECTORIES: [&str; 4] = ["models", "config", "outputs", "logs"];

/// A directory that is a component.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) name: ComponentName,
    pub(crate) path: PathBuf,
    pub(crate) excludes: Excludes,
    /// The patterns of `excludes` as they were written.
    pub(crate) patterns: Vec<String>,
    /// Whether the user named it, so that its absence is an error.
    pub(crate) configured: bool,
}

/// The directories that a file names, else those of the documented system.
pub(super) fn directories(file: &file::File, base: &Path) -> anyhow::Result<Vec<Directory>> {
    let Some(configured) = &file.directories else {
        let found = DEFAULT_DIRECTORIES.iter().map(|name| {
            let name = name.parse::<ComponentName>()?;
            let path = base.join(name.as_str());
            Ok(Directory { name, path, excludes: Excludes::default(), patterns: Vec::new(), configured: false })
        });
        return found.collect();
    };
    let mut directories = Vec::new();
    for (name, entry) in configured {
        let component =
            name.parse::<ComponentName>().map_err(|error| UsageError::new(format!("[directories]: {error}")))?;
        if name == DATABASE || name.starts_with(VOLUME_PREFIX) {
            let message = format!("[directories]: '{name}' is the name of a database or a volume");
            return Err(UsageError::new(message).into());
        }
        let excludes = Excludes::new(entry.exclude())
            .map_err(|error| UsageError::new(format!("[directories.{name}]: {error}")))?;
        if entry.path().as_os_str().is_empty() {
            return Err(UsageError::new(format!(
                "[directories] {name}: the path is empty; `.` is the directory of the system"
            ))
            .into());
        }
        let (path, patterns) = (base.join(entry.path()), entry.exclude().to_vec());
        directories.push(Directory { name: component, path, excludes, patterns, configured: true });
    }
    Ok(directories)
}

/// What is to be written into larder.toml so that `missing` of each directory, patterns of what is mounted there, is left
/// out; `None` when nothing is missing of this one.
pub(crate) fn decision_on_mount(
    (base, all): (&Path, &[Directory]),
    directory: &Directory,
    missing: impl Fn(&Directory) -> Vec<String>,
) -> Option<String> {
    let patterns = missing(directory);
    if patterns.is_empty() {
        return None;
    }
    let name = &directory.name;
    if directory.configured {
        let entry = entry_excluding(base, directory, &patterns);
        return Some(format!(
            "write `{entry}` in [directories] of {FILE_NAME}, in the place of what it says of {name}"
        ));
    }
    // Once there is such a table, it has to name all of them.
    let present = all.iter().filter(|directory| directory.path.exists());
    let entries: Vec<String> = present.map(|directory| entry_excluding(base, directory, &missing(directory))).collect();
    let entries = entries.join(", ");
    Some(format!("write `directories = {{ {entries} }}` in {FILE_NAME}, above its first [table]"))
}

/// A directory as `[directories]` has it, with these patterns besides.
fn entry_excluding(base: &Path, directory: &Directory, patterns: &[String]) -> String {
    let name = directory.name.as_str();
    let name = if name.contains('.') { legacy::quoted(name) } else { name.to_owned() };
    let path = directory.path.strip_prefix(base).unwrap_or(&directory.path);
    let path = legacy::quoted(&path.to_string_lossy());
    let patterns: Vec<String> =
        directory.patterns.iter().chain(patterns).map(|pattern| legacy::quoted(pattern)).collect();
    if patterns.is_empty() {
        return format!("{name} = {path}");
    }
    format!("{name} = {{ path = {path}, exclude = [{}] }}", patterns.join(", "))
}
