//! `larder cat`: the bytes of one file of a snapshot, a directory as an archive, or a database as one plain dump.

use clap::Args;
use larder::model::{NodeKind, resolve};
use larder::pipeline::{Error, write_archive, write_content, write_dump};

use super::Context;
use super::select::SelectArguments;
use crate::console::warning;
use crate::failure::{Exit, UsageError};
use crate::units::count;

/// Write a file of a snapshot to standard output, a directory as a tar archive, or a database as one plain dump.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larder cat latest:config/sources.yaml\n  larder cat latest:database | psql scratch\n  larder cat latest:database/data/public.articles | head"
)]
pub(super) struct CatArguments {
    /// The snapshot, and the path of a file or directory that begins with a component; or the component of a database.
    #[arg(value_name = "NAME:PATH")]
    place: String,
    #[command(flatten)]
    select: SelectArguments,
}

impl CatArguments {
    pub(super) fn run(&self, context: &Context<'_>) -> anyhow::Result<Exit> {
        if context.output.is_json() {
            return Err(UsageError::new("cat writes the bytes of a file: --json means nothing to it").into());
        }
        let repository = context.repository()?;
        let (snapshot, path) = self.select.snapshot_and_path(context, &repository, &self.place)?;
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
        if matches!(node.kind, NodeKind::Directory { .. }) {
            let sockets = write_archive(&repository, &node, &mut target, &context.progress)?;
            if sockets > 0 {
                warning(&format!("{} left out, which no archive has", count(sockets, "socket is", "sockets are")));
            }
            return Ok(Exit::Done);
        }
        write_content(&mut reader, &node, &mut target)?;
        Ok(Exit::Done)
    }
}
