//! `larder config`: the settings that are in force, and where each comes from.

use clap::Args;
use serde_json::{Value, json};

use super::{Context, GlobalArguments};
use crate::config::{Effective, effective};
use crate::console::warning;
use crate::failure::Exit;
use crate::identity::{host_name, system_name};
use crate::table::{Align, Table};

/// Show every setting that is in force, and where it comes from.
///
/// The whole of larder.toml is checked, as it is by every command. Passwords are not shown.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder config")]
pub(super) struct ConfigArguments {}

impl ConfigArguments {
    #[expect(clippy::unused_self, reason = "commands are run alike")]
    pub(super) fn run(&self, context: &Context<'_>, global: &GlobalArguments) -> Exit {
        let mut all = effective(&context.settings, global);
        if !all.iter().any(|one| one.key == "system.name") {
            // A repository that cannot be opened is told by the commands that need it.
            let repository = context.repository_if_any().ok().flatten();
            let value = system_name(&context.settings, repository.as_ref());
            let origin = if value == host_name() { "the host" } else { "remembered" }.to_owned();
            all.insert(1, Effective { key: "system.name".to_owned(), value, origin });
        }
        if context.output.is_json() {
            let document = |one: &Effective| json!({ "key": one.key, "value": one.value, "origin": one.origin });
            context.output.json(&all.iter().map(document).collect::<Value>());
        } else {
            let mut table = Table::new(&[("key", Align::Left), ("value", Align::Left), ("from", Align::Left)]);
            for Effective { key, value, origin } in all {
                table.row(vec![key, value, origin]);
            }
            table.lines().iter().for_each(|line| context.output.line(line));
        }
        if let Some(why) = &context.settings.unused_database {
            warning(why);
        }
        Exit::Done
    }
}
