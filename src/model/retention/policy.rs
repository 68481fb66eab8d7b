//! How many snapshots a policy keeps.

use std::time::Duration;

use crate::clock::Period;

/// How many snapshots of each series are kept. Each number counts slots of local time that have a complete snapshot; time without any
/// counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// The newest ones, whatever their times.
    pub last: u32,
    /// Of each hour the best one.
    pub hourly: u32,
    /// Of each day the best one.
    pub daily: u32,
    /// Of each ISO week the best one.
    pub weekly: u32,
    /// Of each month the best one.
    pub monthly: u32,
    /// Of each year the best one.
    pub yearly: u32,
    /// Everything that is at most so much older than the newest snapshot of its series.
    pub within: Option<Duration>,
    /// Everything with one of these tags.
    pub tags: Vec<String>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { daily: 7, weekly: 4, monthly: 3, ..Self::NONE }
    }
}

impl Retention {
    /// A policy that keeps nothing.
    pub const NONE: Self =
        Self { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within: None, tags: Vec::new() };

    pub(super) const fn slots(&self) -> [(Period, u32); 5] {
        [
            (Period::Hour, self.hourly),
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ]
    }
}

/// A policy that would keep nothing is taken for a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the retention keeps nothing: no rule of it is above zero")]
pub struct EmptyRetention;
