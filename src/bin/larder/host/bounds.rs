//! Bounds of the process: as many open files as it may have, and a file that may not become longer is an error and not the end.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

/// Sets them, where that can be done.
pub(crate) fn set() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // With fewer files a restore takes more turns.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    // Where it cannot be caught, it ends the process as it always did.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
