//! A path without links and dots, as far as it is there: two spellings of a place are one place.

use std::path::{Path, PathBuf};

/// The path that a path leads to. What is not there is named below what is.
pub(crate) fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(path), ..) => path,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}
