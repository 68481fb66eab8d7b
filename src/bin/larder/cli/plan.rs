//! `larder plan`: what `create` would back up, from where, and how. Nothing is changed, not even the repository.

use std::io::ErrorKind;
use std::path::Path;

use clap::Args;
use larder::docker::HoldMethod;
use larder::model::{Component, ComponentKind, ComponentName, Expectation, SnapshotKind, VolumeMethod};
use larder::postgres::Tools;
use larder::rooted::{Guarded, Refusal};
use larder::source::VolumeSource;
use larder::source::postgres::tables_without_order;
use serde_json::{Value, json};

use super::ahead::warn_of_clock;
use super::create::{NOTHING_HERE, nothing};
use super::expected::{Gaps, expectation, tell_of_no_database, uncovered};
use super::plan_repository::Known;
use super::{Context, GlobalArguments, plan_repository, refusals};
use crate::config::{Settings, of_run, warn_of_unknown};
use crate::console::warning;
use crate::failure::Exit;
use crate::identity::warn_of_new_system;
use crate::output::Output;
use crate::restoring::{HalfRestored, why_of_directory, why_of_volume};
use crate::system::{Missing, System};
use crate::table::{Align, Table};

/// Show what `create` would back up: which databases, directories and volumes, from where, and which containers would
/// be paused or stopped for it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder plan")]
pub(super) struct PlanArguments {}

/// One component as it would be backed up.
struct Part {
    name: String,
    kind: &'static str,
    source: String,
    method: Option<&'static str>,
    /// `None` for what is no volume.
    quiesce: Option<&'static str>,
    containers: Vec<String>,
    /// The containers that would be held.
    held: Vec<String>,
    /// Tables whose rows would not be in the order of a key, and why; `None` for what is not read table by table.
    unordered: Option<Vec<(String, String)>>,
    problem: Option<String>,
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

impl PlanArguments {
    #[expect(clippy::unused_self, reason = "commands are run alike")]
    pub(super) fn run(&self, global: &GlobalArguments, output: &Output) -> anyhow::Result<Exit> {
        warn_of_unknown();
        let trust = of_run(global.trust_files, &[])?;
        let mut is_believed = true;
        let settings = Settings::load_trusting(global, trust, |_| {
            is_believed = false;
            Ok(())
        })?;
        let refused = refusals::find(&settings, global)?;
        let exit = refusals::tell(&refused, &settings);
        if !is_believed {
            // What it says is not done, be it only asking a server.
            if output.is_json() {
                output.json(&json!({ "project": null, "components": [], "refused": refusals::to_json(&refused) }));
            }
            return Ok(exit);
        }
        let context = Context::with(settings, global, output);
        context.warn_of_strange_folder();
        let known = if refused.iter().any(refusals::Refused::is_of_repository) {
            Ok(Known::default())
        } else {
            plan_repository::look(&context)
        };
        let nothing_known = Known::default();
        let Known { snapshots: earlier, half, system: name } = known.as_ref().unwrap_or(&nothing_known);
        warn_of_new_system(name, earlier);
        warn_of_clock(earlier);
        let system = context.system()?;
        let mut parts = databases(&system);
        parts.extend(directories(&system));
        parts.extend(volumes(&system)?);
        let gaps = Gaps::find(&system, (name, earlier), SnapshotKind::Full, &[])?;
        parts.extend(gaps.missing.iter().map(missing_part));
        gaps.tell();
        tell_of_no_database(&system, &gaps);
        note_half_restored(&system, half, &mut parts);
        note_unexpected(&expectation(name, earlier, SnapshotKind::Full), &mut parts);
        let failed = system.no_engine.is_some() || parts.iter().any(|part| part.problem.is_some());
        if output.is_json() {
            output.json(&json!({
                "project": system.stack.project,
                "components": parts.iter().map(to_json).collect::<Vec<_>>(),
                "uncovered": system.uncovered_binds().into_keys().collect::<Vec<_>>(),
                "refused": refusals::to_json(&refused),
            }));
        } else {
            print(&context, &system, &parts);
        }
        for part in &parts {
            if let Some(problem) = &part.problem {
                warning(&format!("{}: {problem}", part.name));
            }
        }
        known?;
        if parts.is_empty() {
            return Err(nothing(NOTHING_HERE).into());
        }
        Ok(if failed && exit == Exit::Done { Exit::Partial } else { exit })
    }
}

fn databases(system: &System<'_>) -> Vec<Part> {
    let part = |database: &crate::system::Database| {
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
                    && let Err(error) = Tools::of(connection, &|| false)
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
        let writers = source.writers().into_iter().filter(larder::docker::Container::is_up);
        part.held = writers.map(|container| container.name).collect();
    }
}

fn to_json(part: &Part) -> Value {
    json!({
        "name": part.name,
        "kind": part.kind,
        "source": part.source,
        "method": part.method,
        "quiesce": part.quiesce,
        "containers": part.containers,
        "held": part.held,
        "unordered_tables": part.unordered.as_ref().map(|tables| {
            tables.iter().map(|(table, why)| json!({ "table": table, "why": why })).collect::<Vec<_>>()
        }),
        "problem": part.problem,
    })
}

fn print(context: &Context<'_>, system: &System<'_>, parts: &[Part]) {
    if let Some(project) = &system.stack.project {
        context.output.line(&format!("Compose project: {project}"));
    }
    if !parts.is_empty() {
        print_table(context, parts);
    }
    for part in parts {
        for (table, why) in part.unordered.iter().flatten() {
            context.output.line(&format!("Not in the order of a key: {table} of {}, because {why}", part.name));
        }
    }
    for volume in system.stack.anonymous_volumes() {
        context.output.line(&format!("Left out, because it has no name: the volume {}", volume.name));
    }
    for what in uncovered(system) {
        context.output.line(&what);
    }
    for container in system.stack.disbelieved() {
        let mut labels: Vec<&str> = container.foreign_labels.keys().map(String::as_str).collect();
        labels.sort_unstable();
        let (name, labels) = (&container.name, labels.join(", "));
        context
            .output
            .line(&format!("Not believed, because its image says it: of the container {name} the labels {labels}"));
    }
}

fn print_table(context: &Context<'_>, parts: &[Part]) {
    let left = Align::Left;
    let mut table =
        Table::new(&[("component", left), ("kind", left), ("how", left), ("would be held", left), ("from", left)]);
    for part in parts {
        let held = match (part.quiesce, part.held.is_empty()) {
            (Some("none") | None, _) => "-".to_owned(),
            (Some(_), true) => "nobody writes".to_owned(),
            (Some(quiesce), false) => format!("{} ({quiesce})", part.held.join(", ")),
        };
        let how = part.method.unwrap_or("-").to_owned();
        table.row(vec![part.name.clone(), part.kind.to_owned(), how, held, part.source.clone()]);
    }
    table.lines().iter().for_each(|line| context.output.line(line));
}
