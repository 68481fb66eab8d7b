//! Whether `create` could use the repository, found out without changing anything in it.

use std::fs;
use std::path::Path;

use larder::model::Snapshot;
use larder::pipeline::lookup;
use larder::repo::{self, Repository};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::context::Context;
use super::identity::{check_repository_is_known, system_name};
use super::restoring::{HalfRestored, half_restored};

/// What is known of a repository that nothing is written to.
#[derive(Default)]
pub(super) struct Known {
    /// The snapshots that there are.
    pub(super) snapshots: Vec<Snapshot>,
    /// The places that are half-restored.
    pub(super) half: Vec<HalfRestored>,
    /// How the system is called in it.
    pub(super) system: String,
}

/// What there is; nothing where there is no repository and one can be made.
///
/// # Errors
/// Why `create` could not open it, write to it, or make it.
pub(super) fn look(context: &Context<'_>) -> anyhow::Result<Known> {
    let place = &context.settings.backup_dir;
    match Repository::open(context.storage()?) {
        Ok(repository) => {
            check_repository_is_known(context, Some(&repository), false)?;
            check_folder(place)?;
            let (snapshots, half) = (lookup::snapshots(&repository)?.snapshots, half_restored());
            Ok(Known { snapshots, half, system: system_name(context, Some(&repository)) })
        }
        Err(repo::Error::NotFound { .. }) => {
            Repository::check_vacant(context.storage()?.as_ref())?;
            check_repository_is_known(context, None, false)?;
            let above = place.ancestors().find(|folder| folder.symlink_metadata().is_ok()).unwrap_or(Path::new("."));
            let is_directory = above.is_dir();
            anyhow::ensure!(is_directory, "no repository can be made in {}: it is not a directory", above.display());
            check(above, Access::WRITE_OK | Access::EXEC_OK, "make a repository in")?;
            Ok(Known::default())
        }
        Err(error) => Err(error.into()),
    }
}

/// Looks whether everything in a folder of the repository can be read, and things be added and removed there.
fn check_folder(folder: &Path) -> anyhow::Result<()> {
    check(folder, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, "write to")?;
    for entry in fs::read_dir(folder)?.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => check_folder(&entry.path())?,
            Ok(kind) if kind.is_file() => check(&entry.path(), Access::READ_OK, "read")?,
            _ => {}
        }
    }
    Ok(())
}

fn check(path: &Path, access: Access, what: &str) -> anyhow::Result<()> {
    match accessat(CWD, path, access, AtFlags::EACCESS) {
        // It went away meanwhile.
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(anyhow::anyhow!("cannot {what} {}: {}", path.display(), std::io::Error::from(errno))),
    }
}
