//! In which order components are read, and which containers are held meanwhile.
//!
//! Everything is read once while all containers go on. Then, group by group, the containers that write to volumes are
//! held while what has changed in those volumes is read. A volume that the engine archives, or that nobody wrote to, is
//! read only then. What is said of its consistency is what was seen before and after that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assemble::Outcome;
use super::jobs::{Job, Pass, read_jobs};
use super::options::BackupOptions;
use super::origin::ComponentSource;
use super::parent::Parents;
use super::volume_origin::VolumeOrigin;
use crate::clock::LocalTime;
use crate::docker::{self, Container, Engine, Hold, HoldMethod, Journals, Purpose, State, redis};
use crate::events::Phase;
use crate::model::{Component, Consistency, Node, StepTiming, VolumeMethod};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::repo::Transaction;
use crate::source::HardLinks;

/// Volumes whose writers have to be held together.
struct Group {
    numbers: Vec<usize>,
    /// As they were when the system was looked at, those that did not run too.
    writers: Vec<Container>,
    /// `None` when they go on.
    method: Option<HoldMethod>,
    limit: Duration,
}

pub(super) struct Passes<'a> {
    pub(super) sources: &'a [ComponentSource],
    pub(super) components: Vec<Component>,
    pub(super) time: LocalTime,
    pub(super) journals: Journals,
    /// Containers stay held when the backup is done, for who asked for it.
    pub(super) keep_held: bool,
    /// What is new is encoded against what the parent has in its place.
    deltas: bool,
    pub(super) held: Vec<Hold>,
    /// When each component was read, and read again.
    pub(super) steps: Vec<StepTiming>,
    links: HashMap<usize, HardLinks>,
    /// What earlier backups have of the volumes.
    earlier: HashMap<String, (Node, u64)>,
    /// What is worth knowing of components before they are read.
    notes: Vec<(usize, String)>,
}

impl<'a> Passes<'a> {
    pub(super) fn new(sources: &'a [ComponentSource], time: LocalTime, options: &BackupOptions) -> Self {
        let components = sources.iter().map(ComponentSource::empty_component).collect();
        Self {
            sources,
            components,
            time,
            journals: options.journals.clone(),
            keep_held: options.keep_held,
            deltas: options.deltas,
            held: Vec::new(),
            steps: Vec::new(),
            links: HashMap::new(),
            earlier: HashMap::new(),
            notes: Vec::new(),
        }
    }

    /// Reads everything. An error means that the run is over; what goes wrong with a component is in its manifest.
    pub(super) fn run<'t>(
        &mut self,
        mut transaction: Transaction<'t>,
        parents: Parents,
        monitor: &Monitor<'_>,
    ) -> Result<Transaction<'t>, Error> {
        let groups = self.groups();
        let volumes = self.sources.iter().filter(|source| source.source().volume().is_some());
        self.earlier = parents.roots_of(volumes.map(|source| source.name.as_str()));
        let others = self.sources.iter().enumerate().filter(|(_, source)| source.source().volume().is_none());
        let jobs = others.map(|(number, source)| Job { number, source, pass: Pass::Last }).collect();
        transaction = self.read(transaction, parents, jobs, monitor)?;
        let early: Vec<&Group> = groups.iter().filter(|group| !self.first_jobs(group).is_empty()).collect();
        for group in &early {
            if monitor.is_cancelled() {
                return Ok(transaction);
            }
            self.save_servers(group, monitor);
            let parents = self.parents(&transaction, group)?;
            transaction = self.read(transaction, parents, self.first_jobs(group), monitor)?;
        }
        if !early.is_empty() {
            transaction.checkpoint()?;
        }
        for group in &groups {
            if monitor.is_cancelled() {
                return Ok(transaction);
            }
            if self.first_jobs(group).is_empty() {
                self.save_servers(group, monitor);
            }
            transaction = match group.method {
                Some(method) => self.read_held(transaction, group, method, monitor)?,
                None => self.read_live(transaction, group, monitor)?,
            };
        }
        let transaction = self.join_names(transaction, monitor)?;
        for (number, note) in std::mem::take(&mut self.notes) {
            if let Some(component) = self.components.get_mut(number) {
                component.notes.push(note);
            }
        }
        Ok(transaction)
    }

    /// The volumes: those together that share a writer and are not read while it goes on; all of them where they stay held,
    /// so that their writers stop and start in one order.
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            let Some(volume) = source.source().volume() else { continue };
            let method = volume.hold;
            let mut writers = volume.source.writers();
            if method == Some(HoldMethod::Stop) && self.keep_held {
                writers = volume.source.containers().to_vec();
            }
            let mut group = Group { numbers: vec![number], writers, method, limit: volume.limit };
            let shared = |other: &Group| {
                let both_held = method.is_some() && other.method.is_some();
                let shares = other.writers.iter().any(|writer| group.writers.contains(writer));
                both_held && (self.keep_held || shares)
            };
            let (joined, others): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(shared);
            groups = others;
            for other in joined {
                group.numbers.extend(other.numbers);
                group.writers.extend(other.writers);
                group.method = group.method.max(other.method);
                group.limit = group.limit.max(other.limit);
            }
            group.writers.sort_by(|a, b| a.id.cmp(&b.id));
            group.writers.dedup_by(|a, b| a.id == b.id);
            group.numbers.sort_unstable();
            groups.push(group);
        }
        groups.sort_by_key(|group| group.numbers.first().copied());
        groups
    }

    /// What is read of a group while its writers go on. An archive is always whole: reading it twice would not make the
    /// second time shorter. Neither would it where nobody writes.
    fn first_jobs(&self, group: &Group) -> Vec<Job<'a>> {
        let is_early = |volume: &VolumeOrigin| {
            volume.source.method() == VolumeMethod::Mountpoint && volume.source.writers().iter().any(Container::is_up)
        };
        let numbers = group.numbers.iter().filter(|_| group.method.is_some());
        let numbers = numbers.filter(|number| self.volume(**number).is_some_and(is_early));
        let job = |number: &usize| Some(Job { number: *number, source: self.sources.get(*number)?, pass: Pass::First });
        numbers.filter_map(job).collect()
    }

    /// Has Redis servers write down what they have, just before they are read. One that cannot leaves what it wrote last.
    fn save_servers(&mut self, group: &Group, monitor: &Monitor<'_>) {
        let Some((number, volume)) = group.numbers.first().and_then(|n| Some((*n, self.volume(*n)?))) else { return };
        let servers = group.writers.iter().filter(|writer| writer.is_up() && redis::is_redis(writer));
        for server in servers {
            monitor.begin(Phase::SavingServer { container: &server.name }, None);
            let saved = redis::save(volume.source.engine(), server, group.limit, monitor.cancel());
            if let Err(error) = saved {
                let note = format!("what was in the memory of {} may be missing: {error}", server.name);
                self.notes.push((number, note));
            }
        }
    }

    fn volume(&self, number: usize) -> Option<&'a VolumeOrigin> {
        self.sources.get(number).and_then(|source| source.source().volume())
    }

    fn read<'t>(
        &mut self,
        transaction: Transaction<'t>,
        parents: Parents,
        jobs: Vec<Job<'a>>,
        monitor: &Monitor<'_>,
    ) -> Result<Transaction<'t>, Error> {
        let (outcomes, transaction) = read_jobs(transaction, parents, jobs, (self.time, self.deltas), monitor)?;
        for outcome in outcomes.into_iter().filter(|outcome| outcome.ended) {
            self.take(outcome);
        }
        Ok(transaction)
    }

    fn take(&mut self, mut outcome: Outcome) {
        let number = outcome.number;
        let links = outcome.take_links();
        if !links.is_empty() {
            self.links.insert(number, links);
        }
        if let Some(component) = self.components.get_mut(number) {
            let is_again = self.steps.iter().any(|step| step.component.as_ref() == Some(&component.name));
            let step = if is_again { "read again" } else { "read" };
            let (name, timing) = (component.name.clone(), outcome.timing());
            self.steps.push(StepTiming { component: Some(name), step: step.to_owned(), timing });
            outcome.fill(component);
        }
    }

    /// Reads volumes whose writers go on. Where none runs, before and after, they are as after an orderly end.
    fn read_live<'t>(
        &mut self,
        transaction: Transaction<'t>,
        group: &Group,
        monitor: &Monitor<'_>,
    ) -> Result<Transaction<'t>, Error> {
        let parents = self.parents(&transaction, group)?;
        let before = self.users_now(group);
        let transaction = self.read(transaction, parents, self.jobs(group, |_| true), monitor)?;
        let is_still = before.is_ok_and(|before| {
            !before.iter().any(Container::is_up) && matches!(self.wrote_meanwhile(group, &before), Ok(None))
        });
        for component in self.components_of(group) {
            component.consistency = if is_still { Consistency::Stopped } else { Consistency::Live };
        }
        Ok(transaction)
    }

    /// Reads what has changed in the volumes of a group while their writers are held.
    fn read_held<'t>(
        &mut self,
        transaction: Transaction<'t>,
        group: &Group,
        method: HoldMethod,
        monitor: &Monitor<'_>,
    ) -> Result<Transaction<'t>, Error> {
        let parents = self.parents(&transaction, group)?;
        monitor.hold(true);
        let (users, held) = match self.hold(group, method) {
            Ok(held) => held,
            Err(error) => {
                monitor.hold(false);
                return self.read_unheld(transaction, group, &error.to_string(), monitor);
            }
        };
        let names = held.names();
        // It costs nobody anything when nobody is held.
        let cancel = monitor.cancel();
        let within = if names.is_empty() { cancel.child() } else { cancel.child_until(Instant::now() + group.limit) };
        let jobs = self.jobs(group, |component| component.errors.is_empty() || component.root.is_some());
        let read = self.read(transaction, parents, jobs, &monitor.with_cancel(&within));
        let timed_out = within.is_past_deadline() && !monitor.is_cancelled();
        let wrote = if within.is_cancelled() { Ok(None) } else { self.wrote_meanwhile(group, &users) };
        let elapsed = held.elapsed();
        let released = if self.keep_held && read.is_ok() && !timed_out {
            self.held.push(held);
            Ok(())
        } else {
            let released = held.release();
            monitor.hold(false);
            released
        };
        let transaction = read?;
        if let Err(error) = released {
            self.fail(group, &not_let_go(&names, method, &error));
        }
        if timed_out {
            let why = format!("it takes longer than the {} s allowed", group.limit.as_secs());
            return self.read_unheld(transaction, group, &why, monitor);
        }
        let consistency = match method {
            HoldMethod::Pause if users.iter().any(Container::is_up) => Consistency::Paused,
            _ => Consistency::Stopped,
        };
        for component in self.components_of(group) {
            component.consistency = consistency;
            if let Some(facts) = &mut component.volume {
                facts.held.clone_from(&names);
                facts.held_millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            }
        }
        if let Some(what) = not_still(wrote) {
            self.fail(group, &what);
        }
        Ok(transaction)
    }

    fn hold(&self, group: &Group, method: HoldMethod) -> Result<(Vec<Container>, Hold), docker::Error> {
        let users = self.users_now(group)?;
        let engine = self.engine_of(group).expect("a group has a volume");
        // What a restore needs stopped stays so until its volumes are written.
        let journals = self.journals.clone();
        let journals = if self.keep_held { journals } else { journals.limited_to(group.limit) };
        let held = Hold::begin(engine, &users, method, Purpose::Backup, &journals)?;
        Ok((users, held))
    }

    fn engine_of(&self, group: &Group) -> Option<&'a Arc<Engine>> {
        group.numbers.first().and_then(|number| self.volume(*number)).map(|volume| volume.source.engine())
    }

    /// Those who are to be held, as they are now: reading everything else may have taken long.
    fn users_now(&self, group: &Group) -> Result<Vec<Container>, docker::Error> {
        let volumes = group.numbers.iter().filter_map(|number| self.volume(*number));
        let names: Vec<&str> = volumes.map(|volume| volume.source.volume().name.as_str()).collect();
        let engine = self.engine_of(group).expect("a group has a volume");
        let mut users = engine.users(&names)?;
        let writes = |user: &Container| names.iter().any(|name| user.mount(name).is_some_and(|mount| mount.writable));
        users.retain(|user| self.keep_held || writes(user));
        Ok(users)
    }

    /// The name of a container that ran since `before`, when all that ran were held.
    fn wrote_meanwhile(&self, group: &Group, before: &[Container]) -> Result<Option<String>, docker::Error> {
        let mut users = self.users_now(group)?.into_iter();
        let ran = |user: &Container| match before.iter().find(|known| known.id == user.id) {
            Some(known) => known.started != user.started,
            None => user.has_run(),
        };
        let wrote = users.find(|user| matches!(user.state, State::Running | State::Restarting) || ran(user));
        Ok(wrote.map(|user| user.name))
    }

    /// Keeps what could be read while the writers went on, which is not to be trusted.
    fn read_unheld<'t>(
        &mut self,
        mut transaction: Transaction<'t>,
        group: &Group,
        why: &str,
        monitor: &Monitor<'_>,
    ) -> Result<Transaction<'t>, Error> {
        let parents = self.parents(&transaction, group)?;
        let jobs = self.jobs(group, |component| component.root.is_none() && component.errors.is_empty());
        if !jobs.is_empty() {
            transaction = self.read(transaction, parents, jobs, monitor)?;
        }
        self.fail(group, &format!("it was saved while containers wrote to it, because they could not be held: {why}"));
        Ok(transaction)
    }

    fn components_of(&mut self, group: &Group) -> impl Iterator<Item = &mut Component> {
        let components = self.components.iter_mut().enumerate();
        components.filter(|(number, _)| group.numbers.contains(number)).map(|(_, component)| component)
    }

    fn fail(&mut self, group: &Group, what: &str) {
        for component in self.components_of(group) {
            component.consistency = Consistency::Live;
            component.errors.push(what.to_owned());
        }
    }

    fn jobs(&self, group: &Group, wanted: impl Fn(&Component) -> bool) -> Vec<Job<'a>> {
        let numbers = group.numbers.iter().filter(|number| self.components.get(**number).is_some_and(&wanted));
        let job =
            |number: &usize| self.sources.get(*number).map(|source| Job { number: *number, source, pass: Pass::Last });
        numbers.filter_map(job).collect()
    }

    /// What was read while the containers went on, or by an earlier backup: files that are as they were then are not
    /// read again.
    fn parents(&self, transaction: &Transaction<'_>, group: &Group) -> Result<Parents, Error> {
        let mut roots = HashMap::new();
        for component in group.numbers.iter().filter_map(|number| self.components.get(*number)) {
            let name = component.name.to_string();
            let now = component.root.clone().map(|root| (root, component.bytes));
            if let Some(root) = now.or_else(|| self.earlier.get(&name).cloned()) {
                roots.insert(name, root);
            }
        }
        Ok(Parents::of_roots(transaction.reader()?, roots))
    }

    /// Completes the further names of files in volumes that were read as archives.
    fn join_names<'t>(
        &mut self,
        mut transaction: Transaction<'t>,
        monitor: &Monitor<'_>,
    ) -> Result<Transaction<'t>, Error> {
        if self.links.is_empty() || monitor.is_cancelled() {
            return Ok(transaction);
        }
        transaction.checkpoint()?;
        for (number, links) in std::mem::take(&mut self.links) {
            let (Some(source), Some(component)) = (self.sources.get(number), self.components.get(number)) else {
                continue;
            };
            let Some(root) = component.root.clone() else { continue };
            let (errors, notes) = (component.errors.clone(), component.notes.clone());
            let pass = Pass::Relink(Box::new(transaction.reader()?), Box::new(root), links);
            let parents = Parents::of_roots(transaction.reader()?, HashMap::new());
            transaction = self.read(transaction, parents, vec![Job { number, source, pass }], monitor)?;
            if let Some(component) = self.components.get_mut(number) {
                errors.messages.into_iter().for_each(|message| component.errors.push(message));
                component.notes = notes;
            }
        }
        Ok(transaction)
    }
}

fn not_let_go(names: &[String], method: HoldMethod, error: &docker::Error) -> String {
    let command = match method {
        HoldMethod::Pause => "unpause",
        HoldMethod::Stop => "start",
    };
    let names = names.join(" ");
    format!("a container could not go on: {error}; the next command tries again, or `docker {command} {names}` now")
}

/// What the second look at the writers says against a volume.
fn not_still(wrote: Result<Option<String>, docker::Error>) -> Option<String> {
    match wrote {
        Ok(None) => None,
        Ok(Some(name)) => Some(format!(
            "the container {name} was started, or let go on, while it was read, and may have written to it: back up again \
            when nobody does that"
        )),
        Err(error) => Some(format!("whether containers wrote to it meanwhile could not be asked: {error}")),
    }
}
