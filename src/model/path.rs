//! Names of snapshots and components, and paths within a snapshot.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Error, Node, NodeKind, Snapshot, TreeReader};
use crate::clock::LocalTime;
use crate::repo::ChunkReader;
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

/// A path within a snapshot: a component, then entries of its tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotPath(Vec<Vec<u8>>);

impl SnapshotPath {
    /// The path with these bytes; empty parts are left out.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect())
    }

    /// The path as bytes, without a slash at either end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.join(&b'/')
    }

    /// The component and the parts below it; `None` for the snapshot itself.
    #[must_use]
    pub fn split(&self) -> Option<(&[u8], &[Vec<u8>])> {
        self.0.split_first().map(|(component, rest)| (component.as_slice(), rest))
    }
}

impl fmt::Display for SnapshotPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&show_path(&self.to_bytes()))
    }
}

/// A path as text, with control characters escaped so that no name can play with a terminal.
#[must_use]
pub fn show_path(path: &[u8]) -> String {
    show_text(&String::from_utf8_lossy(path))
}

/// A text of somebody else as one line for people: what would play with a terminal, or with the order in which letters are
/// shown, is escaped.
#[must_use]
pub fn show_text(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let escaped = is_deceptive(char).then(|| char.escape_default());
            let plain = if escaped.is_some() { None } else { Some(char) };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Whether a character is a command to whoever shows it: controls, separators of lines, what turns the direction of text, and
/// what is not seen at all (`Default_Ignorable_Code_Point` of Unicode, and the marks of annotations).
#[must_use]
pub fn is_deceptive(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The node at a path.
///
/// # Errors
/// [`Error::NotFound`]; those of [`TreeReader::next`].
pub fn resolve(reader: &mut ChunkReader, snapshot: &Snapshot, path: &SnapshotPath) -> Result<Node, Error> {
    let not_found = || Error::NotFound { path: path.to_string() };
    let (component, parts) = path.split().ok_or_else(not_found)?;
    let component = snapshot.components.iter().find(|candidate| candidate.name.as_str().as_bytes() == component);
    let mut node = component.and_then(|component| component.root.clone()).ok_or_else(not_found)?;
    for part in parts {
        let NodeKind::Directory { tree } = node.kind else { return Err(not_found()) };
        let mut nodes = TreeReader::new(tree)?;
        node = loop {
            let candidate = nodes.next(reader)?.ok_or_else(not_found)?;
            if *candidate.name == **part {
                break candidate;
            }
        };
    }
    Ok(node)
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

    #[test]
    fn control_characters_are_shown_escaped() {
        assert_eq!(show_path(b"a\x1b[2Jb\n\xff"), "a\\u{1b}[2Jb\\n\u{fffd}");
        assert_eq!(show_text("a\u{9b}2J\u{202e}b\u{2028}\u{e4}"), "a\\u{9b}2J\\u{202e}b\\u{2028}\u{e4}");
    }

    /// Two names that differ in nothing but these were shown as the same.
    #[test]
    fn what_is_not_seen_is_shown_escaped() {
        for hidden in
            [0xad, 0x34f, 0x200b, 0x200d, 0x2060, 0x2064, 0x3164, 0xfe0f, 0xfeff, 0xfffb, 0xe0001, 0xe007f, 0xe0100]
        {
            let char = char::from_u32(hidden).expect("a character");
            assert_eq!(show_text(&format!("a{char}b")), format!("a\\u{{{hidden:x}}}b"));
        }
        for seen in ["\u{a0}", "e\u{301}", "\u{e9}", "\u{5d0}", "\u{905}\u{902}", "\u{1f600}", "\u{fffd}"] {
            assert_eq!(show_text(seen), seen);
        }
    }
}
