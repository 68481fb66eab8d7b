//! Which entries of a directory are left out: patterns from the configuration, and caches that say that they are.

use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::OFlags;

use super::Error;
use crate::rooted::open_file;

/// How the files begin that a restore is writing. One that a killed restore left is never backed up.
pub const UNFINISHED_PREFIX: &[u8] = b".larder-restore-";
/// The name of the file that marks a directory as a cache.
const CACHE_TAG_NAME: &[u8] = b"CACHEDIR.TAG";
const CACHE_TAG_SIGNATURE: &[u8; 43] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Patterns of paths that are left out, relative to the root of a component.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    patterns: GlobSet,
}

impl Excludes {
    /// Excludes with these patterns. One without `/` matches a name at any depth, one with `/` a path from the root;
    /// `**` matches any number of directories.
    ///
    /// # Errors
    /// [`Error::Pattern`].
    pub fn new(patterns: &[String]) -> Result<Self, Error> {
        let mut builder = GlobSetBuilder::new();
        for pattern in patterns {
            let failed =
                |error: globset::Error| Error::Pattern { pattern: pattern.clone(), why: error.kind().to_string() };
            let trimmed = pattern.trim_end_matches('/');
            let rooted = match trimmed.strip_prefix('/') {
                Some(rest) => rest.to_owned(),
                None if trimmed.contains('/') => trimmed.to_owned(),
                None => format!("**/{trimmed}"),
            };
            builder.add(GlobBuilder::new(&rooted).literal_separator(true).build().map_err(failed)?);
        }
        let failed = |error: globset::Error| Error::Pattern { pattern: patterns.join(" "), why: error.to_string() };
        Ok(Self { patterns: builder.build().map_err(failed)? })
    }

    /// The pattern that leaves out one path below the root; where that is not text, also what differs from it in bytes that are none.
    #[must_use]
    pub fn pattern_of(relative: &[u8]) -> String {
        let mut pattern = "/".to_owned();
        for chunk in relative.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '?' | '*' | '[' | ']' | '{' | '}' | '\\' => pattern.extend(['[', char, ']']),
                    char => pattern.push(char),
                }
            }
            chunk.invalid().iter().for_each(|_| pattern.push('?'));
        }
        pattern
    }

    /// Whether a path below the root is left out.
    #[must_use]
    pub fn matches(&self, relative: &Path) -> bool {
        self.patterns.is_match(relative)
    }
}

/// Whether an open directory carries the tag of <https://bford.info/cachedir/>.
#[must_use]
pub fn is_tagged_cache(directory: BorrowedFd<'_>) -> bool {
    open_file(directory, CACHE_TAG_NAME, OFlags::empty()).is_ok_and(|(tag, _)| is_cache_tag(tag))
}

fn is_cache_tag(mut file: File) -> bool {
    let mut start = [0; CACHE_TAG_SIGNATURE.len()];
    file.read_exact(&mut start).is_ok() && start == *CACHE_TAG_SIGNATURE
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn patterns_match_names_anywhere_and_paths_from_the_root() {
        let patterns = ["*.tmp", "/cache", "a/**/b", "logs/old/"].map(str::to_owned);
        let excludes = Excludes::new(&patterns).expect("valid patterns");
        for path in ["x.tmp", "deep/er/x.tmp", "cache", "a/1/2/b", "a/b", "logs/old"] {
            assert!(excludes.matches(Path::new(path)), "{path}");
        }
        for path in ["x.tmpl", "sub/cache", "b", "logs/old.txt"] {
            assert!(!excludes.matches(Path::new(path)), "{path}");
        }
        assert!(Excludes::new(&["[".to_owned()]).is_err());
    }

    /// The pattern of a name with a backslash was one of another name.
    #[test]
    fn the_pattern_of_a_path_matches_it_and_nothing_else() {
        let names: [&[u8]; 8] = [b"a/b", b"a\\b", b"[a]", b"{a,b}", b"a*?", b"a\nb", b"m\", \"x", b"\xffa\xfe\xc3"];
        for name in names {
            let pattern = Excludes::pattern_of(name);
            let excludes = Excludes::new(std::slice::from_ref(&pattern)).expect("a pattern");
            for other in names {
                let path = Path::new(OsStr::from_bytes(other));
                assert_eq!(excludes.matches(path), name == other, "{pattern} {path:?}");
            }
            assert!(!excludes.matches(Path::new("ab")) && !excludes.matches(Path::new("a")), "{pattern}");
        }
    }
}
