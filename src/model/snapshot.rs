//! Manifests: what one run backed up, from where, and how well.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bounded::at_most;
use super::{ComponentName, DatabaseFacts, Error, ExtraFields, Node, SnapshotName};
use crate::clock::{LocalTime, Timing};
use crate::limits::{COMPONENTS_MAX, PROBLEM_BYTES_MAX, PROBLEMS_MAX, STEPS_MAX, TAGS_MAX};

/// The tag of the field of a component that says that it was taken as it is.
const ACCEPTED: u16 = 2;
/// The tag of the field of a snapshot that tells its machine from others.
const MACHINE: u16 = 2;
/// So many seconds the clocks of one system may differ: a day, as time zones and leaps make of them.
const CLOCK_SECS_MAX: i64 = 86_400;

/// Which components a run was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotKind {
    /// All of them.
    Full,
    /// The database alone.
    Database,
    /// The directories alone.
    Files,
    /// Some by name.
    Selected,
    /// A stream that was piped in.
    Stream,
    /// What a restore was about to replace.
    Safety,
}

impl SnapshotKind {
    /// Those that a part of the system is asked for by.
    pub const PARTS: [Self; 3] = [Self::Database, Self::Files, Self::Selected];

    /// The kind as documents say it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Database => "database",
            Self::Files => "files",
            Self::Selected => "selected",
            Self::Stream => "stream",
            Self::Safety => "safety",
        }
    }

    /// What snapshots of this kind are a series of. Streams have a series each, by their name.
    #[must_use]
    pub const fn series(self) -> &'static str {
        match self {
            Self::Full => "everything",
            Self::Database => "database",
            Self::Files => "folders",
            Self::Selected => "selection",
            Self::Stream => "stream",
            Self::Safety => "safety",
        }
    }
}

/// Whether everything that was asked for is in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is.
    Complete,
    /// Some component has errors.
    Partial,
}

/// What kind of source a component comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentKind {
    /// A directory.
    Directory,
    /// A PostgreSQL database.
    Database,
    /// A Docker volume.
    Volume,
    /// The output of a command, or standard input.
    Stream,
}

/// How consistent the parts of a component are with one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// One transaction of the database.
    Dumped,
    /// Its writers were stopped.
    Stopped,
    /// Its writers were paused.
    Paused,
    /// Its writers went on.
    Live,
}

/// Problems of a component: the first ones as text, all of them counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    /// The first ones.
    #[serde(deserialize_with = "at_most::<PROBLEMS_MAX, _, _>")]
    pub messages: Vec<String>,
    /// How many there were.
    pub count: u64,
}

impl Problems {
    /// Adds one. Of a very long one the middle is left out.
    pub fn push(&mut self, message: String) {
        self.count += 1;
        if self.messages.len() < PROBLEMS_MAX {
            self.messages.push(shortened(message));
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A message with no more of its middle than may be kept: paths in it may be as long as somebody likes.
fn shortened(message: String) -> String {
    if message.len() <= PROBLEM_BYTES_MAX {
        return message;
    }
    let half = PROBLEM_BYTES_MAX / 2;
    let is_end = |end: &usize| message.is_char_boundary(*end);
    let (head, tail) = ((0..=half).rev().find(is_end), (message.len() - half..=message.len()).find(is_end));
    let part = |range: std::ops::Range<usize>| message.get(range).unwrap_or_default();
    format!("{} […] {}", part(0..head.unwrap_or(0)), part(tail.unwrap_or(message.len())..message.len()))
}

/// How the files of a volume were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeMethod {
    /// In the directory of the engine's host that holds the volume, with all metadata.
    Mountpoint,
    /// As an archive that the engine makes: times to the second, no extended attributes, no holes.
    Engine,
    /// From an archive that another tool had left in a file.
    Archive,
}

/// What a volume component has beyond its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFacts {
    /// Name of the volume in the engine.
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Options of the driver, without secrets: [`super::SECRET`] stands in their place.
    pub options: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Names of the containers that mounted it.
    pub containers: Vec<String>,
    /// How its files were read.
    pub method: VolumeMethod,
    /// Names of the containers that were held while what had changed was read.
    pub held: Vec<String>,
    /// How long they were held.
    pub held_millis: u64,
    /// Where in the volume the data directory of a PostgreSQL server lies; empty for the root of the volume.
    pub server_data: Option<String>,
}

/// One part of the system in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name.
    pub name: ComponentName,
    /// What it comes from.
    pub kind: ComponentKind,
    /// Where that was: a path, a database, a command.
    pub source: String,
    /// What was saved; `None` when nothing could be.
    pub root: Option<Node>,
    /// Regular files.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Bytes that were read, which unchanged files are not.
    pub bytes_read: u64,
    /// Bytes of chunks that the repository did not have.
    pub bytes_new: u64,
    /// Bytes that they take in packs.
    pub bytes_stored: u64,
    /// Time that it took.
    pub millis: u64,
    /// How consistent it is.
    pub consistency: Consistency,
    /// What is missing or wrong in it.
    pub errors: Problems,
    /// What a reader should know although nothing is wrong.
    pub notes: Problems,
    /// What only a database has.
    pub database: Option<DatabaseFacts>,
    /// What only a volume has.
    pub volume: Option<VolumeFacts>,
    /// Fields of later versions, those of a database or a volume too.
    pub extra: ExtraFields,
}

impl Component {
    /// A component of which nothing has been saved yet.
    #[must_use]
    pub fn new(name: ComponentName, kind: ComponentKind, source: String, consistency: Consistency) -> Self {
        Self {
            name,
            kind,
            source,
            root: None,
            files: 0,
            bytes: 0,
            bytes_read: 0,
            bytes_new: 0,
            bytes_stored: 0,
            millis: 0,
            consistency,
            errors: Problems::default(),
            notes: Problems::default(),
            database: None,
            volume: None,
            extra: ExtraFields::default(),
        }
    }

    /// Notes that it was taken as it is, though it had next to nothing of what the last one had, or was another database.
    pub fn accept(&mut self) {
        self.extra.set(ACCEPTED, &[]);
    }

    /// Whether it was taken as it is.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.extra.get(ACCEPTED).is_some()
    }

    /// The server of a database that is in no container, without whoever asked it: `host:port`.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        let facts = self.database.as_ref().filter(|facts| facts.container.is_none())?;
        let server = self.source.strip_prefix("postgres://")?.strip_suffix(&facts.name)?.trim_end_matches('/');
        Some(server.rsplit_once('@').map_or(server, |(_, server)| server))
    }

    /// Whether it was saved, and nothing is missing or wrong in it.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.root.is_some() && self.errors.is_empty()
    }

    /// `complete`, `partial` or `failed`.
    #[must_use]
    pub const fn status_text(&self) -> &'static str {
        match (&self.root, self.errors.is_empty()) {
            (None, _) => "failed",
            (Some(_), true) => "complete",
            (Some(_), false) => "partial",
        }
    }
}

/// When a step of a run was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTiming {
    /// The component that it was for, where it was for one.
    pub component: Option<ComponentName>,
    /// The step: `read`, `read again` what had changed, `write` what was left.
    pub step: String,
    /// When it was done.
    pub timing: Timing,
}

/// The manifest of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: SnapshotName,
    /// The system that it is of.
    pub system: String,
    /// The host that the run was on.
    pub host: String,
    /// Snapshots of one system and series take each other's place.
    pub series: String,
    /// Version of the program.
    pub program: String,
    /// When the run began.
    pub time: LocalTime,
    /// When the manifest was made.
    pub end: LocalTime,
    /// Time that the run took.
    pub millis: u64,
    /// The steps of the run, in the order in which they ended.
    #[serde(deserialize_with = "at_most::<STEPS_MAX, _, _>")]
    pub steps: Vec<StepTiming>,
    /// The snapshot that unchanged files were compared with.
    pub parent: Option<SnapshotName>,
    /// Words that the user gave it.
    #[serde(deserialize_with = "at_most::<TAGS_MAX, _, _>")]
    pub tags: Vec<String>,
    /// What was asked for.
    pub kind: SnapshotKind,
    /// Whether all of that is there.
    pub status: Status,
    /// What tells the folder from others that it was imported from, where it was.
    pub imported: Option<String>,
    /// Components that the system had before, and that were left out on purpose.
    #[serde(deserialize_with = "at_most::<COMPONENTS_MAX, _, _>")]
    pub dropped: Vec<ComponentName>,
    /// Its components.
    #[serde(deserialize_with = "at_most::<COMPONENTS_MAX, _, _>")]
    pub components: Vec<Component>,
    /// Fields of later versions.
    pub extra: ExtraFields,
}

impl Snapshot {
    /// The manifest of a run that has saved nothing yet.
    #[must_use]
    pub fn new(name: SnapshotName, time: LocalTime, kind: SnapshotKind) -> Self {
        Self {
            name,
            system: String::new(),
            host: String::new(),
            series: kind.series().to_owned(),
            program: String::new(),
            time,
            end: time,
            millis: 0,
            steps: Vec::new(),
            parent: None,
            tags: Vec::new(),
            kind,
            status: Status::Complete,
            imported: None,
            dropped: Vec::new(),
            components: Vec::new(),
            extra: ExtraFields::default(),
        }
    }

    /// Refuses what no writer makes, or a newer one does.
    pub(super) fn validate(&self) -> Result<(), Error> {
        self.extra.check("manifest")?;
        let mut names = BTreeSet::new();
        for component in &self.components {
            if !names.insert(&component.name) {
                let why = format!("it has two components called {}", component.name);
                return Err(Error::Damaged { what: "manifest", why });
            }
            component.extra.check("manifest")?;
            component.root.as_ref().map_or(Ok(()), Node::validate)?;
            component.database.as_ref().map_or(Ok(()), DatabaseFacts::validate)?;
        }
        Ok(())
    }

    /// What tells the machine that the run was on from others, however they are called; `None` where that is not known.
    #[must_use]
    pub fn machine(&self) -> Option<&[u8]> {
        self.extra.get(MACHINE)
    }

    /// Says what tells the machine from others.
    pub fn set_machine(&mut self, machine: &[u8]) {
        self.extra.set(MACHINE, machine);
    }

    /// The component with this name.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name.as_str() == name)
    }

    /// The component with this name, where it was saved and nothing is wrong in it.
    #[must_use]
    pub fn copy_of(&self, name: &str) -> Option<&Component> {
        self.component(name).filter(|component| component.is_good())
    }

    /// Whether its time is later than now by more than clocks of one system differ.
    #[must_use]
    pub const fn is_ahead_of(&self, now: LocalTime) -> bool {
        self.time.unix_micros > now.plus_secs(CLOCK_SECS_MAX).unix_micros
    }

    /// Everything that is missing or wrong, with the component that it concerns.
    pub fn errors(&self) -> impl Iterator<Item = String> + '_ {
        let with_name = |component: &Component, message: &str| format!("{}: {message}", component.name);
        self.components.iter().flat_map(move |component| {
            component.errors.messages.iter().map(move |message| with_name(component, message))
        })
    }

    /// Length of all files in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.components.iter().map(|component| component.bytes).sum()
    }
}
