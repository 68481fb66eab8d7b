//! `larder cat`: the bytes of one file of a snapshot, a directory as an archive, or a database as one plain dump.

use clap::Args;

use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::browse;
use crate::error::UsageError;
use crate::exit::Exit;
use crate::term::console::warning;
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
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        if terminal.output.is_json() {
            return Err(UsageError::new("cat writes the bytes of a file: --json means nothing to it").into());
        }
        let mut target = terminal.output;
        let sockets = browse::cat(&terminal.context, &self.select.select(), &self.place, &mut target)?;
        if sockets > 0 {
            warning(&format!("{} left out, which no archive has", count(sockets, "socket is", "sockets are")));
        }
        Ok(Exit::Done)
    }
}
