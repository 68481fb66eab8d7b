//! `larder setup`: installs the manual pages and the completion scripts.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use super::man::write_pages;
use crate::error::UsageError;
use crate::exit::Exit;
use crate::host::new_file::{self, Purpose};
use crate::term::output::Output;
use crate::view::documents::config::SetupDocument;

const MAN_FOLDER: &str = "share/man/man1";
/// Where each shell looks for completion scripts, and how it wants them to be called.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "share/bash-completion/completions/larder"),
    (Shell::Zsh, "share/zsh/site-functions/_larder"),
    (Shell::Fish, "share/fish/vendor_completions.d/larder.fish"),
];

/// Install manual pages, and completion scripts for bash, zsh and fish.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sudo larder setup\n  larder setup --prefix ~/.local")]
pub(super) struct SetupArguments {
    /// Below which directory [default: /usr/local for root, else ~/.local].
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// Remove them again.
    #[arg(long)]
    remove: bool,
}

impl SetupArguments {
    pub(super) fn run(&self, output: &Output, command: Command) -> anyhow::Result<Exit> {
        let prefix = match &self.prefix {
            Some(prefix) => prefix.clone(),
            None => default_prefix()?,
        };
        let pages = page_names(&command);
        let changed = if self.remove { remove(&prefix, &pages)? } else { install(&prefix, &pages, command)? };
        if output.is_json() {
            output.document(&SetupDocument { prefix: &prefix, removed: self.remove, files: &changed })?;
        } else {
            let word = if self.remove { "removed " } else { "" };
            for path in &changed {
                output.line(&format!("{word}{}", path.display()));
            }
        }
        Ok(Exit::Done)
    }
}

fn default_prefix() -> anyhow::Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/usr/local"));
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let home = home.ok_or_else(|| UsageError::with_advice("HOME is not set", "--prefix says where to install"))?;
    Ok(PathBuf::from(home).join(".local"))
}

fn install(prefix: &Path, pages: &[String], mut command: Command) -> anyhow::Result<Vec<PathBuf>> {
    write_pages(&prefix.join(MAN_FOLDER), command.clone())?;
    for (shell, path) in COMPLETIONS {
        let path = prefix.join(path);
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, "larder", &mut script);
        new_file::make_folder(path.parent().unwrap_or(prefix))
            .and_then(|()| new_file::write(&path, &script, Purpose::Text))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(standing(prefix, pages))
}

fn remove(prefix: &Path, pages: &[String]) -> anyhow::Result<Vec<PathBuf>> {
    let files = standing(prefix, pages);
    for path in &files {
        new_file::remove(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(files)
}

/// What the manual pages are called.
fn page_names(command: &Command) -> Vec<String> {
    let mut names = vec!["larder.1".to_owned()];
    for command in command.get_subcommands() {
        names.push(format!("larder-{}.1", command.get_name()));
        names.extend(
            command.get_subcommands().map(|part| format!("larder-{}-{}.1", command.get_name(), part.get_name())),
        );
    }
    names
}

/// What is there of it.
fn standing(prefix: &Path, pages: &[String]) -> Vec<PathBuf> {
    let pages = pages.iter().map(|name| prefix.join(MAN_FOLDER).join(name));
    let completions = COMPLETIONS.iter().map(|(_, path)| prefix.join(path));
    pages.chain(completions).filter(|path| path.is_file()).collect()
}
