//! A verification from beginning to end: the snapshot or everything, the test restore of it, and what is missed.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use larder::model::{Component, Snapshot};
use larder::pipeline::lookup;
use larder::pipeline::verify::{
    ComponentTest, Damage, Servers, TestPlaces, VerifyOptions, VerifyReport, test_restore, verify,
};
use larder::repo::Repository;
use larder::temporary::TemporaryFolder;

use super::context::Context;
use super::discovery::System;
use super::folder_as_snapshot::{Doubts, find_snapshot};
use super::known_newest::lost_newest;
use super::selection::Select;
use super::write_place;
use crate::error::UsageError;
use crate::exit::Exit;

/// How long a recovery of the whole system may take.
pub(crate) const DRILL_TARGET: Duration = Duration::from_mins(30);
/// What makes a test possible that was not done.
const WAYS_OUT: &str = "install what is lacking, or test on the live server with --on-live-server";
const WAYS_OUT_OF_VOLUMES: &str = "install what is lacking, and run as root";

/// A verification as somebody wants it.
#[derive(Debug, Clone)]
pub(crate) struct VerifyRequest {
    /// The snapshot, or the path of a folder or dump; `None` for everything in the repository.
    pub(crate) name: Option<String>,
    pub(crate) select: Select,
    pub(crate) options: VerifyOptions,
    /// A restore into throwaway places.
    pub(crate) test: Option<TestRequest>,
}

/// A test restore as somebody wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TestRequest {
    /// Whether volumes become temporary volumes with servers on them, and the time is taken.
    pub(crate) is_drill: bool,
    /// Whether databases are loaded into scratch databases on the live servers.
    pub(crate) on_live_server: bool,
    /// Whether the newest snapshot is restored where none is named.
    pub(crate) takes_latest: bool,
}

/// What a verification found.
#[derive(Debug)]
pub(crate) struct VerifyOutcome {
    pub(crate) report: VerifyReport,
    /// A folder that is not as it should be, so that nothing else was looked at.
    pub(crate) doubted: Option<String>,
    /// What a folder lacks that it says it has; it is sound as far as it goes.
    pub(crate) lacking: Vec<String>,
    pub(crate) tests: Vec<ComponentTest>,
    /// How long a drill took.
    pub(crate) drill: Option<Duration>,
    /// Why manifests may be lost, as the repository looks.
    pub(crate) no_manifests: Option<&'static str>,
    /// Why manifests may be lost, as this host knows.
    pub(crate) lost: Option<String>,
    pub(crate) exit: Exit,
}

/// Verifies a snapshot, or everything in the repository.
pub(crate) fn run(context: &Context<'_>, request: &VerifyRequest) -> anyhow::Result<VerifyOutcome> {
    let find = |name: &String| find_snapshot(context, name, &request.select, false);
    let found = match request.name.as_ref().map(find).transpose()? {
        Some(Ok(found)) => Some(found),
        Some(Err(doubts)) => return Ok(doubted(doubts)),
        None => None,
    };
    let (repository, snapshot) = match &found {
        Some(found) => (&found.repository, Some(&found.snapshot)),
        None => (&context.repository()?, None),
    };
    let report = verify(repository, snapshot, request.options, &context.monitor)?;
    let lacking = found.iter().filter(|found| found.is_folder()).flat_map(|found| found.snapshot.errors()).collect();
    let started = Instant::now();
    let tests = match request.test {
        Some(wanted) => test(context, (&request.select, wanted), repository, snapshot)?,
        None => Vec::new(),
    };
    let drill = request.test.filter(|test| test.is_drill).map(|_| started.elapsed());
    let (no_manifests, lost) = if snapshot.is_none() {
        let snapshots = lookup::snapshots(repository)?.snapshots;
        (lookup::lost_manifests(repository, &snapshots)?, lost_newest(context, repository, false)?)
    } else {
        (None, None)
    };
    let outcome = VerifyOutcome { report, doubted: None, lacking, tests, drill, no_manifests, lost, exit: Exit::Done };
    Ok(VerifyOutcome { exit: exit(&outcome), ..outcome })
}

/// What to do about a test that was not done.
pub(crate) fn ways_out(test: &ComponentTest) -> Option<String> {
    let why = test.not_done.as_ref()?;
    let ways = if test.files == 0 { WAYS_OUT } else { WAYS_OUT_OF_VOLUMES };
    Some(format!("{why}: {ways}"))
}

/// What is wrong with a folder, as damage.
fn doubted(Doubts { path, why }: Doubts) -> VerifyOutcome {
    let damage = why.into_iter().map(|what| Damage { object: path.clone(), what }).collect();
    VerifyOutcome {
        report: VerifyReport { damage, ..VerifyReport::default() },
        doubted: Some(path),
        lacking: Vec::new(),
        tests: Vec::new(),
        drill: None,
        no_manifests: None,
        lost: None,
        exit: Exit::Damage,
    }
}

/// The status of a verification that came to its end.
fn exit(outcome: &VerifyOutcome) -> Exit {
    let VerifyOutcome { report, lacking, tests, no_manifests, lost, .. } = outcome;
    let is_missed = no_manifests.is_some() || lost.is_some();
    if !report.is_clean() || tests.iter().any(|test| test.damaged) {
        Exit::Damage
    } else if tests.iter().any(|test| !test.errors.is_empty()) {
        Exit::Failed
    } else if lacking.is_empty() && !is_missed && tests.iter().all(|test| test.not_done.is_none()) {
        Exit::Done
    } else {
        Exit::Partial
    }
}

/// Restores a snapshot into throwaway places.
fn test(
    context: &Context<'_>,
    (select, wanted): (&Select, TestRequest),
    repository: &Repository,
    snapshot: Option<&Snapshot>,
) -> anyhow::Result<Vec<ComponentTest>> {
    write_place::check_temporary(context)?;
    let snapshot = match snapshot {
        Some(snapshot) => snapshot,
        None if wanted.takes_latest => &select.snapshot(context, repository, "latest")?,
        None => {
            let message = "--test-restore restores one snapshot";
            return Err(UsageError::with_advice(message, "name it, or `latest`").into());
        }
    };
    let folder = TemporaryFolder::new("larder-test-restore-").context("cannot create a temporary folder")?;
    let system = context.system()?;
    let servers = if wanted.on_live_server { live_servers(&system, snapshot)? } else { Servers::Throwaway };
    let engine = system.engine().ok();
    let (with_volumes, jobs) = (wanted.is_drill, context.settings.jobs);
    let image = |component: &Component| Some((component.name.to_string(), system.image(component)?));
    let images = snapshot.components.iter().filter_map(image).collect();
    let places = TestPlaces { folder: folder.path(), servers, images, engine, with_volumes, jobs };
    let tests = test_restore(repository, snapshot, &places, &context.monitor)?;
    let left = folder.path().display().to_string();
    folder.close().with_context(|| format!("cannot remove {left}"))?;
    Ok(tests)
}

/// The live servers of the databases that the snapshot has.
fn live_servers(system: &System<'_>, snapshot: &Snapshot) -> anyhow::Result<Servers> {
    let saved = snapshot.components.iter().filter(|component| component.root.is_some());
    let databases = saved.filter(|component| component.database.is_some());
    let live = databases.map(|component| Ok((component.name.to_string(), system.connection(component)?)));
    Ok(Servers::Live(live.collect::<anyhow::Result<_>>()?))
}
