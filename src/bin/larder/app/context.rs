//! What a command works with, whoever gave it.

use larder::events::Events;
use larder::progress::Progress;

use crate::config::Settings;

/// The settings, and whom a command tells what happens meanwhile.
pub(crate) struct Context<'a> {
    pub(crate) settings: Settings,
    pub(crate) events: &'a dyn Events,
    pub(crate) progress: &'a dyn Progress,
}
