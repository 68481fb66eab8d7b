//! What a verification found, with a bound on how many paths are listed.

use crate::model::SnapshotName;
use crate::pipeline::causes::with_causes;
use crate::pipeline::presence::LostPath;

/// Affected paths that a report lists; the rest are counted.
const AFFECTED_MAX: usize = 1_000;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The object or path that it concerns.
    pub object: String,
    /// What is wrong.
    pub what: String,
}

/// Files of snapshots that cannot be restored.
#[derive(Debug, Default)]
pub struct Affected {
    /// The first of them: snapshot, path and cause.
    pub listed: Vec<(String, Damage)>,
    /// How many there are beyond those.
    pub more: u64,
}

impl Affected {
    /// Whether everything can be restored.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    pub(in crate::pipeline) fn add(&mut self, snapshot: &SnapshotName, lost: &LostPath) {
        if self.listed.len() < AFFECTED_MAX {
            let damage = Damage { object: lost.shown(), what: with_causes(&lost.cause) };
            self.listed.push((snapshot.to_string(), damage));
        } else {
            self.more += 1;
        }
    }
}

/// What a verification found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Names of the snapshots that were looked at.
    pub snapshots: Vec<String>,
    /// Entries of their trees.
    pub entries: u64,
    /// Packs that the index lists.
    pub packs: u64,
    /// Packs that were read.
    pub packs_read: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Objects that are damaged.
    pub damage: Vec<Damage>,
    /// Files of snapshots that cannot be restored.
    pub affected: Affected,
    /// What is odd and harmless.
    pub notes: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is damaged.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.damage.is_empty() && self.affected.is_empty()
    }

    pub(super) fn damaged(&mut self, object: impl Into<String>, what: impl Into<String>) {
        self.damage.push(Damage { object: object.into(), what: what.into() });
    }
}
