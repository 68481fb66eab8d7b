//! `larder cat`: the bytes of one file of a snapshot, or a database as one plain dump.

use clap::Args;
use larder::model::resolve;
use larder::pipeline::{Error, write_content, write_dump};

use super::{Context, snapshot_and_path};
use crate::failure::{Exit, UsageError};

/// Write a file of a snapshot to standard output, or a database as one plain dump.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larder cat latest:config/sources.yaml\n  larder cat latest:database | psql scratch\n  larder cat latest:database/data/public.articles | head"
)]
pub(super) struct CatArguments {
    /// The snapshot, and the path of a file that begins with a component; or the component of a database.
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
        let mut target = context.output;
        let database = path.split().filter(|(_, rest)| rest.is_empty());
        let database = database.and_then(|(name, _)| snapshot.component(&String::from_utf8_lossy(name)));
        if let Some(component) = database.filter(|component| component.database.is_some()) {
            write_dump(&mut reader, component, &mut target)?;
            return Ok(Exit::Done);
        }
        let node = resolve(&mut reader, &snapshot, &path).map_err(Error::from)?;
        write_content(&mut reader, &node, &mut target)?;
        Ok(Exit::Done)
    }
}
