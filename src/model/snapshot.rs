//! Manifests: what one run backed up, from where, and how well.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{ComponentName, DatabaseFacts, Node, SnapshotName};
use crate::clock::LocalTime;
use crate::limits::{COMPONENTS_MAX, PROBLEM_BYTES_MAX, PROBLEMS_MAX};

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
        }
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

/// The manifest of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: SnapshotName,
    /// When the run began.
    pub time: LocalTime,
    /// The host that it ran on.
    pub host: String,
    /// Version of the program.
    pub program: String,
    /// The snapshot that unchanged files were compared with.
    pub parent: Option<SnapshotName>,
    /// Words that the user gave it.
    pub tags: Vec<String>,
    /// What was asked for.
    pub kind: SnapshotKind,
    /// Whether all of that is there.
    pub status: Status,
    /// Time that the run took.
    pub millis: u64,
    /// What tells the folder from others that it was imported from, where it was.
    pub imported: Option<String>,
    /// Its components.
    #[serde(deserialize_with = "at_most_some_components")]
    pub components: Vec<Component>,
}

impl Snapshot {
    /// The component with this name.
    #[must_use]
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.name.as_str() == name)
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

/// A list that is no longer than that of the components may be.
pub(super) fn at_most_some_components<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of components")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(entry) = entries.next_element()? {
                if list.len() >= COMPONENTS_MAX {
                    return Err(A::Error::custom(format_args!("it has more than {COMPONENTS_MAX} components")));
                }
                list.push(entry);
            }
            Ok(list)
        }
    }

    deserializer.deserialize_seq(Bounded(PhantomData))
}
