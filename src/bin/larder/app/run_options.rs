//! The options that every backup by this program on this host has.

use larder::docker::Journals;
use larder::model::SnapshotKind;
use larder::pipeline::backup::BackupOptions;

use crate::host::machine::{host_name, machine};

/// Options for a backup of a system by this program on this host.
pub(crate) fn run_options(kind: SnapshotKind, journals: Journals, system: String) -> BackupOptions {
    let program = concat!("larder ", env!("CARGO_PKG_VERSION"));
    BackupOptions { journals, system, machine: machine(), ..BackupOptions::new(kind, &host_name(), program) }
}
