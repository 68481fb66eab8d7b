//! The configuration of the old tool as `larder.toml`: read, converted and written.

use std::io;
use std::path::{Path, PathBuf};

use larder::events::Events;
use larder::rooted::Refusal;

use crate::config::{FILE_BYTES_MAX, FILE_NAME, Overrides, convert, of_run, refused};
use crate::error::UsageError;
use crate::host::new_file::{self, Purpose};

/// A file that is to be taken over.
#[derive(Debug, Clone)]
pub(crate) struct ImportConfigRequest {
    pub(crate) overrides: Overrides,
    pub(crate) file: PathBuf,
    /// The overlay of it that applies.
    pub(crate) environment: String,
    /// Whether nothing is written.
    pub(crate) dry_run: bool,
    /// Whether a file that is there is replaced.
    pub(crate) replaces: bool,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct ImportConfigOutcome {
    /// The file that is written.
    pub(crate) target: PathBuf,
    pub(crate) written: bool,
    /// The text of `larder.toml`.
    pub(crate) text: String,
    /// The overlay that was applied, where the file has it.
    pub(crate) overlay: Option<String>,
    /// What of it has no meaning here, or another one.
    pub(crate) warnings: Vec<String>,
    /// The command that installs its schedule.
    pub(crate) schedule: Option<String>,
}

/// Converts the file, and writes what it became.
pub(crate) fn run(request: &ImportConfigRequest, events: &dyn Events) -> anyhow::Result<ImportConfigOutcome> {
    let ImportConfigRequest { overrides, file, environment, .. } = request;
    let shown = file.display();
    let text = of_run((overrides.trust_files, &[]), events)?.read_named(file, FILE_BYTES_MAX);
    let text = text.map_err(|refusal| match refusal {
        Refusal::Io { source, .. } => UsageError::new(format!("cannot read {shown}: {source}")),
        refusal => refused(&refusal),
    })?;
    let converted = convert(&text, environment).map_err(|why| {
        UsageError::with_advice(
            format!("{shown} is not taken over: {why}"),
            "change it there, or write larder.toml by hand",
        )
    })?;
    let target = overrides.config.clone().unwrap_or_else(|| overrides.directory.join(FILE_NAME));
    if !request.dry_run {
        write(&target, &converted.text, request.replaces).map_err(|error| {
            let message = format!("cannot write {}: {error}", target.display());
            UsageError::with_advice(message, "`--force` replaces a file that is there, `--dry-run` prints the text")
        })?;
    }
    Ok(ImportConfigOutcome {
        target,
        written: !request.dry_run,
        text: converted.text,
        overlay: converted.overlay,
        warnings: converted.warnings,
        schedule: converted.schedule,
    })
}

fn write(target: &Path, text: &str, replaces: bool) -> io::Result<()> {
    if !replaces && target.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    new_file::write(target, text.as_bytes(), Purpose::Text)
}
