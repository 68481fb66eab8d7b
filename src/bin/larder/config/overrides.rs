//! What the command line says in the place of the configuration.

use std::path::PathBuf;

/// Settings of one run.
#[derive(Debug, Clone)]
pub(crate) struct Overrides {
    /// The directory of the system, where larder.toml, the repository and the directories are looked for.
    pub(crate) directory: PathBuf,
    /// The repository.
    pub(crate) backup_dir: Option<PathBuf>,
    /// The configuration file, which has to be there then.
    pub(crate) config: Option<PathBuf>,
    /// Whether larder.toml, links and the repository are believed whoever owns them.
    pub(crate) trust_files: bool,
}
