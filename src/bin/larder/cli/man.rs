//! `larder man`: manual pages.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::Arguments;
use crate::failure::Exit;
use crate::output::Output;

/// Print the manual page, or write a page for each command into a folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder man | man -l -\n  larder man --to /usr/local/share/man/man1")]
pub(super) struct ManArguments {
    /// Write larder.1, larder-create.1 and so on into this folder.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl ManArguments {
    pub(super) fn run(&self, output: &Output) -> anyhow::Result<Exit> {
        let command = Arguments::command();
        if let Some(folder) = &self.to {
            std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(command, folder))
                .with_context(|| format!("cannot write manual pages into {}", folder.display()))?;
        } else {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            output.bytes(&page);
        }
        Ok(Exit::Done)
    }
}
