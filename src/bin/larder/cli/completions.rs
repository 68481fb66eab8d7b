//! `larder completions`: completion scripts for shells.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::exit::Exit;
use crate::term::output::Output;

/// Print the completion script of a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  larder completions bash > /etc/bash_completion.d/larder")]
pub(super) struct CompletionsArguments {
    /// The shell.
    shell: Shell,
}

impl CompletionsArguments {
    pub(super) fn run(&self, output: &Output, mut command: Command) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "larder", &mut script);
        output.bytes(&script);
        Exit::Done
    }
}
