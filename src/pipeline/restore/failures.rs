//! What could not be done with entries: the first ones with path and cause, all of them counted. There may be as many as there are files.

use crate::limits::{RESTORE_FAILURES_BYTES_MAX, RESTORE_FAILURES_MAX};

/// What could not be done, with the path of what.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    /// The first ones: path and cause.
    listed: Vec<(String, String)>,
    /// Length of these texts.
    listed_bytes: usize,
    /// How many there were.
    count: u64,
}

impl Failures {
    /// Adds one: path and cause.
    pub fn push(&mut self, (path, why): (String, String)) {
        self.count += 1;
        let bytes = self.listed_bytes + path.len() + why.len();
        // The first one is always told.
        let has_room = self.listed.len() < RESTORE_FAILURES_MAX && bytes <= RESTORE_FAILURES_BYTES_MAX;
        if self.listed.is_empty() || has_room {
            self.listed_bytes = bytes;
            self.listed.push((path, why));
        }
    }

    /// Adds all of another list.
    pub(super) fn append(&mut self, other: Self) {
        let more = other.more();
        self.extend(other);
        self.count += more;
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there were.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many there were beyond those that are listed.
    #[must_use]
    pub const fn more(&self) -> u64 {
        self.count - self.listed.len() as u64
    }

    /// Those that are listed: path and cause.
    pub fn iter(&self) -> std::slice::Iter<'_, (String, String)> {
        self.listed.iter()
    }
}

impl Extend<(String, String)> for Failures {
    fn extend<I: IntoIterator<Item = (String, String)>>(&mut self, failures: I) {
        failures.into_iter().for_each(|failure| self.push(failure));
    }
}

impl IntoIterator for Failures {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.listed.into_iter()
    }
}

impl<'a> IntoIterator for &'a Failures {
    type Item = &'a (String, String);
    type IntoIter = std::slice::Iter<'a, (String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A restore of a million files without the right to give them away kept a million texts.
    #[test]
    fn the_first_failures_are_listed_and_all_are_counted() {
        let mut failures = Failures::default();
        let failure = |number: usize| (format!("file {number}"), "no right to".to_owned());
        failures.extend((0..RESTORE_FAILURES_MAX + 5).map(failure));
        assert_eq!(failures.iter().count(), RESTORE_FAILURES_MAX);
        assert_eq!((failures.more(), failures.count()), (5, RESTORE_FAILURES_MAX as u64 + 5));
        let mut others = Failures::default();
        others.push(failure(0));
        others.append(failures);
        assert_eq!((others.more(), others.count()), (6, RESTORE_FAILURES_MAX as u64 + 6));
    }

    #[test]
    fn texts_that_are_as_long_as_somebody_likes_are_bounded_together() {
        let mut failures = Failures::default();
        let long = "x".repeat(RESTORE_FAILURES_BYTES_MAX);
        failures.extend((0..3).map(|_| (long.clone(), "why".to_owned())));
        assert_eq!((failures.iter().count(), failures.count()), (1, 3));
    }
}
