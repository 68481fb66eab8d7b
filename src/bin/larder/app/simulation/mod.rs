//! A made-up system in a temporary folder, backed up night after night by the real pipeline.
//!
//! The same settings make the same rows and files. The database is a real PostgreSQL where its programs are installed, else
//! a dump that is written as PostgreSQL writes it. When the run ends, however it ends, nothing of it is left.

mod database;
mod folders;
mod rows;
mod text;

use std::path::Path;

use anyhow::{Context as _, bail};
use larder::clock::LocalTime;
use larder::events::{Event, Events, Phase};
use larder::limits::SIMULATION_ROWS_END_MAX;
use larder::model::{Snapshot, SnapshotKind, SnapshotName, Status};
use larder::monitor::Monitor;
use larder::pipeline::backup::{self, BackupOptions, ComponentSource, Origin};
use larder::pipeline::savings::{Savings, savings};
use larder::repo::Repository;
use larder::rooted::Trust;
use larder::source::{DirSource, Excludes};
use larder::temporary::TemporaryFolder;

use crate::error::UsageError;
use crate::units::{count, size};
use database::Database;
use folders::{FOLDERS, Folders};
use rows::Rows;

/// What is not said is chosen so that a week takes well under a minute.
pub(crate) const ROWS: u32 = 40_000;
pub(crate) const UPDATE_PERCENT: f64 = 2.0;
pub(crate) const INSERT_PERCENT: f64 = 1.5;

/// 2026-01-01 02:00:00 UTC: the first night.
const FIRST_NIGHT_MICROS: i64 = 1_767_232_800_000_000;
const DAY_SECS: i64 = 86_400;

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) nights: u32,
    pub(crate) rows: u32,
    pub(crate) update_percent: f64,
    pub(crate) insert_percent: f64,
    /// Whether a PostgreSQL is started where one is installed.
    pub(crate) with_postgres: bool,
}

impl Settings {
    /// Refuses what would grow too large.
    pub(crate) fn check(&self) -> Result<(), UsageError> {
        let end = u64::from(self.rows) + u64::from(self.inserts()) * u64::from(self.nights - 1);
        if end <= SIMULATION_ROWS_END_MAX {
            return Ok(());
        }
        let message =
            format!("{end} rows would be there in the end, and at most {SIMULATION_ROWS_END_MAX} are simulated");
        Err(UsageError::with_advice(message, "take fewer nights, fewer rows, or a lower --insert"))
    }

    /// Rows that are inserted each night.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the percents were checked; it saturates"
    )]
    fn inserts(&self) -> u32 {
        (f64::from(self.rows) * self.insert_percent / 100.0).round() as u32
    }
}

/// What was simulated.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) settings: Settings,
    pub(crate) rows_end: u64,
    /// Version of the server, where there was one.
    pub(crate) postgres: Option<String>,
    live_bytes: u64,
}

impl Facts {
    /// What was simulated, in words.
    pub(crate) fn sentence(&self) -> String {
        let Settings { nights, rows, update_percent, insert_percent, .. } = self.settings;
        let database = match &self.postgres {
            Some(version) => format!("a PostgreSQL {version}"),
            None => "a dump like PostgreSQL's".to_owned(),
        };
        format!(
            "Simulated: {} of {database} with {} ({} with folders), {update_percent} % updated and \
             {insert_percent} % inserted a night.",
            count(u64::from(nights), "night", "nights"),
            count(u64::from(rows), "row", "rows"),
            size(self.live_bytes),
        )
    }
}

/// Runs the nights, and adds up what they take.
pub(crate) fn run(settings: Settings, monitor: &Monitor<'_>) -> anyhow::Result<(Savings, Facts)> {
    monitor.begin(Phase::MakingUpSystem, None);
    let folder = TemporaryFolder::new("larder-simulation-");
    let folder = folder.context("cannot create a temporary folder")?;
    let storage = larder::storage::open(&folder.path().join("backups").to_string_lossy(), &Trust::default())?;
    let repository = Repository::open_or_create(storage)?;
    let database = Database::start(folder.path(), settings.with_postgres, monitor)?;
    let (snapshots, rows_end) = run_nights(settings, (&repository, folder.path()), &database, monitor)?;
    let facts = Facts {
        settings,
        rows_end,
        postgres: database.version().map(str::to_owned),
        live_bytes: snapshots.first().map_or(0, Snapshot::bytes),
    };
    let savings = savings(&repository, &snapshots, monitor)?;
    Ok((savings, facts))
}

/// The snapshots, oldest first, and how many rows there are in the end.
fn run_nights(
    settings: Settings,
    (repository, folder): (&Repository, &Path),
    database: &Database,
    monitor: &Monitor<'_>,
) -> anyhow::Result<(Vec<Snapshot>, u64)> {
    let (mut rows, mut folders) = (Rows::new(settings.rows), Folders::new(folder, settings.rows));
    let mut snapshots = Vec::new();
    for night in 1..=settings.nights {
        monitor.begin(Phase::SimulatingNight { night, nights: settings.nights }, None);
        if night == 1 {
            database.make(&rows, monitor)?;
            folders.make()?;
        } else {
            let change = rows.change(settings.update_percent, settings.inserts());
            database.change(&rows, &change, monitor)?;
        }
        folders.end_day(night, &rows)?;
        monitor.check().map_err(larder::pipeline::Error::from)?;
        snapshots.push(back_up(repository, night, &sources(database, folder)?, monitor)?);
    }
    Ok((snapshots, rows.len()))
}

fn sources(database: &Database, folder: &Path) -> anyhow::Result<Vec<ComponentSource>> {
    let mut sources = vec![ComponentSource { name: "database".parse()?, origin: database.origin() }];
    for name in FOLDERS {
        let origin = Origin::Directory(DirSource::new(folder.join(name), Excludes::default()));
        sources.push(ComponentSource { name: name.parse()?, origin });
    }
    Ok(sources)
}

fn back_up(
    repository: &Repository,
    night: u32,
    sources: &[ComponentSource],
    monitor: &Monitor<'_>,
) -> anyhow::Result<Snapshot> {
    let first = LocalTime { unix_micros: FIRST_NIGHT_MICROS, offset_secs: 0 };
    let time = first.plus_secs(i64::from(night - 1) * DAY_SECS);
    let reserved = repository.reserve(SnapshotName::at(time).as_str())?;
    let reservation = reserved.context("the repository of the simulation has a snapshot of this night already")?;
    let usual = BackupOptions::new(SnapshotKind::Full, "simulation", concat!("larder ", env!("CARGO_PKG_VERSION")));
    let options = BackupOptions { read_back: false, ..usual };
    let quiet = Quiet(monitor.events());
    let report = backup::run(
        repository,
        (reservation, time),
        sources,
        &options,
        &Monitor::new(&quiet, monitor.cancel(), false),
    )?;
    if report.snapshot.status != Status::Complete {
        let errors: Vec<String> = report.snapshot.errors().collect();
        bail!("night {night} could not be backed up: {}", errors.join("; "));
    }
    Ok(report.snapshot)
}

/// Drops the phases of one night, which are of no interest.
struct Quiet<'a>(&'a dyn Events);

impl Events for Quiet<'_> {
    fn event(&self, event: Event<'_>) {
        if !matches!(event, Event::Phase { .. }) {
            self.0.event(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_that_would_grow_too_large_is_refused() {
        let settings =
            Settings { nights: 2, rows: 10_000_000, update_percent: 2.0, insert_percent: 100.0, with_postgres: false };
        assert!(settings.check().is_ok(), "{SIMULATION_ROWS_END_MAX} rows are allowed");
        assert!(Settings { nights: 3, ..settings }.check().is_err());
        assert!(Settings { nights: 366, insert_percent: 1000.0, ..settings }.check().is_err());
    }
}
