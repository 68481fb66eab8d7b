//! `larder config`: the settings that are in force, and where each comes from.

use clap::Args;

use super::global::GlobalArguments;
use super::terminal::Terminal;
use crate::app::identity::system_name;
use crate::config::{Effective, effective};
use crate::exit::Exit;
use crate::host::machine::host_name;
use crate::term::console::warning;
use crate::term::table::{Align, Table};
use crate::view::documents::config::ConfigDocument;

/// Show every setting that is in force, and where it comes from.
///
/// The whole of larder.toml is checked, as it is by every command. Passwords are not shown.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder config")]
pub(super) struct ConfigArguments {}

impl ConfigArguments {
    #[expect(clippy::unused_self, reason = "commands are run alike")]
    pub(super) fn run(&self, terminal: &Terminal<'_>, global: &GlobalArguments) -> anyhow::Result<Exit> {
        let context = &terminal.context;
        let mut all = effective(&context.settings, &global.overrides());
        if !all.iter().any(|one| one.key == "system.name") {
            // A repository that cannot be opened is told by the commands that need it.
            let repository = terminal.ended(context.repository_if_any()).ok().flatten();
            let value = system_name(context, repository.as_ref());
            let origin = if value == host_name() { "the host" } else { "remembered" }.to_owned();
            all.insert(1, Effective { key: "system.name".to_owned(), value, origin });
        }
        if terminal.output.is_json() {
            terminal.output.document(&ConfigDocument::new(&all))?;
        } else {
            let mut table = Table::new(&[("key", Align::Left), ("value", Align::Left), ("from", Align::Left)]);
            for Effective { key, value, origin } in all {
                table.row(vec![key, value, origin]);
            }
            terminal.output.table(&table);
        }
        if let Some(why) = &context.settings.unused_database {
            warning(why);
        }
        Ok(Exit::Done)
    }
}
