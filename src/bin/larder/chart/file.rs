//! The file of a chart: looked at before the work begins, written beside and renamed.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::NamedTempFile;

use crate::failure::UsageError;

/// Where a chart goes.
pub(crate) struct ChartFile {
    path: PathBuf,
    folder: PathBuf,
}

impl ChartFile {
    /// A file that can be written, whether it is there or not.
    pub(crate) fn new(path: &Path) -> anyhow::Result<Self> {
        let refuse = |why: &str| Err(UsageError::new(format!("the chart cannot be {}: {why}", path.display())).into());
        let is_slashed = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return refuse("it is a directory"),
            Ok(metadata) if !metadata.is_file() => return refuse("it is no regular file"),
            Err(_) if path.file_name().is_none() || is_slashed => return refuse("it is not the name of a file"),
            _ => {}
        }
        // Through a link, so that the link stays.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_owned(),
            None => PathBuf::from("/"),
        };
        let file = Self { path, folder };
        drop(file.temporary()?);
        Ok(file)
    }

    fn temporary(&self) -> anyhow::Result<NamedTempFile> {
        // The umask takes from that what it takes from every new file.
        let permissions = Permissions::from_mode(0o666);
        let made = tempfile::Builder::new().prefix(".larder-chart-").permissions(permissions).tempfile_in(&self.folder);
        made.with_context(|| format!("cannot write a chart into {}", self.folder.display()))
    }

    /// Writes the chart.
    pub(crate) fn write(&self, svg: &str) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        let mut file = self.temporary()?;
        file.write_all(svg.as_bytes()).with_context(failed)?;
        file.as_file().sync_all().with_context(failed)?;
        file.persist(&self.path).map_err(|error| error.error).with_context(failed)?;
        Ok(())
    }
}
