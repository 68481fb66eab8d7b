//! What a backup would save: from where, how, and what it would have to hold for it. Nothing is changed, not even the repository.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use larder::cancel::Cancel;
use larder::docker::{Container, HoldMethod};
use larder::events::Events;
use larder::model::{Component, ComponentKind, ComponentName, Expectation, SnapshotKind, VolumeMethod};
use larder::postgres::Tools;
use larder::rooted::{Guarded, Refusal};
use larder::source::VolumeSource;
use larder::source::postgres::tables_without_order;

use super::clock::warn_of_clock;
use super::context::Context;
use super::create::{NOTHING_HERE, nothing};
use super::discovery::{Database, Missing, System};
use super::expected::{Gaps, expectation, tell_of_no_database, uncovered};
use super::identity::warn_of_new_system;
use super::plan_repository::{self, Known};
use super::refusals::{self, Refused};
use super::restoring::{HalfRestored, why_of_directory, why_of_volume};
use crate::config::{Overrides, Settings, of_run};
use crate::exit::Exit;

/// The settings of a plan, and what a backup would not believe of what they come from and name.
pub(crate) struct BelievedSettings {
    pub(crate) settings: Settings,
    /// Whether the configuration is believed. Where it is not, nothing is done that it says, be it only asking a server.
    pub(crate) is_believed: bool,
    pub(crate) refused: Vec<Refused>,
    /// The status that the refusals give.
    pub(crate) exit: Exit,
}

/// What would be saved.
pub(crate) struct PlanOutcome {
    /// The compose project.
    pub(crate) project: Option<String>,
    pub(crate) parts: Vec<Part>,
    /// What containers write to of the host and no component has.
    pub(crate) uncovered: Vec<PathBuf>,
    /// The same in words.
    pub(crate) uncovered_texts: Vec<String>,
    /// Volumes that are left out, because they have no names.
    pub(crate) anonymous_volumes: Vec<String>,
    /// Containers with labels that are not believed.
    pub(crate) disbelieved: Vec<Disbelieved>,
    /// The status; or why a backup would not even begin.
    pub(crate) exit: anyhow::Result<Exit>,
}

/// A container with labels that its image has, so that they are not believed.
#[derive(Debug)]
pub(crate) struct Disbelieved {
    pub(crate) container: String,
    pub(crate) labels: Vec<String>,
}

/// One component as it would be backed up.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) source: String,
    pub(crate) method: Option<&'static str>,
    /// `None` for what is no volume.
    pub(crate) quiesce: Option<&'static str>,
    pub(crate) containers: Vec<String>,
    /// The containers that would be held.
    pub(crate) held: Vec<String>,
    /// Tables whose rows would not be in the order of a key, and why; `None` for what is not read table by table.
    pub(crate) unordered: Option<Vec<(String, String)>>,
    pub(crate) problem: Option<String>,
}

impl Part {
    fn new(name: &ComponentName, kind: &'static str, source: String) -> Self {
        Self {
            name: name.to_string(),
            kind,
            source,
            method: None,
            quiesce: None,
            containers: Vec::new(),
            held: Vec::new(),
            unordered: None,
            problem: None,
        }
    }
}

impl BelievedSettings {
    /// Finds the settings, and tells what is not believed.
    pub(crate) fn find(overrides: &Overrides, events: &dyn Events) -> anyhow::Result<Self> {
        let trust = of_run((overrides.trust_files, &[]), events)?;
        let mut is_believed = true;
        let settings = Settings::load_trusting(overrides, trust, |_| {
            is_believed = false;
            Ok(())
        })?;
        let refused = refusals::find(&settings, overrides, events)?;
        let exit = refusals::tell(&refused, &settings, events);
        Ok(Self { settings, is_believed, refused, exit })
    }
}

/// Looks what there is, and what of it could not be saved. `exit` is the status that the refusals give.
pub(crate) fn find(context: &Context<'_>, refused: &[Refused], exit: Exit) -> anyhow::Result<PlanOutcome> {
    context.warn_of_strange_folder();
    let known = if refused.iter().any(Refused::is_of_repository) {
        Ok(Known::default())
    } else {
        plan_repository::look(context)
    };
    let nothing_known = Known::default();
    let Known { snapshots: earlier, half, system: name } = known.as_ref().unwrap_or(&nothing_known);
    warn_of_new_system(context.events, name, earlier);
    warn_of_clock(context.events, earlier);
    let system = context.system()?;
    let mut parts = databases(&system);
    parts.extend(directories(&system));
    parts.extend(volumes(&system)?);
    let gaps = Gaps::find(&system, (name, earlier), SnapshotKind::Full, &[])?;
    parts.extend(gaps.missing.iter().map(missing_part));
    gaps.tell(context.events);
    tell_of_no_database(context.events, &system, &gaps);
    note_half_restored(&system, half, &mut parts);
    note_unexpected(&expectation(name, earlier, SnapshotKind::Full), &mut parts);
    let failed = system.no_engine.is_some() || parts.iter().any(|part| part.problem.is_some());
    let exit = match known {
        Err(why) => Err(why),
        Ok(_) if parts.is_empty() => Err(nothing(NOTHING_HERE).into()),
        Ok(_) => Ok(if failed { exit.or_partial() } else { exit }),
    };
    Ok(PlanOutcome {
        project: system.stack.project.clone(),
        parts,
        uncovered: system.uncovered_binds().into_keys().collect(),
        uncovered_texts: uncovered(&system),
        anonymous_volumes: system.stack.anonymous_volumes().iter().map(|volume| volume.name.clone()).collect(),
        disbelieved: disbelieved(&system),
        exit,
    })
}

fn disbelieved(system: &System<'_>) -> Vec<Disbelieved> {
    let of = |container: &Container| {
        let mut labels: Vec<String> = container.foreign_labels.keys().cloned().collect();
        labels.sort_unstable();
        Disbelieved { container: container.name.clone(), labels }
    };
    system.stack.disbelieved().map(of).collect()
}

fn databases(system: &System<'_>) -> Vec<Part> {
    let part = |database: &Database| {
        let mut unordered = None;
        let (source, containers, problem) = match &database.connection {
            Ok(connection) => {
                let container = connection.place.container().map(str::to_owned);
                let mut problem = database.others_unknown.clone();
                match system.settings.tables.map(|options| tables_without_order(connection, options)) {
                    Some(Ok(tables)) => unordered = Some(tables),
                    Some(Err(error)) => problem = problem.or(Some(error.to_string())),
                    None => {}
                }
                if problem.is_none()
                    && let Err(error) = Tools::of(connection, &Cancel::new())
                {
                    problem = Some(error.to_string());
                }
                (connection.to_string(), container.into_iter().collect(), problem)
            }
            Err(why) => ("nothing".to_owned(), Vec::new(), Some(why.clone())),
        };
        let method = if containers.is_empty() { "connection" } else { "exec" };
        Part { method: Some(method), containers, unordered, problem, ..Part::new(&database.name, "database", source) }
    };
    system.databases.iter().map(part).collect()
}

fn directories(system: &System<'_>) -> Vec<Part> {
    let present = system.present_directories();
    let part = |name: &String| {
        let directory = system.settings.directory(name)?;
        let path = directory.path.display();
        let problem = match system.trust.open_directory(&directory.path) {
            Err(Refusal::Io { source, .. }) => Some(match source.kind() {
                ErrorKind::NotFound => format!("{path} is not there"),
                ErrorKind::NotADirectory => format!("{path} is not a directory"),
                _ => format!("cannot read {path}: {source}"),
            }),
            // What a command mends is told with it.
            Err(refusal) if refusal.mend().is_none() => Some(refusal.to_string()),
            _ => {
                let source = system.directory_source(directory).forbidding(Guarded::at(&system.settings.backup_dir));
                let problems: Vec<String> =
                    source.refusal().into_iter().chain(source.confusion()).chain(source.missing_mounts()).collect();
                joined(&problems)
            }
        };
        Some(Part { problem, ..Part::new(&directory.name, "directory", path.to_string()) })
    };
    present.iter().filter_map(part).collect()
}

/// Says of directories and volumes that a restore into them has not come to its end.
fn note_half_restored(system: &System<'_>, half: &[HalfRestored], parts: &mut [Part]) {
    let host = system.engine().map(|engine| engine.host().to_owned()).unwrap_or_default();
    for part in parts.iter_mut().filter(|part| part.problem.is_none()) {
        part.problem = match part.kind {
            "directory" => why_of_directory(half, Path::new(&part.source)),
            "volume" => why_of_volume(half, &host, &part.source),
            _ => None,
        };
    }
}

/// Says of directories that they are empty, or another one, where the last backup had something.
fn note_unexpected(expectation: &Expectation<'_>, parts: &mut [Part]) {
    for part in parts.iter_mut().filter(|part| part.problem.is_none() && part.kind == "directory") {
        let Some(before) = expectation.get(&part.name).map(|expected| expected.component) else { continue };
        let is_empty = Path::new(&part.source).read_dir().is_ok_and(|mut entries| entries.next().is_none());
        let (files, bytes) = if is_empty { (0, 0) } else { (before.files, before.bytes) };
        // How many files there are is not known before they are read.
        let now = Component { source: part.source.clone(), files, bytes, ..before.clone() };
        part.problem = expectation.doubt_of(&now);
    }
}

/// A component that the last backup had and that is gone.
fn missing_part(missing: &Missing) -> Part {
    let kind = match missing.kind {
        ComponentKind::Database => "database",
        ComponentKind::Volume => "volume",
        ComponentKind::Directory => "directory",
        ComponentKind::Stream => "stream",
    };
    Part { problem: Some(missing.why.clone()), ..Part::new(&missing.name, kind, missing.source.clone()) }
}

fn joined(problems: &[String]) -> Option<String> {
    (!problems.is_empty()).then(|| problems.join("; "))
}

fn volumes(system: &System<'_>) -> anyhow::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for volume in &system.volumes {
        let quiesce = match volume.settings.hold {
            Some(HoldMethod::Pause) => "pause",
            Some(HoldMethod::Stop) => "stop",
            None => "none",
        };
        let mut part = Part { quiesce: Some(quiesce), ..Part::new(&volume.name, "volume", "nothing".to_owned()) };
        match &volume.found {
            Err(why) => part.problem = Some(why.clone()),
            Ok(found) => {
                part.source.clone_from(&found.name);
                match system.volume_source(found, &volume.settings)? {
                    Err(error) => part.problem = Some(error.to_string()),
                    Ok(source) => fill(&mut part, &source, volume.settings.hold.is_some()),
                }
            }
        }
        parts.push(part);
    }
    Ok(parts)
}

fn fill(part: &mut Part, source: &VolumeSource, holds: bool) {
    part.method = Some(match source.method() {
        VolumeMethod::Mountpoint => "mountpoint",
        VolumeMethod::Engine => "engine",
        VolumeMethod::Archive => "archive",
    });
    part.containers = source.containers().iter().map(|container| container.name.clone()).collect();
    if holds {
        let writers = source.writers().into_iter().filter(Container::is_up);
        part.held = writers.map(|container| container.name).collect();
    }
}
