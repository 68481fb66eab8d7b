//! What a command works with, whoever gave it.

use larder::events::Events;
use larder::monitor::Monitor;

use crate::config::Settings;

/// The settings, and whom a command tells what happens meanwhile.
pub(crate) struct Context<'a> {
    pub(crate) settings: Settings,
    pub(crate) events: &'a dyn Events,
    pub(crate) monitor: Monitor<'a>,
}
