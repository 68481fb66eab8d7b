//! Where a tree goes, and making that place.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;

use super::protected::ProtectedPaths;
use crate::pipeline::Error;
use crate::rooted::{Guarded, Trust, open_directory};
use crate::sink;
use crate::temporary::close_to_others;

/// Where a tree goes.
pub(in crate::pipeline::restore) struct Place<'a> {
    pub(in crate::pipeline::restore) root: &'a Path,
    /// Whose links on the way to the root are followed.
    pub(in crate::pipeline::restore) trust: &'a Trust,
    pub(in crate::pipeline::restore) protected: ProtectedPaths,
}

impl<'a> Place<'a> {
    /// A place from which backups leave nothing out.
    pub(in crate::pipeline::restore) fn new(root: &'a Path, trust: &'a Trust) -> Self {
        Self { root, trust, protected: ProtectedPaths::default().with_caches() }
    }

    /// Makes the root where there is none, but nothing within `guarded`. Only its user gets in until it has the mode of what it
    /// becomes.
    pub(super) fn make(&self, guarded: &Guarded) -> Result<(), Error> {
        let Self { root, trust, .. } = self;
        let failed = |source: std::io::Error| sink::Error::io("create", root.display().to_string(), source);
        let (Some(around), Some(name)) = (root.parent(), root.file_name()) else { return Ok(()) };
        let standing = root.ancestors().find_map(|path| trust.open_directory(path).ok());
        if standing.is_some_and(|standing| guarded.covers(standing).unwrap_or_default()) {
            let why = "is the repository, or lies in it: nothing is restored there";
            return Err(Error::Refused(format!("{} {why}", root.display())));
        }
        let around = trust.make_directory(around).map_err(|refusal| failed(refusal.into()))?;
        match mkdirat(&around, name, Mode::RWXU) {
            Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(failed(errno.into()).into()),
            Ok(()) => {
                let made = open_directory(&around, name.as_bytes()).map_err(|errno| failed(errno.into()))?;
                Ok(close_to_others(made).map_err(failed)?)
            }
        }
    }
}
