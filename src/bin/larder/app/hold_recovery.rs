//! Containers that killed commands have left held: they are let go on, or started when their volumes are whole again.

use std::time::Duration;

use larder::docker::{self, Engine, Journal, Journals, Leftover, Purpose};
use larder::events::Events;
use larder::pipeline::restore::{Destination, RestoreJob};
use larder::repo::Repository;

use super::context::Context;
use super::discovery::trust_now;
use crate::config::VOLUME_PREFIX;
use crate::host::state::{self, journals};

/// How long a container is waited for that a killed command may have begun to stop. After it the next command waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the containers again that a killed restore into the same volumes of the same engine has left stopped.
pub(crate) fn start_after_killed_restores(events: &dyn Events, repository: &Repository, jobs: &[RestoreJob<'_>]) {
    let journals = journals(repository);
    for (journal, leftover) in journals.leftovers() {
        let Purpose::Restore { volumes, .. } = &leftover.purpose else { continue };
        let is_whole = |volume: &str| {
            jobs.iter().any(|job| match &job.destination {
                Destination::Volume(target) => target.name == volume && target.engine.host() == leftover.host,
                _ => false,
            })
        };
        if !volumes.iter().all(|(_, volume)| is_whole(volume)) {
            continue;
        }
        match resume(&journal, &leftover, &journals) {
            Ok(()) => journal.clear(),
            Err(error) => {
                events.warn(&format!("containers of a killed restore cannot be started: {error}"));
                keep_those_left(journal, &leftover, &journals);
            }
        }
    }
}

/// Lets containers go on, but for those whose volumes another restore has not finished.
fn resume(journal: &Journal, leftover: &Leftover, journals: &Journals) -> Result<(), docker::Error> {
    let engine = Engine::connect(Some(&leftover.host))?;
    let others = journals.of_other_restores(journal);
    let mut leftover = leftover.clone();
    leftover.containers.retain(|held| !others.contains(&held.id));
    leftover.resume(&engine, PATIENCE)
}

/// Takes those off that go on: whoever stops one of them afterwards means it.
fn keep_those_left(journal: Journal, leftover: &Leftover, journals: &Journals) {
    let Ok(engine) = Engine::connect(Some(&leftover.host)) else { return };
    let left = leftover.still_held(&engine);
    if left.containers.len() < leftover.containers.len() && journals.write(&left).is_ok() {
        journal.clear();
    }
}

/// Lets containers go on that a killed command has left held.
///
/// # Errors
/// Where a container may write to what says so.
pub(super) fn resume_abandoned_holds(context: &Context<'_>, repository: &Repository) -> anyhow::Result<()> {
    let journals = journals(repository);
    let leftovers = journals.leftovers();
    if !leftovers.is_empty() {
        state::check(&trust_now(context))?;
    }
    for (journal, leftover) in leftovers {
        let names = leftover.names().join(", ");
        if let Purpose::Restore { snapshot, volumes, safety } = &leftover.purpose {
            let is_over = |engine: Engine| leftover.is_over(&engine, PATIENCE).unwrap_or(false);
            if Engine::connect(Some(&leftover.host)).is_ok_and(is_over) {
                journal.clear();
                continue;
            }
            let what: Vec<&str> = volumes.iter().map(|(_, volume)| volume.as_str()).collect();
            let what = what.join(", ");
            let why = format!("a restore into {what} was killed, and {names} are stopped since");
            let before = safety.as_ref().map(|name| format!(", or {name} in its place for what was there before"));
            let advice = format!(
                "`larder restore {snapshot}{}` writes it again and starts them{}",
                places(volumes),
                before.unwrap_or_default()
            );
            context.events.warn_with(&why, &advice);
            continue;
        }
        match resume(&journal, &leftover, &journals) {
            Ok(()) => {
                context.events.note(&format!("a killed backup held {names}; they go on now"));
                journal.clear();
            }
            Err(error) => {
                context.events.warn(&format!("a backup held {names}, and not all of them can be let go on: {error}"));
                keep_those_left(journal, &leftover, &journals);
            }
        }
    }
    Ok(())
}

/// The options of a restore that writes just these volumes.
fn places(volumes: &[(String, String)]) -> String {
    let components: Vec<&str> = volumes.iter().map(|(component, _)| component.as_str()).collect();
    let place = |(component, volume): &(String, String)| {
        format!(" --volume {}={volume}", component.strip_prefix(VOLUME_PREFIX).unwrap_or(component))
    };
    let places: String = volumes.iter().map(place).collect();
    format!(" --components {}{places}", components.join(","))
}
