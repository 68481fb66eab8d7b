//! PostgreSQL's own programs: finding those that fit the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Connection, Error, query};
use crate::cancel::Cancel;
use crate::process::{Place, Program};

/// Where packages put the programs of each version.
const VERSIONED: &str = "/usr/lib/postgresql";
const MAJOR_SQL: &str = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000";

/// The client programs for one server.
#[derive(Debug, Clone)]
pub struct Tools {
    /// `pg_dump`.
    pub dump: PathBuf,
    /// Its version.
    pub dump_version: String,
}

impl Tools {
    /// The programs for the server of a connection, which is asked for its version.
    ///
    /// # Errors
    /// Those of [`Tools::for_server`], and of asking.
    pub fn of(connection: &Connection, cancel: &Cancel) -> Result<Self, Error> {
        let rows = query(connection, MAJOR_SQL, cancel)?;
        let major = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
        let major = major.ok_or_else(|| Error::Answer { why: "it has no version".to_owned() })?;
        Self::for_server(major, &connection.place, cancel)
    }

    /// The programs of the oldest installed version that is not older than the server.
    ///
    /// # Errors
    /// [`Error::NoProgram`]; in a container also those of running it.
    pub fn for_server(server_major: u32, place: &Place, cancel: &Cancel) -> Result<Self, Error> {
        if place.container().is_some() {
            return Self::in_container(place, cancel);
        }
        let mut folders: Vec<(u32, PathBuf)> = versioned_folders();
        folders.sort();
        let fitting = folders.into_iter().filter(|(major, _)| *major >= server_major).map(|(_, folder)| folder);
        for folder in fitting.map(Some).chain([None]) {
            let dump = folder.map_or_else(|| PathBuf::from("pg_dump"), |folder| folder.join("pg_dump"));
            let Some(dump_version) = version_of(&dump) else { continue };
            if major_of(&dump_version).is_some_and(|major| major >= server_major) {
                return Ok(Self { dump, dump_version });
            }
        }
        Err(Error::NoProgram { program: "pg_dump", major: server_major })
    }

    /// The server's own programs, which always fit.
    fn in_container(place: &Place, cancel: &Cancel) -> Result<Self, Error> {
        let dump = PathBuf::from("pg_dump");
        let mut program = Program::new(&dump, place.clone());
        let output = program.arg("--version").run(cancel)?;
        let dump_version = version_in(&String::from_utf8_lossy(&output)).unwrap_or_default();
        Ok(Self { dump, dump_version })
    }

    /// Whether `pg_dump` can be given the token of its `\restrict` command.
    #[must_use]
    pub fn has_restrict_key(&self) -> bool {
        let help = Command::new(&self.dump).arg("--help").output();
        help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--restrict-key"))
    }
}

/// The newest `psql` that is installed: it talks to every older server, and understands what every dump says to it. In a
/// container the server's own.
#[must_use]
pub fn psql_program(place: &Place) -> PathBuf {
    if place.container().is_some() {
        return PathBuf::from("psql");
    }
    let mut folders = versioned_folders();
    folders.sort();
    let packaged = folders.into_iter().rev().map(|(_, folder)| folder.join("psql")).find(|program| program.exists());
    packaged.unwrap_or_else(|| PathBuf::from("psql"))
}

/// The folder with `initdb` and `postgres` of the newest version that is installed.
#[must_use]
pub fn find_server_programs() -> Option<PathBuf> {
    let mut folders = versioned_folders();
    folders.sort();
    let packaged = folders.into_iter().rev().map(|(_, folder)| folder);
    let on_path =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    packaged.chain(on_path).find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// The folder with the server's programs of one major version.
#[must_use]
pub fn server_programs_of(major: &str) -> Option<PathBuf> {
    let mut folders = versioned_folders().into_iter().filter(|(found, _)| found.to_string() == major);
    let packaged = folders.next().map(|(_, folder)| folder).filter(|folder| folder.join("postgres").exists());
    packaged.or_else(|| {
        let folder = find_server_programs()?;
        let version = version_of(&folder.join("postgres"))?;
        (major_of(&version)?.to_string() == major).then_some(folder)
    })
}

fn versioned_folders() -> Vec<(u32, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(VERSIONED) else { return Vec::new() };
    let folder = |entry: std::fs::DirEntry| {
        let major = entry.file_name().to_str()?.parse().ok()?;
        Some((major, entry.path().join("bin")))
    };
    entries.flatten().filter_map(folder).collect()
}

fn version_of(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
}

fn version_in(text: &str) -> Option<String> {
    text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit())).map(str::to_owned)
}

fn major_of(version: &str) -> Option<u32> {
    version.split(|char: char| !char.is_ascii_digit()).next()?.parse().ok()
}
