//! `larder completions`: completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Arguments;
use crate::failure::Exit;
use crate::output::Output;

/// Print the completion script of a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder completions bash > /etc/bash_completion.d/larder")]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

impl CompletionsArguments {
    pub(super) fn run(&self, output: &Output) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "larder", &mut script);
        output.bytes(&script);
        Exit::Done
    }
}
