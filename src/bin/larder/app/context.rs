//! What a command works with, whoever gave it.

use larder::events::Events;
use larder::monitor::Monitor;

use super::invocation::Invocation;
use crate::config::Settings;

/// The settings, whom a command tells what happens meanwhile, and how it was given.
pub(crate) struct Context<'a> {
    pub(crate) settings: Settings,
    pub(crate) events: &'a dyn Events,
    pub(crate) monitor: Monitor<'a>,
    pub(crate) invocation: Invocation,
}
