//! The file `larder.toml`. Unknown keys are refused by name.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use larder::source::postgres::TableOptions;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::retention::{RetentionTable, parse_size};
use crate::error::UsageError;

pub(crate) const FILE_NAME: &str = "larder.toml";
/// Longest file with settings that is read, in bytes.
pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
/// Sessions that may read tables at once.
const JOBS_MAX: usize = 64;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) system: System,
    pub(super) backup_dir: Option<PathBuf>,
    pub(super) parity: Option<String>,
    pub(super) directories: Option<BTreeMap<String, DirectoryEntry>>,
    pub(super) database: Option<Database>,
    #[serde(default)]
    pub(super) docker: Docker,
    #[serde(default)]
    pub(super) volumes: BTreeMap<String, Volume>,
    #[serde(default)]
    pub(super) retention: RetentionTable,
}

/// The system itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct System {
    pub(super) name: Option<String>,
}

/// The Docker Engine and the compose project.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Docker {
    pub(super) enabled: Option<bool>,
    pub(super) host: Option<String>,
    pub(super) project: Option<String>,
    pub(super) hold_secs: Option<u64>,
}

/// A volume of the engine.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Volume {
    pub(super) name: Option<String>,
    pub(super) quiesce: Option<Quiesce>,
    #[serde(default)]
    pub(super) method: Method,
    #[serde(default)]
    pub(super) exclude: Vec<String>,
    #[serde(default)]
    pub(super) skip: bool,
}

/// What is done with the containers that write to a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Quiesce {
    Pause,
    Stop,
    None,
}

/// How a volume is read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Method {
    #[default]
    Auto,
    Mountpoint,
    Engine,
}

/// A directory: its path, or a table.
#[derive(Debug)]
pub(super) enum DirectoryEntry {
    Path(PathBuf),
    Table(DirectoryTable),
}

/// By hand, so that an unknown key in the table is named.
impl<'de> Deserialize<'de> for DirectoryEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = DirectoryEntry;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a path, or a table with `path` and `exclude`")
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<DirectoryEntry, E> {
        Ok(DirectoryEntry::Path(PathBuf::from(path)))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DirectoryEntry, A::Error> {
        DirectoryTable::deserialize(MapAccessDeserializer::new(map)).map(DirectoryEntry::Table)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectoryTable {
    path: PathBuf,
    #[serde(default)]
    exclude: Vec<String>,
}

impl DirectoryEntry {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Table(table) => &table.path,
        }
    }

    pub(super) fn exclude(&self) -> &[String] {
        match self {
            Self::Path(_) => &[],
            Self::Table(table) => &table.exclude,
        }
    }
}

/// How to reach the database.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Database {
    pub(super) url: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) name: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) container: Option<String>,
    #[serde(default)]
    pub(super) others: Vec<String>,
    #[serde(default)]
    pub(super) skip: bool,
    pub(super) method: Option<DumpMethod>,
    pub(super) jobs: Option<usize>,
    pub(super) key_order_max: Option<String>,
}

/// How a database is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum DumpMethod {
    /// Table by table, in the order of their keys.
    #[serde(rename = "tables")]
    Tables,
    /// As one plain dump.
    #[serde(rename = "pg_dump")]
    Plain,
}

impl Database {
    /// Whether no database is to be saved.
    pub(super) const fn is_skipped(&self) -> bool {
        self.skip
    }

    /// How databases are read table by table; and whether each is one plain dump instead.
    pub(super) fn tables(&self) -> anyhow::Result<(TableOptions, bool)> {
        let mut options = TableOptions::default();
        if let Some(jobs) = self.jobs {
            if !(1..=JOBS_MAX).contains(&jobs) {
                return Err(UsageError::new(format!("[database] jobs: {jobs} is not from 1 to {JOBS_MAX}")).into());
            }
            options.jobs = jobs;
        }
        if let Some(size) = &self.key_order_max {
            let bad = |error| UsageError::new(format!("[database] key_order_max: {error}"));
            options.scattered_max = parse_size(size).map_err(bad)?;
        }
        Ok((options, self.method == Some(DumpMethod::Plain)))
    }
}

impl File {
    /// The settings in a text; the error names the key and the line.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| one_line(text, &error))
    }

    /// The settings in a table; the error names the key.
    pub(super) fn of_table(table: toml::Table) -> Result<Self, String> {
        table.try_into().map_err(|error: toml::de::Error| error.message().replace('\n', " "))
    }
}

pub(super) fn one_line(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map(|span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
    let message = error.message().replace('\n', " ");
    line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_keys_are_read_and_others_refused_by_name() {
        let text = "backup_dir = \"b\"\n[directories]\nmodels = \"m\"\n[directories.logs]\npath = \"l\"\nexclude = [\"*.tmp\"]\n\
            [database]\nname = \"d\"\nport = 5\n";
        let file = File::parse(text).expect("valid");
        let directories = file.directories.expect("directories");
        assert_eq!(directories["logs"].exclude(), ["*.tmp"]);
        assert_eq!(directories["models"].path(), Path::new("m"));
        let error = File::parse("[directories.logs]\npath = \"l\"\nexclud = []\n").expect_err("a wrong key");
        assert!(error.contains("line 3") && error.contains("exclud"), "{error}");
        let error = File::parse("backup_dir = \"b\"\n[databse]\nname = \"x\"\n").expect_err("a wrong key");
        assert!(error.contains("line 2") && error.contains("databse"), "{error}");
    }
}
