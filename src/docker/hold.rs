//! Holding containers still while their volumes are read or written, and letting them go on whatever happens.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Container, Engine, Error, Held, HoldMethod, Journal, Journals, Leftover, Purpose, State};
use crate::cancel::Cancel;

/// How often containers that start are looked at.
const READY_PAUSE: Duration = Duration::from_millis(100);
/// How long a container has to run to be taken for well, when it does not say itself whether it is.
const SETTLED: Duration = Duration::from_secs(2);
/// How long it is waited for a container that is being restarted, before anybody is held.
const RESTART_LIMIT: Duration = Duration::from_secs(10);
/// How long letting go is tried again when the engine is away, as while it is restarted.
const RELEASE_LIMIT: Duration = Duration::from_mins(1);
/// How long it is waited between two tries: at first, and at most.
const RELEASE_PAUSE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// How long the engine may take to end a container whose time is over.
const END_LIMIT: Duration = Duration::from_secs(5);

/// How often freezing is tried. A container that starts processes all the time may escape the runtime's own tries.
const FREEZE_TRIES: u32 = 5;
/// How long it is waited before freezing is tried again: at first; then each time twice as long.
const FREEZE_PAUSE: Duration = Duration::from_millis(100);

/// Containers that are held. Dropped, they go on.
#[derive(Debug)]
pub struct Hold {
    engine: Arc<Engine>,
    method: HoldMethod,
    /// In the order in which they go on: those first that others depend on.
    containers: Vec<Container>,
    journal: Option<Journal>,
    /// What it says.
    entry: Leftover,
    journals: Journals,
    since: Instant,
    /// How long letting go may be tried.
    patience: Duration,
}

impl Hold {
    /// Holds those of the containers that run. Which they are is written to a journal first.
    ///
    /// # Errors
    /// [`Error::Unholdable`] for one that would not come back, or is restarted again and again; [`Error::Io`],
    /// [`Error::Refused`], [`Error::Broken`]. Those that were held already go on then.
    pub fn begin(
        engine: &Arc<Engine>,
        containers: &[Container],
        method: HoldMethod,
        purpose: Purpose,
        journals: &Journals,
    ) -> Result<Self, Error> {
        let mut containers: Vec<Container> = containers.to_vec();
        // One that is frozen is not ours to wake; it writes nothing meanwhile. To write its volume it has to end.
        containers.retain(|container| match method {
            HoldMethod::Pause => matches!(container.state, State::Running | State::Restarting),
            HoldMethod::Stop => container.is_up(),
        });
        if let Some(container) = containers.iter().find(|container| container.removes_itself)
            && method == HoldMethod::Stop
        {
            let why = "it was started with --rm, and would be removed when it is stopped: start it without --rm, stop it \
                yourself, or have it paused (quiesce = \"pause\")";
            return Err(Error::Unholdable { container: container.name.clone(), why });
        }
        if method == HoldMethod::Pause {
            containers = settled(engine, containers)?;
        }
        let containers = in_order(containers);
        let held = containers.iter().map(Held::from).collect();
        let entry = Leftover { host: engine.host().to_owned(), purpose, method, containers: held };
        let journal = if containers.is_empty() { None } else { Some(journals.write(&entry)?) };
        let (engine, since, patience) = (Arc::clone(engine), Instant::now(), RELEASE_LIMIT);
        let (journals, held) = (journals.clone(), Vec::new());
        let mut hold = Self { engine, method, containers: held, journal, entry, journals, since, patience };
        for container in containers.into_iter().rev() {
            // Let go of even when the call fails: the engine may have done it all the same.
            hold.containers.insert(0, container);
            if let Some(container) = hold.containers.first()
                && !hold_one(&hold.engine, container, method)?
            {
                hold.containers.remove(0);
            }
        }
        if let Some(journal) = &mut hold.journal {
            journal.begin_time();
        }
        Ok(hold)
    }

    /// Names of the containers that are held.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.containers.iter().map(|container| container.name.clone()).collect()
    }

    /// Names of those that run when they are let go: one that was frozen before it was stopped is frozen again.
    #[must_use]
    pub fn names_of_running(&self) -> Vec<String> {
        let runs = self.containers.iter().filter(|container| container.state != State::Paused);
        runs.map(|container| container.name.clone()).collect()
    }

    /// How long they have been held.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Lets the containers go on, in order. While the engine is away it is tried again, for a minute.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`] for the first that cannot; the others go on all the same, and the journal
    /// stays.
    pub fn release(mut self) -> Result<(), Error> {
        let released = self.let_go();
        // Dropped, it tries once more and no longer.
        self.patience = Duration::ZERO;
        released
    }

    /// Goes on holding for another purpose, which the journal says from now on.
    ///
    /// # Errors
    /// [`Error::Io`]; the containers go on then.
    pub fn turn_to(mut self, purpose: Purpose, journals: &Journals) -> Result<Self, Error> {
        if !self.containers.is_empty() {
            (self.entry.purpose, self.journals) = (purpose, journals.clone());
            self.write_down()?;
        }
        Ok(self)
    }

    /// Leaves the containers as they are, with the journal that says so.
    pub fn keep(mut self) {
        self.containers.clear();
        self.journal = None;
    }

    /// Notes who is held now, in the place of what was noted before.
    fn write_down(&mut self) -> Result<(), Error> {
        self.entry.containers = self.containers.iter().map(Held::from).collect();
        let journal = self.journals.write(&self.entry)?;
        if let Some(before) = self.journal.replace(journal) {
            before.clear();
        }
        Ok(())
    }

    fn let_go(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        let [mut pause, pause_max] = RELEASE_PAUSE;
        loop {
            let mut first = Ok(());
            let mut is_away = false;
            for container in std::mem::take(&mut self.containers) {
                let resumed = resume(&self.engine, &container.id, self.method);
                let was_frozen = self.method == HoldMethod::Stop && container.state == State::Paused;
                let refrozen = |found: Option<Container>| match found {
                    Some(found) if was_frozen && found.state == State::Stopped => self.engine.pause(&found.id),
                    _ => Ok(()),
                };
                if let Err(error) = resumed.and_then(refrozen) {
                    is_away |= error.is_away();
                    self.containers.push(container);
                    first = first.and(Err(error));
                }
            }
            if self.containers.is_empty()
                && let Some(journal) = self.journal.take()
            {
                journal.clear();
            }
            if first.is_ok() || !is_away || begun.elapsed() >= self.patience {
                if self.journal.is_some() && self.containers.len() < self.entry.containers.len() {
                    // Where this fails the journal names more than are held.
                    let _ = self.write_down();
                }
                return first;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(pause_max);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The journal stays when this fails, and the next command tries again.
        let _ = self.let_go();
    }
}

/// Waits until those that are being restarted run or have ended. Nobody is held yet.
fn settled(engine: &Engine, containers: Vec<Container>) -> Result<Vec<Container>, Error> {
    let mut settled = Vec::new();
    for container in containers {
        if container.state != State::Restarting {
            settled.push(container);
            continue;
        }
        let begun = Instant::now();
        let mut run: Option<(String, Instant)> = None;
        loop {
            let found = match engine.container(&container.id) {
                Err(error) if error.is_missing() => break,
                found => found?,
            };
            match found.state {
                State::Running => {
                    let since = run.take().filter(|(started, _)| *started == found.started);
                    let (_, since) = run.insert(since.unwrap_or_else(|| (found.started.clone(), Instant::now())));
                    if since.elapsed() >= SETTLED {
                        settled.push(found);
                        break;
                    }
                }
                State::Restarting => run = None,
                State::Paused | State::Stopped => break,
            }
            if begun.elapsed() >= RESTART_LIMIT {
                return Err(restarting(&container));
            }
            std::thread::sleep(READY_PAUSE);
        }
    }
    Ok(settled)
}

/// Holds a container; `false` when it had ended meanwhile.
fn hold_one(engine: &Engine, container: &Container, method: HoldMethod) -> Result<bool, Error> {
    let mut tries_left = if method == HoldMethod::Pause { FREEZE_TRIES } else { 1 };
    let mut pause = FREEZE_PAUSE;
    loop {
        let held = match method {
            HoldMethod::Pause => engine.pause(&container.id),
            HoldMethod::Stop => engine.stop(&container.id),
        };
        let Err(error) = held else { return Ok(true) };
        if error.is_missing() {
            return Ok(false);
        }
        if error.is_away() {
            return Err(error);
        }
        let found = match engine.container(&container.id) {
            Err(error) if error.is_missing() => return Ok(false),
            found => found?,
        };
        tries_left -= 1;
        match (method, found.state) {
            // The engine may have done it all the same.
            (HoldMethod::Pause, State::Paused) | (HoldMethod::Stop, State::Stopped) => return Ok(true),
            (HoldMethod::Pause, State::Stopped) => return Ok(false),
            (_, State::Restarting) => return Err(restarting(container)),
            (_, State::Running | State::Paused) if tries_left == 0 => return Err(error),
            (_, State::Running | State::Paused) => std::thread::sleep(pause),
        }
        pause *= 2;
    }
}

fn restarting(container: &Container) -> Error {
    let why = "it ends and is restarted again and again: `docker logs` says why; mend it, or stop it until then";
    Error::Unholdable { container: container.name.clone(), why }
}

/// Lets go of a container, and gives it as it was before. One that is gone needs nothing.
fn resume(engine: &Engine, id: &str, method: HoldMethod) -> Result<Option<Container>, Error> {
    let found = match engine.container(id) {
        Err(error) if error.is_missing() => return Ok(None),
        found => found?,
    };
    match (method, found.state) {
        (HoldMethod::Pause, State::Paused) => engine.unpause(&found.id)?,
        (HoldMethod::Stop, State::Stopped) => engine.start(&found.id)?,
        _ => {}
    }
    Ok(Some(found))
}

/// Whether a container that has not ended `after` so long may still do so, by a stop that was begun before: the engine ends
/// what it has begun, whatever becomes of who asked for it.
fn may_end(container: &Container, after: Duration) -> bool {
    container.state != State::Stopped && container.stop_limit.is_none_or(|limit| after < limit + END_LIMIT)
}

impl Leftover {
    /// The same without those that run again, or are gone.
    #[must_use]
    pub fn still_held(&self, engine: &Engine) -> Self {
        let mut left = self.clone();
        left.containers.retain(|held| match engine.container(&held.id) {
            Ok(container) => container.state != State::Running,
            Err(error) => !error.is_missing(),
        });
        left
    }

    /// Whether none of the containers stands still any more, or will: somebody has seen to them, or they are gone. Waits until
    /// a stop that may have been begun has ended, for so long at most.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`].
    pub fn is_over(&self, engine: &Engine, limit: Duration) -> Result<bool, Error> {
        let begun = Instant::now();
        loop {
            let mut is_waited_for = false;
            for held in &self.containers {
                match engine.container(&held.id) {
                    Err(error) if error.is_missing() => {}
                    Err(error) => return Err(error),
                    Ok(container) if container.state != State::Running => return Ok(false),
                    Ok(container) => is_waited_for |= may_end(&container, begun.elapsed()),
                }
            }
            if !is_waited_for || begun.elapsed() >= limit {
                return Ok(!is_waited_for);
            }
            std::thread::sleep(READY_PAUSE);
        }
    }

    /// Lets the containers go on that a killed process held. One that it may have begun to stop is waited for, for so long at
    /// most.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Broken`] for the first that cannot; [`Error::NotReady`] for one that may still end.
    pub fn resume(&self, engine: &Engine, limit: Duration) -> Result<(), Error> {
        let begun = Instant::now();
        let mut first = Ok(());
        let mut left: Vec<&Held> = self.containers.iter().collect();
        loop {
            left.retain(|held| match resume(engine, &held.id, self.method) {
                Ok(found) => {
                    let may_end = |container| may_end(&container, begun.elapsed());
                    self.method == HoldMethod::Stop && found.is_some_and(may_end)
                }
                Err(error) => {
                    if first.is_ok() {
                        first = Err(error);
                    }
                    false
                }
            });
            let Some(held) = left.first() else { return first };
            if begun.elapsed() >= limit {
                let what = format!("the container {} may still be stopped", held.name);
                return first.and(Err(Error::NotReady { secs: limit.as_secs(), what }));
            }
            std::thread::sleep(READY_PAUSE);
        }
    }
}

impl Engine {
    /// Waits until containers say that they are well, or have run for a while where they say nothing.
    ///
    /// # Errors
    /// [`Error::NotReady`]; [`Error::Refused`], [`Error::Broken`].
    pub fn wait_ready(&self, containers: &[String], limit: Duration, cancel: &Cancel) -> Result<(), Error> {
        let begun = Instant::now();
        let mut seen: HashMap<String, (String, Instant)> = HashMap::new();
        loop {
            let mut waiting = None;
            for name in containers {
                let container = self.container(name)?;
                let (started, since) =
                    seen.entry(container.id.clone()).or_insert_with(|| (container.started.clone(), Instant::now()));
                if container.state != State::Running || *started != container.started {
                    (*started, *since) = (container.started.clone(), Instant::now());
                }
                let what = match (container.state, container.healthy) {
                    (State::Running, Some(true)) => continue,
                    (State::Running, None) if since.elapsed() >= SETTLED => continue,
                    (State::Running, None) => "has only just been started",
                    (State::Running, Some(false)) => "says that it is not well",
                    // One that has ended and is not started again will not become well.
                    (State::Stopped, _) if begun.elapsed() >= SETTLED => {
                        let what = format!("the container {name} does not run");
                        return Err(Error::NotReady { secs: begun.elapsed().as_secs(), what });
                    }
                    _ => "does not run",
                };
                waiting = Some(format!("the container {name} {what}"));
            }
            match waiting {
                None => return Ok(()),
                Some(what) if begun.elapsed() >= limit || cancel.is_cancelled() => {
                    return Err(Error::NotReady { secs: begun.elapsed().as_secs(), what });
                }
                Some(_) => std::thread::sleep(READY_PAUSE),
            }
        }
    }
}

/// Those first that others depend on, otherwise in the order in which they were made, as Compose makes them.
fn in_order(mut containers: Vec<Container>) -> Vec<Container> {
    containers.sort_by(|a, b| (&a.created, &a.name).cmp(&(&b.created, &b.name)));
    let mut ordered: Vec<Container> = Vec::new();
    while !containers.is_empty() {
        let waiting: HashSet<String> =
            containers.iter().filter_map(|container| container.service().map(str::to_owned)).collect();
        let own = |container: &Container, name: &str| container.service() == Some(name);
        let free = containers.iter().position(|container| {
            container.depends_on().iter().all(|name| own(container, name) || !waiting.contains(*name))
        });
        // A circle has no beginning: the oldest one is as good as any.
        ordered.push(containers.remove(free.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(service: &str, created: &str, depends_on: &str) -> Container {
        let label = |name: &str, value: &str| (format!("com.docker.compose.{name}"), value.to_owned());
        Container {
            id: service.to_owned(),
            name: service.to_owned(),
            image: String::new(),
            image_id: String::new(),
            command: Vec::new(),
            variables: HashMap::new(),
            labels: HashMap::from([label("service", service), label("depends_on", depends_on)]),
            foreign_labels: HashMap::new(),
            state: State::Running,
            healthy: None,
            mounts: Vec::new(),
            reached: Vec::new(),
            binds: Vec::new(),
            created: created.to_owned(),
            started: String::new(),
            stop_limit: None,
            removes_itself: false,
            pid: None,
        }
    }

    #[test]
    fn what_others_depend_on_goes_on_first() {
        let order = |containers: Vec<Container>| -> Vec<String> {
            in_order(containers).into_iter().map(|container| container.name).collect()
        };
        let web = container("web", "1", "worker:service_started:true,postgres:service_healthy:false");
        let worker = container("worker", "2", "postgres:service_healthy:false,elsewhere:service_started:false");
        let postgres = container("postgres", "3", "");
        assert_eq!(order(vec![web, worker, postgres]), ["postgres", "worker", "web"]);
        assert_eq!(order(vec![container("b", "2", ""), container("a", "1", "")]), ["a", "b"]);
        assert_eq!(order(vec![container("a", "1", "b"), container("b", "2", "a")]), ["a", "b"]);
    }
}
