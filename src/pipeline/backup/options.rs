//! What a backup is told beside its sources.

use crate::docker::Journals;
use crate::model::{ComponentName, SnapshotKind};

/// What a backup needs to know beside its sources.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// What the snapshot is called a backup of.
    pub kind: SnapshotKind,
    /// The system that the snapshot is of.
    pub system: String,
    /// The host to name in the manifest.
    pub host: String,
    /// What tells the machine from others that are called alike, where that is known.
    pub machine: Option<Vec<u8>>,
    /// The program to name in the manifest.
    pub program: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Read every pack back when the snapshot stands.
    pub read_back: bool,
    /// Encode what is new against what the parent has in its place, where that pays.
    pub deltas: bool,
    /// Leave the containers held whose volumes were read: whoever asks for that lets them go on.
    pub keep_held: bool,
    /// Where containers are noted that are held.
    pub journals: Journals,
    /// What tells the folder from others that the sources lie in, where an earlier backup is imported. Then a component that
    /// cannot be read ends the run, and nothing is written.
    pub imported: Option<String>,
    /// Components whose sources are known not to be whole, and why: errors of theirs.
    pub not_whole: Vec<(ComponentName, String)>,
    /// Components that the system had before, and that are left out on purpose.
    pub dropped: Vec<ComponentName>,
    /// Components that are taken as they are, however little they have of what the last backup had.
    pub accepted: Vec<ComponentName>,
}

impl BackupOptions {
    /// The usual ones: everything is read back, what is new is encoded against what was there, and the system is called like the host.
    #[must_use]
    pub fn new(kind: SnapshotKind, host: &str, program: &str) -> Self {
        Self {
            kind,
            system: host.to_owned(),
            host: host.to_owned(),
            machine: None,
            program: program.to_owned(),
            tags: Vec::new(),
            read_back: true,
            deltas: true,
            keep_held: false,
            journals: Journals::default(),
            imported: None,
            not_whole: Vec::new(),
            dropped: Vec::new(),
            accepted: Vec::new(),
        }
    }
}
