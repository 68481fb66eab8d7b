//! The file of a chart: looked at before the work begins.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::error::UsageError;
use crate::host::new_file::{self, NewFile, Purpose};

/// Where a chart goes.
pub(crate) struct ChartFile {
    path: PathBuf,
}

impl ChartFile {
    /// A file that can be written, whether it is there or not.
    pub(crate) fn new(path: &Path) -> anyhow::Result<Self> {
        let refuse = |why: &str| Err(UsageError::new(format!("the chart cannot be {}: {why}", path.display())).into());
        let is_slashed = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => return refuse("it is a directory"),
            // What is written takes its place, and the name of a device may be a link.
            Ok(metadata) if !metadata.is_file() => return refuse("it is no regular file"),
            _ if path.file_name().is_none() || is_slashed => return refuse("it is not the name of a file"),
            _ => {}
        }
        NewFile::create(path, Purpose::Text).with_context(|| {
            format!("cannot write a chart into {}", path.parent().unwrap_or(Path::new("/")).display())
        })?;
        Ok(Self { path: path.to_owned() })
    }

    /// Writes the chart.
    pub(crate) fn write(&self, svg: &str) -> anyhow::Result<()> {
        new_file::write(&self.path, svg.as_bytes(), Purpose::Text)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
