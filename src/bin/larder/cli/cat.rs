//! `larder cat`: the bytes of one file of a snapshot.

use clap::Args;
use larder::model::resolve;
use larder::pipeline::{Error, write_content};

use super::{Context, snapshot_and_path};
use crate::failure::{Exit, UsageError};

/// Write a file of a snapshot to standard output.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larder cat latest:config/sources.yaml\n  larder cat latest:database/database.sql | head"
)]
pub(super) struct CatArguments {
    /// The snapshot, and the path of a file that begins with a component.
    #[arg(value_name = "NAME:PATH")]
    place: String,
}

impl CatArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        if context.output.is_json() {
            return Err(UsageError::new("cat writes the bytes of a file: --json means nothing to it").into());
        }
        let repository = context.repository()?;
        let (snapshot, path) = snapshot_and_path(&repository, &self.place)?;
        if path.split().is_none() {
            return Err(UsageError::with_advice("cat needs the path of a file", "NAME:COMPONENT/PATH").into());
        }
        let mut reader = repository.reader()?;
        let node = resolve(&mut reader, &snapshot, &path).map_err(Error::from)?;
        let mut target = context.output;
        write_content(&mut reader, &node, &mut target)?;
        Ok(Exit::Done)
    }
}
