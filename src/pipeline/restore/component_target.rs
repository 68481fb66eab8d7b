//! What a restore asks of a place that one component is written to. Volumes are none: they are written together.

use std::sync::Arc;

use super::options::RestoreOptions;
use super::report::ComponentRestore;
use super::saved::Saved;
use crate::model::{Component, Node, Parts, Snapshot};
use crate::monitor::Monitor;
use crate::pipeline::Error;
use crate::pipeline::presence::LostPath;
use crate::repo::Repository;

/// What all components of a restore have in common.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) repository: &'a Repository,
    pub(super) snapshot: &'a Snapshot,
    pub(super) options: RestoreOptions,
    pub(super) monitor: &'a Monitor<'a>,
}

/// What is written.
pub(super) struct ToWrite<'a> {
    pub(super) component: &'a Component,
    pub(super) root: &'a Node,
    /// What of it; `None` for everything.
    pub(super) parts: Option<Arc<Parts>>,
    pub(super) lost: &'a [LostPath],
    /// What the safety snapshot has of what stands there.
    pub(super) saved: Option<Saved>,
}

/// A place that one component is written to.
pub(super) trait ComponentTarget {
    /// It, as text.
    fn describe(&self, component: &Component) -> String;

    /// Whether parts of a component can go there.
    fn takes_parts(&self) -> bool;

    /// Whether it comes before those of which this is not so: it is likelier to refuse, and the rest is then as it was.
    fn comes_first(&self) -> bool;

    /// Waits until it can be written to; `restarted` says of a container whether it was started again just now.
    fn wait(&self, restarted: &dyn Fn(&String) -> bool, monitor: &Monitor<'_>);

    /// Writes to it, as far as that goes.
    fn write(&self, run: Run<'_>, what: ToWrite<'_>, result: &mut ComponentRestore) -> Result<(), Error>;
}
