//! What becomes of a snapshot, and the rules that keep it.

use std::fmt;

use crate::clock::Period;
use crate::model::SnapshotName;

/// Why a snapshot is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The user asked for it.
    Pinned,
    /// A restore of it has not ended well, and needs it again.
    Unended,
    /// It is the newest complete one of its series, which is named.
    Newest(String),
    /// It is newer than the newest complete one of its series.
    Newer,
    /// It has the newest copy of these components, or the newest with far more than that.
    Copy(Vec<String>),
    /// Its time is later than the clock.
    Ahead,
    /// Its time is earlier than that of the snapshot before it: the clock was behind when it was made.
    Behind,
    /// It is among the newest so many.
    Last,
    /// It is the best one of a period, or has something that the best one lacks; the period as text.
    Slot(Period, String),
    /// It is young enough.
    Within,
    /// It has a tag that is kept.
    Tag(String),
    /// A restore replaced what is in it, less than a week ago.
    Safety,
}

impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => formatter.write_str("pinned"),
            Self::Unended => formatter.write_str("a restore of it has not ended well"),
            Self::Newest(series) => write!(formatter, "newest complete of {series}"),
            Self::Newer => formatter.write_str("newer than the newest complete"),
            Self::Copy(components) => write!(formatter, "newest copy of {}", components.join(", ")),
            Self::Ahead => formatter.write_str("later than the clock"),
            Self::Behind => formatter.write_str("made while the clock was behind"),
            Self::Last => formatter.write_str("last"),
            Self::Slot(period, slot) => write!(formatter, "{} {slot}", period.adverb()),
            Self::Within => formatter.write_str("within"),
            Self::Tag(tag) => write!(formatter, "tag {tag}"),
            Self::Safety => formatter.write_str("safety, for a week"),
        }
    }
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The snapshot.
    pub name: SnapshotName,
    /// The rules that keep it; without any it goes.
    pub keep: Vec<Rule>,
}

impl Verdict {
    /// Whether it stays whatever the policy says, and whatever the size of the repository.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        let protects = |rule: &Rule| {
            use Rule::{Ahead, Behind, Copy, Newer, Newest, Pinned, Unended};
            matches!(rule, Pinned | Unended | Newest(_) | Newer | Copy(_) | Ahead | Behind)
        };
        self.keep.iter().any(protects)
    }
}
