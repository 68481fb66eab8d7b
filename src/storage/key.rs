//! Names of objects: which kind of object it is, and how it is called.

use std::fmt;

/// The kinds of objects, each with its own folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Area {
    /// The one object `config`.
    Config,
    /// Packs of data, spread over folders by the first two digits of their names.
    Packs,
    /// Packs of trees, spread likewise.
    Trees,
    /// Index segments.
    Index,
    /// Snapshot manifests.
    Snapshots,
    /// Names of snapshots that are kept whatever the retention says.
    Pins,
    /// Manifests of snapshots that were deleted and whose data has not been collected yet.
    Forgotten,
    /// Damaged objects that a repair has put aside.
    Quarantine,
    /// What objects can be restored with when they are damaged.
    Parity,
}

/// Every area but that of `config`.
pub(super) const AREAS: [Area; 8] = [
    Area::Packs,
    Area::Trees,
    Area::Index,
    Area::Snapshots,
    Area::Pins,
    Area::Forgotten,
    Area::Quarantine,
    Area::Parity,
];

impl Area {
    /// The folder of the area, relative to the storage's root; the object itself for [`Area::Config`].
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Packs => "packs",
            Self::Trees => "trees",
            Self::Index => "index",
            Self::Snapshots => "snapshots",
            Self::Pins => "pins",
            Self::Forgotten => "forgotten",
            Self::Quarantine => "quarantine",
            Self::Parity => "parity",
        }
    }

    /// Whether its objects are spread over folders by the first two characters of their names.
    pub(super) const fn is_sharded(self) -> bool {
        matches!(self, Self::Packs | Self::Trees)
    }
}

/// So many characters of the name of a pack are the name of its folder.
pub(super) const SHARD_CHARS: usize = 2;

/// Longest name that people and programs give.
const NAME_BYTES_MAX: usize = 200;

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    area: Area,
    name: String,
}

impl Key {
    /// The object `name` in `area`. The caller has checked that the name is a plain file name.
    #[must_use]
    pub fn new(area: Area, name: impl Into<String>) -> Self {
        let name = name.into();
        debug_assert!(!name.contains('/') && name != ".." && name != "." && !name.is_empty());
        Self { area, name }
    }

    /// Whether people and programs may call something so that has objects: 1 to 200 ASCII letters, digits, `_`, `-` and `.`, the
    /// first a letter or digit.
    #[must_use]
    pub fn is_plain_name(name: &str) -> bool {
        name.len() <= NAME_BYTES_MAX
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.'))
    }

    /// The key of the repository's `config`.
    #[must_use]
    pub fn config() -> Self {
        Self { area: Area::Config, name: "config".to_owned() }
    }

    /// The area of the object.
    #[must_use]
    pub const fn area(&self) -> Area {
        self.area
    }

    /// The name of the object within its area.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A plain file name that no other object has: `config`, or the area and the name.
    #[must_use]
    pub fn flat_name(&self) -> String {
        match self.area {
            Area::Config => "config".to_owned(),
            area => format!("{}-{}", area.folder(), self.name),
        }
    }

    /// The key with this flat name.
    #[must_use]
    pub fn from_flat_name(flat_name: &str) -> Option<Self> {
        if flat_name == Area::Config.folder() {
            return Some(Self::config());
        }
        let (folder, name) = flat_name.split_once('-')?;
        let area = AREAS.into_iter().find(|area| area.folder() == folder)?;
        (!name.is_empty() && !name.contains('/') && !name.starts_with('.')).then(|| Self::new(area, name))
    }

    /// The path of the object, relative to the storage's root.
    #[must_use]
    pub fn path(&self) -> String {
        match self.area {
            Area::Config => "config".to_owned(),
            area if area.is_sharded() => {
                let shard = self.name.get(..SHARD_CHARS).unwrap_or(&self.name);
                format!("{}/{shard}/{}", area.folder(), self.name)
            }
            area => format!("{}/{}", area.folder(), self.name),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.path())
    }
}

/// Areas whose objects are taken back by those who share the storage: what is in them is said of others, or lies in another place besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retractable {
    /// A manifest, of which a copy is kept among the forgotten ones.
    Snapshot,
    /// A pin.
    Pin,
    /// The copy of a deleted manifest.
    Forgotten,
    /// What was put aside.
    Quarantine,
    /// Parity of an object.
    Parity,
}

impl From<Retractable> for Area {
    fn from(retractable: Retractable) -> Self {
        match retractable {
            Retractable::Snapshot => Self::Snapshots,
            Retractable::Pin => Self::Pins,
            Retractable::Forgotten => Self::Forgotten,
            Retractable::Quarantine => Self::Quarantine,
            Retractable::Parity => Self::Parity,
        }
    }
}
