//! `larder import-config`: the configuration of the old tool as `larder.toml`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use larder::rooted::Refusal;
use serde_json::json;

use super::GlobalArguments;
use crate::config::{FILE_BYTES_MAX, FILE_NAME, convert, of_run, refused};
use crate::console::{line, warning};
use crate::failure::{Exit, UsageError};
use crate::new_file::{self, Purpose};
use crate::output::Output;

/// Write `larder.toml` from `backup.yaml` of the old tool.
///
/// Keys that mean nothing here, or something else, are named. A file that asks for encryption is refused: there is none.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder import-config config/backup.yaml --dry-run\n  \
    larder import-config config/backup.yaml --environment production")]
pub(super) struct ImportConfigArguments {
    /// The file.
    file: PathBuf,
    /// The overlay of it that applies.
    #[arg(long, value_name = "NAME", env = "ENVIRONMENT", default_value = "development")]
    environment: String,
    /// Print what would be written.
    #[arg(long)]
    dry_run: bool,
    /// Replace a larder.toml that is there already.
    #[arg(long)]
    force: bool,
}

impl ImportConfigArguments {
    pub(super) fn run(&self, global: &GlobalArguments, output: &Output) -> anyhow::Result<Exit> {
        let shown = self.file.display();
        let text = of_run(global.trust_files, &[])?.read_named(&self.file, FILE_BYTES_MAX);
        let text = text.map_err(|refusal| match refusal {
            Refusal::Io { source, .. } => UsageError::new(format!("cannot read {shown}: {source}")),
            refusal => refused(&refusal),
        })?;
        let converted = convert(&text, &self.environment).map_err(|why| {
            UsageError::with_advice(
                format!("{shown} is not taken over: {why}"),
                "change it there, or write larder.toml by hand",
            )
        })?;
        let target = global.config.clone().unwrap_or_else(|| global.directory.join(FILE_NAME));
        if !self.dry_run {
            self.write(&target, &converted.text).map_err(|error| {
                let message = format!("cannot write {}: {error}", target.display());
                UsageError::with_advice(message, "`--force` replaces a file that is there, `--dry-run` prints the text")
            })?;
        }
        match &converted.overlay {
            Some(overlay) => line(&format!("the overlay of the environment '{overlay}' is applied")),
            None => line(&format!("the file has no overlay of the environment '{}'", self.environment)),
        }
        converted.warnings.iter().for_each(|text| warning(text));
        if let Some(schedule) = &converted.schedule {
            line(&format!("its schedule: {schedule}"));
        }
        if output.is_json() {
            output.json(&json!({
                "path": target, "written": !self.dry_run, "text": converted.text, "overlay": converted.overlay,
                "warnings": converted.warnings, "schedule": converted.schedule,
            }));
        } else if self.dry_run {
            output.bytes(converted.text.as_bytes());
        } else {
            output.line(&target.display().to_string());
        }
        Ok(Exit::Done)
    }

    fn write(&self, target: &Path, text: &str) -> io::Result<()> {
        if !self.force && target.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        new_file::write(target, text.as_bytes(), Purpose::Text)
    }
}
