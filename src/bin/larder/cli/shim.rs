//! `larder shim`: the scripts of the old tool, which call Larder.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::error::UsageError;
use crate::exit::Exit;
use crate::host::new_file::{self, Purpose};
use crate::host::shell::quoted;
use crate::term::output::Output;

const MAIN: &str = "backup_restore.sh";
const SHELL: &str = include_str!("shim.sh");
const PYTHON: &str = include_str!("shim.py");
/// The other scripts, and which command each is.
const OTHERS: [(&str, &str); 4] = [
    ("backup_system.py", "create"),
    ("prune_backups.py", "prune"),
    ("restore_system.py", "restore"),
    ("verify_backup.py", "verify"),
];

/// Write the scripts of the old tool, which take its command lines and call Larder.
///
/// `backup_restore.sh` is the one that cron lines and people call; the others are called by programs, and need it beside them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  larder shim > scripts/backup_restore.sh\n  larder shim --into scripts --force")]
pub(super) struct ShimArguments {
    /// Which script to print: `backup_restore.sh`, `backup_system.py`, `prune_backups.py`, `restore_system.py` or
    /// `verify_backup.py`.
    #[arg(default_value = MAIN, value_parser = known)]
    script: String,
    /// Write all of them into this directory.
    #[arg(long, value_name = "DIR", conflicts_with = "script")]
    into: Option<PathBuf>,
    /// Replace scripts that are there already.
    #[arg(long, requires = "into")]
    force: bool,
}

fn known(name: &str) -> Result<String, String> {
    if script(name).is_some() { Ok(name.to_owned()) } else { Err("the old tool has no such script".to_owned()) }
}

fn script(name: &str) -> Option<String> {
    if name == MAIN {
        // One whose path cannot be told is looked for on PATH alone.
        let program = std::env::current_exe().ok().and_then(|path| path.to_str().map(str::to_owned));
        return Some(SHELL.replacen("PROGRAM", &quoted(&program.unwrap_or_default()), 1));
    }
    let (_, command) = OTHERS.iter().find(|(other, _)| *other == name)?;
    Some(PYTHON.replace("COMMAND", command))
}

impl ShimArguments {
    pub(super) fn run(&self, output: &Output) -> anyhow::Result<Exit> {
        let Some(folder) = &self.into else {
            output.bytes(script(&self.script).unwrap_or_default().as_bytes());
            return Ok(Exit::Done);
        };
        let names: Vec<&str> = std::iter::once(MAIN).chain(OTHERS.iter().map(|(name, _)| *name)).collect();
        if let Some(name) = names.iter().find(|name| !self.force && folder.join(name).symlink_metadata().is_ok()) {
            let message = format!("{} exists already", folder.join(name).display());
            return Err(UsageError::with_advice(message, "`--force` replaces it").into());
        }
        new_file::make_folder(folder).with_context(|| format!("cannot make the directory {}", folder.display()))?;
        for name in names {
            let path = folder.join(name);
            let text = script(name).unwrap_or_default();
            new_file::write(&path, text.as_bytes(), Purpose::Script)
                .with_context(|| format!("cannot write {}", path.display()))?;
            output.line(&path.display().to_string());
        }
        Ok(Exit::Done)
    }
}
