//! Names of snapshots and components: plain ones, which cannot lead out of a folder.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::clock::LocalTime;
use crate::storage::Key;

/// What the names of snapshots that Larder makes begin with.
const SNAPSHOT_PREFIX: &str = "system_backup_";

/// A text that cannot name a snapshot or a component.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a valid name: letters, digits, '_', '-' and '.' are, and the first is a letter or digit")]
pub struct NameError(String);

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                if Key::is_plain_name(&text) { Ok(Self(text)) } else { Err(NameError(text)) }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }
    };
}

name_type! {
    /// The name of a snapshot: `system_backup_YYYYMMDD_HHMMSS` for those that Larder makes.
    SnapshotName
}
name_type! {
    /// The name of a component: `database`, `models`, `docker_volume_NAME`, …
    ComponentName
}

impl SnapshotName {
    /// The name of a snapshot that is made at this time.
    #[must_use]
    pub fn at(time: LocalTime) -> Self {
        Self(format!("{SNAPSHOT_PREFIX}{}", time.stamp()))
    }

    /// When the snapshot was made by its name, in the time zone of the system; `None` where the name says no time.
    #[must_use]
    pub fn time(&self) -> Option<LocalTime> {
        LocalTime::of_stamp(self.0.strip_prefix(SNAPSHOT_PREFIX)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for name in ["system_backup_20251010_103000", "docker_volume_redis-data", "a.b", "1"] {
            assert!(name.parse::<SnapshotName>().is_ok(), "{name}");
        }
        for name in ["", ".", "..", ".hidden", "a/b", "a b", "ä", "a\0", &"x".repeat(201)] {
            assert!(name.parse::<ComponentName>().is_err(), "{name:?}");
        }
    }
}
