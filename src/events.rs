//! What long work tells whoever started it, while it goes on: one way out of the library for progress, warnings and notes.
//!
//! Progress bars, logs, run records and notifications are subscribers of the same events. Results are not events: they are
//! what a function returns.

use std::path::Path;

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A part of the work has failed, and the rest goes on.
    Failure {
        /// What failed.
        text: &'a str,
        /// What to do about it, where that is known.
        advice: Option<&'a str>,
    },
    /// Something is not as it should be, and the work goes on.
    Warning {
        /// What it is.
        text: &'a str,
        /// What to do about it, where that is known.
        advice: Option<&'a str>,
    },
    /// A snapshot of this name is being made.
    SnapshotBegun {
        /// Its name.
        name: &'a str,
    },
    /// What a restore is about to replace was saved as a snapshot of this name.
    SafetySnapshotSaved {
        /// Its name.
        name: &'a str,
    },
    /// Something that its reader should know, and that nothing needs to be done about.
    Note {
        /// What it is.
        text: &'a str,
    },
    /// Something for whoever sets this up, which need not be said at every run.
    Hint {
        /// What it is.
        text: &'a str,
    },
    /// A phase of the work begins.
    Phase {
        /// Which.
        phase: Phase<'a>,
        /// The work that is expected, where it is known.
        total_bytes: Option<u64>,
    },
    /// More of the current phase is done.
    Advanced {
        /// How much more.
        bytes: u64,
    },
    /// Something is under way, or is so no more, that has to be undone before the process ends: it should not be killed.
    Holding(bool),
}

/// A part of long work, of which one is under way at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase<'a> {
    /// The savings of snapshots are added up.
    AddingUpSavings,
    /// Packs are checked that no run has listed.
    AdoptingPacks,
    /// A component is read.
    BackingUp {
        /// Its name.
        component: &'a str,
    },
    /// The checksums of a backup that is imported are compared.
    CheckingImport {
        /// Where it is.
        path: &'a Path,
    },
    /// Everything that is to be restored is looked for in the repository.
    CheckingPresence,
    /// The rows of a table are compared.
    ComparingRows {
        /// The table.
        table: &'a str,
    },
    /// The blocks of all packs are decoded.
    DecodingBlocks,
    /// What no snapshot needs is deleted.
    DeletingGarbage,
    /// A component is exported.
    Exporting {
        /// Its name.
        component: &'a str,
    },
    /// The directories of all packs are read.
    ListingPacks,
    /// A system is made up for a simulation.
    MakingUpSystem,
    /// What the snapshots use is looked for.
    MarkingUsed,
    /// What a backup has written is read again.
    ReadingBack,
    /// The index is read.
    ReadingIndex,
    /// The manifests are read.
    ReadingManifests,
    /// All packs are read.
    ReadingPacks,
    /// Tables are made that are gone.
    RecreatingTables,
    /// A database takes the place of another one.
    ReplacingDatabase,
    /// A component is restored.
    Restoring {
        /// Its name.
        component: &'a str,
    },
    /// What is damaged is restored with parity.
    RestoringWithParity,
    /// What is still needed of packs is written anew.
    RewritingPacks,
    /// Whole blocks are looked for in broken packs.
    SalvagingPacks,
    /// A server saves what it has in memory.
    SavingServer {
        /// Name of its container.
        container: &'a str,
    },
    /// Lost data is looked for in live files.
    SearchingLiveFiles,
    /// A night is simulated.
    SimulatingNight {
        /// Its number, from 1.
        night: u32,
        /// How many there are.
        nights: u32,
    },
    /// The containers that use volumes are started again.
    StartingContainers,
    /// The containers that use volumes are stopped.
    StoppingContainers,
    /// A component is restored for a test.
    TestRestoring {
        /// Its name.
        component: &'a str,
    },
    /// Others still use the repository.
    WaitingUntilAlone,
    /// The trees of snapshots are read.
    WalkingSnapshots,
    /// An archive is written.
    WritingArchive,
    /// Parity is written.
    WritingParity,
}

/// Whoever is told of events. They come from several threads.
pub trait Events: Sync {
    /// Takes an event. It must not block for longer than it takes to show or queue it.
    fn event(&self, event: Event<'_>);
}

impl dyn Events + '_ {
    /// Tells of something that is not as it should be.
    pub fn warn(&self, text: &str) {
        self.event(Event::Warning { text, advice: None });
    }

    /// Tells of something that is not as it should be, and what to do about it.
    pub fn warn_with(&self, text: &str, advice: &str) {
        self.event(Event::Warning { text, advice: Some(advice) });
    }

    /// Tells of something that is to be known.
    pub fn note(&self, text: &str) {
        self.event(Event::Note { text });
    }

    /// Tells of something for whoever sets this up.
    pub fn hint(&self, text: &str) {
        self.event(Event::Hint { text });
    }
}

/// Takes events and forgets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unheard;

impl Events for Unheard {
    fn event(&self, _event: Event<'_>) {}
}
