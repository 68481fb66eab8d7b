//! The terminal that a command is given at: what the command works with, and where its results go.

use larder::events::{Event, Events};
use larder::monitor::Monitor;

use crate::app::context::Context;
use crate::app::invocation::Invocation;
use crate::config::{Settings, unknown_variables};
use crate::term::console::{ConsoleProgress, advice, error, line, warning};
use crate::term::output::Output;
use crate::view::phases::describe;

/// What a command works with, and who shows what it does.
pub(crate) struct Terminal<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) output: &'a Output,
    pub(crate) console: &'a ConsoleProgress,
}

/// Shows events while a command runs.
pub(crate) struct Shown<'a> {
    pub(crate) output: &'a Output,
    pub(crate) console: &'a ConsoleProgress,
}

impl<'a> Terminal<'a> {
    pub(crate) fn new(settings: Settings, shown: &'a Shown<'a>) -> Self {
        let Shown { output, console } = *shown;
        let monitor = Monitor::new(shown, console.cancel(), console.wants_totals());
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let directory = std::env::current_dir().unwrap_or_default().display().to_string();
        let invocation = Invocation { words, directory };
        Self { context: Context { settings, events: shown, monitor, invocation }, output, console }
    }

    /// Removes the progress of work that is over, whatever it ended with.
    pub(crate) fn ended<T>(&self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        self.console.end();
        result
    }
}

impl Shown<'_> {
    /// Warns of variables that look like settings and are none.
    pub(crate) fn warn_of_unknown_variables(&self) {
        let unknown = unknown_variables();
        if !unknown.is_empty() {
            let (events, names): (&dyn Events, _) = (self, unknown.join(", "));
            events.warn(&format!("no setting is called like the variable {names}: see `larder config`"));
        }
    }

    /// Prints an event that is a line or two.
    fn print(&self, event: Event<'_>) {
        match event {
            Event::Failure { text, advice: way_out } => {
                error(text);
                way_out.into_iter().for_each(advice);
            }
            Event::Warning { text, advice: way_out } => {
                warning(text);
                way_out.into_iter().for_each(advice);
            }
            Event::Hint { .. } if self.console.is_quiet() => {}
            Event::Note { text } | Event::Hint { text } => line(&format!("note: {text}")),
            Event::SnapshotBegun { name } => {
                let title = format!("Creating comprehensive system backup: {name}");
                if self.output.is_json() {
                    line(&title);
                } else {
                    self.output.line(&title);
                }
                self.output.flush();
            }
            Event::SafetySnapshotSaved { name } => line(&format!("What is replaced is saved as {name}.")),
            _ => {}
        }
    }
}

impl Events for Shown<'_> {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Phase { phase, total_bytes } => self.console.begin(&describe(&phase), total_bytes),
            Event::Advanced { bytes } => self.console.advance(bytes),
            Event::Holding(is_held) => self.console.hold(is_held),
            event => self.console.suspend(|| self.print(event)),
        }
    }
}
