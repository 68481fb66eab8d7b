//! `larder guard-containers`: waits for the end of the run that started it, and lets containers go on that it left held, or holds for too
//! long.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use larder::docker;

use crate::exit::Exit;

/// Look after the containers that a run holds. Runs start it themselves.
#[derive(Debug, Args)]
pub(super) struct GuardArguments {
    /// What the run has noted of them.
    journal: PathBuf,
    /// For how many milliseconds they may be held.
    limit_millis: Option<u64>,
}

impl GuardArguments {
    pub(super) fn run(&self) -> anyhow::Result<Exit> {
        // What ends a run, as an orderly stop of its unit does, does not end who looks after it.
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
        docker::guard(&self.journal, self.limit_millis.map(Duration::from_millis))?;
        Ok(Exit::Done)
    }
}
