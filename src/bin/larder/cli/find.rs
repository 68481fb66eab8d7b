//! `larder find`: which snapshots have an entry.

use clap::Args;

use super::entry;
use super::select::SelectArguments;
use super::terminal::Terminal;
use crate::app::browse::{self, Wanted};
use crate::exit::Exit;
use crate::term::console::line;
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
    /// Take capital and small letters for the same.
    #[arg(short, long)]
    ignore_case: bool,
    /// Only in this snapshot.
    #[arg(long, value_name = "NAME")]
    snapshot: Option<String>,
    #[command(flatten)]
    select: SelectArguments,
}

impl FindArguments {
    pub(super) fn run(&self, terminal: &Terminal<'_>) -> anyhow::Result<Exit> {
        let (output, mut entries, mut count) = (terminal.output, Vec::new(), 0_u64);
        let wanted =
            Wanted { pattern: &self.pattern, ignores_case: self.ignore_case, snapshot: self.snapshot.as_deref() };
        let exit = browse::find(&terminal.context, &self.select.select(), &wanted, &mut |snapshot, path, node| {
            count += 1;
            if output.is_json() {
                entries.push(FoundDocument::new(path, node, snapshot));
            } else {
                output.line(&format!("{}  {}", snapshot.name, entry::line(path, node, snapshot)));
            }
            Ok(())
        })?;
        if output.is_json() {
            output.document(&entries)?;
        } else if count == 0 {
            line(&format!(
                "note: nothing matches '{}' in {}",
                self.pattern,
                self.snapshot.as_deref().unwrap_or("any snapshot")
            ));
        }
        Ok(exit)
    }
}
