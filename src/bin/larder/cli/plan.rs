//! `larder plan`: what `create` would back up, from where, and how. Nothing is changed, not even the repository.

use clap::Args;

use super::global::GlobalArguments;
use super::terminal::{Shown, Terminal};
use crate::app::plan::{self, BelievedSettings, Part, PlanOutcome};
use crate::exit::Exit;
use crate::term::console::warning;
use crate::term::output::Output;
use crate::term::table::{Align, Table};
use crate::view::documents::plan::{PlanDocument, UnbelievedPlanDocument};

/// Show what `create` would back up: which databases, directories and volumes, from where, and which containers would
/// be paused or stopped for it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder plan")]
pub(super) struct PlanArguments {}

impl PlanArguments {
    #[expect(clippy::unused_self, reason = "commands are run alike")]
    pub(super) fn run(&self, global: &GlobalArguments, shown: &Shown<'_>) -> anyhow::Result<Exit> {
        shown.warn_of_unknown_variables();
        let BelievedSettings { settings, is_believed, refused, exit } =
            BelievedSettings::find(&global.overrides(), shown)?;
        if !is_believed {
            if shown.output.is_json() {
                shown.output.document(&UnbelievedPlanDocument::new(&refused))?;
            }
            return Ok(exit);
        }
        let terminal = Terminal::new(settings, shown);
        let outcome = terminal.ended(plan::find(&terminal.context, &refused, exit))?;
        if terminal.output.is_json() {
            terminal.output.document(&PlanDocument::new(&outcome, &refused))?;
        } else {
            print(terminal.output, &outcome);
        }
        for part in &outcome.parts {
            if let Some(problem) = &part.problem {
                warning(&format!("{}: {problem}", part.name));
            }
        }
        outcome.exit
    }
}

fn print(output: &Output, outcome: &PlanOutcome) {
    if let Some(project) = &outcome.project {
        output.line(&format!("Compose project: {project}"));
    }
    if !outcome.parts.is_empty() {
        print_table(output, &outcome.parts);
    }
    for part in &outcome.parts {
        for (table, why) in part.unordered.iter().flatten() {
            output.line(&format!("Not in the order of a key: {table} of {}, because {why}", part.name));
        }
    }
    for volume in &outcome.anonymous_volumes {
        output.line(&format!("Left out, because it has no name: the volume {volume}"));
    }
    outcome.uncovered_texts.iter().for_each(|what| output.line(what));
    for one in &outcome.disbelieved {
        let (name, labels) = (&one.container, one.labels.join(", "));
        output.line(&format!("Not believed, because its image says it: of the container {name} the labels {labels}"));
    }
}

fn print_table(output: &Output, parts: &[Part]) {
    let left = Align::Left;
    let mut table =
        Table::new(&[("component", left), ("kind", left), ("how", left), ("would be held", left), ("from", left)])
            .leaving_out(&["kind", "how"]);
    for part in parts {
        let held = match (part.quiesce, part.held.is_empty()) {
            (Some("none") | None, _) => "-".to_owned(),
            (Some(_), true) => "nobody writes".to_owned(),
            (Some(quiesce), false) => format!("{} ({quiesce})", part.held.join(", ")),
        };
        let how = part.method.unwrap_or("-").to_owned();
        table.row(vec![part.name.clone(), part.kind.to_owned(), how, held, part.source.clone()]);
    }
    output.table(&table);
}
