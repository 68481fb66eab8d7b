//! Parts of a snapshot: paths, each with everything below it.

use std::collections::BTreeSet;
use std::ops::Bound;

/// Paths with everything below them. Each begins with a component.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// None is below another one.
    paths: BTreeSet<Vec<u8>>,
}

impl Parts {
    /// Adds a path. One that is below another is part of it already.
    pub fn insert(&mut self, path: &[u8]) {
        if self.covers(path) {
            return;
        }
        let start = below(path);
        while let Some(inner) = self.first_from(&start).filter(|inner| inner.starts_with(&start)).map(<[u8]>::to_vec) {
            self.paths.remove(&inner);
        }
        self.paths.insert(path.to_vec());
    }

    /// Whether it is a part, or lies in one.
    #[must_use]
    pub fn covers(&self, path: &[u8]) -> bool {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| end);
        ends.chain([path.len()]).filter_map(|end| path.get(..end)).any(|around| self.paths.contains(around))
    }

    /// Whether something below it is a part.
    #[must_use]
    pub fn has_below(&self, path: &[u8]) -> bool {
        let start = below(path);
        self.first_from(&start).is_some_and(|found| found.starts_with(&start))
    }

    /// All paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.paths.iter().map(Vec::as_slice)
    }

    /// How many paths there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.paths.len()
    }

    fn first_from(&self, start: &[u8]) -> Option<&[u8]> {
        self.paths.range::<[u8], _>((Bound::Included(start), Bound::Unbounded)).next().map(Vec::as_slice)
    }
}

/// What the paths below this one begin with.
fn below(path: &[u8]) -> Vec<u8> {
    [path, b"/"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_parts_with_all_that_is_below_them() {
        let mut parts = Parts::default();
        for path in ["a/b/c", "a/b-c", "a/b", "a/b/d", "x"] {
            parts.insert(path.as_bytes());
        }
        assert_eq!(parts.paths().collect::<Vec<_>>(), [&b"a/b"[..], b"a/b-c", b"x"]);
        for (path, covers, has_below) in [
            ("a", false, true),
            ("a/b", true, false),
            ("a/b/c/d", true, false),
            ("a/bc", false, false),
            ("a/b-", false, false),
            ("x/y", true, false),
            ("", false, false),
        ] {
            assert_eq!(
                (parts.covers(path.as_bytes()), parts.has_below(path.as_bytes())),
                (covers, has_below),
                "{path}"
            );
        }
    }
}
