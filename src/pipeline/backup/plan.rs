//! What a backup would do: which components, how much of them, how much of it changed. Nothing is read or written.

use std::io::Read;

use super::origin::ComponentSource;
use super::parent::Parents;
use super::source::Preview;
use crate::clock::LocalTime;
use crate::model::{ComponentKind, Expectation, Node, Problems};
use crate::monitor::Monitor;
use crate::pipeline::{Error, lookup};
use crate::repo::Repository;
use crate::rooted::{Found, Place};
use crate::source::{self, Stop, Visitor};

/// What would be done with one component.
#[derive(Debug)]
pub struct ComponentPlan {
    /// Its name.
    pub name: String,
    /// What it comes from.
    pub kind: ComponentKind,
    /// Where that is.
    pub source: String,
    /// Regular files.
    pub files: u64,
    /// Their length in bytes; for a database its size on the server.
    pub bytes: u64,
    /// Bytes that would be read: those of files that are new or changed.
    pub bytes_to_read: u64,
    /// What would go wrong.
    pub errors: Problems,
    /// What would be left out, and what else is worth knowing.
    pub notes: Problems,
}

/// Plans a backup of the sources of a system. `repository` is `None` where there is none yet.
///
/// # Errors
/// [`Error::Repo`], [`Error::Cancelled`].
pub fn plan(
    repository: Option<&Repository>,
    sources: &[ComponentSource],
    system: &str,
    monitor: &Monitor<'_>,
) -> Result<Vec<ComponentPlan>, Error> {
    let earlier = repository.map(lookup::snapshots).transpose()?.unwrap_or_default().snapshots;
    let expectation = Expectation::of_system(&earlier, system, LocalTime::now());
    let mut parents = match repository {
        Some(repository) => Some(Parents::find_for_plan(repository, sources)?),
        None => None,
    };
    let mut plans = Vec::new();
    for source in sources {
        let mut component = source.empty_component();
        let mut plan = ComponentPlan {
            name: source.name.to_string(),
            kind: component.kind,
            source: component.source.clone(),
            files: 0,
            bytes: 0,
            bytes_to_read: 0,
            errors: Problems::default(),
            notes: Problems::default(),
        };
        let is_walked = show(source, &mut parents, &mut plan, monitor)? && plan.errors.is_empty();
        (component.files, component.bytes) = (plan.files, plan.bytes);
        if let Some(why) = expectation.doubt_of(&component).filter(|_| is_walked) {
            plan.errors.push(why);
        }
        plans.push(plan);
    }
    Ok(plans)
}

/// Looks at a source as far as that can be done without reading it. Says whether everything was shown: what a database and a stream
/// have is not known before they are read.
fn show(
    source: &ComponentSource,
    parents: &mut Option<Parents>,
    plan: &mut ComponentPlan,
    monitor: &Monitor<'_>,
) -> Result<bool, Error> {
    let name = source.name.as_str();
    let mut visitor = Planner { name, plan, parents: parents.as_mut(), at_root: true, monitor };
    match source.source().preview(name, &mut visitor, monitor) {
        Err(source::Error::Stop(_)) => monitor.check()?,
        Err(error) => plan.errors.push(error.to_string()),
        Ok(Preview::Walked) => {}
        Ok(Preview::Bytes(bytes)) => {
            (plan.bytes, plan.bytes_to_read) = (bytes, bytes);
            return Ok(false);
        }
        Ok(Preview::Unknown) => return Ok(false),
    }
    Ok(true)
}

struct Planner<'a> {
    name: &'a str,
    plan: &'a mut ComponentPlan,
    parents: Option<&'a mut Parents>,
    at_root: bool,
    monitor: &'a Monitor<'a>,
}

impl Visitor for Planner<'_> {
    fn enter(&mut self, node: Node, _found: Option<&Found<'_>>) -> Result<(), Stop> {
        self.monitor.check()?;
        let at_root = std::mem::replace(&mut self.at_root, false);
        match &mut self.parents {
            Some(parents) if at_root => drop(parents.begin(self.name)),
            Some(parents) => {
                let parent = parents.find_node(&node.name);
                parents.enter(parent.as_ref());
            }
            None => {}
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Stop> {
        if let Some(parents) = &mut self.parents {
            parents.leave();
        }
        Ok(())
    }

    fn file(&mut self, node: Node, _place: &Place<'_>) -> Result<(), Stop> {
        self.plan.files += 1;
        self.plan.bytes += node.metadata.size_bytes;
        let parent = self.parents.as_mut().and_then(|parents| parents.find_node(&node.name));
        if !parent.is_some_and(|parent| parent.is_unchanged(&node)) {
            self.plan.bytes_to_read += node.metadata.size_bytes;
        }
        Ok(())
    }

    fn special(&mut self, _node: Node, _found: Option<&Found<'_>>) -> Result<(), Stop> {
        Ok(())
    }

    fn stream(&mut self, _node: Node, _reader: &mut dyn Read) -> Result<(), source::Error> {
        Ok(())
    }

    fn vanished(&mut self, _name: &[u8], _shown: &str) {}

    fn error(&mut self, message: String) {
        self.plan.errors.push(message);
    }

    fn note(&mut self, message: String) {
        self.plan.notes.push(message);
    }
}
