//! `larder man`: manual pages.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man;

use crate::exit::Exit;
use crate::host::new_file::{self, Purpose};
use crate::term::output::Output;

/// Print the manual page, or write a page for each command into a folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder man | man -l -\n  larder man --to /usr/local/share/man/man1")]
pub(super) struct ManArguments {
    /// Write larder.1, larder-create.1 and so on into this folder.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl ManArguments {
    pub(super) fn run(&self, output: &Output, command: Command) -> anyhow::Result<Exit> {
        if let Some(folder) = &self.to {
            write_pages(folder, command)?;
        } else {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            output.bytes(&page);
        }
        Ok(Exit::Done)
    }
}

/// Writes a page for each command into a folder, which is made where it is missing.
pub(super) fn write_pages(folder: &Path, command: Command) -> anyhow::Result<()> {
    new_file::make_folder(folder).with_context(|| format!("cannot make the directory {}", folder.display()))?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    commands(command).into_iter().try_for_each(|command| {
        let man = Man::new(command);
        let path = folder.join(man.get_filename());
        let mut page = Vec::new();
        man.render(&mut page)?;
        new_file::write(&path, &page, Purpose::Text).with_context(|| format!("cannot write {}", path.display()))
    })
}

/// A command and all below it.
fn commands(command: Command) -> Vec<Command> {
    let below: Vec<Command> = command.get_subcommands().filter(|below| !below.is_hide_set()).cloned().collect();
    std::iter::once(command).chain(below.into_iter().flat_map(commands)).collect()
}
