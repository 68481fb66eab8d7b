//! Volumes of a live stack: their containers are stopped, the volumes written in place, and the containers started again
//! in the order of their dependencies. When anything fails, what was there before is put back first.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::options::{RestoreOptions, TreeOptions};
use super::report::ComponentRestore;
use super::safety::Safety;
use super::through_engine;
use super::tree::{Place, ProtectedPaths, TreeRestore};
use super::volume_target::{VolumeTarget, check_options, labels};
use crate::cancel::Cancel;
use crate::docker::{Hold, HoldMethod, Journals, Purpose};
use crate::events::Phase;
use crate::model::{Component, Snapshot, VolumeFacts};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::causes::with_causes;
use crate::pipeline::presence::LostPath;
use crate::repo::Repository;

/// How long containers may take to be well after they were started.
const READY_LIMIT: Duration = Duration::from_mins(1);
/// A volume to restore, with what is lost of it.
pub(super) struct VolumeJob<'a> {
    pub(super) component: &'a Component,
    pub(super) target: &'a VolumeTarget,
    pub(super) lost: Vec<LostPath>,
}

pub(super) struct Volumes<'a> {
    pub(super) repository: &'a Repository,
    pub(super) snapshot: &'a Snapshot,
    pub(super) options: RestoreOptions,
    pub(super) monitor: &'a Monitor<'a>,
}

impl Volumes<'_> {
    /// Restores the volumes, all or none of them. What went wrong is in the results, also when it was interrupted.
    pub(super) fn restore(&self, jobs: &[VolumeJob<'_>], safety: Safety) -> Vec<ComponentRestore> {
        let mut results: Vec<ComponentRestore> = jobs.iter().map(result_of).collect();
        for (job, result) in jobs.iter().zip(&mut results) {
            let checked = check_options(job.target, job.component).and_then(|()| job.target.check());
            note_failure(checked, result);
        }
        if self.options.dry_run {
            let jobs = jobs.iter().zip(&mut results).filter(|(_, result)| result.failed.is_empty());
            for (job, result) in jobs {
                let outcome = self.write(job, result, self.monitor);
                note_failure(outcome, result);
            }
            return results;
        }
        // Nothing is stopped for what cannot be done.
        for (job, result) in jobs.iter().zip(&mut results) {
            if let Some(lost) = job.lost.first() {
                result.damaged = true;
                let why = format!("{} is lost, so the volume stays as it is", lost.shown());
                result.failed.push((result.name.clone(), why));
            }
        }
        if results.iter().any(|result| !result.failed.is_empty()) {
            return results;
        }
        self.monitor.hold(true);
        self.restore_held(jobs, &mut results, safety);
        self.monitor.hold(false);
        results
    }

    fn restore_held(&self, jobs: &[VolumeJob<'_>], results: &mut [ComponentRestore], safety: Safety) {
        let holds = match self.hold(jobs, safety.held, safety.snapshot.as_ref(), &safety.journals) {
            Ok(holds) => holds,
            Err(error) => {
                let why = format!("the containers that use the volumes could not be stopped: {error}");
                return results.iter_mut().for_each(|result| result.failed.push((result.name.clone(), why.clone())));
            }
        };
        let stopped: Vec<String> = holds.iter().flat_map(Hold::names).collect();
        let running: Vec<String> = holds.iter().flat_map(Hold::names_of_running).collect();
        let mut made = Vec::new();
        for (job, result) in jobs.iter().zip(&mut *results) {
            let outcome =
                make(job.target, job.component, &mut made).and_then(|()| self.write(job, result, self.monitor));
            note_failure(outcome, result);
            if !result.failed.is_empty() {
                break;
            }
        }
        let failed = results.iter().any(|result| !result.failed.is_empty()) || self.monitor.is_cancelled();
        if failed && !self.put_back(jobs, results, safety.snapshot.as_ref(), &made) {
            holds.into_iter().for_each(Hold::keep);
            let text = "the containers stay stopped, because their volumes are not whole";
            for result in results {
                result.notes.push(format!("{text}: {}", stopped.join(", ")));
            }
            return;
        }
        self.start(holds, jobs, results, &running);
    }

    /// Stops everything that uses the volumes, unless it is stopped already.
    fn hold(
        &self,
        jobs: &[VolumeJob<'_>],
        held: Vec<Hold>,
        safety: Option<&Snapshot>,
        journals: &Journals,
    ) -> Result<Vec<Hold>, Error> {
        let purpose = || Purpose::Restore {
            snapshot: self.snapshot.name.to_string(),
            volumes: jobs.iter().map(|job| (job.component.name.to_string(), job.target.name.clone())).collect(),
            safety: safety.map(|safety| safety.name.to_string()),
        };
        let known: Vec<String> = held.iter().flat_map(Hold::names).collect();
        let mut holds = Vec::new();
        for hold in held {
            holds.push(hold.turn_to(purpose(), journals)?);
        }
        let Some(engine) = jobs.first().map(|job| &job.target.engine) else { return Ok(holds) };
        let volumes: Vec<&str> = jobs.iter().map(|job| job.target.name.as_str()).collect();
        let mut users = engine.users(&volumes)?;
        users.retain(|user| !known.contains(&user.name));
        self.monitor.begin(Phase::StoppingContainers, None);
        holds.push(Hold::begin(engine, &users, HoldMethod::Stop, purpose(), journals)?);
        Ok(holds)
    }

    /// Makes the volume equal to the component.
    fn write(&self, job: &VolumeJob<'_>, result: &mut ComponentRestore, monitor: &Monitor<'_>) -> Result<(), Error> {
        let make_equal = self.options.is_made_equal(job.component, result);
        let options = TreeOptions { make_equal, dry_run: self.options.dry_run, delete_before_write: false };
        self.write_as(job, options, result, monitor)
    }

    fn write_as(
        &self,
        job: &VolumeJob<'_>,
        options: TreeOptions,
        result: &mut ComponentRestore,
        monitor: &Monitor<'_>,
    ) -> Result<(), Error> {
        let (component, target) = (job.component, job.target);
        let Some(root) = &component.root else { return Ok(()) };
        monitor.begin(Phase::Restoring { component: component.name.as_str() }, Some(component.bytes));
        let Some(volume) = target.engine.volume(&target.name)? else {
            // Only when nothing may be touched.
            result.written = component.files;
            result.bytes_written = component.bytes;
            return Ok(());
        };
        let source = target.source(volume)?;
        match source.directory() {
            Some(directory) => {
                let protected = ProtectedPaths::new(target.excludes.clone()).with_caches();
                let place = Place { root: directory.root(), trust: source.trust(), protected };
                TreeRestore::live(self.repository, place, options, &job.lost).run(component, root, result, monitor)
            }
            None => through_engine::write(self.repository, component, target, options, result, monitor),
        }
    }

    /// Puts back what was there before. Says whether the volumes are whole.
    fn put_back(
        &self,
        jobs: &[VolumeJob<'_>],
        results: &mut [ComponentRestore],
        safety: Option<&Snapshot>,
        made: &[String],
    ) -> bool {
        let mut whole = true;
        for (job, result) in jobs.iter().zip(results) {
            if made.contains(&job.target.name) {
                // Nothing was there before.
                whole &= job.target.engine.remove_volume(&job.target.name).is_ok();
                continue;
            }
            if !result.touched {
                continue;
            }
            let before = safety.and_then(|safety| safety.component(job.component.name.as_str()));
            let Some(before) = before.filter(|component| component.root.is_some()) else {
                whole = false;
                continue;
            };
            let mut put_back = result_of(job);
            let back = VolumeJob { component: before, target: job.target, lost: Vec::new() };
            let options = TreeOptions { make_equal: true, dry_run: false, delete_before_write: true };
            // It is finished even when the user wants to stop: nothing may stay half-written.
            let outcome = self.write_as(&back, options, &mut put_back, &Monitor::unheard(&Cancel::new()));
            note_failure(outcome, &mut put_back);
            result.not_set.append(put_back.not_set);
            match put_back.failed.iter().next() {
                None => result.notes.push("what was there before was put back".to_owned()),
                Some((path, why)) => {
                    whole = false;
                    result.failed.push((path.clone(), format!("what was there before could not be put back: {why}")));
                }
            }
        }
        whole
    }

    /// Starts the containers and waits until those that run then are well.
    fn start(&self, holds: Vec<Hold>, jobs: &[VolumeJob<'_>], results: &mut [ComponentRestore], running: &[String]) {
        let Some(engine) = jobs.first().map(|job| Arc::clone(&job.target.engine)) else { return };
        self.monitor.begin(Phase::StartingContainers, None);
        let mut failures: Vec<String> = Vec::new();
        for hold in holds {
            failures.extend(hold.release().err().map(|error| error.to_string()));
        }
        if failures.is_empty() {
            let ready = engine.wait_ready(running, READY_LIMIT, self.monitor.cancel());
            failures.extend(ready.err().map(|error| error.to_string()));
        }
        for (job, result) in jobs.iter().zip(results) {
            let users = job.target.users.iter().filter(|user| running.contains(&user.name));
            result.restarted = users.map(|user| user.name.clone()).collect();
            result.failed.extend(failures.iter().map(|failure| (result.name.clone(), failure.clone())));
        }
    }
}

/// Makes the volume where there is none.
fn make(target: &VolumeTarget, component: &Component, made: &mut Vec<String>) -> Result<(), Error> {
    check_options(target, component)?;
    if target.engine.volume(&target.name)?.is_some() {
        return Ok(());
    }
    let facts = facts(component)?;
    let labels = labels(target, facts).into_iter().collect();
    // Never with options of a snapshot, also where the volume was there a moment ago.
    target.engine.create_volume(&target.name, &facts.driver, HashMap::new(), labels)?;
    made.push(target.name.clone());
    Ok(())
}

fn facts(component: &Component) -> Result<&VolumeFacts, Error> {
    component.volume.as_ref().ok_or_else(|| Error::Refused(format!("{} is no volume", component.name)))
}

fn result_of(job: &VolumeJob<'_>) -> ComponentRestore {
    ComponentRestore {
        name: job.component.name.to_string(),
        destination: format!("the volume {}", job.target.name),
        ..ComponentRestore::default()
    }
}

fn note_failure(outcome: Result<(), Error>, result: &mut ComponentRestore) {
    if let Err(error) = outcome {
        result.damaged |= error.is_damage();
        result.failed.push((result.name.clone(), with_causes(&error)));
    }
}
