//! Options of every command.

use std::path::PathBuf;

use clap::Args;

use crate::config::Overrides;
use crate::term::colour::When;
use crate::term::console::Verbosity;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct GlobalArguments {
    /// The directory of the system, where larder.toml, the repository and the directories are looked for.
    #[arg(short = 'C', value_name = "DIR", default_value = ".", global = true, hide_default_value = true)]
    pub(crate) directory: PathBuf,
    /// The repository [default: backups].
    #[arg(long, value_name = "DIR", env = "LARDER_BACKUP_DIR", global = true)]
    pub(crate) backup_dir: Option<PathBuf>,
    /// The configuration file [default: larder.toml, where there is one].
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Believe larder.toml, links and the repository whoever owns them.
    #[arg(long, global = true)]
    pub(crate) trust_files: bool,
    /// Print one JSON document on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to print colours; where `NO_COLOR` is set, `auto` is never.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub(crate) color: When,
    /// No progress.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what is being done, and how much memory it took.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

impl GlobalArguments {
    /// What they say in the place of the configuration.
    pub(super) fn overrides(&self) -> Overrides {
        let Self { directory, backup_dir, config, trust_files, .. } = self;
        let (directory, backup_dir, config) = (directory.clone(), backup_dir.clone(), config.clone());
        Overrides { directory, backup_dir, config, trust_files: *trust_files }
    }

    /// How much is to be said beside results.
    pub(super) const fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        }
    }
}
