//! `larder ls`: what is in a snapshot.

use clap::Args;

use super::entry::line;
use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::browse;
use crate::exit::Exit;
use crate::view::documents::browse::EntryDocument;

/// List what is in a snapshot, or in a directory of it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  larder ls latest\n  larder ls latest:config\n  larder ls --recursive latest:models"
)]
pub(super) struct LsArguments {
    /// The snapshot, and a path that begins with a component.
    #[arg(value_name = "NAME[:PATH]")]
    place: String,
    /// Everything below it too.
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    select: SelectArguments,
}

impl LsArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        let (output, mut entries) = (terminal.output, Vec::new());
        let wanted = (self.place.as_str(), self.recursive);
        browse::ls(&terminal.context, &self.select.select(), wanted, &mut |snapshot, path, node| {
            if output.is_json() {
                entries.push(EntryDocument::new(path, node, snapshot));
            } else {
                output.line(&line(path, node, snapshot));
            }
            Ok(())
        })?;
        if output.is_json() {
            output.document(&entries)?;
        }
        Ok(Exit::Done)
    }
}
