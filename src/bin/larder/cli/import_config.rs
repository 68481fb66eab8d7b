//! `larder import-config`: the configuration of the old tool as `larder.toml`.

use std::path::PathBuf;

use clap::Args;

use super::global::GlobalArguments;
use super::terminal::Shown;
use crate::app::import_config::{self, ImportConfigRequest};
use crate::exit::Exit;
use crate::term::console::{line, warning};
use crate::view::documents::config::ImportConfigDocument;

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
    pub(super) fn run(&self, global: &GlobalArguments, shown: &Shown<'_>) -> anyhow::Result<Exit> {
        let outcome = import_config::run(&self.request(global), shown)?;
        match &outcome.overlay {
            Some(overlay) => line(&format!("the overlay of the environment '{overlay}' is applied")),
            None => line(&format!("the file has no overlay of the environment '{}'", self.environment)),
        }
        outcome.warnings.iter().for_each(|text| warning(text));
        if let Some(schedule) = &outcome.schedule {
            line(&format!("its schedule: {schedule}"));
        }
        if shown.output.is_json() {
            shown.output.document(&ImportConfigDocument::new(&outcome))?;
        } else if self.dry_run {
            shown.output.bytes(outcome.text.as_bytes());
        } else {
            shown.output.line(&outcome.target.display().to_string());
        }
        Ok(Exit::Done)
    }

    fn request(&self, global: &GlobalArguments) -> ImportConfigRequest {
        ImportConfigRequest {
            overrides: global.overrides(),
            file: self.file.clone(),
            environment: self.environment.clone(),
            dry_run: self.dry_run,
            replaces: self.force,
        }
    }
}
