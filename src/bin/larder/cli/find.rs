//! `larder find`: which snapshots have an entry.

use clap::Args;

use super::entry::line;
use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::browse;
use crate::exit::Exit;
use crate::view::documents::browse::FoundDocument;

/// Find entries by name or path in all snapshots.
///
/// `*` and `?` stop at slashes, `**` does not. A pattern without a slash matches names; one with a slash whole paths,
/// which begin with the component.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder find '*.pkl'\n  larder find 'config/**/*.yaml' --snapshot latest")]
pub(super) struct FindArguments {
    /// What to look for.
    pattern: String,
    /// Only in this snapshot.
    #[arg(long, value_name = "NAME")]
    snapshot: Option<String>,
    #[command(flatten)]
    select: SelectArguments,
}

impl FindArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        let (output, mut entries) = (terminal.output, Vec::new());
        let wanted = (self.pattern.as_str(), self.snapshot.as_deref());
        let exit = browse::find(&terminal.context, &self.select.select(), wanted, &mut |snapshot, path, node| {
            if output.is_json() {
                entries.push(FoundDocument::new(path, node, snapshot));
            } else {
                output.line(&format!("{}  {}", snapshot.name, line(path, node, snapshot)));
            }
            Ok(())
        })?;
        if output.is_json() {
            output.document(&entries)?;
        }
        Ok(exit)
    }
}
