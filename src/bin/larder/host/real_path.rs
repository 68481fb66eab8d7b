//! A path without links and dots, as far as it is there: two spellings of a place are one place.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use larder::rooted::{Identity, Status};
use rustix::fs::CWD;

/// The path that a path leads to. What is not there is named below what is.
pub(crate) fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(path), ..) => path,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

/// What stands where a path leads to, if anything does.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    Status::of_entry(CWD, real(path).as_os_str().as_bytes()).ok().map(|status| status.whole_identity())
}
